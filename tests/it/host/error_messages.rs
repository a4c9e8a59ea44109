//! Commands: how they report mistakes and unusable files.

use std::time::Duration;

use postrider::config::Protocol;
use postrider::foundations::address::ReversePath;
use postrider::foundations::event::EventKind;
use postrider::foundations::secret::Secret;
use postrider::storage::journal::Query;

use crate::harness::cli::{output, run};
use crate::harness::{Host, PASSWORD};

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_tells_of_secrets_and_authorities_that_cannot_be_used() {
    let host = Host::start().user("ann@example.test").await;
    let config = host.config();
    let (secret, authorities) = (host.directory().join("srs"), host.directory().join("authorities.pem"));
    std::fs::write(&secret, "a secret of some length\n").unwrap();
    std::fs::copy(host.authority(), &authorities).unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    let more = format!(
        "\n[routing.srs]\nsecret_file = \"{}\"\n\n[outbound]\nauthorities = \"{}\"\n",
        secret.display(),
        authorities.display()
    );
    std::fs::write(&config, text + &more).unwrap();
    let load = || postrider::config::load(&config, postrider::config::Checks::Files, None).unwrap();
    host.reload(load()).await;
    let routing = &host.parts().routing;
    let sender = ReversePath::Address("eve@elsewhere.test".parse().unwrap());
    let rewritten = async || routing.forwarding_path(&sender).await.unwrap().to_string();
    let before = rewritten().await;
    assert!(before.contains("SRS0="), "{before}");
    std::fs::write(&secret, "short\n").unwrap();
    std::fs::write(&authorities, "nothing\n").unwrap();
    let told = host.try_reload(load()).await.unwrap_err();
    for wanted in ["`routing.srs.secret_file`: ", "at least 16 octets", "`outbound.authorities`: ", "stays in force"] {
        assert!(told.contains(wanted), "{told}");
    }
    assert_eq!(rewritten().await, before);
    std::fs::copy(host.authority(), &authorities).unwrap();
    std::fs::write(&secret, "another secret of some length\n").unwrap();
    host.reload(load()).await;
    assert_ne!(rewritten().await, before);
    host.stop().await;
}

/// It would send again what the first one is sending.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_does_not_take_the_queue() {
    let host = Host::start().await;
    let second = host.directory().join("second.toml");
    let text = std::fs::read_to_string(host.config()).unwrap();
    let elsewhere = format!("control_directory = \"{}/other-", host.directory().display());
    let own = format!("control_directory = \"{}/", host.directory().display());
    assert!(text.contains(&own), "{text}");
    std::fs::write(&second, text.replace(&own, &elsewhere)).unwrap();
    let served = tokio::time::timeout(Duration::from_secs(60), output(&second, &["serve", "--role", "mta"], "")).await;
    let told = served.expect("it serves beside the other one");
    let words = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(!told.status.success() && words.contains("another process is already sending the mail in"), "{words}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_tells_what_waits_for_a_restart() {
    let host = Host::start().await;
    let text = std::fs::read_to_string(host.config()).unwrap();
    let load = || postrider::config::load(&host.config(), postrider::config::Checks::Files, None).unwrap();
    let more = "\n[dns]\nservers = [\"127.0.0.1:9\"]\n[queue]\nmemory = \"12M\"\n[imap]\nappend_memory = \"99M\"\nidle_timeout = \"31m\"\n";
    std::fs::write(host.config(), format!("{text}{more}")).unwrap();
    assert_eq!(host.try_reload(load()).await.unwrap(), ["dns", "imap.append_memory", "queue.memory"]);
    std::fs::write(host.config(), text).unwrap();
    assert!(host.try_reload(load()).await.unwrap().is_empty());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_does_not_give_half_of_the_server_another_name() {
    let host = Host::start().await;
    let mut config = postrider::config::load(&host.config(), postrider::config::Checks::Files, None).unwrap();
    config.hostname = "other.example.test".parse().unwrap();
    assert_eq!(host.try_reload(config).await.unwrap(), ["hostname"]);
    let greeting = host.plain(Protocol::Smtp).await.line().await;
    assert!(greeting.starts_with("220 mail.example.test "), "{greeting}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_warns_of_declared_aliases_that_run_in_a_circle() {
    let host = Host::start().user("ann@example.test").await;
    let config = host.config();
    let declared = host.directory().join("accounts.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[accounts]\ndeclared = \"{}\"\n", declared.display())).unwrap();
    let aliases = |b: &str| format!("[domains.\"d.test\".aliases]\na = [\"b@d.test\"]\nb = [\"{b}\"]\n");
    for (text, circles) in [(aliases("a@d.test"), 1), (aliases("x@elsewhere.test"), 0)] {
        std::fs::write(&declared, text).unwrap();
        for arguments in [&["check"] as &[&str], &["check", "--syntax-only"]] {
            let (told, code) = run(&config, arguments, "").await;
            let warnings = told["warnings"].as_array().unwrap().iter();
            let of_aliases = warnings.filter(|warning| warning.as_str().unwrap().contains("@d.test")).count();
            assert_eq!((code, of_aliases), (0, circles), "{told}");
        }
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_mbox_is_judged_message_by_message() {
    let host = Host::start().user("ann@example.test").await;
    let (config, mbox) = (host.config(), host.directory().join("some.mbox"));
    let one = |subject: &str| {
        format!(
            "From eve@elsewhere.test Sat Nov 28 12:00:00 2026\nFrom: <eve@elsewhere.test>\nSubject: {subject}\n\n>From here\n\n"
        )
    };
    std::fs::write(&mbox, one("first") + &one("second")).unwrap();
    let path = mbox.display().to_string();
    let output = output(&config, &["spam", "check", "--no-network", &path], "").await;
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<_> = lines.iter().map(|line| (line["file"].as_str(), line["message"].as_u64())).collect();
    assert_eq!(found, [(Some(&*path), Some(1)), (Some(&*path), Some(2))], "{text}");
    assert!(lines.iter().all(|line| line["score"].is_number()), "{text}");
    let (told, code) =
        run(&config, &["spam", "check", "--no-network", "--user", "nobody@example.test", &path], "").await;
    assert_eq!(code, 4, "{told}");
    host.stop().await;
}

#[tokio::test]
async fn wrong_arguments_are_told_in_json_too() {
    let nowhere = std::path::Path::new("/nonexistent/postrider.toml");
    for (arguments, words) in [
        (&["user", "shwo", "ann@example.test"] as &[&str], "shwo"),
        (&["queue", "list", "--nonsense"], "--nonsense"),
        (&["user", "show"], "required"),
    ] {
        let (told, code) = run(nowhere, arguments, "").await;
        assert_eq!((code, &told["exit"]), (2, &2.into()), "{told}");
        assert!(told["error"].as_str().unwrap().contains(words), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_in_maildirsize_is_shown() {
    let host = Host::start().user("ann@example.test").await;
    let mailbox = host.mail_root().join("example.test").join("ann");
    std::fs::create_dir_all(mailbox.join("cur")).unwrap();
    for directory in ["new", "tmp"] {
        std::fs::create_dir_all(mailbox.join(directory)).unwrap();
    }
    std::fs::write(mailbox.join("maildirsize"), "1048576S,3C\n0 0\n").unwrap();
    let mut imap = host.imap("ann@example.test").await;
    let told = imap.ok("GETQUOTAROOT INBOX").await.untagged.join("\n");
    assert!(told.contains("QUOTAROOT INBOX \"\""), "{told}");
    assert!(told.contains("(STORAGE 0 1024 MESSAGE 0 3)"), "{told}");
    let told = imap.ok("GETQUOTA \"\"").await.untagged.join("\n");
    assert!(told.contains("(STORAGE 0 1024 MESSAGE 0 3)"), "{told}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_cannot_be_used_keeps_nobody_else_from_their_mail() {
    let folder = tempfile::tempdir().unwrap();
    let within = |name: &str| folder.path().join(name);
    let hash = postrider::services::login::hash(&Secret::new(PASSWORD.to_owned()), 4).unwrap();
    std::fs::write(within("ann"), hash.expose()).unwrap();
    // What systemd puts in place of a missing credential.
    std::fs::write(within("john"), "").unwrap();
    let user = |name: &str| format!("[domains.\"d.test\".users.{name}]\nhashed_password_file = {:?}\n", within(name));
    std::fs::write(within("accounts.toml"), user("ann") + &user("john") + &user("kim")).unwrap();
    let settings = format!("[accounts]\ndeclared = {:?}\n", within("accounts.toml"));
    let host = Host::start().settings(&settings).await;
    host.imap("ann@d.test").await;

    let told = host.events(&Query { kinds: vec![EventKind::Configuration], ..Query::default() }).await;
    let problems: Vec<_> = told.iter().map(|event| event.details["problem"].as_str().unwrap()).collect();
    for (name, why) in [("john", "the hash of a password"), ("kim", "can be read")] {
        let of = |problem: &&&str| problem.contains(&format!("{name}@d.test")) && problem.contains(why);
        assert!(problems.iter().any(|problem| of(&problem)), "{name}: {problems:?}");
    }
    let (checked, code) = run(&host.config(), &["check"], "").await;
    assert_eq!((code, checked["mistakes"].as_array().map(Vec::len)), (3, Some(2)), "{checked}");

    // The user's own password stays while the file is away, and later declarations take effect.
    std::fs::copy(within("ann"), within("john")).unwrap();
    std::fs::remove_file(within("ann")).unwrap();
    let load = || postrider::config::load(&host.config(), postrider::config::Checks::Files, None).unwrap();
    let told = host.try_reload(load()).await.unwrap_err();
    assert!(told.contains("ann@d.test") && told.contains("kim@d.test") && !told.contains("john@d.test"), "{told}");
    host.imap("ann@d.test").await;
    host.imap("john@d.test").await;
    host.stop().await;
}
