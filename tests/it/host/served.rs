//! Certificates replaced while the server runs: what every listener serves, and what waits for the DNS.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use postrider::config::Protocol;
use postrider::foundations::clock::{Clock as _, SystemClock};
use postrider::foundations::event::{Event, EventKind};
use postrider::services::certificates::{CertificateFiles, Loaded, SelfSigned, load};
use postrider::storage::journal::{Order, Query};

use crate::harness::cli::run;
use crate::harness::{Host, Talk};

const NAME: &str = "mx.example.test";

/// Replaces the certificate in a directory by a new one with a new key.
fn replace(directory: &Path) -> Loaded {
    let made = SelfSigned::make(&[NAME], SystemClock.now()).unwrap();
    std::fs::write(directory.join("ca.pem"), made.authority).unwrap();
    // In one file, so that the server never sees half of it.
    let both = format!("{}\n{}", made.certificate, made.key.expose());
    postrider::foundations::files::write_durable(&directory.join("both.pem"), both.as_bytes(), 0o600).unwrap();
    load(&files(directory)).unwrap()
}

fn files(directory: &Path) -> CertificateFiles {
    CertificateFiles { cert: directory.join("both.pem"), key: directory.join("both.pem") }
}

fn settings(directory: &Path) -> String {
    let path = directory.join("both.pem").display().to_string();
    format!(
        "[tls]\ncertificates = [{{ cert = \"{path}\", key = \"{path}\" }}]\nlook_every = \"1s\"\n\
         [tls.dane]\nlook_every = \"5s\"\nsettle = \"20s\""
    )
}

/// Moves the clock on until the newest event about certificates with this result.
async fn until(host: &Host, result: &str) -> Event {
    let query = Query { kinds: vec![EventKind::Certificate], order: Order::NewestFirst, ..Query::default() };
    for _ in 0..2_400 {
        let found = host.events(&query).await.into_iter().find(|event| event.details["result"] == result);
        if let Some(event) = found {
            return event;
        }
        host.clock().advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("nothing is `{result}` within a minute: {:#?}", host.events(&query).await);
}

async fn is_served(host: &Host, authority: &Path) {
    for protocol in [Protocol::Imaps, Protocol::Submissions, Protocol::Pop3s, Protocol::Https] {
        Talk::tls_with(host.address(protocol), authority, NAME).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_served_by_every_listener_and_disturbs_nobody() {
    let directory = tempfile::tempdir().unwrap();
    replace(directory.path());
    let host = Host::start().user("ann@example.test").settings(&settings(directory.path())).await;
    let mut imap = host.imap("ann@example.test").await;
    let new = replace(directory.path());
    let event = until(&host, "served").await;
    imap.ok("NOOP").await;
    assert!(event.details["names"].as_array().unwrap().contains(&NAME.into()), "{event:?}");
    is_served(&host, &directory.path().join("ca.pem")).await;

    let (checks, code) = run(&host.config(), &["certificate", "check", NAME], "").await;
    assert_eq!(code, 0, "{checks}");
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let checks = checks.as_array().unwrap().clone();
    let protocols: BTreeSet<String> = checks.iter().map(|check| text(check, "protocol")).collect();
    let wanted = ["https", "imap", "imaps", "managesieve", "pop3", "pop3s", "smtp", "submission", "submissions"];
    assert_eq!(protocols, wanted.map(str::to_owned).into());
    assert!(checks.iter().all(|check| text(check, "fingerprint") == new.fingerprint()), "{checks:?}");

    std::fs::write(directory.path().join("both.pem"), "no certificate at all").unwrap();
    until(&host, "kept-old").await;
    is_served(&host, &directory.path().join("ca.pem")).await;
    let (listed, code) = run(&host.config(), &["certificate", "list"], "").await;
    assert_eq!(
        (code, text(&listed[0], "standing"), text(&listed[0], "public_key")),
        (0, "in-force".to_owned(), new.public_key())
    );
    assert!(text(&listed[0], "problem").contains("both.pem"), "{listed}");
    assert_eq!(run(&host.config(), &["certificate", "check", NAME], "").await.1, 1, "the new one cannot be used");
    let metrics = super::pages::get(&host, Protocol::Metrics, "/metrics").await;
    let failed = |line: &&str| line.starts_with("postrider_certificate_failed{") && line.ends_with(" 1.0");
    assert!(metrics.lines().any(|line| failed(&line)), "{metrics}");
    replace(directory.path());
    for _ in 0..2 {
        host.clock().advance(Duration::from_secs(5));
        let _ = host.parts().certificates.reload().await;
    }
    assert_eq!(host.parts().certificates.states()[0].problem, None, "one that can be used ends the trouble");
    assert_eq!(run(&host.config(), &["certificate", "check", "other.test"], "").await.1, 4);
    let (refused, code) = run(&host.config(), &["certificate", "renew"], "").await;
    assert_eq!(code, 4, "{refused}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_for_proxies_is_asked_as_a_proxy_asks() {
    let directory = tempfile::tempdir().unwrap();
    replace(directory.path());
    let behind = "[[listener]]\nprotocol = \"smtp\"\nbind = [\"127.0.0.1:0\"]\nproxies = [\"127.0.0.0/8\"]\n\
                  [[listener]]\nprotocol = \"imaps\"\nbind = [\"127.0.0.1:0\"]\nproxies = [\"127.0.0.0/8\"]\n";
    let host = Host::start().settings(&settings(directory.path())).settings(behind).await;
    let (checks, code) = run(&host.config(), &["certificate", "check", NAME], "").await;
    assert_eq!(code, 0, "{checks}");
    let of = |protocol: &str| checks.as_array().unwrap().iter().filter(|check| check["protocol"] == protocol).count();
    assert_eq!((of("smtp"), of("imaps")), (1, 1), "{checks}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_dns_does_not_have_is_held_back() {
    let directory = tempfile::tempdir().unwrap();
    let old = replace(directory.path());
    let at = format!("_25._tcp.{NAME}");
    let host =
        Host::start().settings(&settings(directory.path())).dns(&format!("{at} TLSA 3 1 1 {}", old.public_key())).await;
    let before = std::fs::read_to_string(directory.path().join("ca.pem")).unwrap();
    let new = replace(directory.path());
    let event = until(&host, "held-back").await;
    let record = format!("{at}. IN TLSA 3 1 1 {}", new.public_key());
    assert_eq!(event.details["publish"], serde_json::json!([record]));
    let authority = directory.path().join("before.pem");
    std::fs::write(&authority, before).unwrap();
    is_served(&host, &authority).await;
    let (_, code) = run(&host.config(), &["certificate", "check"], "").await;
    assert_eq!(code, 1, "it is not as it is meant to be");
    let (listed, _) = run(&host.config(), &["certificate", "list"], "").await;
    let held = listed.as_array().unwrap().iter().find(|row| row["standing"] == "held-back").unwrap();
    assert_eq!(held["publish"], serde_json::json!([record]));
    let metrics = super::pages::get(&host, Protocol::Metrics, "/metrics").await;
    assert!(metrics.contains("postrider_certificates_held 1.0"), "{metrics}");

    host.zone().add(&format!("{at} TLSA 3 1 1 {}", new.public_key())).unwrap();
    until(&host, "served").await;
    is_served(&host, &directory.path().join("ca.pem")).await;
    assert_eq!(run(&host.config(), &["certificate", "check"], "").await.1, 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_for_a_certificate_that_cannot_be_obtained_is_no_good_one() {
    let authority =
        "[[tls.acme]]\nnames = [\"mx3.example.test\"]\nauthority = \"https://127.0.0.1:1/dir\"\nterms_agreed = true";
    let host = Host::start().settings(authority).await;
    let event = until(&host, "not-obtained").await;
    let problem = event.details["problem"].as_str().unwrap().to_owned();
    assert!(problem.contains("127.0.0.1:1"), "{problem}");
    let (_, code) = run(&host.config(), &["certificate", "check"], "").await;
    assert_eq!(code, 1, "nobody trusts it");
    let (listed, _) = run(&host.config(), &["certificate", "list"], "").await;
    let row = listed.as_array().unwrap().iter().find(|row| row["standing"] == "standing-in").unwrap();
    assert_eq!(row["problem"], problem);
    let metrics = super::pages::get(&host, Protocol::Metrics, "/metrics").await;
    assert!(metrics.contains("postrider_certificates_standing_in 1.0"), "{metrics}");
    let failed = |line: &&str| line.starts_with("postrider_certificate_failed{certificate=\"mx3.example.test\"");
    assert!(metrics.lines().find(failed).is_some_and(|line| line.ends_with(" 1.0")), "{metrics}");
    host.stop().await;
}
