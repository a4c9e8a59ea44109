//! `envelope` (RFC 5228 §5.4).

use super::AddressPart;
use crate::foundations::address::Address;
use crate::foundations::said::said;
use crate::services::sieve::check::{Arguments, TestWord, Tests, Wanted};
use crate::services::sieve::matching::{Matcher, Matching};
use crate::services::sieve::program::{Judge, Value};
use crate::services::sieve::run::{Halt, Run};

pub(super) const TESTS: &[TestWord] =
    &[TestWord { name: "envelope", extensions: &["envelope"], tests: Tests::None, read }];

#[derive(Debug)]
struct Envelope {
    parts: Vec<Value>,
    part: AddressPart,
    matcher: Matcher,
}

fn read(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let matching = Matching::read(arguments);
    let part = AddressPart::read(arguments);
    let [parts, keys] = arguments.positional([("envelope parts", Wanted::Texts), ("key list", Wanted::Texts)])?;
    let parts = arguments.values(&parts);
    for (at, value) in &parts {
        if let Some(name) = value.constant().filter(|name| !is_part(name)) {
            let said = said!(
                "sieve-envelope-part",
                "'{name}' is not a part of the envelope; use 'from', 'to' or 'auth'",
                name = name.escape_debug()
            );
            arguments.wrong_at(*at, said);
        }
    }
    let keys = arguments.values(&keys);
    let matcher = matching.with(arguments, keys);
    let parts = parts.into_iter().map(|(_, value)| value).collect();
    arguments.fine(Box::new(Envelope { parts, part, matcher }))
}

fn is_part(name: &str) -> bool {
    ["from", "to", "auth"].iter().any(|known| known.eq_ignore_ascii_case(name))
}

impl Judge for Envelope {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        let mut values = Vec::new();
        for name in &self.parts {
            let name = name.get(run)?.to_ascii_lowercase();
            let situation = run.situation;
            let of = |address: &Address| {
                self.part.of(address.local().value(), &address.domain().to_string(), situation.tag_separator)
            };
            match name.as_str() {
                "from" => match situation.reverse_path.address() {
                    Some(address) => values.extend(of(address)),
                    // RFC 5231 §4.2: it is no address that could be counted.
                    None if self.matcher.counts() => {}
                    // RFC 5228 §5.4: the null reverse-path is the empty string, whatever the address part.
                    None => values.push(String::new()),
                },
                "to" => values.extend(of(situation.recipient)),
                "auth" => {
                    if let Some(login) = situation.login {
                        let (local, domain) = login.rsplit_once('@').unwrap_or((login, ""));
                        values.extend(self.part.of(local, domain, situation.tag_separator));
                    }
                }
                _ => {}
            }
        }
        self.matcher.matches(run, &values)
    }
}
