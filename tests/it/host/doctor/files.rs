//! What the self-test says about keys and files.

use std::os::unix::fs::PermissionsExt as _;

use super::Patient;
use crate::harness::{NameServer, cli};

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_exchanged_and_files_that_are_missing_are_told() {
    let patient = Patient::new().await;
    let server = NameServer::start(&patient.healthy).await;
    let path = patient.configuration(&server);
    let mut table: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    let keys = patient.directory.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    let spam = table["spam"].as_table_mut().unwrap();
    let rotation = format!("rotation = {{ directory = \"{}\", domains = [\"example.test\"] }}", keys.display());
    spam.insert("dkim".to_owned(), toml::Value::Table(rotation.parse().unwrap()));
    let missing = "certificates = [{ cert = \"/nowhere/cert.pem\", key = \"/nowhere/key.pem\" }]";
    table.insert("tls".to_owned(), toml::Value::Table(missing.parse().unwrap()));
    // A world-readable key and world-readable backups.
    let (second, backups) = (patient.directory.path().join("second.key"), patient.directory.path().join("backups"));
    std::fs::create_dir(&backups).unwrap();
    std::fs::write(&second, "0123456789abcdef0123456789abcdef").unwrap();
    // So is a declared user's password.
    let (declared, hash) = (patient.directory.path().join("accounts.json"), patient.directory.path().join("hash"));
    let ann = format!(r#"{{"hashed_password_file": "{}", "quota": null}}"#, hash.display());
    std::fs::write(&declared, format!(r#"{{"domains": {{"example.test": {{"users": {{"ann": {ann}}}}}}}}}"#)).unwrap();
    std::fs::write(&hash, "{PLAIN}not for everybody\n").unwrap();
    for (path, mode) in [(&second, 0o644), (&backups, 0o755), (&hash, 0o644)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    for (section, key, path) in [
        ("login", "two_factor_key_file", &second),
        ("backup", "destination", &backups),
        ("accounts", "declared", &declared),
    ] {
        let section = table.entry(section).or_insert_with(|| toml::Table::new().into()).as_table_mut().unwrap();
        section.insert(key.to_owned(), path.display().to_string().into());
    }
    std::fs::write(&path, toml::to_string(&table).unwrap()).unwrap();

    let doctor = async || {
        let (findings, _) = cli::run(&path, &["doctor", "--no-ports"], "").await;
        findings.as_array().unwrap().clone()
    };
    let about = |findings: &[serde_json::Value], check: &str, words: &str| {
        findings.iter().any(|finding| finding["check"] == check && finding.to_string().contains(words))
    };
    let findings = doctor().await;
    assert!(about(&findings, "dkim", "postrider dkim rotate example.test"), "{findings:?}");
    assert!(about(&findings, "file", "/nowhere/cert.pem"), "{findings:?}");
    for (check, words) in [
        ("permissions", format!("chmod 0640 {}", second.display())),
        ("permissions", format!("chmod 0700 {}", backups.display())),
        ("permissions", format!("chmod 0640 {}", hash.display())),
        ("disk", format!("backups ({})", backups.display())),
    ] {
        assert!(about(&findings, check, &words), "{words}: {findings:?}");
    }

    assert_eq!(cli::run(&path, &["dkim", "rotate", "example.test"], "").await.1, 0);
    let (records, code) = cli::run(&path, &["dns", "--address", "198.51.100.7"], "").await;
    let announced = records["records"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["name"].to_string().contains("._domainkey.example.test."));
    assert_eq!((code, announced.count()), (0, 2), "{records}");
    let findings = doctor().await;
    assert!(about(&findings, "dkim", "it does not sign until that is fixed"), "{findings:?}");
    assert!(!about(&findings, "dkim", "dkim generate"), "{findings:?}");
    patient.host.stop().await;
}
