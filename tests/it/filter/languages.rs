//! Mail in languages that its recipients do not read.

use std::path::Path;

use postrider::storage::mailbox::SpecialUse;
use serde_json::Value;

use crate::harness::Host;

const TEXT: &str = "Доброе утро, вчера вечером я закончил документы для встречи в четверг и положил их в папку. Пожалуйста, \
                    посмотри их до того, как мы будем говорить с клиенткой, и скажи мне, кажутся ли тебе верными цифры.";

const SETTINGS: &str = "[spam]\nlanguages = [\"de\", \"en\"]\n\
                        [spam.recipients.\"bob@example.test\"]\nlanguages = [\"ru\"]\n\
                        [spam.recipients.\"eve@example.test\"]\nlanguages = []\n";

fn message() -> String {
    format!(
        "From: ivan@elsewhere.test\r\nTo: ann@example.test\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n\
         Message-ID: <1@elsewhere.test>\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n{TEXT}\r\n"
    )
}

async fn start(rules: &Path) -> Host {
    std::fs::write(rules, "score UNWANTED_LANGUAGE_BODY 9\n").unwrap();
    let settings = format!("{SETTINGS}[spam.rules]\nfiles = [\"{}\"]\n", rules.display());
    let start = Host::start().settings(&settings).user("ann@example.test");
    start.user("bob@example.test").user("eve@example.test").await
}

/// How many messages a user has in the inbox, and how many in the junk folder.
async fn counts(host: &Host, user: &str) -> (u32, u32) {
    let mailboxes = host.parts().mailboxes.as_ref().unwrap();
    let junk = mailboxes.user(&user.parse().unwrap()).await.unwrap().special(SpecialUse::Junk).unwrap();
    let mut imap = host.imap(user).await;
    let inbox = format!("{:?}", imap.ok("STATUS INBOX (MESSAGES)").await);
    let junk = format!("{:?}", imap.ok(&format!("STATUS \"{junk}\" (MESSAGES)")).await);
    let number = |text: &str| {
        let digits = text.split("MESSAGES ").nth(1).unwrap().split(')').next().unwrap();
        digits.parse().unwrap()
    };
    (number(&inbox), number(&junk))
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_aliases_have_what_is_set_for_their_user() {
    let own = "[spam.recipients.\"own@example.test\"]\nlanguages = [\"de\"]\n";
    let place = tempfile::tempdir().unwrap();
    let rules = place.path().join("local.cf");
    std::fs::write(&rules, "score UNWANTED_LANGUAGE_BODY 9\n").unwrap();
    let settings = format!("{SETTINGS}{own}[spam.rules]\nfiles = [\"{}\"]\n", rules.display());
    let start = Host::start().settings(&settings).user("ann@example.test").user("bob@example.test");
    let start = start.alias("help@example.test", "bob@example.test").alias("own@example.test", "bob@example.test");
    let host = start.alias("all@example.test", "bob@example.test").alias("all@example.test", "ann@example.test").await;
    let mut smtp = host.smtp().await;
    let mut before = (0, 0);
    for (recipient, wanted) in [
        ("bob@example.test", true),
        ("bob+shop@example.test", true),
        ("help@example.test", true),
        ("Help+shop@example.test", true),
        // One with its own setting, and one that belongs to nobody alone.
        ("own@example.test", false),
        ("all@example.test", false),
    ] {
        let message = message().replace("<1@", &format!("<{}-", recipient.replace('@', "-")));
        let message = message.replace("elsewhere.test>", "x@elsewhere.test>");
        assert_eq!(smtp.deliver("ivan@elsewhere.test", &[recipient], &message).await.code, 250, "{recipient}");
        let now = counts(&host, "bob@example.test").await;
        let expected = if wanted { (before.0 + 1, before.1) } else { (before.0, before.1 + 1) };
        assert_eq!(now, expected, "{recipient}");
        before = now;
    }
    // Together with a user for whom it is unwanted.
    for (n, recipient) in ["bob+shop@example.test", "help@example.test"].into_iter().enumerate() {
        let message = message().replace("<1@", &format!("<beside-{n}@"));
        let recipients = ["ann@example.test", recipient];
        assert_eq!(smtp.deliver("ivan@elsewhere.test", &recipients, &message).await.code, 250, "{recipient}");
        before.0 += 1;
        assert_eq!(counts(&host, "bob@example.test").await, before, "{recipient}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recipient_has_languages() {
    let place = tempfile::tempdir().unwrap();
    let host = start(&place.path().join("local.cf")).await;
    let recipients = ["ann@example.test", "bob@example.test", "eve@example.test"];
    let mut smtp = host.smtp().await;
    let reply = smtp.deliver("ivan@elsewhere.test", &recipients, &message()).await;
    assert_eq!(reply.code, 250, "{reply:?}");
    assert_eq!(counts(&host, "ann@example.test").await, (0, 1));
    assert_eq!(counts(&host, "bob@example.test").await, (1, 0));
    assert_eq!(counts(&host, "eve@example.test").await, (1, 0));
    // For her alone, the header says so, too.
    let reply = smtp.deliver("ivan@elsewhere.test", &["ann@example.test"], &message()).await;
    assert_eq!(reply.code, 250, "{reply:?}");
    let mut imap = host.imap("ann@example.test").await;
    imap.ok("SELECT Junk").await;
    let header = format!("{:?}", imap.ok("FETCH 2 BODY.PEEK[HEADER.FIELDS (X-Spam-Status X-Spam-Reason)]").await);
    assert!(header.contains("UNWANTED_LANGUAGE_BODY=9.00"), "{header}");
    assert!(header.contains("Russian, not German, English"), "{header}");
    host.stop().await;
}

async fn run(host: &Host, arguments: &[&str]) -> Value {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_postrider"))
        .args(["--json", "--config"])
        .arg(host.directory().join("postrider.toml"))
        .args(arguments)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{arguments:?}: {text} {told}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_explain_it() {
    let place = tempfile::tempdir().unwrap();
    let host = start(&place.path().join("local.cf")).await;
    let file = place.path().join("message.eml");
    std::fs::write(&file, message()).unwrap();
    let file = file.display().to_string();
    let checked = run(&host, &["spam", "check", "--no-network", &file]).await;
    assert_eq!((checked["language"].as_str(), checked["verdict"].as_str()), (Some("ru"), Some("junk")), "{checked}");
    let because = "The text is in a language that the recipients do not read: Russian, not German, English";
    assert!(checked["signals"].to_string().contains(because), "{checked}");
    let checked = run(&host, &["spam", "check", "--no-network", "--user", "bob@example.test", &file]).await;
    assert_eq!(checked["verdict"].as_str(), Some("accept"), "{checked}");
    assert!(!checked["signals"].to_string().contains("UNWANTED_LANGUAGE"), "{checked}");
    // Languages of a rule file apply where the settings say nothing.
    let plain = place.path().join("plain.toml");
    let own = std::fs::read_to_string(host.directory().join("postrider.toml")).unwrap();
    assert!(own.contains("languages = [\"de\", \"en\"]"));
    std::fs::write(&plain, own.replace("languages = [\"de\", \"en\"]\n", "")).unwrap();
    let rules = place.path().join("own.cf");
    std::fs::write(&rules, "ok_languages en fr\n").unwrap();
    let check = |rules: &[&str]| {
        let arguments = ["--json", "--config", plain.to_str().unwrap(), "spam", "check", "--no-network"];
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_postrider"))
            .args(arguments)
            .args(rules)
            .arg(&file)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let with = check(&["--rules", rules.to_str().unwrap()]);
    assert!(with.contains("Russian, not English, French"), "{with}");
    let without = check(&[]);
    assert!(without.contains("\"language\":null") && !without.contains("UNWANTED_LANGUAGE"), "{without}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_list_is_tried_on_old_mail() {
    let place = tempfile::tempdir().unwrap();
    let host = start(&place.path().join("local.cf")).await;
    let reply = host.smtp().await.deliver("ivan@elsewhere.test", &["bob@example.test"], &message()).await;
    assert_eq!(reply.code, 250, "{reply:?}");
    let current = host.directory().join("postrider.toml");
    let changed = place.path().join("changed.toml");
    let text = std::fs::read_to_string(&current).unwrap().replace("languages = [\"ru\"]", "languages = [\"fr\"]");
    std::fs::write(&changed, text).unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_postrider"))
        .args(["--json", "--config"])
        .arg(&changed)
        .args(["spam", "backtest", "--user", "bob@example.test", "--current"])
        .arg(&current)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("UNWANTED_LANGUAGE_BODY") && text.contains("\"junk\""), "{text}");
    // Missing data can be neither compared nor used for a decision.
    let absent = place.path().join("absent");
    let (absent, file) = (absent.to_str().unwrap(), current.to_str().unwrap());
    for (arguments, code) in [
        (&["spam", "backtest", "--user", "bob@example.test", "--current", absent][..], 3),
        (&["spam", "backtest", "--user", "bob@example.test", "--current", file, "--rules", absent], 4),
        (&["spam", "check", "--no-network", "--rules", absent, file], 4),
        (&["spam", "rules", absent], 4),
    ] {
        let (answer, ended) = crate::harness::cli::run(&changed, arguments, "").await;
        assert_eq!(ended, code, "{arguments:?}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(absent), "{answer}");
    }
    host.stop().await;
}
