//! DKIM signatures, exchanged with dkimpy.

use std::path::Path;

use postrider::foundations::dns::ZoneResolver;
use postrider::foundations::mail::Message;
use postrider::services::filter::authentication::dkim::{Algorithm, DkimResult, Signer, generate, verify};

use super::helpers::{PLAIN, mail};

/// Debian's own interpreter, which has Debian's modules.
fn dkimpy(arguments: &[&str], input: &[u8]) -> Option<String> {
    use std::io::Write as _;
    let python = Path::new("/usr/bin/python3");
    let there = python.is_file()
        && std::process::Command::new(python)
            .args(["-c", "import dkim, nacl"])
            .output()
            .is_ok_and(|o| o.status.success());
    if !there {
        eprintln!("SKIPPED: dkimpy is not installed for /usr/bin/python3 (python3-dkim, python3-nacl)");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/dkimpy_session.py");
    let mut child = std::process::Command::new(python)
        .arg(script)
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn dkimpy_accepts_ours_and_we_accept_its() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    let message = mail(PLAIN).message;
    for (algorithm, selector) in [(Algorithm::Rsa, "r1"), (Algorithm::Ed25519, "e1")] {
        let pair = generate(algorithm).unwrap();
        let signer = Signer::new("sender.test".parse().unwrap(), selector, &pair.private, Path::new("key")).unwrap();
        let signed = message.with_prefix(signer.sign(&message).unwrap().as_bytes()).bytes();
        let Some(answer) = dkimpy(&["verify", selector, &pair.record], &signed) else { return };
        assert_eq!(answer.trim(), "True", "{algorithm}");

        std::fs::write(&key_file, pair.private.expose()).unwrap();
        for canonical in ["relaxed/relaxed", "simple/simple", "relaxed/simple", "simple/relaxed"] {
            let original = message.bytes();
            let arguments = ["sign", selector, &key_file.display().to_string(), algorithm.word(), canonical];
            let Some(field) = dkimpy(&arguments, &original) else { return };
            let theirs = Message::new(original).with_prefix(field.as_bytes()).bytes();
            let zone = ZoneResolver::new();
            zone.add(&format!("{selector}._domainkey.sender.test TXT {}", pair.record)).unwrap();
            let found = verify(&zone, &theirs, std::time::Duration::MAX).await;
            assert_eq!(
                found.dkim.iter().map(|s| s.result).collect::<Vec<_>>(),
                [DkimResult::Pass],
                "{algorithm} {canonical} {found:?}"
            );
        }
    }
}
