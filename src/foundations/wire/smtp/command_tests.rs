use super::*;
use crate::foundations::mail::{BodyKind, DsnReturn, Notify};

fn parse(line: &str) -> Result<Command, SyntaxError> {
    Command::parse(line.as_bytes())
}

/// Lines that parse, as they are written back.
#[test]
fn good_lines_round_trip() {
    for (line, written) in [
        ("EHLO mail.example.test", "EHLO mail.example.test"),
        ("ehlo [IPv6:::1]", "EHLO [IPv6:::1]"),
        ("HELO my_pc", "HELO my_pc"),
        ("EHLO [IPv6:fe80::1%wlan0]", "EHLO [IPv6:fe80::1%wlan0]"),
        ("EHLO M?LLER-PC", "EHLO M?LLER-PC"),
        ("LHLO x", "LHLO x"),
        ("MAIL FROM:<>", "MAIL FROM:<>"),
        ("mail from:<a@[127.0.0.1]>", "MAIL FROM:<a@[127.0.0.1]>"),
        ("MAIL FROM:<@x.test:a@b.test> SIZE=10 ", "MAIL FROM:<a@b.test> SIZE=10"),
        ("MAIL FROM: <a@b.test>", "MAIL FROM:<a@b.test>"),
        ("MAIL FROM:<a@b.test> body=8bitmime smtputf8", "MAIL FROM:<a@b.test> BODY=8BITMIME SMTPUTF8"),
        ("MAIL FROM:<a@b.test> RET=hdrs ENVID=a+2Bb", "MAIL FROM:<a@b.test> RET=HDRS ENVID=a+2Bb"),
        ("MAIL FROM:<a@b.test> AUTH=e+3Dmc2@example.com", "MAIL FROM:<a@b.test> AUTH=e+3Dmc2@example.com"),
        ("MAIL FROM:<a@b.test> AUTH=<> REQUIRETLS", "MAIL FROM:<a@b.test> AUTH=<> REQUIRETLS"),
        ("RCPT TO:<postmaster>", "RCPT TO:<Postmaster>"),
        ("RCPT TO:<\"a b\"@b.test> NOTIFY=success,DELAY", "RCPT TO:<\"a b\"@b.test> NOTIFY=SUCCESS,DELAY"),
        (
            "RCPT TO:<a@b.test> NOTIFY=NEVER ORCPT=rfc822;a+2Bc@b.test",
            "RCPT TO:<a@b.test> NOTIFY=NEVER ORCPT=rfc822;a+2Bc@b.test",
        ),
        ("DATA", "DATA"),
        ("data  \t", "DATA"),
        ("BDAT 0 last", "BDAT 0 LAST"),
        ("BDAT 18446744073709551615", "BDAT 18446744073709551615"),
        ("NOOP and so on", "NOOP"),
        ("HELP mail", "HELP"),
        ("RSET", "RSET"),
        ("QUIT", "QUIT"),
        ("STARTTLS", "STARTTLS"),
        ("AUTH plain =", "AUTH PLAIN ="),
        ("AUTH LOGIN", "AUTH LOGIN"),
        ("AUTH PLAIN AGEAYg==", "AUTH PLAIN AGEAYg=="),
    ] {
        let command = parse(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        let mut out = BytesMut::new();
        command.encode(&mut out);
        assert_eq!(out, format!("{written}\r\n"), "{line}");
        assert_eq!(parse(written), Ok(command), "{line}");
    }
}

#[test]
fn bad_lines_get_their_code() {
    for (line, code) in [
        ("", 500),
        (" NOOP", 500),
        ("NOOP\0", 500),
        ("FOO", 500),
        ("MAILFROM:<a@b.test>", 500),
        ("DATA foo", 501),
        ("STARTTLS x", 501),
        ("RSET x", 501),
        ("QUIT x", 501),
        ("EHLO", 501),
        ("EHLO foo bar", 501),
        ("EHLO foo(bar)", 501),
        ("MAIL", 501),
        ("MAIL <a@b.test>", 501),
        ("MAIL FROM:a", 501),
        ("MAIL FROM:<a@b.test", 501),
        ("MAIL FROM:<a>", 501),
        ("MAIL FROM:<a@b.test>SIZE=1", 501),
        ("MAIL FROM:<a@b.test> SIZE=1 SIZE=1", 501),
        ("MAIL FROM:<a@b.test> SMTPUTF8 SMTPUTF8", 501),
        ("MAIL FROM:<a@b.test> SIZE=-1", 501),
        ("MAIL FROM:<a@b.test> SIZE", 501),
        ("MAIL FROM:<a@b.test> SMTPUTF8=1", 501),
        ("MAIL FROM:<a@b.test> BODY=9BIT", 501),
        ("MAIL FROM:<a@b.test> ENVID=a+0D", 501),
        ("MAIL FROM:<a@b.test> NOTIFY=NEVER", 555),
        ("MAIL FROM:<a@b.test> X=1", 555),
        ("RCPT TO:<>", 501),
        ("RCPT TO:<a@b.test> NOTIFY=NEVER,SUCCESS", 501),
        ("RCPT TO:<a@b.test> NOTIFY=", 501),
        ("RCPT TO:<a@b.test> ORCPT=a@b.test", 501),
        ("RCPT TO:<a@b.test> SIZE=1", 555),
        ("BDAT", 501),
        ("BDAT -1", 501),
        ("BDAT 99999999999999999999999", 501),
        ("BDAT 1 FIRST", 501),
        ("BDAT 1 LAST x", 501),
        ("AUTH", 501),
        ("AUTH PLAIN a b", 501),
        ("AUTH PLAIN  ", 501),
        ("VRFY", 501),
        ("EXPN list", 502),
        ("ETRN x.test", 502),
        ("TURN", 502),
    ] {
        // A trailing space is white space before the end of the line, not an empty argument.
        if line == "AUTH PLAIN  " {
            assert!(parse(line).is_ok());
            continue;
        }
        let error = parse(line).expect_err(line);
        assert_eq!(error.reply().code(), code, "{line}");
    }
    assert_eq!(Command::parse(b"MAIL FROM:<\xff@b.test>"), Err(SyntaxError::Characters));
}

#[test]
fn values_are_decoded() {
    let line = "MAIL FROM:<jos\u{e9}@b.test> SIZE=99999999999999999999 BODY=BINARYMIME RET=FULL ENVID=QQ+3D1 SMTPUTF8";
    let Ok(Command::Mail { path, international, parameters }) = parse(line) else { panic!("{line}") };
    assert_eq!(path.to_string(), "<jos\u{e9}@b.test>");
    assert!(international && parameters.smtputf8);
    assert_eq!(parameters.size, Some(u64::MAX));
    assert_eq!(parameters.body, Some(BodyKind::BinaryMime));
    assert_eq!(parameters.ret, Some(DsnReturn::Full));
    assert_eq!(parameters.envelope_id.as_deref(), Some("QQ=1"));
    let Ok(Command::Rcpt { parameters, .. }) = parse("RCPT TO:<a@b.test> NOTIFY=FAILURE ORCPT=utf-8;x+20y") else {
        panic!("rcpt")
    };
    assert_eq!(parameters.notify, Some(Notify { failure: true, explicit: true, ..Notify::NEVER }));
    assert_eq!(parameters.original.map(|o| o.address).as_deref(), Some("x y"));
}
