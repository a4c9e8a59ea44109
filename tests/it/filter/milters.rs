//! Milters from Debian's packages.

use postrider::foundations::dns::ZoneResolver;
use postrider::services::filter::authentication::dkim::{Algorithm, DkimResult, generate, verify};
use postrider::services::filter::{Decision, Endpoint};

use super::helpers::{PLAIN, judge, listening, mail, with_milter};
use crate::harness::tools::{free_port, start};

/// The test for unsolicited mail that SpamAssassin and rspamd know, in two pieces.
const GTUBE: [&str; 2] = ["XJS*C4JDBQADN1.NSBN3*2IDNEN*", "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"];

#[tokio::test]
async fn opendkim_signs_and_checks() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let pair = generate(Algorithm::Rsa).unwrap();
    std::fs::write(path("key.pem"), pair.private.expose()).unwrap();
    std::fs::write(path("keys"), format!("s1._domainkey.sender.test {}\n", pair.record)).unwrap();
    let common = "UMask 000\nRequireSafeKeys no\nSyslog no\n";
    let signing = format!(
        "{common}Mode s\nDomain sender.test\nSelector s1\nKeyFile {}\nCanonicalization relaxed/simple\nInternalHosts 127.0.0.1\n",
        path("key.pem")
    );
    let checking = format!(
        "{common}Mode v\nTestPublicKeys {}\nAuthservID mx.example.test\nAlwaysAddARHeader yes\nInternalHosts 192.0.2.1\n",
        path("keys")
    );
    let mut endpoints = Vec::new();
    let mut children = Vec::new();
    for (name, text) in [("sign", signing), ("check", checking)] {
        std::fs::write(path(name), text).unwrap();
        let socket = format!("local:{}", path(&format!("{name}.sock")));
        let log = folder.path().join(format!("{name}.log"));
        let Some(child) = start("opendkim", &["-f", "-x", &path(name), "-p", &socket], &log) else { return };
        children.push(child);
        let endpoint = Endpoint::Unix(folder.path().join(format!("{name}.sock")));
        listening(&endpoint, &log).await;
        endpoints.push(endpoint);
    }
    let (verdict, signed) = judge(with_milter("opendkim", endpoints[0].clone()), &mail(PLAIN)).await;
    assert!(matches!(verdict.decision, Decision::Accept) && signed.contains("DKIM-Signature: "), "{signed}");
    // The lines we added in front are removed again: the signature was made without them.
    let at = signed.find("DKIM-Signature: ").unwrap();
    let zone = ZoneResolver::new();
    zone.add(&format!("s1._domainkey.sender.test TXT {}", pair.record)).unwrap();
    let found = verify(&zone, &signed.as_bytes()[at..], std::time::Duration::MAX).await;
    assert_eq!(found.dkim.iter().map(|s| s.result).collect::<Vec<_>>(), [DkimResult::Pass], "{found:?}");

    // The forged result is gone, the milter's own stays although it bears our name.
    let forged =
        format!("Authentication-Results: mx.example.test; dkim=pass header.d=forged.test\r\n{}", &signed[at..]);
    let (_, checked) = judge(with_milter("opendkim", endpoints[1].clone()), &mail(&forged)).await;
    assert!(checked.contains("dkim=pass") && checked.contains("header.d=sender.test"), "{checked}");
    assert!(!checked.contains("forged.test"), "{checked}");
}

#[tokio::test]
async fn spamass_milter_marks_and_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let port = free_port().to_string();
    let log = folder.path().join("spamd.log");
    let spamd = start(
        "spamd",
        &["-L", "-i", "127.0.0.1", "-p", &port, "--max-children=1", "--nouser-config", "-x", "-H", &path("home")],
        &log,
    );
    let Some(_spamd) = spamd else { return };
    listening(&Endpoint::Tcp(format!("127.0.0.1:{port}")), &log).await;
    let log = folder.path().join("milter.log");
    let arguments = ["-p", &path("milter.sock"), "-r", "15", "--", "-d", "127.0.0.1", "-p", &port];
    let Some(_milter) = start("spamass-milter", &arguments, &log) else { return };
    let endpoint = Endpoint::Unix(folder.path().join("milter.sock"));
    listening(&endpoint, &log).await;
    let (verdict, text) = judge(with_milter("spamassassin", endpoint.clone()), &mail(PLAIN)).await;
    assert!(matches!(verdict.decision, Decision::Accept) && text.contains("X-Spam-Checker-Version: "), "{text}");
    let unwanted = format!("{PLAIN}\n{}\n", GTUBE.concat());
    let (verdict, _) = judge(with_milter("spamassassin", endpoint), &mail(&unwanted)).await;
    assert!(matches!(verdict.decision, Decision::Refuse(_)), "{verdict:?}");
}

#[tokio::test]
async fn rspamd_refuses_and_adds() {
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().join("local.d");
    std::fs::create_dir(&local).unwrap();
    let (proxy, normal, controller) = (free_port(), free_port(), free_port());
    let write = |name: &str, text: String| std::fs::write(local.join(name), text).unwrap();
    for module in [
        "rbl",
        "surbl",
        "asn",
        "dkim",
        "dkim_signing",
        "arc",
        "spf",
        "dmarc",
        "fuzzy_check",
        "greylist",
        "ratelimit",
        "mx_check",
        "phishing",
        "bimi",
        "rspamd_update",
    ] {
        write(&format!("{module}.conf"), "enabled = false;\n".to_owned());
    }
    write("options.inc", "dns { nameserver = [\"127.0.0.1:9\"]; timeout = 0.01s; retransmits = 1; }\n".to_owned());
    write("worker-normal.inc", format!("bind_socket = \"127.0.0.1:{normal}\";\n"));
    write("worker-controller.inc", format!("bind_socket = \"127.0.0.1:{controller}\";\n"));
    write(
        "worker-proxy.inc",
        format!(
            "bind_socket = \"127.0.0.1:{proxy}\";\nupstream \"local\" {{ default = yes; self_scan = yes; }}\ncount = 1;\n"
        ),
    );
    write("milter_headers.conf", "skip_local = false;\nuse = [\"x-spamd-bar\"];\n".to_owned());
    let directory = folder.path().display().to_string();
    let log = folder.path().join("rspamd.log");
    let variables: Vec<String> = [("LOCAL_CONFDIR", ""), ("DBDIR", ""), ("RUNDIR", ""), ("LOGDIR", "")]
        .iter()
        .map(|(name, _)| format!("--var={name}={directory}"))
        .collect();
    let mut arguments = vec!["-f", "-i", "-u", "root", "-g", "root", "-c", "/etc/rspamd/rspamd.conf"];
    arguments.extend(variables.iter().map(String::as_str));
    let Some(_rspamd) = start("rspamd", &arguments, &log) else { return };
    let endpoint = Endpoint::Tcp(format!("127.0.0.1:{proxy}"));
    listening(&endpoint, &log).await;
    let (verdict, text) = judge(with_milter("rspamd", endpoint.clone()), &mail(PLAIN)).await;
    assert!(matches!(verdict.decision, Decision::Accept) && text.contains("X-Spamd-Bar: "), "{verdict:?}\n{text}");
    let unwanted = format!("{PLAIN}\n{}\n", GTUBE.concat());
    let (verdict, _) = judge(with_milter("rspamd", endpoint), &mail(&unwanted)).await;
    let Decision::Refuse(refusal) = &verdict.decision else { panic!("{verdict:?}") };
    assert!(refusal.public.to_lowercase().contains("gtube"), "{refusal:?}");
}
