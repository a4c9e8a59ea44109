//! Importing from a real Dovecot and exporting again, with mbsync as the user's client: its state must stay valid, so
//! that it transfers nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postrider::config::Protocol;
use postrider::foundations::tasks::Tasks;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::harness::tools::{Program, assert_success, find, free_port, start};
use crate::harness::{Host, Imap, PASSWORD, Talk, cli};

pub(super) const USER: &str = "ann@example.test";
/// Debian's `nobody`: Dovecot refuses to work for root.
pub(super) const MAIL_USER: &str = "65534";

/// A directory for Dovecot's own files. Its processes drop root's rights, and must reach their sockets.
pub(super) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Starts Dovecot over a user's mail; `None`, with a message, where it is not installed.
pub(super) async fn dovecot(folder: &Path, mail: &Path) -> Option<(Program, u16)> {
    dovecot_with(folder, mail, "separator = /").await
}

/// The same with settings for the namespace of the user's mailboxes.
async fn dovecot_with(folder: &Path, mail: &Path, namespace: &str) -> Option<(Program, u16)> {
    let port = free_port();
    let at = folder.display();
    let text = format!(
        "protocols = imap\nlisten = 127.0.0.1\nssl = no\ndisable_plaintext_auth = no\nbase_dir = {at}/run\n\
         state_dir = {at}/state\nlog_path = {at}/dovecot.log\nfirst_valid_uid = 1\nmail_location = maildir:{}\n\
         namespace inbox {{\n  inbox = yes\n  {namespace}\n}}\n\
         passdb {{\n  driver = static\n  args = password={PASSWORD}\n}}\n\
         userdb {{\n  driver = static\n  args = uid={MAIL_USER} gid={MAIL_USER} home={at}/home\n}}\n\
         service imap-login {{\n  chroot =\n  inet_listener imap {{\n    port = {port}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
         service anvil {{\n  chroot =\n}}\nmail_attribute_dict = file:{}/attributes\nprotocol imap {{\n  imap_metadata = yes\n}}\n",
        mail.display(),
        mail.display()
    );
    let configuration = folder.join("dovecot.conf");
    std::fs::write(&configuration, text).unwrap();
    let program = start("dovecot", &["-F", "-c", &configuration.display().to_string()], &folder.join("output"))?;
    for _ in 0..600 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Some((program, port));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("Dovecot does not listen: {}", std::fs::read_to_string(folder.join("output")).unwrap());
}

/// A user's client, with what it has.
struct Client {
    folder: TempDir,
    program: PathBuf,
}

impl Client {
    /// Synchronises with a server; returns what it had to do.
    async fn sync(&self, port: u16, tls: Option<&Path>) -> String {
        let local = self.folder.path().display();
        let security = match tls {
            Some(authority) => format!("SSLType IMAPS\nCertificateFile {}", authority.display()),
            None => "SSLType None\nAuthMechs LOGIN".to_owned(),
        };
        let text = format!(
            "IMAPAccount server\nHost localhost\nPort {port}\nUser {USER}\nPass {PASSWORD}\n{security}\n\n\
             IMAPStore far\nAccount server\n\nMaildirStore near\nPath {local}/mail/\nInbox {local}/mail/INBOX\nSubFolders Verbatim\n\n\
             Channel all\nFar :far:\nNear :near:\nPatterns INBOX Work* Entw*\nCreate Near\nExpunge Both\nSyncState *\n"
        );
        let configuration = self.folder.path().join("mbsyncrc");
        std::fs::write(&configuration, text).unwrap();
        std::fs::create_dir_all(self.folder.path().join("mail")).unwrap();
        let output =
            Command::new(&self.program).args(["-V", "-c"]).arg(&configuration).arg("all").output().await.unwrap();
        assert_success("mbsync", &output);
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// Every file it keeps of messages, with its time of writing.
    fn messages(&self) -> Vec<(PathBuf, std::time::SystemTime)> {
        let mut open = vec![self.folder.path().join("mail")];
        let mut found = Vec::new();
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                let path = entry.path();
                match path.parent().and_then(Path::file_name).and_then(|name| name.to_str()) {
                    _ if path.is_dir() => open.push(path),
                    Some("cur" | "new") => found.push((path, entry.metadata().unwrap().modified().unwrap())),
                    _ => {}
                }
            }
        }
        found.sort();
        found
    }
}

/// Runs a command against a host; its result.
pub(super) async fn postrider(host: &Host, arguments: &[&str]) -> serde_json::Value {
    let output = cli::output(&host.config(), arguments, "").await;
    assert_success(&format!("postrider {arguments:?}"), &output);
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(super) async fn user_at(port: u16) -> Imap {
    let mut imap = Imap::greeted(Talk::plain(([127, 0, 0, 1], port).into()).await).await;
    imap.ok(&format!("LOGIN {USER} {PASSWORD}")).await;
    imap
}

/// Puts 38 messages into four folders, with flags, gaps between UIDs and a highest UID that is gone.
async fn fill(port: u16) {
    let mut imap = user_at(port).await;
    for folder in ["Work", "Work/2026", "Entw&APw-rfe"] {
        imap.ok(&format!("CREATE {folder}")).await;
        imap.ok(&format!("SUBSCRIBE {folder}")).await;
    }
    for (n, folder) in ["INBOX", "Work", "Work/2026", "Entw&APw-rfe"].iter().cycle().take(40).enumerate() {
        let flags = ["", "\\Seen", "\\Flagged \\Seen", "\\Answered $Important"][n / 4 % 4];
        imap.append(folder, flags, &format!("Subject: {n}\r\nMessage-ID: <{n}@example.test>\r\n\r\nNumber {n}\r\n"))
            .await;
    }
    imap.ok("SELECT INBOX").await;
    imap.ok("STORE 3,10 +FLAGS (\\Deleted)").await;
    imap.ok("EXPUNGE").await;
    imap.ok("LOGOUT").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_dovecot_notices_nothing_on_the_way_in_and_out() {
    let Some(program) = find("mbsync") else { return };
    let host = Host::start().user(USER).real_time().await;
    let client = Client { folder: tempfile::tempdir().unwrap(), program };
    let mail = host.mail_root().join("example.test/ann");
    std::fs::create_dir_all(&mail).unwrap();
    let own = async |user: &str| {
        let output = Command::new("chown").args(["-R", user]).arg(&mail).output().await.unwrap();
        assert_success("chown", &output);
    };
    for path in [host.directory(), &host.mail_root(), &host.mail_root().join("example.test")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    own(MAIL_USER).await;

    let place = folder();
    let Some((running, port)) = dovecot(place.path(), &mail).await else { return };
    fill(port).await;
    client.sync(port, None).await;
    let before = client.messages();
    assert_eq!(before.len(), 38);
    drop(running);

    // In: the same mail, another server.
    let imaps = host.address(Protocol::Imaps).port();
    let said = client.sync(imaps, Some(&host.authority())).await;
    assert_eq!(client.messages(), before, "{said}");
    let mut imap = host.imap(USER).await;
    let subscribed = imap.ok("LSUB \"\" *").await;
    for folder in ["Work", "Work/2026", "Entw&APw-rfe"] {
        assert!(
            subscribed.with("LSUB").any(|line| line.ends_with(folder) || line.ends_with(&format!("\"{folder}\""))),
            "{subscribed:?}"
        );
    }
    let selected = imap.ok("SELECT INBOX").await;
    assert!(format!("{selected:?}").contains("$Important"), "{selected:?}");
    // The client sees changes made here, and they go back with the mail.
    imap.append("INBOX", "\\Seen", "Subject: from Postrider\r\n\r\nhere\r\n").await;
    imap.ok("STORE 1 +FLAGS (\\Flagged Later)").await;
    imap.ok("LOGOUT").await;
    client.sync(imaps, Some(&host.authority())).await;
    let after = client.messages();
    assert_eq!(after.len(), 39);

    // And out.
    postrider(&host, &["export", "dovecot"]).await;
    own(MAIL_USER).await;
    let place = folder();
    let (_running, port) = dovecot(place.path(), &mail).await.unwrap();
    let said = client.sync(port, None).await;
    assert_eq!(client.messages(), after, "{said}");
    let mut imap = user_at(port).await;
    imap.ok("SELECT INBOX").await;
    let flags = format!("{:?}", imap.ok("FETCH 1 (FLAGS)").await);
    assert!(flags.contains("\\Flagged") && flags.contains("Later"), "{flags}");
    host.stop().await;
}

/// The numbers of messages a command reports as moved, and as already there.
pub(super) fn counts(result: &serde_json::Value) -> (u64, u64) {
    let folders = result[0]["folders"].as_array().unwrap();
    let sum = |key: &str| folders.iter().map(|folder| folder[key].as_u64().unwrap()).sum();
    (sum("messages"), sum("present"))
}

/// Reads a message of a folder, by its position.
pub(super) async fn message(imap: &mut Imap, folder: &str, number: u32) -> String {
    imap.ok(&format!("SELECT {folder}")).await;
    format!("{:?}", imap.ok(&format!("FETCH {number} (UID FLAGS BODY[])")).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_comes_over_imap_and_can_be_asked_for_again() {
    let Some(program) = find("mbsync") else { return };
    let place = folder();
    let mail = place.path().join("mail");
    std::fs::create_dir(&mail).unwrap();
    assert_success("chown", &Command::new("chown").arg(MAIL_USER).arg(&mail).output().await.unwrap());
    let Some((_running, port)) = dovecot(place.path(), &mail).await else { return };
    fill(port).await;
    let client = Client { folder: tempfile::tempdir().unwrap(), program };
    client.sync(port, None).await;
    let before = client.messages();

    let host = Host::start().user(USER).user("bob@example.test").real_time().await;
    let password = place.path().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let (port_there, password) = (port.to_string(), password.display().to_string());
    let arguments = |user: &'static str| {
        let mut arguments = vec!["import", "imap", "127.0.0.1", "--insecure", "--port", &port_there, "--login", USER];
        arguments.extend(["--password-file", &password, "--user", user]);
        arguments
    };
    let planned = postrider(&host, &[&arguments(USER)[..], &["--dry-run"]].concat()).await;
    assert_eq!(counts(&planned), (38, 0));
    assert!(!host.mail_root().join("example.test/ann").exists(), "a dry run makes nothing");
    let moved = postrider(&host, &arguments(USER)).await;
    assert_eq!(counts(&moved), (38, 0));
    assert_eq!(counts(&postrider(&host, &arguments(USER)).await), (0, 38));
    assert_eq!(counts(&postrider(&host, &[&arguments(USER)[..], &["--dry-run"]].concat()).await), (0, 38));

    // The client sees the same numbers.
    let said = client.sync(host.address(Protocol::Imaps).port(), Some(&host.authority())).await;
    assert_eq!(client.messages(), before, "{said}");
    let mut imap = host.imap(USER).await;
    let first = message(&mut imap, "INBOX", 3).await;
    assert!(first.contains("Number 12") && first.contains("$Important") && first.contains("UID 4"), "{first}");

    // Into mailboxes in use, only missing mail is imported, and the rest comes later.
    let mut bob = host.imap("bob@example.test").await;
    bob.append("INBOX", "", "Subject: before\r\n\r\nx\r\n").await;
    let moved = postrider(&host, &arguments("bob@example.test")).await;
    assert_eq!(counts(&moved), (38, 0));
    let mut there = user_at(port).await;
    there.append("INBOX", "", "Subject: later\r\n\r\nx\r\n").await;
    assert_eq!(counts(&postrider(&host, &arguments("bob@example.test")).await), (1, 38));
    let status = bob.ok("STATUS INBOX (MESSAGES)").await;
    assert!(format!("{status:?}").contains("MESSAGES 10"), "{status:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mailboxes_are_called_as_here() {
    let (folder, place) = (folder(), folder());
    let mail = place.path().join("mail");
    std::fs::create_dir(&mail).unwrap();
    assert_success("chown", &Command::new("chown").arg(MAIL_USER).arg(&mail).output().await.unwrap());
    let namespace = "prefix = INBOX.\n  separator = .\n  mailbox Gesendet {\n    special_use = \\Sent\n  }";
    let Some((_program, port)) = dovecot_with(folder.path(), &mail, namespace).await else { return };
    let mut there = user_at(port).await;
    for mailbox in ["INBOX.Gesendet", "INBOX.Work.2026"] {
        there.ok(&format!("CREATE {mailbox}")).await;
        there.ok(&format!("SUBSCRIBE {mailbox}")).await;
        there.append(mailbox, "", "Subject: 1\r\n\r\nx\r\n").await;
    }
    let host = Host::start().user(USER).real_time().await;
    let password = host.directory().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let (port, password) = (port.to_string(), password.display().to_string());
    let mut arguments = vec!["import", "imap", "127.0.0.1", "--insecure", "--port", &port, "--login", USER];
    arguments.extend(["--password-file", &password, "--user", USER]);
    let moved = postrider(&host, &arguments).await;
    assert_eq!(counts(&moved), (2, 0), "{moved}");
    let mut here = host.imap(USER).await;
    for mailbox in ["Sent", "Work/2026"] {
        assert_eq!(here.ok(&format!("SELECT {mailbox}")).await.number("EXISTS"), Some(1), "{mailbox}");
    }
    let subscribed = format!("{:?}", here.ok("LSUB \"\" *").await);
    assert!(subscribed.contains("Work/2026") && !subscribed.contains("INBOX/"), "{subscribed}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_from_the_start_is_asked_for_on_any_port() {
    let host = Host::start().user(USER).user("bob@example.test").real_time().await;
    host.imap(USER).await.append("INBOX", "", "Subject: 1\r\n\r\nx\r\n").await;
    let password = host.directory().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let (port, password) = (host.address(Protocol::Imaps).port().to_string(), password.display().to_string());
    let authority = host.authority().display().to_string();
    let mut arguments =
        vec!["import", "imap", "localhost", "--port", &port, "--login", USER, "--password-file", &password];
    arguments.extend(["--user", "bob@example.test", "--authority", &authority, "--tls", "implicit"]);
    assert_eq!(counts(&postrider(&host, &arguments).await), (1, 0));

    // Waiting does not make a certificate any better.
    let mut arguments =
        vec!["import", "imap", "localhost", "--port", &port, "--login", USER, "--password-file", &password];
    arguments.extend(["--user", "bob@example.test", "--tls", "implicit"]);
    let (told, code) = cli::run(&host.config(), &arguments, "").await;
    assert!(code == 1 && told["error"].as_str().unwrap().contains("`--authority`"), "{told}");

    // A server that hangs up instead of greeting.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let tasks = Tasks::new();
    tasks.spawn(async move { drop(listener.accept().await) });
    let mut arguments = vec!["import", "imap", "127.0.0.1", "--port", &port, "--password-file", &password];
    arguments.extend(["--user", "bob@example.test"]);
    let (told, code) = cli::run(&host.config(), &arguments, "").await;
    let error = told["error"].as_str().unwrap();
    assert_eq!((code, error.matches("closed by the server").count()), (75, 1), "{told}");
    assert!(error.contains("--tls implicit"), "{told}");
    host.stop().await;
}
