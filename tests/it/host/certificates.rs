//! Certificates from a real ACME server: Pebble, which Let's Encrypt made to find misbehaving clients. It rejects
//! nonces at random and is slow to check the answers.

use std::path::PathBuf;
use std::time::Duration;

use postrider::config::{Checks, Protocol, load};
use postrider::foundations::clock::{Clock as _, SystemClock};
use postrider::foundations::event::{Event, EventKind};
use postrider::services::certificates::SelfSigned;
use postrider::storage::journal::Query;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::cli::run;
use crate::harness::tools::{Program, assert_success, find, free_port, start};
use crate::harness::{Host, Imap, PASSWORD, Talk};

/// Where an authority will be.
struct Place {
    folder: TempDir,
    port: u16,
    management: u16,
    /// Where its DNS is told what to answer.
    dns_management: u16,
}

/// A running authority, with the DNS it asks.
struct Authority {
    place: Place,
    _programs: [Program; 2],
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        SelfSigned::keep_in(folder.path(), &["localhost", "127.0.0.1"], SystemClock.now()).unwrap();
        Self { folder, port: free_port(), management: free_port(), dns_management: free_port() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The configuration of a certificate from there.
    fn settings(&self, names: &str, more: &str) -> String {
        format!(
            "[[tls.acme]]\nnames = [{names}]\nauthority = \"https://localhost:{}/dir\"\nterms_agreed = true\n\
             contact = [\"postmaster@example.test\"]\nauthority_root = \"{}\"\n{more}\n",
            self.port,
            self.path("ca.pem").display()
        )
    }

    /// Starts it; it connects to the host's ports. `None`, with a message, where Pebble is not installed.
    fn open(self, host: &Host, external_account: bool) -> Option<Authority> {
        let dns = free_port();
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{}", self.port),
            "managementListenAddress": format!("127.0.0.1:{}", self.management),
            "certificate": self.path("cert.pem"),
            "privateKey": self.path("key.pem"),
            "httpPort": host.address(Protocol::Http).port(),
            "tlsPort": host.address(Protocol::Https).port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": external_account,
            "externalAccountMACKeys": { "house": EXTERNAL_KEY },
        }});
        std::fs::write(self.path("pebble.json"), config.to_string()).unwrap();
        let names = [
            "-dns01",
            &format!("127.0.0.1:{dns}"),
            "-defaultIPv6",
            "",
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-management",
            &format!("127.0.0.1:{}", self.dns_management),
        ];
        let names = start("pebble-challtestsrv", &names, &self.path("dns.log"))?;
        let arguments = [
            "-config",
            &self.path("pebble.json").display().to_string(),
            "-dnsserver",
            &format!("127.0.0.1:{dns}"),
            "-strict",
        ];
        let pebble = start("pebble", &arguments, &self.path("pebble.log"))?;
        Some(Authority { place: self, _programs: [pebble, names] })
    }
}

/// base64url of a key of 32 octets.
const EXTERNAL_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

impl Authority {
    /// The root of its certificates; it makes a new one at every start.
    async fn root(&self) -> PathBuf {
        let path = self.place.path("root.pem");
        let url = format!("https://localhost:{}/roots/0", self.place.management);
        let mut curl = tokio::process::Command::new(find("curl").unwrap());
        curl.arg("--silent").arg("--show-error").arg("--cacert").arg(self.place.path("ca.pem"));
        let output = curl.args(["--retry", "20", "--retry-delay", "1", "--retry-connrefused", "--output"]);
        let output = output.arg(&path).arg(url).output().await.unwrap();
        assert_success("curl", &output);
        path
    }

    /// Changes what its DNS answers about a name: `set-servfail`, `clear-servfail`.
    async fn tell_dns(&self, command: &str, name: &str) {
        let url = format!("http://127.0.0.1:{}/{command}", self.place.dns_management);
        let mut curl = tokio::process::Command::new(find("curl").unwrap());
        curl.args(["--silent", "--show-error", "--fail", "--retry", "20", "--retry-delay", "1", "--retry-connrefused"]);
        let told = serde_json::json!({ "host": format!("{name}.") }).to_string();
        assert_success("curl", &curl.args(["--data", &told, &url]).output().await.unwrap());
    }
}

/// Moves the clock on, attempt by attempt, until the certificate for a name is an obtained one.
async fn until_obtained(host: &Host, name: &str, authority: &Authority) {
    for _ in 0..1_200 {
        if host.parts().certificates.loaded().iter().any(|one| one.covers(name) && !one.temporary) {
            return;
        }
        // Longer than any pause between two attempts would take too many steps, and shorter than a session's patience.
        host.clock().advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = std::fs::read_to_string(authority.place.path("pebble.log")).unwrap_or_default();
    let events = host.events(&Query::default()).await;
    panic!("no certificate within a minute: {events:#?}\n{log}");
}

/// Moves the clock on until something is done.
async fn while_time_passes<T>(host: &Host, doing: impl Future<Output = T>) -> T {
    let mut doing = std::pin::pin!(doing);
    loop {
        tokio::select! {
            done = &mut doing => return done,
            () = tokio::time::sleep(Duration::from_millis(50)) => host.clock().advance(Duration::from_secs(1)),
        }
    }
}

/// The fingerprint of what is served for the names of the authority.
fn served(host: &Host) -> Vec<String> {
    host.parts().certificates.meant("mx2.example.test")
}

#[tokio::test]
async fn are_obtained_over_http_and_widened_under_open_connections() {
    let place = Place::new();
    let settings = place.settings("\"mx1.example.test\"", "");
    let host = Host::start().user("ann@example.test").settings(&settings).await;
    let state = host.directory().join("acme");
    let loaded = host.parts().certificates.loaded();
    assert!(
        loaded.iter().any(|one| one.covers("mx1.example.test") && one.temporary),
        "something stands in from the start"
    );

    let Some(authority) = place.open(&host, false) else { return };
    let root = authority.root().await;
    until_obtained(&host, "mx1.example.test", &authority).await;
    let talk = Talk::tls_with(host.address(Protocol::Imaps), &root, "mx1.example.test").await;
    let mut imap = Imap::greeted(talk).await;
    imap.ok(&format!("LOGIN \"ann@example.test\" \"{PASSWORD}\"")).await;

    // One more name: a new certificate at once, in the same file, and connected clients notice nothing.
    let path = host.config();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"mx1.example.test\"", "\"mx1.example.test\", \"mx2.example.test\"")).unwrap();
    host.reload(load(&path, Checks::Files, None).unwrap()).await;
    until_obtained(&host, "mx2.example.test", &authority).await;
    imap.ok("NOOP").await;
    for protocol in [Protocol::Imaps, Protocol::Submissions, Protocol::Pop3s] {
        for name in ["mx1.example.test", "mx2.example.test"] {
            Talk::tls_with(host.address(protocol), &root, name).await;
        }
    }

    // An administrator need not wait until it is due.
    let before = served(&host);
    let path = host.config();
    let renewing = run(&path, &["certificate", "renew", "mx2.example.test"], "");
    let (renewals, code) = while_time_passes(&host, renewing).await;
    assert_eq!(
        (code, &renewals[0]["problem"], &renewals[0]["held_back"]),
        (0, &Value::Null, &false.into()),
        "{renewals}"
    );
    assert_ne!(served(&host), before);

    use std::os::unix::fs::PermissionsExt as _;
    for entry in std::fs::read_dir(state).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{:?} is readable by everybody", entry.path());
    }
    let events = host.events(&Query::default()).await;
    let said = |what: &str| {
        events.iter().filter(|event| event.kind == EventKind::Certificate && event.details["result"] == what).count()
    };
    assert_eq!(said("obtained"), 3);
    let named = events.iter().filter(|event| event.details.contains_key("administrator"));
    let of: Vec<_> = named.map(|event| &event.details["result"]).collect();
    assert_eq!(of, ["obtained"], "only what an administrator has asked for");
    host.stop().await;
}

#[tokio::test]
async fn a_name_that_leads_nowhere_stops_no_other() {
    let place = Place::new();
    let settings = place.settings("\"mx1.example.test\", \"mx2.example.test\"", "");
    let host = Host::start().settings(&settings).await;
    let Some(authority) = place.open(&host, false) else { return };
    authority.root().await;
    authority.tell_dns("set-servfail", "mx2.example.test").await;
    until_obtained(&host, "mx1.example.test", &authority).await;
    let is_lacking =
        host.parts().certificates.loaded().iter().all(|one| one.temporary || !one.covers("mx2.example.test"));
    assert!(is_lacking, "nobody vouches for a name that leads nowhere");
    let said = while_time_passes(&host, async {
        loop {
            let events = host.events(&Query::default()).await;
            let is_it = |event: &&Event| event.details.get("result").is_some_and(|result| result == "obtained-in-part");
            if let Some(event) = events.iter().find(is_it) {
                return event.details["problem"].to_string();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(said.await.contains("`mx2.example.test` is ours"));
    authority.tell_dns("clear-servfail", "mx2.example.test").await;
    until_obtained(&host, "mx2.example.test", &authority).await;
    host.stop().await;
}

#[tokio::test]
async fn are_obtained_over_tls_with_an_external_account_and_keep_their_key() {
    let place = Place::new();
    std::fs::write(place.path("external"), EXTERNAL_KEY).unwrap();
    let more = format!(
        "challenge = \"tls-alpn-01\"\nkeep_key = true\nexternal_account = \"house\"\nexternal_account_key_file = \"{}\"",
        place.path("external").display()
    );
    let settings = place.settings("\"mx1.example.test\"", &more);
    let host = Host::start().settings(&settings).await;
    let Some(authority) = place.open(&host, true) else { return };
    let root = authority.root().await;
    until_obtained(&host, "mx1.example.test", &authority).await;
    Talk::tls_with(host.address(Protocol::Https), &root, "mx1.example.test").await;
    let file = host.directory().join("acme/mx1.example.test.pem");
    let key = |text: &str| text[text.find("-----BEGIN PRIVATE KEY").unwrap()..].to_owned();
    let first = std::fs::read_to_string(&file).unwrap();

    // Near its end it is renewed. Pebble's certificates live for five years.
    let end = host.parts().certificates.loaded().iter().find(|one| one.file == file).unwrap().not_after;
    host.clock().advance(end.since(host.clock().now()) - Duration::from_hours(24 * 300));
    for _ in 0..1_200 {
        if std::fs::read_to_string(&file).unwrap() != first {
            break;
        }
        host.clock().advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let second = std::fs::read_to_string(&file).unwrap();
    assert_ne!(first, second, "it was not renewed");
    assert_eq!(key(&first), key(&second));
    host.stop().await;
}
