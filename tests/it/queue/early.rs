//! Hosts that answer what they were not asked: no such reply makes a message count as accepted.

use std::time::Duration;

use postrider::foundations::mail::{BodyKind, Mail, Message};
use postrider::storage::database::Database;

use super::peer::{HANG_UP, Peer};
use super::tls::on_sqlite;
use super::world::{SetUp, World, mail};

fn text() -> Mail {
    mail(&["a@x.test"])
}

/// A message that goes by BDAT.
fn binary() -> Mail {
    let mut binary = text();
    binary.envelope.body = BodyKind::BinaryMime;
    binary.message = Message::new(b"Subject: binary\r\nContent-Transfer-Encoding: binary\r\n\r\na\0\nb\r\n".to_vec());
    binary
}

struct Case {
    what: &'static str,
    mail: fn() -> Mail,
    /// A command, and the reply to it that is more than one.
    early: (&'static str, &'static str),
    /// What really becomes of the message the first time: the command whose reply it is, and the reply.
    end: (&'static str, &'static str),
}

const CASES: [Case; 5] = [
    Case {
        what: "with the reply to DATA",
        mail: text,
        early: ("DATA", "354 Go on\r\n250 2.0.0 Taken already"),
        end: ("(end)", "451 4.3.0 Not now"),
    },
    Case {
        what: "with the reply to RCPT",
        mail: binary,
        early: ("RCPT", "250 2.1.5 Fine\r\n250 2.0.0 Taken already"),
        end: ("BDAT", "451 4.3.0 Not now"),
    },
    Case {
        what: "with the greeting of EHLO",
        mail: binary,
        early: ("EHLO", "250-peer\r\n250-CHUNKING\r\n250 BINARYMIME\r\n250 2.0.0 Welcome again"),
        end: ("BDAT", "451 4.3.0 Not now"),
    },
    Case {
        what: "in part",
        mail: binary,
        early: ("RCPT", "250 2.1.5 Fine\r\n250-2.0.0 Taken already, and"),
        end: ("BDAT", "250 2.0.0 no, not yet\r\n451 4.3.0 Not now"),
    },
    Case {
        what: "never, but the connection is closed",
        mail: binary,
        early: ("RCPT", "250 2.1.5 Fine"),
        end: ("BDAT", HANG_UP),
    },
];

#[test]
fn a_reply_that_comes_too_early_accepts_nothing() {
    on_sqlite(accepts_nothing);
}

async fn accepts_nothing(database: Database) {
    for case in &CASES {
        let world = World::new(database.clone(), SetUp::default());
        world.zone.add("x.test A 192.0.2.1\nsender.test FAIL").unwrap();
        let peer = Peer::new().extensions(&["PIPELINING", "CHUNKING", "BINARYMIME"]);
        let peer = world.network.host("192.0.2.1", peer);
        peer.answers(case.early.0, case.early.1, 1);
        peer.answers(case.end.0, case.end.1, 1);
        world.queue.start();
        let id = world.send(&(case.mail)()).await;
        world.until_tried(id, 1).await;
        // It is sent again, and in the end truly taken.
        for _ in 0..4 {
            world.clock.advance(Duration::from_secs(40 * 60));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        world.until_empty().await;
        assert_eq!(peer.taken().len(), 1, "{}: {:?}", case.what, peer.heard.lock());
        world.restart().await;
    }
}
