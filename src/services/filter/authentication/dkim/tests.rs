use std::collections::HashMap;
use std::time::Duration;

use yaml_rust2::{Yaml, YamlLoader};

use base64::Engine as _;
use mail_auth::common::crypto::{HashAlgorithm, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter as _;
use mail_auth::dkim::DkimSigner;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::*;
use crate::foundations::dns::ZoneResolver;
use crate::foundations::mail::Message;

const MAIL: &[u8] = b"From: Ann <ann@example.test>\r\nTo: bob@example.net\r\nSubject: Hi\r\nDate: Tue, 24 Nov 2026 04:00:00 +0000\r\nMessage-ID: <1@example.test>\r\n\r\nHello  there \r\n\r\n\r\n";

fn zone(lines: &str) -> ZoneResolver {
    let zone = ZoneResolver::new();
    zone.add(lines).unwrap();
    zone
}

fn signer(algorithm: Algorithm, selector: &str) -> (Signer, String) {
    let pair = generate(algorithm).unwrap();
    let signer =
        Signer::new("example.test".parse().unwrap(), selector, &pair.private, std::path::Path::new("key.pem")).unwrap();
    (signer, format!("{selector}._domainkey.example.test TXT {}", pair.record))
}

#[tokio::test]
async fn signs_and_verifies_side_by_side() {
    let (rsa, rsa_record) = signer(Algorithm::Rsa, "r1");
    let (short, short_record) = signer(Algorithm::Ed25519, "e1");
    let message = Message::new(MAIL.to_vec());
    let fields = format!("{}{}", rsa.sign(&message).unwrap(), short.sign(&message).unwrap());
    let signed = message.with_prefix(fields.as_bytes()).bytes();
    let zone = zone(&format!("{rsa_record}\n{short_record}"));
    let found = verify(&zone, &signed, Duration::MAX).await;
    let results: Vec<_> = found.dkim.iter().map(|s| (s.result, s.algorithm, s.domain.as_str())).collect();
    assert_eq!(
        results,
        [(DkimResult::Pass, "rsa-sha256", "example.test"), (DkimResult::Pass, "ed25519-sha256", "example.test")]
    );
    // The body, a signed field, or a second From field breaks both.
    for (from, to) in [("Hello", "Hallo"), ("Subject: Hi", "Subject: Ho"), ("From: Ann", "From: x@y.test\r\nFrom: Ann")]
    {
        let changed = String::from_utf8(signed.to_vec()).unwrap().replacen(from, to, 1);
        let found = verify(&zone, changed.as_bytes(), Duration::MAX).await;
        assert!(found.dkim.len() == 2 && found.dkim.iter().all(|s| s.result != DkimResult::Pass), "{to}");
    }
}

/// RFC 6376 §3.4.4: white space at the end of lines goes first, then empty lines at the end.
#[tokio::test]
async fn blank_lines_at_the_end_of_a_body_are_not_signed() {
    let (rsa, record) = signer(Algorithm::Rsa, "r1");
    let pair = generate(Algorithm::Rsa).unwrap();
    let sealer = Sealer::new("example.test".parse().unwrap(), "r1", &pair.private).unwrap();
    let zone = zone(&record);
    let (header, _) = MAIL.split_at(MAIL.len() - b"Hello  there \r\n\r\n\r\n".len());
    for (body, canonical) in [
        ("Hello  there \r\n\r\n\r\n", "Hello there\r\n"),
        ("a\r\n  \r\n", "a\r\n"),
        ("a\r\n\r\n \t\r\n\r\n", "a\r\n"),
        ("a\r\n \r\n b \r\n", "a\r\n\r\n b\r\n"),
        ("a  ", "a\r\n"),
        (" \t\r\n", ""),
        ("\r\n", ""),
        ("", ""),
    ] {
        let message = Message::new([header, body.as_bytes()].concat());
        let hash = HashAlgorithm::Sha256.hash(canonical.as_bytes());
        let hash = format!("bh={}", base64::engine::general_purpose::STANDARD.encode(hash.as_ref()));
        let field = rsa.sign(&message).unwrap();
        let unfolded = |text: &str| text.replace(['\r', '\n', '\t', ' '], "");
        assert!(unfolded(&field).contains(&hash), "{body:?}: {field}");
        let findings = Findings { results: "mx.example.test; none".to_owned(), sets: 0 };
        let set = sealer.seal(&message, &findings, crate::foundations::clock::Timestamp::EPOCH).unwrap();
        assert!(unfolded(&set).contains(&hash), "{body:?}: {set}");
        let found = verify(&zone, &message.with_prefix(field.as_bytes()).bytes(), Duration::MAX).await;
        assert_eq!(found.dkim[0].result, DkimResult::Pass, "{body:?}: {found:?}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_fit_has_failed_with_the_names_of_its_signature() {
    let (rsa, record) = signer(Algorithm::Rsa, "r1");
    let message = Message::new(MAIL.to_vec());
    let signed = message.with_prefix(rsa.sign(&message).unwrap().as_bytes()).bytes();
    let signed = String::from_utf8(signed.to_vec()).unwrap();
    let zone = zone(&record);
    // With another body; and with a length, which makes it the hash of another one.
    for (from, to) in [("Hello", "Hallo"), ("; s=r1;", "; l=3; s=r1;")] {
        let changed = signed.replacen(from, to, 1);
        assert_ne!(changed, signed);
        let found = verify(&zone, changed.as_bytes(), Duration::MAX).await.dkim.remove(0);
        let names = (found.domain.as_str(), found.selector.as_str(), found.algorithm, found.head.is_empty());
        assert_eq!((found.result, names), (DkimResult::Fail, ("example.test", "r1", "rsa-sha256", false)), "{to}");
    }
}

/// `l=` counts octets of the canonical body, not of the body as it came (RFC 6376 §3.5); a signature of a part of it proves nothing
/// (§8.2).
#[tokio::test]
async fn a_length_that_covers_the_whole_body_is_as_good_as_none() {
    use mail_auth::dkim::Canonicalization::{Relaxed, Simple};
    let head = "From: ann@example.test\r\n\r\n";
    let pair = generate(Algorithm::Rsa).unwrap();
    let zone = zone(&format!("r1._domainkey.example.test TXT {}", pair.record));
    for (form, body, wanted) in [
        (Relaxed, "Hello there\r\nBob\r\n", DkimResult::Pass),
        (Relaxed, "Hello  there \r\nBob\r\n\r\n\r\n", DkimResult::Pass),
        (Relaxed, "Hello there\r\nBob\r\n \r\n\r\n", DkimResult::Pass),
        (Relaxed, "Hello  there \r\nBob\r\nappended\r\n", DkimResult::Neutral),
        (Relaxed, "Hello there\r\n", DkimResult::Fail),
        (Simple, "Hello there\r\nBob\r\n\r\n\r\n", DkimResult::Pass),
        (Simple, "Hello there\r\nBob\r\nappended\r\n", DkimResult::Neutral),
        (Simple, "Hello  there\r\nBob\r\n", DkimResult::Fail),
    ] {
        let key = PrivateKeyDer::from_pem_slice(pair.private.expose().as_bytes()).unwrap();
        let key = RsaKey::<Sha256>::from_key_der(key).unwrap();
        let signer = DkimSigner::from_key(key).domain("example.test").selector("r1").headers(["From"]);
        let signer = signer.body_length(true).body_canonicalization(form);
        let field = signer.sign(format!("{head}Hello there\r\nBob\r\n").as_bytes()).unwrap().to_header();
        assert!(field.contains("l=18;"), "{field}");
        let found = verify(&zone, format!("{field}{head}{body}").as_bytes(), Duration::MAX).await.dkim.remove(0);
        assert_eq!(found.result, wanted, "{body} {found:?}");
    }
}

/// RFC 6376 §3.2, §3.5, §6.1.1: such signatures are ignored, even if they verify.
#[tokio::test]
async fn malformed_signatures_prove_nothing() {
    use mail_auth::common::crypto::SigningKey as _;
    let pair = generate(Algorithm::Rsa).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.private.expose().as_bytes()).unwrap();
    let key = RsaKey::<Sha256>::from_key_der(key).unwrap();
    let base64 = |octets: &[u8]| base64::engine::general_purpose::STANDARD.encode(octets);
    let hash = base64(HashAlgorithm::Sha256.hash(&b"Hello\r\n"[..]).as_ref());
    let good = format!("v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.test; s=r1; h=from; bh={hash}; b=");
    let repeated = format!("p=; {}", pair.record);
    let zone =
        zone(&format!("r1._domainkey.example.test TXT {}\nr2._domainkey.example.test TXT {repeated}", pair.record));
    for (from, to, wanted) in [
        ("", "", DkimResult::Pass),
        ("h=from", "q=x/y:dns/txt; i=@a.example.test; zz=; h=from", DkimResult::Pass),
        ("v=1; ", "", DkimResult::PermError),
        ("a=rsa-sha256; ", "", DkimResult::PermError),
        ("a=rsa-sha256", "A=rsa-sha256", DkimResult::PermError),
        ("d=example.test", "d=x.test; d=example.test", DkimResult::PermError),
        ("h=from", "h=from; zz=1; zz=2", DkimResult::PermError),
        ("h=from", "h=from; q=http/get", DkimResult::PermError),
        ("h=from", "h=from; i=", DkimResult::PermError),
        ("h=from", "h=from; l=0", DkimResult::Neutral),
        ("s=r1", "s=r2", DkimResult::PermError),
    ] {
        let list = good.replacen(from, to, 1);
        let signature = key.sign(format!("from:ann@example.test\r\ndkim-signature:{list}").as_bytes()).unwrap();
        let message =
            format!("DKIM-Signature: {list}{}\r\nFrom: ann@example.test\r\n\r\nHello\r\n", base64(&signature));
        let found = verify(&zone, message.as_bytes(), Duration::MAX).await.dkim.remove(0);
        assert_eq!(found.result, wanted, "{list}: {found:?}");
    }
}

/// RFC 8616 §5
#[tokio::test]
async fn signatures_of_international_domains_are_looked_up_in_ascii() {
    let pair = generate(Algorithm::Rsa).unwrap();
    let zone = zone(&format!("r1._domainkey.xn--bcher-kva.test TXT {}", pair.record));
    let key = PrivateKeyDer::from_pem_slice(pair.private.expose().as_bytes()).unwrap();
    let key = RsaKey::<Sha256>::from_key_der(key).unwrap();
    let signer = DkimSigner::from_key(key).domain("bücher.test").selector("r1").headers(["From"]);
    let message = "From: ann@bücher.test\r\n\r\nHello\r\n";
    let field = signer.sign(message.as_bytes()).unwrap().to_header();
    let found = verify(&zone, format!("{field}{message}").as_bytes(), Duration::MAX).await.dkim.remove(0);
    assert_eq!((found.result, found.domain.as_str()), (DkimResult::Pass, "xn--bcher-kva.test"), "{found:?}");
}

/// RFC 6376 §3.6.1, §6.1.2
#[tokio::test]
async fn keys_that_are_not_for_mail_or_only_tests_prove_nothing() {
    let (rsa, record) = signer(Algorithm::Rsa, "r1");
    let message = Message::new(MAIL.to_vec());
    let signed = message.with_prefix(rsa.sign(&message).unwrap().as_bytes()).bytes();
    let changed = String::from_utf8(signed.to_vec()).unwrap().replacen("Hello", "Hallo", 1);
    for (tags, wanted, of_changed, is_test) in [
        ("s=email", DkimResult::Pass, DkimResult::Fail, false),
        ("s=tlsrpt:*", DkimResult::Pass, DkimResult::Fail, false),
        ("s=tlsrpt", DkimResult::PermError, DkimResult::Fail, false),
        ("h=sha1:sha256", DkimResult::Pass, DkimResult::Fail, false),
        ("h=sha1", DkimResult::PermError, DkimResult::Fail, false),
        ("t=s", DkimResult::Pass, DkimResult::Fail, false),
        ("t=y:s", DkimResult::Neutral, DkimResult::Neutral, true),
    ] {
        let text = record.replacen("v=DKIM1;", &format!("v=DKIM1; {tags};"), 1);
        assert_ne!(text, record);
        let zone = zone(&text);
        for (bytes, wanted) in [(&signed[..], wanted), (changed.as_bytes(), of_changed)] {
            let found = verify(&zone, bytes, Duration::MAX).await.dkim.remove(0);
            assert_eq!((found.result, found.is_test), (wanted, is_test), "{tags}: {found:?}");
        }
    }
}

#[tokio::test]
async fn seals_make_a_chain() {
    let mut records = String::new();
    let mut message = Message::new(MAIL.to_vec());
    let at = crate::foundations::clock::Timestamp::from_unix_seconds(1_795_492_800);
    for (sets, domain) in ["one.test", "two.test", "three.test"].into_iter().enumerate() {
        let pair = generate(Algorithm::Rsa).unwrap();
        let sealer = Sealer::new(domain.parse().unwrap(), "s", &pair.private).unwrap();
        records.push_str(&format!("s._domainkey.{domain} TXT {}\n", pair.record));
        let findings = Findings { results: format!("mx.{domain};\r\n\tspf=pass;\r\n\tdmarc=pass"), sets };
        let fields = sealer.seal(&message, &findings, at).unwrap();
        assert!(fields.lines().all(|line| line.len() <= 100), "{fields}");
        message = message.with_prefix(format!("Received: by {domain}\r\n").as_bytes()).with_prefix(fields.as_bytes());
        let Chain::Pass { sealers, results } = verify(&zone(&records), &message.bytes(), Duration::MAX).await.arc
        else {
            panic!("{:?}", verify(&zone(&records), &message.bytes(), Duration::MAX).await.arc)
        };
        assert_eq!((sealers.len(), sealers.last().map(String::as_str)), (sets + 1, Some(domain)));
        assert!(results.contains("dmarc=pass"), "{results}");
    }
    let changed = String::from_utf8(message.bytes().to_vec()).unwrap().replacen("Subject: Hi", "Subject: Ho", 1);
    assert!(matches!(verify(&zone(&records), changed.as_bytes(), Duration::MAX).await.arc, Chain::Fail(_)));
    let short = generate(Algorithm::Ed25519).unwrap();
    assert!(Sealer::new("one.test".parse().unwrap(), "s", &short.private).is_none());
}

#[tokio::test]
async fn keys_that_are_missing_or_unreachable() {
    let (rsa, record) = signer(Algorithm::Rsa, "r1");
    let message = Message::new(MAIL.to_vec());
    let signed = message.with_prefix(rsa.sign(&message).unwrap().as_bytes()).bytes();
    for (records, wanted) in [
        ("", DkimResult::PermError),
        ("r1._domainkey.example.test FAIL", DkimResult::TempError),
        ("r1._domainkey.example.test BOGUS", DkimResult::TempError),
        ("r1._domainkey.example.test TXT v=DKIM1; p=", DkimResult::PermError),
        (record.as_str(), DkimResult::Pass),
    ] {
        let found = verify(&zone(records), &signed, Duration::MAX).await;
        assert_eq!(found.dkim.iter().map(|s| s.result).collect::<Vec<_>>(), [wanted], "{records}");
    }
}

#[tokio::test]
async fn a_key_that_never_comes_keeps_no_other_signature_from_passing() {
    let ((rsa, record), (other, _)) = (signer(Algorithm::Rsa, "r1"), signer(Algorithm::Rsa, "slow"));
    let message = Message::new(MAIL.to_vec());
    let fields = format!("{}{}", other.sign(&message).unwrap(), rsa.sign(&message).unwrap());
    let signed = message.with_prefix(fields.as_bytes()).bytes();
    let zone = zone(&format!("{record}\nslow._domainkey.example.test SILENT"));
    let found = verify(&zone, &signed, Duration::from_millis(100)).await;
    let results: Vec<_> = found.dkim.iter().map(|s| (s.result, s.selector.as_str())).collect();
    assert_eq!(results, [(DkimResult::TempError, "slow"), (DkimResult::Pass, "r1")]);
}

#[tokio::test]
async fn a_thousand_signatures_cost_ten() {
    let (rsa, record) = signer(Algorithm::Rsa, "r1");
    let message = Message::new(MAIL.to_vec());
    let field = rsa.sign(&message).unwrap();
    let signed = message.with_prefix(field.repeat(1000).as_bytes()).bytes();
    let zone = zone(&record);
    let found = verify(&zone, &signed, Duration::MAX).await;
    assert_eq!((found.dkim.len(), found.ignored, zone.questions()), (10, 990, 1));
}

#[tokio::test]
async fn signatures_hold_beside_a_chain_that_is_too_long() {
    let (rsa, record) = signer(Algorithm::Rsa, "r1");
    let message = Message::new(MAIL.to_vec());
    let field = rsa.sign(&message).unwrap();
    for (seals, reason) in [(50, None), (51, Some("too many seals"))] {
        let seals: String = (1..=seals)
            .map(|n| format!("ARC-Seal: i={}; a=rsa-sha256; cv=none; d=seal{n}.test; s=s; b=YQ==\r\n", n % 50 + 1))
            .collect();
        let signed = message.with_prefix(format!("{seals}{field}").as_bytes()).bytes();
        let zone = zone(&record);
        let found = verify(&zone, &signed, Duration::MAX).await;
        assert_eq!(found.dkim.iter().map(|s| s.result).collect::<Vec<_>>(), [DkimResult::Pass], "{reason:?}");
        let Chain::Fail(why) = found.arc else { panic!("{:?}", found.arc) };
        if let Some(reason) = reason {
            // No key of a seal is looked up.
            assert_eq!((why.as_str(), zone.questions()), (reason, 1));
        }
    }
}

#[tokio::test]
async fn what_signatures_and_seals_cost_is_bounded() {
    // Each wants another hash of the body.
    let field =
        |n: u32| format!("DKIM-Signature: v=1; a=rsa-sha256; d=x.test; s=s; h=from; bh=YQ==; b=YQ==; l={n}\r\n");
    let heap: String = (1..500).map(field).collect();
    let text = format!("{heap}From: a@x.test\r\n\r\nHello\r\n");
    let (mut message, ignored) = verify::parsed(text.as_bytes()).unwrap();
    verify::measure(&mut message);
    assert_eq!((message.body_hashes.len(), ignored), (10, 489));
    // The fields that one covers are looked for by comparing names.
    let many = |count: u32, mark: &str| (0..count).map(|n| format!("x{n}{mark}")).collect::<String>();
    for (names, wanted) in [(100, (1, 0)), (4_000, (0, 1))] {
        let text = text.replacen(&heap, &field(1).replace("h=from", &format!("h={}from", many(names, ":"))), 1);
        let found = verify(&zone(""), text.as_bytes(), Duration::MAX).await;
        assert_eq!((found.dkim.len(), found.ignored), wanted, "{names}");
    }
    for (names, tags, wanted) in
        [(0, 200, "a seal that is not a list of tags"), (4_000, 0, "a signature of too many fields")]
    {
        let text = format!(
            "ARC-Seal: i=1; a=rsa-sha256; cv=none; d=x.test; s=s; b=YQ==; {}\r\nARC-Message-Signature: i=1; a=rsa-sha256; d=x.test; s=s; h={}from; bh=YQ==; b=YQ==\r\nARC-Authentication-Results: i=1; x.test; none\r\nFrom: a@x.test\r\n\r\nHello\r\n",
            many(tags, "=;"),
            many(names, ":"),
        );
        let found = verify(&zone(""), text.as_bytes(), Duration::MAX).await;
        assert_eq!(found.arc, Chain::Fail(wanted.to_owned()));
    }
}

/// A signature that covers no field at all: the suite lets it pass, we do not (RFC 6376 §5.4).
const COVERS_NOTHING: &str = "ams_fields_h_empty";
/// The suite has two cases of one name, which YAML forbids.
fn with_distinct_names(suite: &str) -> String {
    let mut seen = std::collections::HashSet::new();
    let mut text = String::new();
    for line in suite.lines() {
        let name = line.strip_prefix("  ").and_then(|l| l.strip_suffix(':')).filter(|l| !l.starts_with(' '));
        match name {
            Some(name) if !seen.insert(name) => text.push_str(&format!("  {name}_again:\n")),
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

/// The validation part of the ARC test suite.
#[tokio::test]
async fn every_case_of_the_arc_suite() {
    let suite = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suites/arc-validation-tests.yml"));
    let mut run = 0;
    let mut wrong = Vec::new();
    for scenario in YamlLoader::load_from_str(&with_distinct_names(suite)).unwrap() {
        let records: HashMap<&str, &str> = scenario["txt-records"]
            .as_hash()
            .into_iter()
            .flatten()
            .filter_map(|(k, v)| Some((k.as_str()?, v.as_str()?)))
            .collect();
        let zone = ZoneResolver::new();
        for (name, text) in records {
            zone.add(&format!("{name} TXT {}", text.replace('\n', " "))).unwrap();
        }
        for (name, case) in scenario["tests"].as_hash().into_iter().flatten() {
            run += 1;
            let message = case["message"].as_str().unwrap_or_default().replace('\n', "\r\n");
            let got = match verify(&zone, message.as_bytes(), Duration::MAX).await.arc {
                Chain::None => "none",
                Chain::Pass { .. } => "pass",
                Chain::Fail(_) => "fail",
            };
            let wanted = match &case["cv"] {
                Yaml::Null => "none".to_owned(),
                other => other.as_str().unwrap_or("none").to_lowercase(),
            };
            // An empty expectation stands for a chain whose newest sealer has called it broken.
            let wanted = if wanted.trim().is_empty() { "fail" } else { wanted.trim() };
            let name = name.as_str().unwrap();
            if got != wanted && name != COVERS_NOTHING {
                wrong.push(format!("{name}: wanted {wanted}, got {got}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {run}: {wrong:#?}", wrong.len());
    assert_eq!(run, 175);
}
