//! The IMAP framer and parser, fed whole and in pieces, with the same result.

use bytes::BytesMut;
use postrider::foundations::wire::imap::{Command, Framed, Framer, Limits};

const LIMITS: Limits = Limits { line: 2_000, literal: 500, literals: 8, skip: 5_000 };

pub fn run(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let whole = frames(bytes, bytes.len().max(1));
    let pieces = frames(bytes, usize::from(*cut) + 1);
    assert_eq!(whole, pieces);
}

fn frames(bytes: &[u8], piece: usize) -> Vec<String> {
    let (mut framer, mut input, mut seen) = (Framer::new(LIMITS), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        input.extend_from_slice(piece);
        loop {
            match framer.feed(&mut input) {
                Framed::More(wanted) => {
                    assert!(wanted > 0);
                    break;
                }
                Framed::Continue => seen.push("+".to_owned()),
                Framed::Message(announced) => {
                    seen.push(format!("{announced:?}"));
                    if announced.size % 2 == 0 && announced.size < 1_000 {
                        seen.extend(framer.grant(&mut input).map(|framed| format!("{framed:?}")));
                    } else {
                        framer.deny(&mut input);
                    }
                }
                Framed::Command(command) => seen.push(format!("{:?}", Command::parse(&command))),
                Framed::Refused(fault) => seen.push(format!("{fault:?}")),
                Framed::Lost => {
                    seen.push("lost".to_owned());
                    return seen;
                }
            }
        }
    }
    seen
}
