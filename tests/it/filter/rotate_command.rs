//! `postrider dkim rotate`: an administrator takes the steps manually, against a real name server.

use std::path::Path;

use serde_json::Value;

use crate::harness::NameServer;

struct Place {
    directory: tempfile::TempDir,
    zone: String,
}

impl Place {
    fn new(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = Self { directory, zone: String::new() };
        std::fs::write(place.path().join("settings"), settings).unwrap();
        place
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a command against a name server with the records published so far; returns its exit code and its JSON.
    async fn run(&self, arguments: &[&str]) -> (i32, Value) {
        let server = NameServer::start(&self.zone).await;
        let settings = std::fs::read_to_string(self.path().join("settings")).unwrap();
        let config = format!(
            "hostname = \"mail.example.test\"\n[storage]\nmail_root = \"{0}/mail\"\ndatabase = \"sqlite:{0}/db.sqlite\"\n\
             [spool]\ndirectory = \"{0}/spool\"\n[dns]\nservers = [\"{1}\"]\nattempts = 1\ntimeout = \"10s\"\n\
             [[listener]]\nprotocol = \"lmtp\"\nbind = [\"127.0.0.1:0\"]\n[spam.dkim.rotation]\ndirectory = \"{0}/dkim\"\ndomains = [\"example.test\"]\n{settings}",
            self.path().display(),
            server.address()
        );
        let file = self.path().join("postrider.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_postrider"));
        let output = command.arg("--json").arg("--config").arg(&file).args(arguments).output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let code = output.status.code().unwrap();
        let json = serde_json::from_str(&text);
        (code, json.unwrap_or_else(|_| Value::String(format!("{text}{}", String::from_utf8_lossy(&output.stderr)))))
    }

    /// Takes a step; returns the keys with their states.
    async fn rotate(&self) -> Vec<(String, String)> {
        let (code, json) = self.run(&["dkim", "rotate", "example.test"]).await;
        assert_eq!(code, 0, "{json}");
        states(&json)
    }

    /// Publishes the records of all announced keys, as the command prints them.
    async fn publish(&mut self) {
        let (code, json) = self.run(&["dkim", "list"]).await;
        assert_eq!(code, 0, "{json}");
        for line in json.as_array().unwrap().iter().filter(|line| line["state"] == "announced") {
            let text = |name: &str| line[name].as_str().unwrap();
            self.zone.push_str(&format!("{} TXT {}\n", text("name"), text("record")));
        }
    }
}

fn states(json: &Value) -> Vec<(String, String)> {
    let lines = json.as_array().unwrap_or_else(|| panic!("{json}")).iter();
    lines.map(|l| (l["selector"].as_str().unwrap().to_owned(), l["state"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_published_exchanged_and_retired() {
    let mut place = Place::new("algorithms = [\"rsa\", \"ed25519\"]\noverlap = \"30s\"\n");
    let first = place.rotate().await;
    assert_eq!(first.iter().map(|(_, state)| state.as_str()).collect::<Vec<_>>(), ["announced", "announced"]);
    // Nothing is put in force that is missing in the DNS, wholly or in part.
    assert_eq!(place.rotate().await, first);
    place.publish().await;
    let both = std::mem::take(&mut place.zone);
    place.zone = both.lines().next().unwrap().to_owned();
    assert_eq!(place.rotate().await, first);
    place.zone = both;
    let active = place.rotate().await;
    assert!(active.iter().all(|(_, state)| state == "active") && active.len() == 2, "{active:?}");
    // The next pair exists beside the one that signs.
    let second = place.rotate().await;
    assert_eq!(second.len(), 4);
    assert_eq!(second[..2], active);
    assert!(second[2..].iter().all(|(selector, state)| state == "announced" && !selector.is_empty()));
    place.publish().await;
    let third = place.rotate().await;
    let of =
        |wanted: &str| third.iter().filter(|(_, state)| state == wanted).map(|(s, _)| s.clone()).collect::<Vec<_>>();
    assert_eq!(of("retired"), first.iter().map(|(s, _)| s.clone()).collect::<Vec<_>>());
    assert_eq!(of("active"), second[2..].iter().map(|(s, _)| s.clone()).collect::<Vec<_>>());
    // The retired files are deleted when their time is over, with the next step of any kind.
    let file = |selector: &str| place.path().join(format!("dkim/example.test/{selector}.pem"));
    assert!(file(&first[0].0).exists());
    let mut last = Vec::new();
    for _ in 0..600 {
        last = place.rotate().await;
        if !file(&first[0].0).exists() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(!file(&first[0].0).exists() && file(&of("active")[0]).exists(), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_domains_of_the_schedule_are_exchanged() {
    let place = Place::new("");
    let (code, _) = place.run(&["dkim", "rotate", "other.test"]).await;
    assert_ne!(code, 0);
    assert!(!place.path().join("dkim").exists());
}
