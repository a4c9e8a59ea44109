//! Delivery to an unmodified Postfix. It needs root, as Postfix's master does; without Postfix or root the test says so
//! and passes, unless `POSTRIDER_TEST_REQUIRE_ALL=1` makes that a failure.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use postrider::foundations::event::EventKind;
use postrider::foundations::mail::{BodyKind, Message};
use postrider::services::outbound::{OutboundSettings, TcpConnector};
use postrider::services::queue::Change;
use postrider::storage::database::{Database, Dialect};
use postrider::storage::spool::Selection;

use super::world::{SetUp, World, mail};

/// A running Postfix, stopped when dropped.
struct Postfix {
    directory: tempfile::TempDir,
    port: u16,
}

const MASTER: &str = "
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
";

impl Postfix {
    /// Starts one that accepts mail for `peer.test` into one Maildir; `None` where that is impossible.
    fn start(extra: &str) -> Option<Self> {
        let root = Command::new("id").arg("-u").output().ok()?.stdout == b"0\n";
        let found =
            Command::new("postconf").args(["-d", "mail_version"]).output().is_ok_and(|output| output.status.success());
        if !root || !found {
            return None;
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let directory = tempfile::Builder::new().prefix("postfix").tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let made = rcgen::generate_simple_self_signed(vec!["peer.test".to_owned()]).unwrap();
        std::fs::write(at("tls.pem"), format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem())).unwrap();
        let settings = [
            "compatibility_level = 3.6".to_owned(),
            "myhostname = peer.test".to_owned(),
            "mydestination =".to_owned(),
            format!("queue_directory = {}", at("queue")),
            format!("data_directory = {}", at("data")),
            format!("maillog_file = {}", at("log")),
            format!("maillog_file_prefixes = {}", directory.path().display()),
            "inet_interfaces = 127.0.0.1".to_owned(),
            "inet_protocols = ipv4".to_owned(),
            "virtual_mailbox_domains = peer.test".to_owned(),
            format!("virtual_mailbox_base = {}", at("")),
            "virtual_mailbox_maps = inline:{ bob@peer.test=mail/ }".to_owned(),
            "virtual_uid_maps = static:65534".to_owned(),
            "virtual_gid_maps = static:65534".to_owned(),
            format!("smtpd_tls_chain_files = {}", at("tls.pem")),
            "smtpd_tls_security_level = may".to_owned(),
            "smtpd_relay_restrictions = reject_unauth_destination".to_owned(),
            extra.to_owned(),
        ];
        std::fs::write(at("main.cf"), settings.join("\n") + "\n").unwrap();
        let service = format!("127.0.0.1:{port} inet n - n - - smtpd\n");
        std::fs::write(at("master.cf"), service + MASTER.trim_start()).unwrap();
        for (name, owner) in [("queue", "root"), ("data", "postfix"), ("mail", "65534")] {
            std::fs::create_dir(at(name)).unwrap();
            assert!(Command::new("chown").arg(owner).arg(at(name)).status().unwrap().success());
        }
        assert!(Command::new("chmod").arg("755").arg(directory.path()).status().unwrap().success());
        let postfix = Self { directory, port };
        postfix.order("start");
        Some(postfix)
    }

    fn order(&self, what: &str) -> bool {
        let order = Command::new("postfix").arg("-c").arg(self.directory.path()).arg(what).output();
        order.is_ok_and(|output| output.status.success())
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(files) = std::fs::read_dir(self.directory.path().join("mail/new")) else { return Vec::new() };
        files.map_while(Result::ok).map(|file| file.path()).collect()
    }

    fn messages(&self) -> Vec<String> {
        let read = |path: &PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        self.files().iter().map(read).collect()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.order("abort");
    }
}

#[expect(clippy::disallowed_methods, reason = "tests find what is required by the environment")]
fn required() -> bool {
    std::env::var("POSTRIDER_TEST_REQUIRE_ALL").is_ok_and(|value| value == "1")
}

/// A Postfix with one more line in its settings; `None`, with a message, where that is allowed.
fn started(extra: &str) -> Option<Postfix> {
    let postfix = Postfix::start(extra);
    if postfix.is_none() {
        assert!(!required(), "Postfix and root are required");
        eprintln!("SKIPPED: no Postfix, or not root");
    }
    postfix
}

/// What Python's email package finds in the parts of a message: their types and contents.
fn parts(message: &Path) -> Vec<String> {
    const PROGRAM: &str = "
import email.policy, sys
message = email.message_from_bytes(open(sys.argv[1], 'rb').read(), policy=email.policy.default)
for part in message.walk():
    assert not part.defects, part.defects
    if not part.is_multipart():
        print(part.get_content_type(), part['Content-Transfer-Encoding'], part.get_payload(decode=True).hex())
";
    let output = Command::new("python3").args(["-c", PROGRAM]).arg(message).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Postfix without 8BITMIME, and an independent reader of what has arrived there.
#[test]
fn gets_what_its_lines_can_hold() {
    crate::accounts::engines::run(Dialect::Sqlite, |database: Database| async move {
        let Some(postfix) = started("smtpd_discard_ehlo_keywords = 8bitmime, chunking") else { return };
        let outbound = OutboundSettings { port: postfix.port, ..OutboundSettings::default() };
        let world =
            World::new(database, SetUp { outbound, connector: Some(Arc::new(TcpConnector)), ..SetUp::default() });
        world.zone.add("peer.test A 127.0.0.1\nsender.test FAIL").unwrap();
        world.queue.start();
        let octets: Vec<u8> = (0..=255).cycle().take(5_000).collect();
        let text = "gr\u{fc}n = gr\u{fc}n \r\n.\r\nFrom here\r\n".repeat(3) + &"\u{fc}".repeat(300);
        let mut message = b"Message-ID: <1@example.test>\r\nFrom: ann@sender.test\r\nMIME-Version: 1.0\r\n\
            Content-Type: multipart/mixed; boundary=\"=_b\"\r\nContent-Transfer-Encoding: binary\r\n\r\n\
            --=_b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            .to_vec();
        message.extend_from_slice(text.as_bytes());
        message.extend_from_slice(b"\r\n--=_b\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\n");
        message.extend_from_slice(&octets);
        message.extend_from_slice(
            b"\r\n--=_b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
              Subject: inner\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n",
        );
        message.extend_from_slice(format!("{text}\r\n--=_b--\r\n").as_bytes());
        let mut mail = mail(&["bob@peer.test"]);
        (mail.envelope.body, mail.message) = (BodyKind::BinaryMime, Message::new(message));
        world.send(&mail).await;
        world
            .until("it is there", async || {
                let _ = world.queue.change(&Change::Retry(Selection::All)).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                postfix.files().len() == 1
            })
            .await;
        let arrived = &postfix.files()[0];
        assert!(std::fs::read(arrived).unwrap().is_ascii());
        let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
        // A Maildir has the line ends of its system.
        let text = hex(text.replace("\r\n", "\n").as_bytes());
        assert_eq!(
            parts(arrived),
            [
                format!("text/plain quoted-printable {text}"),
                format!("image/x base64 {}", hex(&octets)),
                format!("text/html quoted-printable {text}"),
            ]
        );
        world.restart().await;
    });
}

#[test]
fn takes_our_mail() {
    crate::accounts::engines::run(Dialect::Sqlite, |database: Database| async move {
        let Some(postfix) = started("") else { return };
        let outbound = OutboundSettings { port: postfix.port, ..OutboundSettings::default() };
        let set_up = SetUp { outbound, connector: Some(Arc::new(TcpConnector)), ..SetUp::default() };
        let world = World::new(database, set_up);
        world.zone.add("peer.test A 127.0.0.1\nsender.test FAIL").unwrap();
        world.queue.start();
        let id = world.send(&mail(&["bob@peer.test", "nobody@peer.test"])).await;
        let more = world.send(&mail(&["bob@peer.test"])).await;
        world
            .until("both are there", async || {
                // Nobody listens while Postfix is starting; the pause until the next attempt is skipped.
                let _ = world.queue.change(&Change::Retry(Selection::All)).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                postfix.messages().len() == 2
            })
            .await;
        let messages = postfix.messages();
        assert!(
            messages.iter().all(|text| text.contains("Subject: hello\n") && text.ends_with("\n\n.dotted\nbody\n")),
            "{messages:?}"
        );
        world.until("it is recorded", async || !world.events(more, EventKind::Relayed).await.is_empty()).await;
        let relayed = world.events(id, EventKind::Relayed).await;
        assert_eq!(relayed[0].details["tls"], "TLSv1.3");
        let failed = world.events(id, EventKind::Failed).await;
        assert_eq!(
            (failed[0].subject.as_deref(), &failed[0].details["status"]),
            (Some("nobody@peer.test"), &"5.1.1".into())
        );
        world.restart().await;
    });
}
