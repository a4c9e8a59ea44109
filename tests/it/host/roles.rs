//! The roles as processes of their own, as under systemd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use postrider::config::Protocol;
use postrider::storage::database::Dialect;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

use crate::accounts::engines::Fresh;
use crate::harness::tools::free_port;
use crate::harness::{Imap, Smtp, Talk, until};

mod web;

struct Roles {
    directory: tempfile::TempDir,
    running: Vec<Child>,
}

impl Roles {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}/p.sqlite", directory.path().display());
        Self::on(directory, &database, "")
    }

    /// Writes one configuration for all of them; `more` is appended.
    fn on(directory: tempfile::TempDir, database: &str, more: &str) -> Self {
        let mut config = format!(
            "hostname = \"mail.example.test\"\n[server]\ncontrol_directory = \"{0}/run\"\nstop_within = \"3s\"\n\
             [storage]\nmail_root = \"{0}/mail\"\ndatabase = \"{database}\"\n[spool]\ndirectory = \"{0}/spool\"\n\
             [login]\ncost = 4\n[tls]\nself_signed = \"{0}/tls\"\n\
             [smtp]\nvouching = true\n[webmail]\nsubmission = \"{0}/submission.sock\"\n\
             [[listener]]\nprotocol = \"lmtp\"\nbind = [\"unix:{0}/lmtp.sock\"]\n\
             [[listener]]\nprotocol = \"submission\"\nbind = [\"unix:{0}/submission.sock\"]\n",
            directory.path().display()
        );
        for protocol in PROTOCOLS {
            let port = free_port();
            config += &format!("[[listener]]\nprotocol = \"{protocol}\"\nbind = [\"127.0.0.1:{port}\"]\n");
        }
        fs::write(directory.path().join("postrider.toml"), config + more).unwrap();
        Self { directory, running: Vec::new() }
    }

    /// Starts the two that mail needs, and adds these users of one domain.
    async fn with_users(mut self, users: &[&str]) -> Self {
        self.start("access").await;
        self.start("mta").await;
        assert_eq!(self.administer(&["domain", "add", "example.test"], "").await, 0);
        for user in users {
            let address = format!("{user}@example.test");
            assert_eq!(self.administer(&["user", "add", &address], "the-word\n").await, 0);
        }
        self
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A connection for submission, logged in.
    async fn submission(&self, user: &str) -> Smtp {
        let talk = Talk::tls(self.address(Protocol::Submissions), &self.path().join("tls/ca.pem")).await;
        let mut smtp = Smtp::hello(talk, "EHLO client.example").await;
        smtp.log_in(&format!("{user}@example.test"), "the-word").await;
        smtp
    }

    /// An IMAP connection, logged in.
    async fn imap(&self, user: &str) -> Imap {
        let talk = Talk::tls(self.address(Protocol::Imaps), &self.path().join("tls/ca.pem")).await;
        let mut imap = Imap::greeted(talk).await;
        imap.ok(&format!("LOGIN {user}@example.test the-word")).await;
        imap
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        command.arg("--config").arg(self.path().join("postrider.toml")).stderr(Stdio::null()).kill_on_drop(true);
        // Where tests run in a unit of systemd, the commands would be those of nobody.
        command.env_remove("INVOCATION_ID");
        command
    }

    /// Starts a role and waits until it reports that it is ready.
    async fn start(&mut self, role: &'static str) {
        self.begin(role).until_ready().await;
    }

    fn begin(&mut self, role: &'static str) -> Starting {
        let name = format!("{role}-{}", self.running.len());
        let (notify, log) = (self.path().join(format!("notify-{name}")), self.path().join(format!("{name}.log")));
        let socket = UnixDatagram::bind(&notify).unwrap();
        let mut command = self.command();
        command.args(["serve", "--role", role]).env("NOTIFY_SOCKET", &notify).stderr(fs::File::create(&log).unwrap());
        self.running.push(command.spawn().unwrap());
        Starting { role, socket, log }
    }

    fn address(&self, protocol: Protocol) -> std::net::SocketAddr {
        let config =
            postrider::config::load(&self.path().join("postrider.toml"), postrider::config::Checks::Syntax, None);
        let config = config.unwrap();
        let listener = config.listener.iter().find(|listener| listener.protocol == protocol).unwrap();
        listener.bind[0].to_string().parse().unwrap()
    }

    async fn administer(&self, arguments: &[&str], input: &str) -> i32 {
        let mut child = self.command().args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes()).await.unwrap();
        drop(stdin);
        child.wait().await.unwrap().code().unwrap()
    }
}

const PROTOCOLS: &[Protocol] = &[
    Protocol::Smtp,
    Protocol::Submissions,
    Protocol::Imaps,
    Protocol::Webmail,
    Protocol::Dashboard,
    Protocol::Metrics,
];
const MESSAGE: &str = "From: ann@example.test\r\nTo: bob@example.test\r\nSubject: One\r\n\r\nAcross two processes\r\n";

/// The socket for scripts' messages serves nothing else.
async fn refuses_all_but_messages(socket: &Path) {
    for request in
        ["{\"request\":\"status\"}\n", "{\"request\":\"queue\",\"command\":{\"action\":\"retry\",\"which\":\"all\"}}\n"]
    {
        let mut post = tokio::net::UnixStream::connect(socket).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut post, request.as_bytes()).await.unwrap();
        let mut refused = String::new();
        tokio::io::AsyncBufReadExt::read_line(&mut tokio::io::BufReader::new(post), &mut refused).await.unwrap();
        assert!(refused.contains("accepts only messages from scripts"), "{request}: {refused}");
    }
}

/// Scripts need only that socket to send: the one that does everything may be out of reach.
#[tokio::test(flavor = "multi_thread")]
async fn a_script_sends_over_the_socket_that_takes_nothing_else() {
    let roles = Roles::new().with_users(&["ann", "bob"]).await;
    fs::remove_file(roles.path().join("run/mta.sock")).unwrap();
    let script = "redirect \"ann@example.test\";";
    crate::sieve::activate_in(&roles.path().join("mail"), "bob@example.test", script);
    let reply = roles.submission("ann").await.deliver("ann@example.test", &["bob@example.test"], MESSAGE).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    arrive(&mut roles.imap("ann").await, 1).await;
}

/// What one process has accepted, the other does not refuse because of the way between them.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_has_taken_the_other_takes_too() {
    let roles = Roles::new();
    let file = roles.path().join("postrider.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace("[smtp]\n", "[smtp]\nmessage_size = 10000\n")).unwrap();
    let roles = roles.with_users(&["ann", "bob"]).await;
    let mut ann = roles.submission("ann").await;
    for command in ["MAIL FROM:<ann@example.test> REQUIRETLS", "RCPT TO:<bob@example.test>", "DATA"] {
        ann.ok(command).await;
    }
    ann.content(MESSAGE).await;
    let reply = ann.reply().await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    // With no room for a Received field.
    let letter = format!("{MESSAGE}{}", "A line of text\r\n".repeat(1_000));
    let letter = format!("{}\r\n", &letter[..9_948]);
    let reply = ann.deliver("ann@example.test", &["bob@example.test"], &letter).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    arrive(&mut roles.imap("bob").await, 2).await;
    let larger = format!("{letter}{letter}");
    assert_eq!(ann.deliver("ann@example.test", &["bob@example.test"], &larger).await.code, 552);
}

/// Waits until this many messages are in the inbox.
async fn arrive(imap: &mut Imap, messages: usize) {
    let wanted = format!("MESSAGES {messages}");
    until(&wanted, async || imap.ok("STATUS INBOX (MESSAGES)").await.untagged[0].contains(&wanted)).await;
}

/// A role that will report over the socket that it is ready.
struct Starting {
    role: &'static str,
    socket: UnixDatagram,
    log: PathBuf,
}

impl Starting {
    async fn until_ready(self) {
        self.until("READY=1").await;
    }

    async fn until(&self, wanted: &str) {
        let ready = async {
            let mut datagram = [0; 4096];
            loop {
                let length = self.socket.recv(&mut datagram).await.unwrap();
                if String::from_utf8_lossy(&datagram[..length]).contains(wanted) {
                    return;
                }
            }
        };
        // Creating the tables takes a while where many tests share one database server and its disk.
        let in_time = tokio::time::timeout(Duration::from_secs(180), ready).await;
        let said = || fs::read_to_string(&self.log).unwrap_or_default();
        in_time.unwrap_or_else(|_| panic!("{} does not say {wanted}:\n{}", self.role, said()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_from_one_process_to_the_other() {
    let mut roles = Roles::new().with_users(&["ann", "bob"]).await;
    roles.start("dashboard").await;
    let mut ann = roles.submission("ann").await;
    let reply = ann.deliver("ann@example.test", &["bob+lists@example.test"], MESSAGE).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    let mut bob = roles.imap("bob").await;
    assert_eq!(bob.ok("SELECT INBOX").await.number("EXISTS"), Some(1));
    assert!(bob.ok("FETCH 1 BODY.PEEK[]").await.untagged[0].contains("Across two processes"));

    // A script runs where the mailboxes are; its messages go back to the process with the queue.
    crate::sieve::activate_in(
        &roles.path().join("mail"),
        "bob@example.test",
        "require \"vacation\";\nif header :is \"subject\" \"Back\" { redirect \"ann@example.test\"; }\n\
         elsif header :is \"subject\" \"Answer\" { vacation \"I am away\"; }\n",
    );
    for subject in ["Back", "Answer"] {
        let message = MESSAGE.replace("Subject: One", &format!("Subject: {subject}"));
        let reply = ann.deliver("ann@example.test", &["bob@example.test"], &message).await;
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
    let mut inbox = roles.imap("ann").await;
    arrive(&mut inbox, 2).await;
    inbox.ok("SELECT INBOX").await;
    let both = inbox.ok("FETCH 1:2 BODY.PEEK[]").await.untagged.concat();
    assert!(both.contains("Subject: Back") && both.contains("I am away"), "{both}");
    crate::sieve::activate_in(&roles.path().join("mail"), "bob@example.test", "keep;");
    refuses_all_but_messages(&roles.path().join("run/mta-post.sock")).await;

    // Without the mailboxes' process mail waits in the queue, and arrives when it is back.
    let mut access = roles.running.remove(0);
    access.kill().await.unwrap();
    let reply = ann.deliver("ann@example.test", &["bob@example.test"], MESSAGE).await;
    assert!(reply.code == 250 || reply.code == 451, "{}", reply.text());
    roles.start("access").await;
    if reply.code == 451 {
        assert_eq!(ann.deliver("ann@example.test", &["bob@example.test"], MESSAGE).await.code, 250);
    }
    assert_eq!(roles.administer(&["queue", "retry", "all"], "").await, 0);
    let mut bob = roles.imap("bob").await;
    arrive(&mut bob, 3).await;

    // The page learns of the others' bans over sockets that change nothing.
    assert_eq!(roles.administer(&["ban", "add", "203.0.113.0/24"], "").await, 0);
    for (socket, mode) in [("mta.sock", 0o600), ("mta-status.sock", 0o660), ("mta-post.sock", 0o600)] {
        let file = std::fs::metadata(roles.path().join("run").join(socket)).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o777, mode, "{socket}");
    }
    let mut looking = tokio::net::UnixStream::connect(roles.path().join("run/mta-status.sock")).await.unwrap();
    let request = b"{\"request\":\"queue\",\"command\":{\"action\":\"retry\",\"which\":\"all\"}}\n";
    tokio::io::AsyncWriteExt::write_all(&mut looking, request).await.unwrap();
    let mut refused = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut tokio::io::BufReader::new(looking), &mut refused).await.unwrap();
    assert!(refused.contains("nothing can be changed over this socket"), "{refused}");
    let mut page = Talk::plain(roles.address(Protocol::Dashboard)).await;
    page.send("GET /api/v1/overview HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    let whole = page.rest().await;
    assert!(whole.starts_with("HTTP/1.1 200") && whole.contains("\"problems\":[]"), "{whole}");
    assert!(whole.contains("203.0.113.0/24"), "{whole}");
    let mut figures = Talk::plain(roles.address(Protocol::Metrics)).await;
    figures.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    let whole = figures.rest().await;
    let has = |name: &str, labels: &[&str]| {
        whole.lines().any(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)))
    };
    for role in ["role=\"mta\"", "role=\"access\"", "role=\"dashboard\""] {
        assert!(has("postrider_events_dropped_total", &[role]) && has("postrider_start_seconds", &[role]), "{whole}");
    }
    assert!(has("postrider_connections_total", &["protocol=\"submissions\"", "role=\"mta\""]), "{whole}");
    assert!(has("postrider_connections_failed_total", &["protocol=\"imaps\"", "role=\"access\""]), "{whole}");
    assert!(has("postrider_bans{role=\"mta\"} 1.0", &[]), "{whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_waits_for_the_tables_asks_systemd_for_time() {
    let mut roles = Roles::new();
    // Like another process that changes the tables.
    let turn = fs::File::open(roles.path()).unwrap();
    turn.lock().unwrap();
    let access = roles.begin("access");
    access.until("EXTEND_TIMEOUT_USEC=").await;
    drop(turn);
    access.until_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_nobody_has_made_is_not_waited_for_for_ever() {
    for dialect in Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::Sqlite) {
        let Some(fresh) = Fresh::create(dialect).await else { continue };
        let url = fresh.url.to_string();
        fresh.remove().await;
        let roles = Roles::on(tempfile::tempdir().unwrap(), &url, "");
        let ended = roles.command().args(["serve", "--role", "access"]).stderr(Stdio::piped()).output();
        let ended = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it ends").unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && said.contains("Create the database"), "{dialect:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_roles_that_start_at_once_make_the_tables_of_a_fresh_database() {
    for dialect in Dialect::ALL {
        let Some(fresh) = Fresh::create(dialect).await else { continue };
        let mut roles = Roles::on(tempfile::tempdir().unwrap(), &fresh.url.to_string(), "");
        let (mta, access) = (roles.begin("mta"), roles.begin("access"));
        tokio::join!(mta.until_ready(), access.until_ready());
        drop(roles);
        fresh.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_goes_where_each_recipient_wants_it_in_the_other_process() {
    let directory = tempfile::tempdir().unwrap();
    let rules = directory.path().join("rules.cf");
    fs::write(&rules, "header SOME Subject =~ /some/\nscore SOME 3\nheader MUCH Subject =~ /much/\nscore MUCH 7\n")
        .unwrap();
    let database = format!("sqlite:{}/p.sqlite", directory.path().display());
    // Nobody answers queries about the sender.
    let more = format!(
        "[dns]\nservers = [\"127.0.0.1:{}\"]\ntimeout = \"200ms\"\nattempts = 1\n[delivery]\nquarantine_folder = \"Held\"\n\
         [intake]\nquarantine = \"mailbox\"\n[spam.rules]\nbuiltin = false\nfiles = [\"{}\"]\n\
         [spam.classifier]\nenabled = false\n[spam.recipients.\"ann@example.test\"]\nthreshold = 9.0\n\
         [spam.recipients.\"bob@example.test\"]\nthreshold = 2.0\n\
         [spam.recipients.\"cat@example.test\"]\nquarantine = 6.0\n",
        free_port(),
        rules.display(),
    );
    let roles = Roles::on(directory, &database, &more).with_users(&["ann", "bob", "cat", "dan"]).await;
    let users = ["ann@example.test", "bob@example.test", "cat@example.test", "dan@example.test"];
    let mut peer = Smtp::hello(Talk::plain(roles.address(Protocol::Smtp)).await, "EHLO peer.example").await;
    for subject in ["none", "some", "much"] {
        let letter =
            format!("From: eve@peer.example\r\nMessage-ID: <{subject}@x>\r\nSubject: {subject}\r\n\r\nHello\r\n");
        let reply = peer.deliver("eve@peer.example", &users, &letter).await;
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
    let wanted = [
        ("ann", [("INBOX", 3), ("Junk", 0)]),
        ("bob", [("INBOX", 1), ("Junk", 2)]),
        ("cat", [("INBOX", 2), ("Held", 1)]),
        ("dan", [("INBOX", 2), ("Junk", 1)]),
    ];
    for (user, folders) in wanted {
        let mut imap = roles.imap(user).await;
        for (folder, messages) in folders {
            let status = imap.ok(&format!("STATUS {folder} (MESSAGES)")).await;
            let told = &status.untagged[0];
            assert!(told.contains(&format!("MESSAGES {messages})")), "{user}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_them_reload_is_named() {
    let roles = Roles::new().with_users(&[]).await;
    assert_eq!(roles.administer(&["reload"], "").await, 0);
    until("each process has told", async || {
        let told = roles.command().args(["trace", "--kind", "configuration"]).output().await.unwrap();
        let told = String::from_utf8_lossy(&told.stdout);
        let said = |words: &str| told.matches(words).count();
        said("was reloaded") >= 2 && said("was reloaded") == said("; by ")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_cannot_reload_keeps_no_other_from_it() {
    let roles = Roles::new().with_users(&[]).await;
    let config = roles.path().join("postrider.toml");
    let missing = format!("\n[routing.srs]\nsecret_file = \"{}/missing\"\n", roles.path().display());
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text + &missing).unwrap();
    // Only the role through which mail leaves reads the secret, and it is asked first.
    assert_ne!(roles.administer(&["reload"], "").await, 0);
    let log = |name: &str| fs::read_to_string(roles.path().join(name)).unwrap();
    until("the other one has reloaded", async || log("access-0.log").contains("configuration was reloaded")).await;
    assert!(!log("mta-1.log").contains("configuration was reloaded"));
}
