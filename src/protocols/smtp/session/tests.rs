mod talk;

use self::talk::{Talk, profile};
use super::*;
use crate::protocols::smtp::{Conversation, EarlyInput};

#[test]
fn a_message_is_taken_with_its_dots_unstuffed() {
    let mut talk = Talk::new(Mode::Relay);
    talk.codes(&[
        ("EHLO client.example", "250"),
        ("MAIL FROM:<eve@x.test> SIZE=100 BODY=8BITMIME", "250"),
        ("RCPT TO:<nobody@example.test>", "550"),
        ("RCPT TO:<postmaster>", "250"),
        ("DATA", "354"),
        ("Subject: x\r\n\r\n..dot\r\n.", "250"),
        ("QUIT", "221"),
    ]);
    assert_eq!(talk.taken, [(1, "Subject: x\r\n\r\n.dot\r\n".to_owned())]);
    assert!(talk.send("NOOP\r\n").is_empty());
}

#[test]
fn pipelining_keeps_order() {
    let mut talk = Talk::new(Mode::Relay);
    let written =
        talk.send("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<ann@example.test>\r\nRCPT TO:<no@example.test>\r\nDATA\r\n");
    let codes: Vec<&str> = written.iter().map(|reply| &reply[..3]).collect();
    assert_eq!(codes, ["250", "250", "250", "550", "354"]);
    let written = talk.send("x\r\n.\r\nMAIL FROM:<>\r\nQUIT\r\n");
    assert_eq!(written.len(), 3);
}

#[test]
fn a_data_that_finds_no_memory_has_begun_nothing() {
    for mode in [Mode::Relay, Mode::Lmtp] {
        let mut talk = Talk::new(mode);
        talk.codes(&[
            (if mode == Mode::Lmtp { "LHLO a" } else { "EHLO a" }, "250"),
            ("MAIL FROM:<> SIZE=199", "250"),
            ("RCPT TO:<ann@example.test>", "250"),
            ("DATA", "452"),
            ("DATA", "452"),
            // What comes by counting has no dots that are doubled.
            ("BDAT 8 LAST\r\n..a\r\n.", "250"),
        ]);
        assert_eq!(talk.taken, [(1, "..a\r\n.\r\n".to_owned())]);
    }
}

#[test]
fn commands_out_of_order_are_refused() {
    Talk::new(Mode::Relay).codes(&[
        ("MAIL FROM:<>", "503"),
        ("DATA", "503"),
        ("LHLO a", "500"),
        ("AUTH PLAIN", "503"),
        ("HELO a", "250"),
        ("RCPT TO:<ann@example.test>", "503"),
        ("MAIL FROM:<> SIZE=1", "555"),
        ("MAIL FROM:<>", "250"),
        ("MAIL FROM:<>", "503"),
        ("RCPT TO:<ann@example.test> NOTIFY=NEVER", "555"),
        ("DATA", "503"),
        ("RSET", "250"),
        ("RCPT TO:<ann@example.test>", "503"),
        ("MAIL FROM:<>", "250"),
        ("EHLO a", "250"),
        ("RCPT TO:<ann@example.test>", "503"),
        ("AUTH PLAIN", "502"),
        ("VRFY ann", "252"),
        ("EXPN list", "502"),
        ("ETRN x", "502"),
        ("HELP", "214"),
        ("NOOP x", "250"),
        ("HELP", "421"),
    ]);
}

#[test]
fn parameters_that_do_not_fit_the_session_are_refused() {
    Talk::new(Mode::Relay).codes(&[
        ("EHLO a", "250"),
        ("MAIL FROM:<a@b.test> SIZE=201", "552"),
        ("MAIL FROM:<jos\u{e9}@b.test>", "550"),
        ("MAIL FROM:<a@b.test> REQUIRETLS", "555"),
        ("MAIL FROM:<jos\u{e9}@b.test> SMTPUTF8", "250"),
        ("RCPT TO:<jos\u{e9}@example.test>", "250"),
        ("RSET", "250"),
        ("MAIL FROM:<a@b.test>", "250"),
        ("RCPT TO:<jos\u{e9}@example.test>", "553"),
        ("RCPT TO:<1@example.test>", "250"),
        ("RCPT TO:<2@example.test>", "250"),
        ("RCPT TO:<3@example.test>", "452"),
    ]);
    Talk::new(Mode::Relay).tls().codes(&[("EHLO a", "250"), ("MAIL FROM:<a@b.test> REQUIRETLS", "250")]);
}

#[test]
fn chunks_make_up_a_message_octet_by_octet() {
    let mut talk = Talk::new(Mode::Relay);
    talk.codes(&[("EHLO a", "250"), ("MAIL FROM:<> BODY=BINARYMIME", "250"), ("RCPT TO:<ann@example.test>", "250")]);
    talk.codes(&[("DATA", "503")]);
    assert_eq!(talk.send("BDAT 5\r\n\r\na\nbBDAT 0\r\nBDAT 2 LAST\r\n\r.").len(), 3);
    assert_eq!(talk.taken, [(1, "\r\na\nb\r.".to_owned())]);
    // An empty message, and a chunk of nothing at its end.
    talk.codes(&[("MAIL FROM:<>", "250"), ("RCPT TO:<ann@example.test>", "250"), ("BDAT 0 LAST", "250")]);
    assert_eq!(talk.taken[1].1, "");
    talk.codes(&[("MAIL FROM:<>", "452")]);
}

#[test]
fn what_users_send_may_be_binary() {
    let mut talk = Talk::new(Mode::Submission).tls();
    let extensions = talk.send("EHLO a\r\n").remove(0);
    assert!(extensions.contains("BINARYMIME"), "{extensions}");
    talk.codes(&[
        ("AUTH PLAIN AGFubkBleGFtcGxlLnRlc3QAc2VjcmV0", "235"),
        ("MAIL FROM:<ann@example.test> BODY=BINARYMIME", "250"),
        ("RCPT TO:<ann@example.test>", "250"),
    ]);
    talk.send("BDAT 5 LAST\r\n\r\na\nb");
    assert_eq!(talk.taken, [(1, "\r\na\nb".to_owned())]);
}

#[test]
fn the_header_of_a_binary_message_is_made_of_lines() {
    for (message, wanted) in [
        ("A: b\rFrom: c\r\n\r\nd", "554"),
        ("A: b\nFrom: c\r\n\r\nd", "554"),
        ("A: b\r\n\nFrom: c\r\n\r\nd", "554"),
        ("A: b\r", "554"),
        ("A: b\r\n\r\nc\rd\n", "250"),
        ("A: b\r\n", "250"),
    ] {
        let mut talk = Talk::new(Mode::Relay);
        talk.codes(&[
            ("EHLO a", "250"),
            ("MAIL FROM:<> BODY=BINARYMIME", "250"),
            ("RCPT TO:<ann@example.test>", "250"),
        ]);
        let written = talk.send(&format!("BDAT {} LAST\r\n{message}", message.len()));
        assert!(written.len() == 1 && written[0].starts_with(wanted), "{message:?}: {written:?}");
    }
}

#[test]
fn refused_chunks_are_skipped_exactly() {
    let mut talk = Talk::new(Mode::Relay);
    talk.codes(&[
        ("BDAT 6\r\nQUIT\r\nNOOP", "503 250"),
        ("EHLO a", "250"),
        ("BDAT 6 LAST\r\nQUIT\r\nNOOP", "503 250"),
        ("MAIL FROM:<>", "250"),
        ("BDAT 6\r\nQUIT\r\nNOOP", "503 250"),
        ("RCPT TO:<ann@example.test>", "503"),
        ("RSET", "250"),
        ("MAIL FROM:<>", "250"),
        ("RCPT TO:<ann@example.test>", "250"),
        ("BDAT 6\r\nQUIT\r\nRCPT TO:<b@example.test>", "250 503"),
    ]);
    let mut talk = Talk::with_recipient();
    let long = "x".repeat(201);
    talk.codes(&[
        (&format!("BDAT 201\r\n{long}BDAT 1 LAST\r\nxNOOP"), "552 503 250"),
        ("MAIL FROM:<>", "250"),
        ("RCPT TO:<ann@example.test>", "250"),
        // No memory: the octets are skipped all the same.
        (&format!("BDAT 199 LAST\r\n{}NOOP", "x".repeat(199)), "452 250"),
        ("MAIL FROM:<>", "250"),
        ("RCPT TO:<ann@example.test>", "250"),
        ("BDAT 3\r\na\nbBDAT 1 LAST\r\ncNOOP", "554 503 250"),
    ]);
    assert!(talk.taken.is_empty());
    for line in ["BDAT 99999999999999999999999\r\n", "BDAT x\r\n", "BDAT 18446744073709551615\r\n"] {
        let mut talk = Talk::new(Mode::Relay);
        talk.send("EHLO a\r\n");
        let written = talk.send(line);
        assert!(written.len() == 1 && written[0].ends_with("[closed]"), "{line}: {written:?}");
        assert!(talk.send("NOOP\r\n").is_empty());
    }
}

#[test]
fn only_the_true_end_ends_data() {
    for content in ["a\n.\n", "a\n.\r\n", "a\r\n.\n", "a\r.\r", "a\r\n.\r\r\n", "a\r\n\0.\r\n"] {
        let mut talk = Talk::with_recipient();
        talk.codes(&[("DATA", "354")]);
        assert!(talk.send(&format!("{content}MAIL FROM:<smuggled@x.test>\r\n")).is_empty(), "{content:?}");
        let written = talk.send(".\r\n");
        assert_eq!(written.len(), 1, "{content:?}");
        assert_eq!(written[0].starts_with("554 5.6.0"), !content.contains('\0'), "{content:?}: {written:?}");
    }
}

#[test]
fn bare_line_ends_in_commands() {
    let mut talk = Talk::new(Mode::Relay);
    assert_eq!(talk.send("EHLO a\n").len(), 1);
    talk.codes(&[("MAIL FROM:<>", "503"), ("EHLO a\rb", "500"), (&"x".repeat(1001), "500"), ("EHLO a", "250")]);
}

#[test]
fn a_header_that_is_too_large_is_refused_at_the_end() {
    let (fits, large) = (format!("X: {}\r\n", "x".repeat(55)), format!("X: {}\r\n", "x".repeat(56)));
    for (content, refused) in [
        (format!("{fits}\r\n{}\r\n", "y".repeat(100)), false),
        (fits.clone(), false),
        (format!("\r\n{}\r\n", "y".repeat(150)), false),
        (format!("{large}\r\nbody\r\n"), true),
        (large.clone(), true),
        (format!("{fits}{fits}\r\n"), true),
        ("X:\r\n".repeat(40), true),
    ] {
        let data = |talk: &mut Talk| {
            talk.send("DATA\r\n");
            talk.send(&format!("{content}.\r\n")).pop()
        };
        let chunk = |talk: &mut Talk| talk.send(&format!("BDAT {} LAST\r\n{content}", content.len())).pop();
        for send in [&data as &dyn Fn(&mut Talk) -> Option<String>, &chunk] {
            let mut talk = Talk::with_recipient();
            let answer = send(&mut talk).unwrap();
            assert_eq!(answer.starts_with("552 5.3.4 This server takes headers of"), refused, "{content:?}: {answer}");
            assert_eq!(talk.taken.is_empty(), refused);
            talk.codes(&[("MAIL FROM:<>", "250")]);
        }
    }
}

#[test]
fn too_large_is_refused_at_its_end() {
    Talk::with_recipient().codes(&[("DATA", "354"), (&"x".repeat(300), ""), (".", "552"), ("NOOP", "250")]);
}

#[test]
fn a_message_for_which_memory_runs_out_is_refused_at_its_end() {
    let mut talk = Talk::with_recipient();
    talk.codes(&[("DATA", "354")]);
    talk.send("half");
    talk.conversation.session_mut().starve();
    talk.codes(&[("more", ""), (".", "452"), ("NOOP", "250")]);
}

#[test]
fn nothing_survives_the_handshake() {
    let mut talk = Talk::new(Mode::Relay);
    talk.codes(&[("EHLO a", "250"), ("MAIL FROM:<>", "250"), ("STARTTLS x", "501")]);
    let written = talk.send("STARTTLS\r\nRSET\r\nMAIL FROM:<injected@x.test>\r\n");
    assert_eq!(written.len(), 1);
    assert!(written[0].starts_with("220"));
    talk.codes(&[
        ("RCPT TO:<ann@example.test>", "503"),
        ("MAIL FROM:<>", "503"),
        ("EHLO a", "250"),
        ("STARTTLS", "503"),
    ]);
}

#[test]
fn early_input_closes() {
    let mut talk = Talk::with_recipient();
    let written = talk.send("DATA\r\nSubject: x\r\n");
    assert_eq!(written, ["554 5.5.1 You sent data before the greeting [closed]"]);
}

#[test]
fn refused_recipients_are_counted() {
    Talk::new(Mode::Relay).codes(&[
        ("EHLO a", "250"),
        ("MAIL FROM:<>", "250"),
        ("RCPT TO:<no1@example.test>", "550"),
        ("RCPT TO:<no2@example.test>", "550"),
        ("RCPT TO:<no3@example.test>", "421"),
    ]);
}

#[test]
fn submission_wants_tls_and_login() {
    let mut talk = Talk::new(Mode::Submission);
    talk.codes(&[
        ("EHLO a", "250"),
        ("MAIL FROM:<>", "530"),
        ("AUTH PLAIN AGEAYg==", "538"),
        ("VRFY a", "530"),
        ("STARTTLS", "220"),
    ]);
    let greeting = talk.send("EHLO a\r\n");
    assert!(greeting[0].contains("AUTH PLAIN LOGIN") && !greeting[0].contains("STARTTLS"), "{greeting:?}");
    talk.codes(&[
        ("MAIL FROM:<>", "530"),
        ("AUTH CRAM-MD5", "504"),
        ("AUTH PLAIN", "334"),
        ("*", "501"),
        ("AUTH PLAIN =", "501"),
        ("AUTH PLAIN !!!", "501"),
        // ann@example.test, secret
        ("AUTH LOGIN", "334"),
        ("YW5uQGV4YW1wbGUudGVzdA==", "334"),
        ("c2VjcmV0", "235"),
        ("AUTH PLAIN", "503"),
        ("MAIL FROM:<ann@example.test> AUTH=<>", "250"),
        ("AUTH PLAIN", "503"),
        ("RCPT TO:<bob@x.test>", "250"),
        ("DATA", "354"),
        ("x\r\n.", "250"),
    ]);
    assert!(!talk.send("EHLO a\r\n")[0].contains("AUTH"));
}

#[test]
fn failed_logins_end_the_session() {
    let mut talk = Talk::new(Mode::Submission).tls();
    // \0ann@example.test\0wrong
    talk.codes(&[
        ("EHLO a", "250"),
        ("AUTH PLAIN AGFubkBleGFtcGxlLnRlc3QAd3Jvbmc=", "535"),
        ("AUTH PLAIN AGFubkBleGFtcGxlLnRlc3QAd3Jvbmc=", "421"),
    ]);
    assert!(talk.send("NOOP\r\n").is_empty());
}

#[test]
fn lmtp_answers_for_each_recipient() {
    let mut talk = Talk::new(Mode::Lmtp);
    talk.codes(&[
        ("EHLO a", "500"),
        ("HELO a", "500"),
        ("MAIL FROM:<>", "503"),
        ("LHLO a", "250"),
        ("MAIL FROM:<>", "250"),
        ("RCPT TO:<no@example.test>", "550"),
        ("DATA", "503"),
        ("RCPT TO:<ann@example.test>", "250"),
        ("RCPT TO:<bob@example.test>", "250"),
        ("DATA", "354"),
        ("x\r\n.", "250 250"),
        ("MAIL FROM:<>", "250"),
        ("RCPT TO:<ann@example.test>", "250"),
        ("RCPT TO:<bob@example.test>", "250"),
        ("BDAT 2 LAST\r\na\nNOOP", "554 554 250"),
        ("QUIT", "221"),
    ]);
}

/// What has come under TLS goes on to our own processes, also over a socket.
#[test]
fn lmtp_takes_what_requires_tls() {
    let mut talk = Talk::new(Mode::Lmtp);
    assert!(talk.send("LHLO a\r\n")[0].contains("REQUIRETLS"));
    talk.codes(&[("MAIL FROM:<a@b.test> REQUIRETLS", "250")]);
    for mode in [Mode::Relay, Mode::Submission, Mode::Programs] {
        assert!(!Talk::new(mode).send("EHLO a\r\n")[0].contains("REQUIRETLS"), "{mode:?}");
    }
}

#[test]
fn keywords_of_the_received_field() {
    let with = |talk: &mut Talk, hello: &str, mail: &str| {
        let text = format!("{hello} a\r\n{mail}\r\nRCPT TO:<ann@example.test>\r\n");
        talk.send(&text);
        talk.send("DATA\r\n");
        talk.send("x\r\n.\r\n").remove(0)
    };
    assert_eq!(with(&mut Talk::new(Mode::Relay), "HELO", "MAIL FROM:<>"), "250 2.0.0 SMTP");
    assert_eq!(with(&mut Talk::new(Mode::Relay), "EHLO", "MAIL FROM:<>"), "250 2.0.0 ESMTP");
    assert_eq!(with(&mut Talk::new(Mode::Relay).tls(), "EHLO", "MAIL FROM:<>"), "250 2.0.0 ESMTPS");
    assert_eq!(with(&mut Talk::new(Mode::Relay).tls(), "EHLO", "MAIL FROM:<> SMTPUTF8"), "250 2.0.0 UTF8SMTPS");
    assert_eq!(with(&mut Talk::new(Mode::Lmtp), "LHLO", "MAIL FROM:<>"), "250 2.0.0 LMTP");
}

/// Pieces of sessions, good and bad, to be put together at random.
const PIECES: &[&str] = &[
    "EHLO a\r\n",
    "LHLO a\r\n",
    "MAIL FROM:<a@x.test>\r\n",
    "MAIL FROM:<> BODY=BINARYMIME\r\n",
    "RCPT TO:<ann@example.test>\r\n",
    "RCPT TO:<no@example.test>\r\n",
    "DATA\r\n",
    "BDAT 3\r\n",
    "BDAT 5 LAST\r\n",
    "BDAT 0 LAST\r\n",
    "BDAT 300\r\n",
    "a\r\n",
    ".\r\n",
    "\r\n.\r\n",
    "..\r\n",
    "\r",
    "\n",
    ".",
    "x",
    "\0",
    "AUTH LOGIN\r\n",
    "YW5u\r\n",
    "AUTH PLAIN AGEAYg==\r\n",
    "*\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "QUIT\r\n",
    "VRFY\r\n",
    "FOO\r\n",
];

proptest::proptest! {
    /// However the network cuts the octets, the client reads the same, and no order of them makes anything panic.
    #[test]
    fn pieces_do_not_depend_on_where_they_are_cut(
        picks in proptest::collection::vec(0..PIECES.len(), 0..40),
        mode in 0..3usize,
        size in 1..7usize,
    ) {
        let mode = [Mode::Relay, Mode::Submission, Mode::Lmtp][mode];
        let text: String = picks.iter().map(|pick| PIECES[*pick]).collect();
        let talk = || {
            let mut talk = Talk::new(mode).tls();
            talk.conversation = Conversation::new(profile(mode), 1000, EarlyInput::Accept);
            talk
        };
        let (mut whole, mut cut) = (talk(), talk());
        let at_once = whole.send(&text);
        let mut in_pieces = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            in_pieces.extend(cut.send(std::str::from_utf8(piece).unwrap()));
        }
        proptest::prop_assert_eq!(at_once, in_pieces);
        proptest::prop_assert_eq!(whole.taken, cut.taken);
        proptest::prop_assert!(whole.conversation.session().held() <= 200);
    }
}
