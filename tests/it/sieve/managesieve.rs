//! The protocol, tested manually, where real clients behave too well.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postrider::config::{Checks, Protocol, load};
use postrider::foundations::event::EventKind;
use postrider::foundations::settings::Span;
use postrider::storage::journal::Query;

use super::home;
use crate::harness::{Host, PASSWORD, Talk};

const ANN: &str = "ann@example.test";

/// Lines up to the one that ends a command; literals are read, too.
async fn answer(talk: &mut Talk) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = talk.line().await;
        while let Some(size) = line.strip_suffix('}').and_then(|line| line.rsplit_once('{')?.1.parse::<usize>().ok()) {
            let octets = talk.octets(size).await;
            line = format!("{}\n{}", line, String::from_utf8_lossy(&octets));
            line += &talk.line().await;
        }
        let is_end = ["OK", "NO", "BYE"].iter().any(|end| line.starts_with(end));
        lines.push(line);
        if is_end {
            return lines;
        }
    }
}

async fn ask(talk: &mut Talk, command: &str) -> Vec<String> {
    talk.send(format!("{command}\r\n")).await;
    answer(talk).await
}

/// The line that ended a command.
async fn end(talk: &mut Talk, command: &str) -> String {
    ask(talk, command).await.pop().unwrap()
}

fn plain() -> String {
    STANDARD.encode(format!("\0{ANN}\0{PASSWORD}"))
}

async fn over_tls(host: &Host) -> Talk {
    let mut talk = host.plain(Protocol::ManageSieve).await;
    let greeting = answer(&mut talk).await;
    assert!(greeting.contains(&"\"STARTTLS\"".to_owned()), "{greeting:?}");
    assert!(greeting.contains(&"\"SASL\" \"\"".to_owned()), "{greeting:?}");
    assert!(end(&mut talk, "STARTTLS").await.starts_with("OK"));
    let mut talk = talk.start_tls(&host.authority()).await;
    let again = answer(&mut talk).await;
    assert!(again.contains(&"\"SASL\" \"PLAIN LOGIN\"".to_owned()), "{again:?}");
    talk
}

async fn logged_in(host: &Host) -> Talk {
    let mut talk = over_tls(host).await;
    let end = end(&mut talk, &format!("AUTHENTICATE \"PLAIN\" \"{}\"", plain())).await;
    assert_eq!(end, "OK \"Logged in\"");
    talk
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_managed_and_every_change_is_an_event() {
    let host = Host::start().user(ANN).await;
    let mut talk = logged_in(&host).await;
    assert_eq!(ask(&mut talk, "LISTSCRIPTS").await, ["OK"]);
    assert!(end(&mut talk, "PUTSCRIPT \"main\" {6+}\r\nkeep;\n").await.starts_with("OK"));
    assert_eq!(std::fs::read_to_string(home(&host, ANN).join("sieve/main.sieve")).unwrap(), "keep;\n");
    assert!(end(&mut talk, "SETACTIVE \"main\"").await.starts_with("OK"));
    assert_eq!(ask(&mut talk, "LISTSCRIPTS").await, ["\"main\" ACTIVE", "OK"]);
    assert!(end(&mut talk, "DELETESCRIPT \"main\"").await.starts_with("NO (ACTIVE) "));
    assert!(end(&mut talk, "PUTSCRIPT \"other\" \"stop;\"").await.starts_with("OK"));
    assert!(end(&mut talk, "RENAMESCRIPT \"other\" \"main\"").await.starts_with("NO (ALREADYEXISTS) "));
    assert!(end(&mut talk, "RENAMESCRIPT \"main\" \"first\"").await.starts_with("OK"));
    assert_eq!(ask(&mut talk, "GETSCRIPT \"first\"").await, ["{6}\nkeep;\n", "OK"]);
    assert!(end(&mut talk, "GETSCRIPT \"main\"").await.starts_with("NO (NONEXISTENT) "));
    assert!(end(&mut talk, "SETACTIVE \"\"").await.starts_with("OK"));
    assert!(end(&mut talk, "DELETESCRIPT \"first\"").await.starts_with("OK"));
    assert_eq!(end(&mut talk, "NOOP \"a\"").await, "OK (TAG \"a\") \"Done\"");
    assert!(end(&mut talk, "UNAUTHENTICATE").await.starts_with("OK"));
    assert!(end(&mut talk, "LISTSCRIPTS").await.starts_with("NO"));
    assert!(end(&mut talk, "LOGOUT").await.starts_with("OK"));
    assert!(talk.is_closed().await);
    let query = Query { kinds: vec![EventKind::ScriptChanged], ..Query::default() };
    let told: Vec<String> = host
        .events(&query)
        .await
        .into_iter()
        .map(|event| format!("{} {}", event.subject.unwrap(), event.details["what"].as_str().unwrap()))
        .collect();
    let wanted = ["stored", "activated", "stored", "renamed", "deactivated", "deleted"];
    assert_eq!(told, wanted.map(|what| format!("{ANN} {what}")));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_said_before_tls_counts() {
    let host = Host::start().user(ANN).await;
    let mut talk = host.plain(Protocol::ManageSieve).await;
    answer(&mut talk).await;
    let refused = end(&mut talk, &format!("AUTHENTICATE \"PLAIN\" \"{}\"", plain())).await;
    assert!(refused.starts_with("NO (ENCRYPT-NEEDED) "), "{refused}");
    talk.send("STARTTLS\r\nNOOP \"injected\"\r\n").await;
    assert!(answer(&mut talk).await[0].starts_with("OK"));
    let mut talk = talk.start_tls(&host.authority()).await;
    answer(&mut talk).await;
    assert_eq!(end(&mut talk, "NOOP \"mine\"").await, "OK (TAG \"mine\") \"Done\"");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_told_and_the_session_goes_on() {
    let settings = "[scripts]\nscripts_per_user = 2\nscript_size = 100\nquota = 150\n[managesieve]\ncommand_line = 200\n\
                    [sieve]\nscript_size = 100\n[guard]\nlongest_delay = \"1ms\"\n";
    let host = Host::start().settings(settings).user(ANN).await;
    let mut talk = logged_in(&host).await;
    let comment = |octets: usize| format!("#{}", "x".repeat(octets - 1));
    let put = |name: &str, octets: usize| format!("PUTSCRIPT \"{name}\" {{{octets}+}}\r\n{}", comment(octets));
    assert!(end(&mut talk, "HAVESPACE \"a\" 101").await.starts_with("NO (QUOTA/MAXSIZE) "));
    assert!(end(&mut talk, "HAVESPACE \"a\" 100").await.starts_with("OK"));
    assert!(end(&mut talk, &put("a", 20_000)).await.starts_with("NO (QUOTA/MAXSIZE) "));
    assert!(end(&mut talk, &put("a", 101)).await.starts_with("NO (QUOTA/MAXSIZE) "));
    assert!(end(&mut talk, &put("a", 99)).await.starts_with("OK"));
    assert!(end(&mut talk, &put("b", 99)).await.starts_with("NO (QUOTA) "));
    assert!(end(&mut talk, &put("b", 20)).await.starts_with("OK"));
    assert!(end(&mut talk, &put("c", 20)).await.starts_with("NO (QUOTA/MAXSCRIPTS) "));
    assert!(end(&mut talk, &format!("NOOP \"{}\"", "x".repeat(300))).await.starts_with("NO"));
    assert!(end(&mut talk, "GETSCRIPT \"../../bob/sieve/a\"").await.starts_with("NO"));
    assert!(end(&mut talk, "NOSUCH").await.starts_with("NO"));
    assert_eq!(end(&mut talk, "NOOP").await, "OK \"Done\"");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_end_the_session() {
    let host = Host::start().settings("[guard]\nlongest_delay = \"1ms\"\n").user(ANN).await;
    let mut talk = over_tls(&host).await;
    let wrong = STANDARD.encode(format!("\0{ANN}\0guess"));
    // In two steps, with the response as a literal.
    talk.send("AUTHENTICATE \"PLAIN\"\r\n").await;
    assert_eq!(talk.line().await, "\"\"");
    assert!(end(&mut talk, &format!("{{{}+}}\r\n{wrong}", wrong.len())).await.starts_with("NO"));
    assert!(end(&mut talk, &format!("AUTHENTICATE \"PLAIN\" \"{wrong}\"")).await.starts_with("NO"));
    assert!(end(&mut talk, &format!("AUTHENTICATE \"PLAIN\" \"{wrong}\"")).await.starts_with("BYE"));
    assert!(talk.is_closed().await);
    host.stop().await;
}

/// The command behind it used to be taken for one more answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_refused_ends_the_exchange() {
    let settings = "[managesieve]\ncommand_line = 200\n[guard]\nlongest_delay = \"1ms\"\n";
    let host = Host::start().settings(settings).user(ANN).await;
    let mut talk = over_tls(&host).await;
    for wrong in [format!("\"{}\"", "A".repeat(300)), "\"A\rA\"".to_owned()] {
        talk.send("AUTHENTICATE \"PLAIN\"\r\n").await;
        assert_eq!(talk.line().await, "\"\"");
        assert!(end(&mut talk, &wrong).await.starts_with("NO"));
    }
    assert_eq!(end(&mut talk, &format!("AUTHENTICATE \"PLAIN\" \"{}\"", plain())).await, "OK \"Logged in\"");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_line_by_line() {
    let host = Host::start().user(ANN).await;
    let mut talk = logged_in(&host).await;
    let script = "require \"fileinto\";\r\nfileinto;\r\nnonsense \"x\";\r\n";
    for command in ["CHECKSCRIPT", "PUTSCRIPT \"broken\""] {
        let told = ask(&mut talk, &format!("{command} {{{}+}}\r\n{script}", script.len())).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("NO") && told[0].contains("line 2") && told[0].contains("line 3"), "{told:?}");
    }
    assert!(!home(&host, ANN).join("sieve/broken.sieve").exists());
    // One that another program has put there is not activated either.
    std::fs::create_dir_all(home(&host, ANN).join("sieve")).unwrap();
    std::fs::write(home(&host, ANN).join("sieve/broken.sieve"), script).unwrap();
    assert!(end(&mut talk, "SETACTIVE \"broken\"").await.starts_with("NO"));
    assert!(end(&mut talk, "CHECKSCRIPT \"keep;\"").await.starts_with("OK"));
    host.stop().await;
}

/// UNAUTHENTICATE gives the time of a new connection; it used to be counted from the greeting.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_time_to_log_in_again() {
    let host = Host::start().settings("[managesieve]\nallow_plaintext = [\"127.0.0.0/8\"]\n").user(ANN).await;
    // If a login is not possible that quickly, the next attempt has more time.
    for time in [100, 400, 1_600, 6_400, 25_600].map(Span::millis) {
        let mut config = load(&host.config(), Checks::Files, None).unwrap();
        config.managesieve.login_timeout = time;
        host.reload(config).await;
        let mut talk = host.plain(Protocol::ManageSieve).await;
        answer(&mut talk).await;
        let greeted = Instant::now();
        if !end(&mut talk, &format!("AUTHENTICATE \"PLAIN\" \"{}\"", plain())).await.starts_with("OK") {
            continue;
        }
        while greeted.elapsed() <= time.duration() {
            assert!(end(&mut talk, "NOOP").await.starts_with("OK"), "who has logged in may take longer");
        }
        let asked = Instant::now();
        assert!(end(&mut talk, "UNAUTHENTICATE").await.starts_with("OK"));
        assert!(talk.line().await.starts_with("BYE "));
        assert!(asked.elapsed() >= time.duration(), "{:?}", asked.elapsed());
        return host.stop().await;
    }
    panic!("nobody could log in");
}
