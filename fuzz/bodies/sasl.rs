//! Authentication exchanges.

use postrider::foundations::wire::sasl::{Exchange, Mechanism, Step};

pub fn run(data: &[u8]) {
    let mut lines = data.split(|b| *b == b'\n');
    let first = lines.next().unwrap_or_default();
    for mechanism in Mechanism::ALL {
        for initial in [None, Some(first)] {
            let Ok((mut exchange, mut step)) = Exchange::begin(*mechanism, initial) else { continue };
            let mut rest = lines.clone();
            for asked in 0.. {
                match step {
                    Step::Challenge(_) => assert!(asked <= 2, "no mechanism asks more than twice"),
                    Step::Done(credentials) => {
                        assert!(!credentials.username.is_empty() && !credentials.username.contains('\0'));
                        assert!(!credentials.password.expose().is_empty());
                        break;
                    }
                }
                let Some(line) = rest.next() else { break };
                let Ok(next) = exchange.respond(line) else { break };
                step = next;
            }
        }
    }
}
