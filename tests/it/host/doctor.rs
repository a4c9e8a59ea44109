//! The self-test and the records to publish, with real DNS queries to a name server.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use postrider::config::Protocol;
use postrider::foundations::clock::{Clock as _, SystemClock};
use postrider::foundations::dns::ZoneResolver;
use postrider::foundations::settings::Live;
use postrider::services::certificates::{SelfSigned, public_key_digest};
use postrider::services::doctor::{DatabaseHealth, Doctor, Health};
use postrider::services::filter::authentication::dkim::{Algorithm, generate};
use postrider::services::mta_sts::{Announcement, announcements};
use postrider::services::outbound::{Outbound, OutboundParts, Roots};
use postrider::services::probe::Prober;
use postrider::services::records::{Senders, Wanted};

use crate::harness::{Host, NameServer, cli};

mod files;

/// A server that signs, a configuration that names its real ports, and the DNS as it should be.
struct Patient {
    host: Host,
    directory: tempfile::TempDir,
    healthy: String,
    /// A host through which all mail leaves, and further settings of its route.
    relay: Option<&'static str>,
    /// The port of others' mail exchangers.
    port_elsewhere: u16,
}

impl Patient {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pair = generate(Algorithm::Rsa).unwrap();
        let key = directory.path().join("dkim.pem");
        postrider::foundations::files::write_durable(&key, pair.private.expose().as_bytes(), 0o600).unwrap();
        let settings = format!(
            "[[spam.dkim.keys]]\ndomain = \"example.test\"\nselector = \"s1\"\nfile = \"{}\"\n\
             [[spam.dns_lists]]\nzone = \"bl.test\"\n",
            key.display()
        );
        let host = Host::start().settings(&settings).user("ann@example.test").await;
        let services: String = [Protocol::Imaps, Protocol::Submissions, Protocol::Submission, Protocol::Pop3s]
            .map(|protocol| {
                let port = host.address(protocol).port();
                format!("_{protocol}._tcp.example.test SRV 0 1 {port} mail.example.test\n")
            })
            .concat();
        let sieve = host.address(Protocol::ManageSieve).port();
        let https = host.address(Protocol::Https).port();
        let services = format!(
            "{services}_sieve._tcp.example.test SRV 0 1 {sieve} mail.example.test\n\
             _caldavs._tcp.example.test SRV 0 1 {https} mail.example.test\n\
             _carddavs._tcp.example.test SRV 0 1 {https} mail.example.test\n"
        );
        let healthy = format!(
            "far.test MX 10 mx.far.test\nmx.far.test A 127.0.0.1\n\
             mail.example.test A 198.51.100.7\nmail.example.test TXT v=spf1 a -all\nmail.example.test CAA 0 issue \"ca.test\"\n\
             7.100.51.198.in-addr.arpa PTR mail.example.test\nexample.test MX 10 mail.example.test\n\
             example.test TXT v=spf1 mx -all\ns1._domainkey.example.test TXT {}\n\
             _dmarc.example.test TXT v=DMARC1; p=quarantine\n_smtp._tls.example.test TXT v=TLSRPTv1; rua=mailto:p@example.test\n\
             autoconfig.example.test A 198.51.100.7\nautodiscover.example.test A 198.51.100.7\n{services}",
            pair.record
        );
        // This server answers in the place of others.
        let port_elsewhere = host.address(Protocol::Smtp).port();
        Self { host, directory, healthy, relay: None, port_elsewhere }
    }

    /// Runs a command against a name server with these records; returns its exit code and its JSON.
    async fn ask(&self, records: &str, arguments: &[&str]) -> (i32, serde_json::Value) {
        let server = NameServer::start(records).await;
        let (json, code) = cli::run(&self.configuration(&server), arguments, "").await;
        (code, json)
    }

    /// The host's own configuration, with the assigned ports and this name server.
    fn configuration(&self, server: &NameServer) -> PathBuf {
        let text = std::fs::read_to_string(self.host.config()).unwrap();
        let mut table: toml::Table = text.parse().unwrap();
        for listener in table["listener"].as_array_mut().unwrap() {
            let protocol = Protocol::from_word(listener["protocol"].as_str().unwrap()).unwrap();
            // On a socket with a name of its own.
            if protocol != Protocol::Sendmail {
                listener["bind"] = vec![self.host.address(protocol).to_string()].into();
            }
        }
        let dns = format!("servers = [\"{}\"]\nattempts = 1\ntimeout = \"10s\"", server.address());
        table.insert("dns".to_owned(), toml::Value::Table(dns.parse().unwrap()));
        let route = self.relay.map(|more| format!("[[routes]]\ndomains = [\"*\"]\nhost = \"relay.test\"\n{more}"));
        let ways = format!("doctor_domains = [\"far.test\"]\nport = {}\n", self.port_elsewhere);
        let outbound = ways + &route.unwrap_or_default();
        table.insert("outbound".to_owned(), toml::Value::Table(outbound.parse().unwrap()));
        let path = self.directory.path().join("postrider.toml");
        std::fs::write(&path, toml::to_string(&table).unwrap()).unwrap();
        path
    }

    /// The worst health of each check, and all its messages.
    async fn examined(&self, records: &str) -> (i32, BTreeMap<String, String>, String) {
        let (code, json) = self.ask(records, &["doctor", "--no-ports"]).await;
        let order = ["well", "unknown", "warning", "wrong"];
        let rank = |word: &str| order.iter().position(|known| *known == word).unwrap();
        let mut worst: BTreeMap<String, String> = BTreeMap::new();
        for finding in json.as_array().unwrap() {
            let (check, health) = (finding["check"].as_str().unwrap(), finding["health"].as_str().unwrap());
            assert_eq!(finding["remedy"].is_string(), health != "well", "{finding}");
            let known = worst.entry(check.to_owned()).or_insert_with(|| "well".to_owned());
            if rank(health) > rank(known) {
                *known = health.to_owned();
            }
        }
        (code, worst, json.to_string())
    }
}

const MX: &str = "example.test MX 10 mail.example.test";
const DMARC: &str = "_dmarc.example.test TXT v=DMARC1; p=quarantine";

/// Checks whose result depends on this machine, not on the test.
const LOCAL: [&str; 4] = ["clock", "disk", "inodes", "limits"];

#[tokio::test(flavor = "multi_thread")]
async fn tells_what_is_well_and_what_is_not() {
    let patient = Patient::new().await;
    let (code, mut found, said) = patient.examined(&patient.healthy).await;
    // Nobody vouches for the harness's certificate, which all listeners serve.
    assert_eq!(code, 1, "{said}");
    assert_eq!(said.matches("no authority that this machine trusts vouches for it").count(), 1, "{said}");
    found.retain(|check, _| !LOCAL.contains(&check.as_str()));
    let wanted = [
        ("address", "well"),
        ("autoconfig", "well"),
        ("caa", "well"),
        ("certificate", "wrong"),
        ("database", "well"),
        ("dkim", "well"),
        ("dmarc", "well"),
        ("dns-list", "well"),
        ("listener", "well"),
        ("mta-sts", "warning"),
        ("mx", "well"),
        ("outgoing", "well"),
        ("permissions", "well"),
        ("ptr", "well"),
        ("spf", "well"),
        ("srv", "well"),
        ("tls-rpt", "well"),
        ("tlsa", "well"),
    ];
    // This server can serve the policy itself.
    assert!(said.contains("[[mta_sts.policies]]"), "{said}");
    let wanted: BTreeMap<String, String> = wanted.map(|(check, health)| (check.to_owned(), health.to_owned())).into();
    assert_eq!(found, wanted, "{said}");

    let ill = "mail.example.test A 198.51.100.7\n7.100.51.198.in-addr.arpa PTR pool-7.provider.test\n\
               7.100.51.198.bl.test A 127.0.0.2\nexample.test MX 10 mail.elsewhere.test\nexample.test TXT v=spf1 -all\n\
               s1._domainkey.example.test TXT v=DKIM1; k=rsa; p=AAAA\n_dmarc.example.test TXT v=DMARC1; p=none\n\
               _imaps._tcp.example.test SRV 0 1 993 mail.elsewhere.test\n_smtp._tls.example.test TXT hello\n\
               _25._tcp.mail.example.test TLSA 3 0 1 00ff\n";
    let (code, found, said) = patient.examined(ill).await;
    assert_eq!(code, 1);
    // The one that points elsewhere, and together those that are not published.
    assert_eq!(said.matches("\"check\":\"srv\"").count(), 2, "{said}");
    for (check, health) in [
        ("caa", "warning"),
        ("dkim", "wrong"),
        ("dmarc", "warning"),
        ("dns-list", "wrong"),
        ("mx", "wrong"),
        ("ptr", "wrong"),
        ("spf", "wrong"),
        ("srv", "warning"),
        ("tls-rpt", "wrong"),
        ("tlsa", "wrong"),
    ] {
        assert_eq!(found[check], health, "{check}: {said}");
    }
    assert!(said.contains("Ask your provider to set the PTR record of 198.51.100.7 to mail.example.test"), "{said}");
    for (healthy, instead, check, health) in [
        (MX, "example.test MX 20 mail.example.test\nexample.test MX 10 mail.other.test", "mx", "wrong"),
        (MX, "example.test MX 10 mail.example.test\nexample.test MX 20 gone.test", "mx", "warning"),
        (MX, "example.test MX 0 .", "mx", "wrong"),
        (MX, "example.test MX 10 mx.example.test\nmx.example.test A 198.51.100.7", "mx", "warning"),
        (MX, "example.test A 198.51.100.7", "mx", "warning"),
        (MX, "example.test A 198.51.100.8", "mx", "wrong"),
        ("mail.example.test A 198.51.100.7", "mail.example.test CNAME r.test\nr.test A 198.51.100.7", "mx", "warning"),
        ("example.test TXT v=spf1 mx -all", "example.test TXT v=spf1 mx +all", "spf", "wrong"),
        ("example.test TXT v=spf1 a -all", "example.test TXT v=spf1 a ip4:0.0.0.0/0 -all", "spf", "wrong"),
        (DMARC, "_dmarc.example.test TXT v=DMARC1; P=Reject", "dmarc", "well"),
        (DMARC, "_dmarc.example.test TXT v=DMARC1; p=reject; pct=0", "dmarc", "warning"),
        (DMARC, "_dmarc.test TXT v=DMARC1; p=reject; sp=quarantine", "dmarc", "well"),
        (DMARC, "_dmarc.test TXT v=DMARC1; p=reject; sp=none", "dmarc", "warning"),
        ("TXT v=TLSRPTv1; rua=mailto:p@example.test", "TXT v=TLSRPTv1", "tls-rpt", "wrong"),
        ("CAA 0 issue \"ca.test\"", "CAA 0 iodef \"mailto:p@example.test\"", "caa", "warning"),
        ("CAA 0 issue \"ca.test\"", "CAA 0 issue \";\"", "caa", "wrong"),
        (MX, "example.test MX 10 mail.example.test\ns1._domainkey.example.test TXT v=DKIM1; p=", "dkim", "wrong"),
    ] {
        assert!(patient.healthy.contains(healthy), "{healthy}");
        let (_, found, said) = patient.examined(&patient.healthy.replacen(healthy, instead, 1)).await;
        assert_eq!(found[check], health, "{instead}: {said}");
    }
    // What the SMTP listener shows is what counts, under every name by which mail comes.
    let key = public_key_digest(&patient.host.directory().join("tls/cert.pem")).unwrap();
    let (key, none) = (key.as_str(), "00".repeat(32));
    let other_name = "example.test MX 10 mx.example.test\nmx.example.test A 198.51.100.7";
    for (mx, name, key, health) in [
        (MX, "mail", key, "well"),
        (MX, "mail", none.as_str(), "wrong"),
        (other_name, "mx", key, "well"),
        (other_name, "mx", none.as_str(), "wrong"),
    ] {
        let zone = patient.healthy.replacen(MX, mx, 1) + &format!("_25._tcp.{name}.example.test TLSA 3 1 1 {key}\n");
        let (_, found, said) = patient.examined(&zone).await;
        assert_eq!(found["tlsa"], health, "{name} {key}: {said}");
    }
    let refusing = "mail.example.test A 198.51.100.7\n7.100.51.198.bl.test A 127.255.255.254";
    let (_, found, said) = patient.examined(refusing).await;
    assert_eq!(found["dns-list"], "unknown", "a list that refuses has not cleared anybody: {said}");
    let nothing = NameServer::start("unrelated.test A 192.0.2.1").await;
    let printed = cli::output(&patient.configuration(&nothing), &["dns"], "").await;
    let said = String::from_utf8_lossy(&printed.stderr);
    assert!(said.contains("no address of the host is known; give it with `--address`"), "{said}");
    let told: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(told["unknown"][0]["about"], "A, AAAA and PTR of mail.example.test", "{told}");
    assert!(!told["records"].as_array().unwrap().is_empty(), "{told}");
    let (said, code) = cli::run(&patient.host.config(), &["doctor", "--no-ports", "--domain", "nope.test"], "").await;
    assert_eq!(code, 4, "{said}");
    let (_, found, said) = patient.examined("unrelated.test A 192.0.2.1").await;
    for check in ["address", "mx", "dkim"] {
        assert_eq!(found[check], "wrong", "{check}: {said}");
    }
    patient.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_certificate_lacks_is_told() {
    let patient = Patient::new().await;
    let server = NameServer::start(&patient.healthy).await;
    let config = patient.configuration(&server);
    // As it is left where the authority has accepted only one of the names.
    let state = patient.directory.path().join("acme");
    let made = SelfSigned::make(&["mail.example.test"], SystemClock.now()).unwrap();
    std::fs::create_dir(&state).unwrap();
    let text = format!("{}\n{}", made.certificate, made.key.expose());
    std::fs::write(state.join("mail.example.test.pem"), text).unwrap();
    let mut table: toml::Table = std::fs::read_to_string(&config).unwrap().parse().unwrap();
    let acme = "[[acme]]\nnames = [\"mail.example.test\", \"mta-sts.example.test\"]\nterms_agreed = true\n\
                authority = \"https://127.0.0.1:1/directory\"";
    let mut tls: toml::Table = format!("acme_state = \"{}\"\n{acme}", state.display()).parse().unwrap();
    tls.insert("self_signed".to_owned(), table["tls"]["self_signed"].clone());
    table.insert("tls".to_owned(), tls.into());
    std::fs::write(&config, toml::to_string(&table).unwrap()).unwrap();
    let (findings, _) = cli::run(&config, &["doctor", "--no-ports", "--no-outgoing"], "").await;
    let lacking = findings.as_array().unwrap().iter().find(|one| one["about"] == "mta-sts.example.test");
    let lacking = lacking.unwrap_or_else(|| panic!("{findings}"));
    assert_eq!((&lacking["check"], &lacking["health"]), (&"certificate".into(), &"wrong".into()), "{lacking}");
    patient.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_mail_can_leave_is_tried_where_it_goes() {
    let mut patient = Patient::new().await;
    let relay_at = |port: u16| -> &'static str { format!("port = {port}").leak() };
    // Nobody listens on port 1.
    let (open, shut) = (patient.port_elsewhere, 1);
    let relay = "relay.test A 127.0.0.1\n";
    for (port, route, zone, health, words) in [
        (open, None, "", "well", "answered by mx.far.test"),
        (shut, None, "", "wrong", "ask yours to open it"),
        // All mail leaves by another host: the exchangers do not matter.
        (shut, Some(open), relay, "well", "the host of the route answers"),
        (open, Some(shut), relay, "wrong", "rarely blocked"),
        (open, Some(open), "", "wrong", "relay.test, which a route of this server names, has no address"),
    ] {
        (patient.port_elsewhere, patient.relay) = (port, route.map(relay_at));
        let (_, found, said) = patient.examined(&format!("{}{zone}", patient.healthy)).await;
        assert_eq!(found["outgoing"], health, "{said}");
        assert!(said.contains(words), "{words}: {said}");
    }
    let (_, found, said) = patient.examined("unrelated.test A 192.0.2.1").await;
    assert_eq!(found["outgoing"], "wrong", "{said}");
    let printed = patient.ask(&patient.healthy, &["doctor", "--no-ports", "--no-outgoing"]).await.1;
    assert!(!printed.to_string().contains("outgoing"), "{printed}");
    patient.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_answers_and_cannot_be_written_is_wrong() {
    let patient = Patient::new().await;
    let server = NameServer::start(&patient.healthy).await;
    let config = patient.configuration(&server);
    let locked = patient.host.parts().database.begin().await.unwrap();
    let (findings, code) = cli::run(&config, &["doctor", "--no-ports"], "").await;
    let found = findings.as_array().unwrap().iter().find(|finding| finding["check"] == "database").unwrap();
    assert_eq!((found["health"].as_str(), code), (Some("wrong"), 1), "{found}");
    assert!(found["found"].as_str().unwrap().starts_with("it cannot be written: "), "{found}");
    locked.rollback().await.unwrap();
    patient.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_the_rest_is_examined_all_the_same() {
    let patient = Patient::new().await;
    let server = NameServer::start(&patient.healthy).await;
    let config = patient.configuration(&server);
    let mut table: toml::Table = std::fs::read_to_string(&config).unwrap().parse().unwrap();
    // Nobody listens on port 1.
    table["storage"]["database"] = "mysql://root@127.0.0.1:1/none".into();
    std::fs::write(&config, toml::to_string(&table).unwrap()).unwrap();
    for (named, mx) in [(vec![], None), (vec!["--domain", "example.test"], Some("well"))] {
        let arguments: Vec<&str> = ["doctor", "--no-ports"].into_iter().chain(named).collect();
        let (findings, code) = cli::run(&config, &arguments, "").await;
        let health = |check: &str| {
            let found = findings.as_array().unwrap().iter().find(|finding| finding["check"] == check)?;
            Some(found["health"].as_str().unwrap().to_owned())
        };
        assert_eq!(
            (health("database").as_deref(), health("mx").as_deref(), code),
            (Some("wrong"), mx, 1),
            "{findings}"
        );
        assert_eq!(health("address").as_deref(), Some("well"), "{findings}");
        assert!(findings.to_string().contains("mysql://root@127.0.0.1:1/none"), "{findings}");
    }
    patient.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_published_as_printed_are_well() {
    let patient = Patient::new().await;
    let (code, printed) = patient.ask("", &["dns", "--address", "198.51.100.7", "--ca", "ca.test"]).await;
    assert_eq!(code, 0);
    let field = |record: &serde_json::Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(printed["unknown"], serde_json::json!([]));
    let published: String = printed["records"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|record| field(record, "type") == "PTR" || record["when"].is_null())
        .filter(|record| field(record, "type") != "CNAME")
        .map(|record| {
            let name = field(record, "name");
            format!("{} {} {}\n", name.trim_end_matches('.'), field(record, "type"), field(record, "value"))
        })
        .collect();
    let (_, found, said) = patient.examined(&published).await;
    for check in ["address", "caa", "dkim", "dmarc", "mx", "ptr", "spf", "srv", "tls-rpt"] {
        assert_eq!(found[check], "well", "{check}: {said}\n{published}");
    }
    let (code, _) = patient.ask("", &["dns", "other.test"]).await;
    assert_eq!(code, 4);
    patient.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_all_mail_leaves_by_is_looked_for_in_spf() {
    let mut patient = Patient::new().await;
    patient.relay = Some("spf = \"include:_spf.relay.test\"");
    let own = "example.test TXT v=spf1 mx -all\n";
    // Its owner has forgotten it, has it elsewhere, or has it here.
    let of_host =
        ("mail.example.test TXT v=spf1 a -all", "mail.example.test TXT v=spf1 a include:_spf.relay.test -all");
    let healthy = patient.healthy.replace(of_host.0, of_host.1) + "_spf.relay.test TXT v=spf1 ip4:192.0.2.9 -all\n";
    for (instead, health) in [
        (own.to_owned(), "wrong"),
        ("example.test TXT v=spf1 mx ~all\n".to_owned(), "warning"),
        ("example.test TXT v=spf1 include:_spf.relay.test -all\n".to_owned(), "well"),
        ("example.test TXT v=spf1 +INCLUDE:_spf.relay.test +all\n".to_owned(), "wrong"),
        ("example.test TXT v=spf1 redirect=mail.example.test\n".to_owned(), "well"),
        (
            "example.test TXT v=spf1 include:ours.test -all\nours.test TXT v=spf1 include:_spf.relay.test ?all\n"
                .to_owned(),
            "well",
        ),
        // In a circle.
        (
            "example.test TXT v=spf1 include:ours.test -all\nours.test TXT v=spf1 include:example.test -all\n"
                .to_owned(),
            "wrong",
        ),
        ("example.test TXT v=spf1 include:ours.test ~all\nours.test TXT v=spf1 -all\n".to_owned(), "warning"),
        (String::new(), "wrong"),
    ] {
        let (_, found, said) =
            patient.examined(&healthy.replacen(&format!("\n{own}"), &format!("\n{instead}"), 1)).await;
        assert_eq!(found["spf"], health, "{instead}: {said}");
        let remedy = "example.test. TXT \\\"v=spf1 mx include:_spf.relay.test -all\\\"";
        assert_eq!(said.contains(remedy), health != "well" && !instead.contains("+all"), "{instead}: {said}");
    }
    let spf = |printed: &serde_json::Value| {
        let values = printed["records"].as_array().unwrap().iter().filter_map(|record| record["value"].as_str());
        values.filter(|value| value.starts_with("v=spf1")).map(str::to_owned).collect::<Vec<_>>()
    };
    let (_, printed) = patient.ask("", &["dns", "--address", "198.51.100.7"]).await;
    assert_eq!(spf(&printed), ["v=spf1 a include:_spf.relay.test -all", "v=spf1 mx include:_spf.relay.test -all"]);

    // How others know it is not configured.
    patient.relay = Some("");
    let (_, found, said) = patient.examined(&healthy).await;
    assert!(found["spf"] == "unknown" && said.contains("smarthost.spf"), "{said}");
    let (_, printed) = patient.ask("", &["dns", "--address", "198.51.100.7"]).await;
    assert_eq!(spf(&printed), ["v=spf1 a ?all", "v=spf1 mx ?all"]);
    assert!(printed["unknown"][0]["about"].as_str().unwrap().starts_with("relay.test"), "{printed}");
    patient.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_fetched_as_others_do_and_compared() {
    let directory = tempfile::tempdir().unwrap();
    let names = ["mta-sts.example.test", "mta-sts.other.test"];
    let pair = SelfSigned::keep_in(directory.path(), &names, SystemClock.now()).unwrap();
    let policies = "[[mta_sts.policies]]\ndomain = \"example.test\"\nmode = \"enforce\"";
    let certificates =
        format!("[tls]\ncertificates = [{{ cert = \"{}\", key = \"{}\" }}]", pair.cert.display(), pair.key.display());
    let host = Host::start().settings(policies).settings(&certificates).await;
    let address: IpAddr = "198.51.100.9".parse().unwrap();
    host.detour().lead(address, host.address(Protocol::Https));
    let config = &host.parts().config;
    let ours = announcements(&config.mta_sts, &config.hostname);
    let zone = Arc::new(ZoneResolver::new());
    zone.add(&format!("mta-sts.example.test A {address}\nmta-sts.other.test A {address}")).unwrap();
    zone.add(&format!("_mta-sts.example.test TXT {}", ours[0].record)).unwrap();
    let examine = async |policies: Vec<Announcement>, domains: &str| {
        let doctor = Doctor {
            wanted: Wanted {
                hostname: config.hostname.clone(),
                addresses: vec![],
                domains: domains.split(' ').map(|domain| domain.parse().unwrap()).collect(),
                senders: Senders::default(),
                services: vec![],
                autoconfig: vec![],
                policies,
                dkim: vec![],
                public_keys: vec![],
                authorities: vec![],
            },
            chains: vec![],
            authorities: vec![],
            resolver: &*zone,
            outbound: Outbound::new(OutboundParts {
                settings: Live::new(config.outbound.clone()),
                hostname: config.hostname.clone(),
                resolver: Arc::clone(&zone) as _,
                connector: Arc::new(host.detour().clone()),
                roots: Roots::load(Some(&directory.path().join("ca.pem"))).unwrap(),
                clock: Arc::new(SystemClock),
                reports: None,
                database: None,
                filter: None,
            }),
            rotated: &[],
            unread: vec![],
            lists: &[],
            prober: Prober::new(config.hostname.clone(), Duration::from_secs(10)),
            probes: vec![],
            unopened: vec![],
            lacking: vec![],
            ports: vec![],
            reach: None,
            guarded: vec![],
            volumes: vec![],
            database: DatabaseHealth::Good,
            clocks: &[],
            connections: 1,
            clock: Arc::new(SystemClock),
        };
        let findings = doctor.examine().await.into_iter().filter(|finding| finding.check == "mta-sts-policy");
        findings.map(|finding| (finding.health, finding.found)).collect::<Vec<_>>()
    };
    let found = examine(ours.clone(), "example.test").await;
    assert_eq!(found.iter().map(|(health, _)| *health).collect::<Vec<_>>(), [Health::Well], "{found:?}");

    let mut stricter = ours.clone();
    stricter[0].policy = stricter[0].policy.replace("max_age: 604800", "max_age: 86400");
    stricter[0].record = "v=STSv1; id=other;".to_owned();
    let found = examine(stricter, "example.test").await;
    assert!(found.len() == 2 && found.iter().all(|(health, _)| *health == Health::Wrong), "{found:?}");
    assert!(found[0].1.contains("announces another policy") && found[1].1.contains("max_age: 86400"), "{found:?}");

    // Announced, but the host that answers has no policy for it.
    zone.add("_mta-sts.other.test TXT v=STSv1; id=1").unwrap();
    let found = examine(vec![], "other.test").await;
    assert!(found[0].0 == Health::Wrong && found[0].1.contains("404"), "{found:?}");
    let before = zone.questions();
    assert_eq!(examine(vec![], "silent.test").await, [], "nothing is announced and nothing meant");
    let asked = zone.questions() - before;

    // A question without an answer, which is not counted, keeps none of the others waiting.
    zone.add("stuck.test SILENT").unwrap();
    let before = zone.questions();
    assert!(examine(vec![], "stuck.test").now_or_never().is_none(), "the exchangers are still waited for");
    // Nor are addresses asked for, as they are in the place of exchangers.
    assert_eq!(zone.questions() - before, asked - 3);
    // Nor another domain.
    let before = zone.questions();
    assert!(examine(vec![], "stuck.test silent.test").now_or_never().is_none(), "the exchangers are still waited for");
    assert!(zone.questions() - before > asked, "{asked} for one domain without a stuck one");
    host.stop().await;
}
