use super::*;
use crate::foundations::address::ReversePath;
use crate::foundations::mail::DsnWish;

#[test]
fn messages_are_returned_whole_unless_their_sender_minds() {
    for (worst, ret, require_tls, wanted) in [
        (Action::Failed, None, false, true),
        (Action::Failed, Some(DsnReturn::Full), false, true),
        (Action::Failed, Some(DsnReturn::Headers), false, false),
        (Action::Failed, Some(DsnReturn::Full), true, false),
        (Action::Delayed, None, false, false),
    ] {
        let envelope = Envelope {
            require_tls,
            dsn: DsnWish { ret, ..DsnWish::default() },
            ..Envelope::plain(ReversePath::Address("ann@example.test".parse().unwrap()), Vec::new())
        };
        assert_eq!(returns_all(&envelope, worst), wanted, "{worst:?} {ret:?} {require_tls}");
    }
}

#[test]
fn headers_are_cut_at_line_ends() {
    assert_eq!(cut(b"A: b\r\nC: d\r\n", 100), b"A: b\r\nC: d\r\n");
    assert_eq!(cut(b"A: b\r\nC: d\r\n", 9), b"A: b\r\n");
    assert_eq!(cut(b"A: b\r\n", 2), b"");
}

#[test]
fn addresses_carry_their_type() {
    assert_eq!(typed("rfc822", "a@b.test"), "rfc822; a@b.test");
    assert_eq!(typed("utf-8", "jos\u{e9}+x@b.test"), "utf-8; jos\\x{E9}\\x{2B}x@b.test");
    assert_eq!(typed("x\r\nEvil: y", "a"), "xEvily; a");
    assert_eq!(ascii(&printable("a\r\n\u{e9}")), "a  ?");
}

#[test]
fn what_others_say_fits_on_a_line() {
    assert_eq!(printable("550 no\r\nReceived: x\t"), "550 no  Received: x ");
    let (long, wide) = (printable(&"x".repeat(2000)), printable(&"\u{e9}".repeat(2000)));
    assert_eq!((long.len(), wide.len()), (703, 703));
    assert!(wide.ends_with("\u{e9}..."));
}
