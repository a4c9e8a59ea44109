use super::*;
use crate::foundations::mail::UidValidity;

const PROFILE: Profile = Profile {
    plaintext: Plaintext::UnderTls,
    start_tls: StartTls::Offered,
    failed_logins: 2,
    uidl_format: UidlFormat::Dovecot,
};

fn text(reply: &Reply) -> String {
    let mut out = Vec::new();
    reply.encode(&mut out);
    String::from_utf8(out).unwrap().trim_end().to_owned()
}

/// What the session answers, as the client reads it or as the driver is told.
fn say(session: &mut Session, line: &str) -> String {
    let step = session.line(line.as_bytes());
    shown(session, step)
}

fn shown(session: &Session, step: Step) -> String {
    match step {
        Step::Reply(reply) => text(&reply),
        Step::Lines(reply, lines) => format!("{}|{}", text(&reply), lines.replace("\r\n", "|")),
        Step::List(reply, mut listing) => {
            let mut out = Vec::new();
            while session.maildrop().unwrap().list(&mut listing, &mut out) {}
            format!("{}|{}", text(&reply), String::from_utf8(out).unwrap().replace("\r\n", "|"))
        }
        Step::Send { reply, uid, lines, .. } => format!("{} send {uid} {lines:?}", text(&reply)),
        Step::LogIn(credentials) => format!("login {} {}", credentials.username, credentials.password.expose()),
        Step::Update(uids) => format!("update {uids:?}"),
        Step::StartTls(reply) => format!("{} tls", text(&reply)),
        Step::Close(reply) => format!("{} close", text(&reply)),
    }
}

fn maildrop() -> Maildrop {
    let messages = [(3, 100), (5, 250), (9, 50)];
    Maildrop::new(UidValidity::MIN, messages.map(|(uid, size)| (Uid::new(uid).unwrap(), size)))
}

fn in_transaction() -> Session {
    let mut session = Session::new(Profile { plaintext: Plaintext::Allowed, ..PROFILE });
    assert_eq!(say(&mut session, "USER ann"), "+OK Send your password");
    assert_eq!(say(&mut session, "PASS a b"), "login ann a b");
    let step = session.logged_in(Ok(maildrop()));
    assert_eq!(shown(&session, step), "+OK 3 messages (400 octets)");
    session
}

#[test]
fn passwords_wait_for_tls() {
    let mut session = Session::new(PROFILE);
    assert_eq!(text(&session.greeting()), "+OK Postrider is ready");
    for line in ["USER ann", "PASS x", "AUTH PLAIN AGFubgB4", "AUTH"] {
        assert_eq!(say(&mut session, line), "-ERR Passwords are accepted only under TLS: use STLS first");
    }
    let capabilities = say(&mut session, "CAPA");
    assert!(capabilities.contains("|STLS|") && !capabilities.contains("SASL") && !capabilities.contains("|USER|"));
    assert_eq!(say(&mut session, "STLS"), "+OK Begin TLS negotiation now tls");
    session.secured();
    let capabilities = say(&mut session, "CAPA");
    assert!(!capabilities.contains("STLS") && capabilities.contains("|USER|SASL PLAIN LOGIN|"));
    assert_eq!(say(&mut session, "STLS"), "-ERR TLS is active already");
    assert_eq!(say(&mut session, "AUTH PLAIN AGFubgB4"), "login ann x");
}

#[test]
fn names_before_tls_do_not_count() {
    let mut session = Session::new(Profile { plaintext: Plaintext::Allowed, ..PROFILE });
    say(&mut session, "USER mallory");
    say(&mut session, "STLS");
    session.secured();
    assert_eq!(say(&mut session, "PASS x"), "-ERR USER comes first");
}

#[test]
fn an_authentication_exchange_ends_in_a_login_or_an_error() {
    let mut session = Session::new(Profile { plaintext: Plaintext::Allowed, ..PROFILE });
    assert_eq!(say(&mut session, "AUTH PLAIN"), "+");
    assert_eq!(say(&mut session, "AGFubgB4"), "login ann x");
    assert_eq!(say(&mut session, "AUTH LOGIN"), "+ VXNlcm5hbWU6");
    assert_eq!(say(&mut session, "YW5u"), "+ UGFzc3dvcmQ6");
    assert_eq!(say(&mut session, "*"), "-ERR Authentication cancelled");
    assert_eq!(say(&mut session, "AUTH PLAIN ="), "-ERR Malformed authentication response");
    assert_eq!(say(&mut session, "AUTH CRAM-MD5"), "-ERR No such authentication mechanism here; try PLAIN");
    assert_eq!(say(&mut session, "AUTH"), "+OK Mechanisms follow|PLAIN|LOGIN|");
    assert_eq!(say(&mut session, "NOOP"), "-ERR Log in first");
    assert_eq!(say(&mut session, "UTF8"), "+OK UTF-8 it is");
}

#[test]
fn failed_logins_end_the_session() {
    let mut session = Session::new(Profile { plaintext: Plaintext::Allowed, ..PROFILE });
    let failed = Refusal::new(Kind::AuthenticationFailed, "Wrong");
    let step = session.logged_in(Err(refusal(&failed)));
    assert_eq!(shown(&session, step), "-ERR [AUTH] Wrong");
    let step = session.logged_in(Err(Reply::coded(Code::InUse, "Busy")));
    assert_eq!(shown(&session, step), "-ERR [IN-USE] Busy close");
}

#[test]
fn numbers_stay_the_same_while_messages_are_marked_as_deleted() {
    let mut session = in_transaction();
    for (line, answer) in [
        ("STAT", "+OK 3 400"),
        ("LIST", "+OK 3 messages (400 octets)|1 100|2 250|3 50|.|"),
        ("LIST 2", "+OK 2 250"),
        ("UIDL", "+OK|1 0000000300000001|2 0000000500000001|3 0000000900000001|.|"),
        ("UIDL 3", "+OK 3 0000000900000001"),
        ("RETR 2", "+OK 250 octets send 5 None"),
        ("TOP 1 10", "+OK send 3 Some(10)"),
        ("DELE 1", "+OK Marked as deleted"),
        ("DELE 1", "-ERR There is no message with that number"),
        ("RETR 1", "-ERR There is no message with that number"),
        ("LIST 1", "-ERR There is no message with that number"),
        ("TOP 9 0", "-ERR There is no message with that number"),
        ("LIST", "+OK 2 messages (300 octets)|2 250|3 50|.|"),
        ("UIDL", "+OK|2 0000000500000001|3 0000000900000001|.|"),
        ("LAST", "+OK 1"),
        ("RSET", "+OK 3 messages (400 octets)"),
        ("LAST", "+OK 0"),
        ("NOOP", "+OK"),
        ("USER bob", "-ERR You are logged in already"),
        ("STLS", "-ERR Not allowed after login"),
        ("XYZZY", "-ERR Unknown command"),
        ("RETR x", "-ERR Wrong arguments: RETR number is wanted"),
        ("QUIT", "+OK Goodbye close"),
    ] {
        assert_eq!(say(&mut session, line), answer, "{line}");
    }
}

#[test]
fn quit_removes_what_is_marked_as_deleted() {
    let mut session = in_transaction();
    session.sent(Number::new(2).unwrap(), None);
    session.sent(Number::new(1).unwrap(), Some(0));
    say(&mut session, "DELE 3");
    assert_eq!(session.maildrop().unwrap().retrieved(), [Uid::new(5).unwrap()]);
    assert!(say(&mut session, "QUIT").starts_with("update"));
    let step = session.updated(Ok(()));
    assert_eq!(shown(&session, step), "+OK Goodbye; the deleted messages are gone close");
}
