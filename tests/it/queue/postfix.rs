//! Delivery to a Postfix that knows nothing of us. It needs root, which Postfix's master does; without Postfix or root the
//! test says so and passes, unless `POSTRIDER_TEST_REQUIRE_ALL=1` makes that a failure.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use postrider::foundations::event::EventKind;
use postrider::services::outbound::{OutboundSettings, TcpConnector};
use postrider::storage::database::{Database, Dialect};

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
    /// Starts one that takes mail for `peer.test` into one Maildir; `None` where that cannot be.
    fn start() -> Option<Self> {
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

    fn messages(&self) -> Vec<String> {
        let new = self.directory.path().join("mail/new");
        let Ok(files) = std::fs::read_dir(new) else { return Vec::new() };
        let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        files.map_while(Result::ok).map(|file| read(&file.path())).collect()
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

#[test]
fn takes_our_mail() {
    crate::accounts::engines::run(Dialect::Sqlite, |database: Database| async move {
        let Some(postfix) = Postfix::start() else {
            assert!(!required(), "Postfix and root are required");
            eprintln!("SKIPPED: no Postfix, or not root");
            return;
        };
        let outbound = OutboundSettings { port: postfix.port, ..OutboundSettings::default() };
        let set_up = SetUp { outbound, connector: Some(Arc::new(TcpConnector)), ..SetUp::default() };
        let world = World::new(database, set_up);
        world.zone.add("peer.test A 127.0.0.1\nsender.test FAIL").unwrap();
        world.queue.start();
        let id = world.send(&mail(&["bob@peer.test", "nobody@peer.test"])).await;
        let more = world.send(&mail(&["bob@peer.test"])).await;
        world
            .until("both are there", async || {
                // While Postfix is starting nobody listens; the wait until the next attempt is not waited for.
                let _ = world.queue.retry(&postrider::storage::spool::Selection::All).await;
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
