//! Administrators' changes to app passwords and two-factor login, and their effect on open sessions.

use std::time::Duration;

use postrider::config::Protocol;
use postrider::foundations::clock::Clock;
use postrider::foundations::event::EventKind;
use postrider::foundations::secret::Secret;
use postrider::storage::database::Sql;
use postrider::storage::journal::Query;

use crate::harness::cli::run;
use crate::harness::{Host, Imap, PASSWORD, PATIENCE, tools, until};

async fn log_in(host: &Host, password: &str) -> (Imap, bool) {
    let mut imap = Imap::greeted(host.tls(Protocol::Imaps).await).await;
    let is_in = imap.command(&format!("LOGIN ann@example.test \"{password}\"")).await.is_ok();
    (imap, is_in)
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes seconds at the most")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_makes_and_revokes_app_passwords() {
    let host = Host::start().user("ann@example.test").real_time().await;
    let config = host.config();
    let add = ["user", "app-password", "add", "ann@example.test", "Laptop", "--scopes", "mail", "--valid", "30d"];
    let (made, exit) = run(&config, &add, "").await;
    assert_eq!(exit, 0, "{made}");
    let password = made["password"].as_str().unwrap().to_owned();
    assert_eq!(run(&config, &add, "").await.1, 5, "there is one of this name");
    assert_eq!(run(&config, &["user", "app-password", "list", "nobody@example.test"], "").await.1, 4);
    let (mut imap, is_in) = log_in(&host, &password).await;
    assert!(is_in);
    let (listed, _) = run(&config, &["user", "app-password", "list", "ann@example.test"], "").await;
    assert_eq!((&listed[0]["name"], &listed[0]["scopes"][0]), (&"Laptop".into(), &"mail".into()), "{listed}");
    assert!(listed[0]["used_at"].is_i64() && listed[0]["used_from"] == "127.0.0.1", "{listed}");
    assert!(!listed.to_string().contains(&password));
    // The process that serves the session is a different one from the command.
    assert_eq!(run(&config, &["user", "app-password", "revoke", "ann@example.test", "Laptop"], "").await.1, 0);
    let farewell = soon(imap.response()).await;
    assert!(farewell.starts_with("* BYE This login is no longer valid"), "{farewell}");
    assert!(!log_in(&host, &password).await.1);
    assert_eq!(run(&config, &["user", "app-password", "revoke", "ann@example.test", "Laptop"], "").await.1, 4);
    let query = Query { kinds: vec![EventKind::AppPassword], ..Query::default() };
    let mut changes: Vec<String> = host.events(&query).await.iter().map(|e| e.details["change"].to_string()).collect();
    changes.sort();
    assert_eq!(changes, ["\"made\"", "\"revoked\"", "\"used for the first time\""]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_turns_two_factor_login_off() {
    let host = Host::start().user("ann@example.test").real_time().await;
    let config = host.config();
    let status = ["user", "two-factor", "status", "ann@example.test"];
    assert_eq!(run(&config, &status, "").await.0["on"], false);
    let on =
        "INSERT INTO two_factor (user_id, secret, made_at, confirmed_at) SELECT id, 'plain:', 1, 2 FROM virtual_users";
    host.parts().database.execute(on, &[]).await.unwrap();
    assert_eq!(run(&config, &status, "").await.0["on"], true);
    let (_, is_in) = log_in(&host, PASSWORD).await;
    assert!(!is_in);
    let (off, exit) = run(&config, &["user", "two-factor", "disable", "ann@example.test"], "").await;
    assert_eq!((exit, &off["was_on"]), (0, &true.into()));
    assert!(log_in(&host, PASSWORD).await.1);
    assert_eq!(run(&config, &["user", "two-factor", "disable", "nobody@example.test"], "").await.1, 4);
    let events = host.events(&Query { kinds: vec![EventKind::TwoFactor], ..Query::default() }).await;
    assert_eq!((events.len(), &events[0].details["by"]), (1, &"an administrator".into()));
    host.stop().await;
}

/// The status of a login to the monitoring page.
async fn look(host: &Host, form: &str) -> String {
    let mut talk = host.plain(Protocol::Dashboard).await;
    let length = form.len();
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    );
    talk.send(&request).await;
    talk.line().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_monitoring_page_asks_for_a_code() {
    let Some(program) = tools::find("oathtool") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (password, secret) = (directory.path().join("password"), directory.path().join("secret"));
    let hash = postrider::services::login::hash(&Secret::new(PASSWORD.to_owned()), 4).unwrap();
    std::fs::write(&password, hash.expose()).unwrap();
    let base32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    std::fs::write(&secret, format!("{base32}\n")).unwrap();
    let settings = format!(
        "[dashboard]\npassword_file = \"{}\"\none_time_secret_file = \"{}\"\nwrong_password_delay = \"10ms\"\n",
        password.display(),
        secret.display()
    );
    let host = Host::start().settings(&settings).await;
    // Load balancers have no login.
    for (path, status) in [("/healthz", "200"), ("/readyz", "200"), ("/api/v1/overview", "401")] {
        let told = super::pages::get(&host, Protocol::Dashboard, path).await;
        assert!(told.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {told}");
    }
    let code = async || {
        let now = format!("--now=@{}", Clock::now(host.clock()).unix_seconds());
        let output =
            tokio::process::Command::new(&program).args(["--totp", "-b", &now, base32]).output().await.unwrap();
        tools::assert_success("oathtool", &output);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    // The process before this one may have used it.
    let early = format!("password={PASSWORD}&code={}", code().await);
    assert!(look(&host, &early).await.starts_with("HTTP/1.1 401"), "it may have been used before the start");
    host.clock().advance(Duration::from_secs(60));
    let code = code().await;
    for form in
        [format!("password={PASSWORD}"), format!("password={PASSWORD}&code=12"), format!("password=x&code={code}")]
    {
        assert!(look(&host, &form).await.starts_with("HTTP/1.1 401"), "{form}");
    }
    let right = format!("password={PASSWORD}&code={code}");
    assert!(look(&host, &right).await.starts_with("HTTP/1.1 303"), "a wrong password uses no code up");
    assert!(look(&host, &right).await.starts_with("HTTP/1.1 401"), "it is good once");
    host.stop().await;
}

/// Disabling ends open sessions: in every protocol, during a command and between two.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_a_disabled_user_end() {
    let host = Host::start().user("ann@example.test").user("bob@example.test").real_time().await;
    let config = host.config();
    let mut idle = host.imap("ann@example.test").await;
    idle.ok("SELECT INBOX").await;
    let tag = idle.begin("IDLE").await;
    assert!(idle.response().await.starts_with('+'));
    let mut quiet = host.imap("ann@example.test").await;
    let mut sender = host.submission("ann@example.test").await;
    let mut bob = host.imap("bob@example.test").await;
    assert_eq!(run(&config, &["user", "disable", "ann@example.test"], "").await.1, 0);
    for session in [&mut idle, &mut quiet] {
        let farewell = soon(session.response()).await;
        assert!(farewell.starts_with("* BYE This login is no longer valid"), "{farewell} after {tag}");
    }
    let farewell = soon(sender.reply()).await;
    assert_eq!(farewell.code, 421, "{}", farewell.text());
    bob.ok("NOOP").await;
    assert_eq!(run(&config, &["user", "enable", "ann@example.test"], "").await.1, 0);
    let mut ann = host.imap("ann@example.test").await;
    assert_eq!(run(&config, &["user", "passwd", "ann@example.test"], "another word\n").await.1, 0);
    assert!(soon(ann.response()).await.starts_with("* BYE"));
    let ended = host.events(&Query { kinds: vec![EventKind::LoginEnded], ..Query::default() }).await;
    let reasons: Vec<&str> = ended.iter().filter_map(|event| event.details["reason"].as_str()).collect();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert_eq!(reasons.iter().filter(|reason| **reason == "account or domain disabled").count(), 3);
    host.stop().await;
}

/// One request of a page; the whole answer.
pub(super) async fn page(host: &Host, protocol: Protocol, first: &str, cookie: &str, kind: &str, body: &str) -> String {
    let mut talk = host.plain(protocol).await;
    let length = body.len();
    let request = format!(
        "{first} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Postrider: 1\r\nCookie: {cookie}\r\n\
         Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    talk.send(&request).await;
    talk.rest().await
}

fn cookie(answer: &str) -> String {
    let cookie = answer.split("set-cookie: ").nth(1).and_then(|rest| rest.split(';').next());
    cookie.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

pub(super) const JSON: &str = "application/json";

pub(super) async fn webmail_login(host: &Host) -> String {
    cookie(&webmail_answer(host).await)
}

async fn webmail_answer(host: &Host) -> String {
    let wish = format!(r#"{{"address": "ann@example.test", "password": "{PASSWORD}"}}"#);
    page(host, Protocol::Webmail, "POST /api/session", "", JSON, &wish).await
}

async fn is_in(host: &Host, cookie: &str) -> bool {
    let answer = page(host, Protocol::Webmail, "GET /api/folders", cookie, JSON, "").await;
    assert!(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 401"), "{answer}");
    answer.starts_with("HTTP/1.1 200")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_to_the_webmail_outlives_the_process_and_ends_from_elsewhere() {
    let settings = "[login]\nlook_again = \"200ms\"\n";
    let host = Host::start().settings(settings).user("ann@example.test").real_time().await;
    let (first, second) = (webmail_login(&host).await, webmail_login(&host).await);
    assert!(is_in(&host, &first).await && is_in(&host, &second).await);
    let stored = "SELECT digest FROM browser_logins";
    for row in host.parts().database.fetch_all(stored, &[]).await.unwrap() {
        let digest = row.text(0).unwrap();
        assert!(!first.contains(&digest) && !second.contains(&digest), "the token itself is nowhere");
    }
    let host = host.restart().await;
    assert!(is_in(&host, &first).await && is_in(&host, &second).await, "a restart ends nothing");
    // As another process does on the same database.
    let one = first.split_once('=').unwrap().1;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, one.as_bytes());
    let digest: String = digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    let removed =
        host.parts().database.execute("DELETE FROM browser_logins WHERE digest = ?", &[digest.into()]).await.unwrap();
    assert_eq!(removed, 1);
    until("the first login has ended", async || !is_in(&host, &first).await).await;
    assert!(is_in(&host, &second).await);
    host.parts().database.execute("UPDATE virtual_users SET enabled = 0", &[]).await.unwrap();
    until("the second login has ended", async || !is_in(&host, &second).await).await;
    host.parts().database.execute("UPDATE virtual_users SET enabled = 1", &[]).await.unwrap();
    assert!(!is_in(&host, &second).await, "what has ended does not come back");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_replaced_while_it_is_shown_opens_the_webmail_no_longer() {
    let host = Host::start().settings("[login]\nrehash = \"weaker\"\n").user("ann@example.test").await;
    let database = &host.parts().database;
    let pencil = "$6$rounds=1000$saltstring$Dst5SzMCiLiSWQN0EnEgf8DNbHOJRybf7gWFoq4HhaAWnZcpnsBwYgTSajPGyhfsjkr51qmiDafX//8bUiGTO1";
    let shown = async || {
        database.execute("UPDATE virtual_users SET password = ?", &[pencil.into()]).await.unwrap();
        let wish = r#"{"address": "ann@example.test", "password": "pencil"}"#;
        cookie(&page(&host, Protocol::Webmail, "POST /api/session", "", JSON, wish).await)
    };
    assert!(is_in(&host, &shown().await).await, "a stronger hash of the same password ends nothing");
    // Her new password comes right after the old one was found to be right.
    let new = postrider::services::login::hash(&Secret::new("another".to_owned()), 4).unwrap();
    let meanwhile = format!(
        "CREATE TRIGGER meanwhile AFTER UPDATE OF password ON virtual_users WHEN OLD.password LIKE '$6$%' \
         BEGIN UPDATE virtual_users SET password = '{}' WHERE id = NEW.id; END",
        new.expose()
    );
    database.execute(Sql::rare(meanwhile), &[]).await.unwrap();
    assert!(!is_in(&host, &shown().await).await);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_to_the_monitoring_page_outlives_the_process_but_not_the_password() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    let hash = |word: &str| postrider::services::login::hash(&Secret::new(word.to_owned()), 4).unwrap();
    std::fs::write(&file, hash(PASSWORD).expose()).unwrap();
    let settings = format!("[dashboard]\npassword_file = \"{}\"\n[login]\nlook_again = \"200ms\"\n", file.display());
    let host = Host::start().settings(&settings).real_time().await;
    let form = format!("password={PASSWORD}");
    let entered = page(&host, Protocol::Dashboard, "POST /login", "", "application/x-www-form-urlencoded", &form).await;
    let cookie = cookie(&entered);
    let host = host.restart().await;
    let look = async || {
        let answer = page(&host, Protocol::Dashboard, "GET /api/v1/queue", &cookie, JSON, "").await;
        assert!(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 401"), "{answer}");
        answer.starts_with("HTTP/1.1 200")
    };
    assert!(look().await);
    std::fs::write(&file, hash("another").expose()).unwrap();
    until("the login has ended", async || !look().await).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_to_the_webmail_ends_with_its_domain() {
    let settings = "[login]\nlook_again = \"200ms\"\n[directory]\ncache_for = \"200ms\"\n";
    let host = Host::start().settings(settings).user("ann@example.test").real_time().await;
    let config = host.config();
    let ann = webmail_login(&host).await;
    assert!(is_in(&host, &ann).await);
    assert_eq!(run(&config, &["domain", "disable", "example.test"], "").await.1, 0);
    until("the login has ended", async || !is_in(&host, &ann).await).await;
    assert_eq!(run(&config, &["domain", "enable", "example.test"], "").await.1, 0);
    assert!(!is_in(&host, &ann).await, "what has ended does not come back");
    until("the domain is served again", async || webmail_answer(&host).await.starts_with("HTTP/1.1 200")).await;
    let again = webmail_login(&host).await;
    assert!(is_in(&host, &again).await);
    host.stop().await;
}
