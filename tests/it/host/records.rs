//! The DNS records that are printed, and those that the NixOS module computes.

use std::path::Path;

use postrider::services::mta_sts::{PolicySettings, PublishedSettings, announcements};
use postrider::services::outbound::{OutboundSettings, RouteSettings};
use postrider::services::records::{Senders, Service, Wanted};

use crate::harness::tools;

/// The routes of mail, and the same as in the module.
fn routes() -> [(Vec<RouteSettings>, &'static str); 3] {
    let route = |domains: &str, spf: Option<&str>| RouteSettings {
        domains: vec![domains.to_owned()],
        host: Some("relay.test".parse().unwrap()),
        spf: spf.map(str::to_owned),
        ..RouteSettings::default()
    };
    [
        (vec![], "[ ]"),
        (
            vec![route("partner.test", Some("a:partner.test")), route("*", None)],
            r#"[ { domains = [ "partner.test" ]; host = "relay.test"; spf = "a:partner.test"; }
                 { domains = [ "*" ]; host = "relay.test"; } ]"#,
        ),
        (
            vec![route("a.test", Some("mx:b.test")), route("*", Some("include:c.test  mx:b.test"))],
            r#"[ { domains = [ "a.test" ]; host = "relay.test"; spf = "mx:b.test"; }
                 { domains = [ "*" ]; host = "relay.test"; spf = "include:c.test  mx:b.test"; } ]"#,
        ),
    ]
}

#[test]
fn the_module_computes_the_same() {
    for (routes, of_module) in routes() {
        compare(&Senders::of(&OutboundSettings { routes, ..OutboundSettings::default() }), of_module);
    }
}

fn compare(senders: &Senders, routes: &str) {
    let policy = |domain: &str| PolicySettings { domain: domain.parse().ok(), ..PolicySettings::default() };
    let policies = PublishedSettings { policies: vec![policy("example.test"), policy("xn--bcher-kva.example")] };
    let wanted = Wanted {
        hostname: "mail.example.test".parse().unwrap(),
        addresses: vec![],
        domains: vec!["example.test".parse().unwrap(), "xn--bcher-kva.example".parse().unwrap()],
        senders: senders.clone(),
        services: vec![
            Service { label: "imaps", port: 993 },
            Service { label: "submissions", port: 465 },
            Service { label: "submission", port: 10587 },
            Service { label: "sieve", port: 4190 },
            Service { label: "caldavs", port: 8443 },
            Service { label: "carddavs", port: 8443 },
        ],
        autoconfig: vec!["autoconfig"],
        policies: announcements(&policies, &"mail.example.test".parse().unwrap()),
        dkim: vec![],
        public_keys: vec![],
        authorities: vec![],
    };
    let Some(nix) = tools::find("nix-instantiate") else { return };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("modules/lib/dns-records.nix");
    let expression = format!(
        "builtins.concatMap (domain: import {} {{ inherit domain; routes = {routes}; hostname = \"mail.example.test\"; davPort = 8443; \
         autoconfig = [ \"autoconfig\" ]; policy = (import {} {{ lib = {{ }}; }}).mtaSts \"mail.example.test\" \"testing\"; \
         ports = {{ imap = 143; imaps = 993; submissions = 465; submission = 10587; managesieve = 4190; smtp = 25; }}; }}) \
         [ \"example.test\" \"xn--bcher-kva.example\" ]",
        file.display(),
        file.with_file_name("web-files.nix").display()
    );
    let output = std::process::Command::new(nix)
        .args(["--eval", "--strict", "--json", "--expr", &expression])
        // Nothing is built: no store is needed.
        .env("NIX_REMOTE", "dummy://")
        .output()
        .unwrap();
    tools::assert_success("nix-instantiate", &output);
    let theirs: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // Records that depend on something are for people to decide, and the host's own record belongs to no domain.
    let (host, ours): (Vec<_>, Vec<_>) = wanted
        .records()
        .into_iter()
        .filter(|record| record.when.is_none())
        .partition(|record| record.name == "mail.example.test.");
    assert_eq!(host.iter().map(|record| &record.value).collect::<Vec<_>>(), [&senders.record("a")]);
    assert_eq!(serde_json::to_value(ours).unwrap(), theirs);
}
