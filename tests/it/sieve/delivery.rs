//! Effects of scripts on mail that stays here.

use std::time::Duration;

use futures_util::future::join_all;
use postrider::config::{Checks, LoadError, load};
use postrider::foundations::event::EventKind;
use postrider::foundations::settings::ByteSize;
use postrider::storage::journal::Query;

use super::{activate, home, letter};
use crate::harness::{Host, Reply, Smtp};

const ANN: &str = "ann@example.test";

async fn send(host: &Host, name: &str, subject: &str) -> Reply {
    host.smtp().await.deliver("eve@elsewhere.test", &[ANN], &letter(name, subject)).await
}

async fn taken(host: &Host, name: &str, subject: &str) {
    let reply = send(host, name, subject).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
}

/// The subjects of the messages of a folder, as a client sees them; `None` where there is no such folder.
async fn subjects(host: &Host, folder: &str) -> Option<Vec<String>> {
    let mut imap = host.imap(ANN).await;
    let opened = imap.command(&format!("EXAMINE \"{folder}\"")).await;
    if !opened.is_ok() {
        return None;
    }
    if opened.number("EXISTS") == Some(0) {
        return Some(Vec::new());
    }
    let fetched = imap.ok("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])").await.untagged;
    Some(
        fetched
            .iter()
            .filter_map(|line| Some(line.split_once("Subject: ")?.1.lines().next()?.trim().to_owned()))
            .collect(),
    )
}

/// The actions of scripts, in order.
async fn actions(host: &Host) -> Vec<String> {
    let query = Query { kinds: vec![EventKind::SieveAction], ..Query::default() };
    let word = |event: postrider::foundations::event::Event| event.details["action"].as_str().unwrap().to_owned();
    host.events(&query).await.into_iter().map(word).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_filed_marked_and_discarded() {
    let host = Host::start().user(ANN).await;
    activate(
        &host,
        ANN,
        "require [\"fileinto\", \"imap4flags\", \"mailbox\"];\n\
         if header :is \"subject\" \"work\" { fileinto :flags [\"\\\\Seen\", \"todo\"] \"Work/2026\"; }\n\
         elsif header :is \"subject\" \"dots\" { fileinto \"INBOX.Lists.Rust\"; }\n\
         elsif header :is \"subject\" \"bin\" { discard; }\n\
         elsif header :is \"subject\" \"flag\" { addflag \"\\\\Flagged\"; keep; }\n\
         elsif header :is \"subject\" \"twice\" { fileinto \"Work/2026\"; fileinto \"Work/2026\"; keep; }\n",
    );
    for (n, subject) in ["work", "dots", "bin", "flag", "twice", "plain"].iter().enumerate() {
        taken(&host, &format!("m{n}"), subject).await;
    }
    assert_eq!(subjects(&host, "INBOX").await.unwrap(), ["flag", "twice", "plain"]);
    assert_eq!(subjects(&host, "Work/2026").await.unwrap(), ["work", "twice"]);
    assert_eq!(subjects(&host, "Lists/Rust").await.unwrap(), ["dots"]);
    let mut imap = host.imap(ANN).await;
    imap.ok("EXAMINE \"Work/2026\"").await;
    let flags = imap.ok("FETCH 1 (FLAGS)").await.untagged.concat();
    assert!(flags.contains("\\Seen") && flags.contains("todo"), "{flags}");
    imap.ok("EXAMINE INBOX").await;
    let flags = imap.ok("FETCH 1 (FLAGS)").await.untagged.concat();
    assert!(flags.contains("\\Flagged"), "{flags}");
    assert_eq!(actions(&host).await, ["fileinto", "fileinto", "discard", "keep", "fileinto", "keep"]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_made_only_where_that_is_wanted() {
    let settings = "[delivery.sieve]\nmissing_folder = \"inbox\"\n";
    let host = Host::start().settings(settings).user(ANN).await;
    activate(
        &host,
        ANN,
        "require [\"fileinto\", \"mailbox\"];\nif header :is \"subject\" \"made\" { fileinto :create \"New\"; } else { fileinto \"Missing\"; }\n",
    );
    taken(&host, "a", "made").await;
    taken(&host, "b", "kept").await;
    assert_eq!(subjects(&host, "New").await.unwrap(), ["made"]);
    assert_eq!(subjects(&host, "Missing").await, None);
    assert_eq!(subjects(&host, "INBOX").await.unwrap(), ["kept"]);
    host.stop().await;
}

/// The name that the settings give it counted as a folder, whether there was one or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_special_use_belongs_to_a_folder_that_exists() {
    let host = Host::start().user(ANN).await;
    activate(
        &host,
        ANN,
        "require [\"fileinto\", \"special-use\"];\n\
         if allof(specialuse_exists \"\\\\Archive\", specialuse_exists \"INBOX.Archive\" \"\\\\Archive\")\n\
         { fileinto :specialuse \"\\\\Archive\" \"Old\"; }\n\
         else { fileinto :specialuse \"\\\\Archive\" \"None\"; }\n",
    );
    taken(&host, "a", "before").await;
    assert_eq!(subjects(&host, "Archive").await.unwrap(), ["before"]);
    host.imap(ANN).await.ok("DELETE Archive").await;
    taken(&host, "b", "after").await;
    assert_eq!(
        (subjects(&host, "Archive").await, subjects(&host, "None").await.unwrap()),
        (None, vec!["after".to_owned()])
    );
    host.stop().await;
}

/// It was created by the name in the script, and had no special use.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_created_for_a_special_use_has_it() {
    let host = Host::start().user(ANN).await;
    activate(
        &host,
        ANN,
        "require [\"fileinto\", \"mailbox\", \"special-use\"];\nfileinto :create :specialuse \"\\\\archive\" \"Old\";\n",
    );
    assert_eq!(subjects(&host, "Archive").await, Some(Vec::new()));
    let mut imap = host.imap(ANN).await;
    imap.ok("DELETE Archive").await;
    taken(&host, "a", "created").await;
    assert_eq!(
        (subjects(&host, "Archive").await.unwrap(), subjects(&host, "Old").await),
        (vec!["created".to_owned()], None)
    );
    // The folder that the script names comes first, if there is one.
    imap.ok("DELETE Archive").await;
    imap.ok("CREATE Old").await;
    taken(&host, "b", "named").await;
    assert_eq!(
        (subjects(&host, "Archive").await, subjects(&host, "Old").await.unwrap()),
        (None, vec!["named".to_owned()])
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_with_mistakes_loses_nothing_and_its_owner_is_told_once() {
    let host = Host::start().user(ANN).await;
    activate(&host, ANN, "require \"fileinto\";\nfileinto;\n");
    taken(&host, "a", "one").await;
    taken(&host, "b", "two").await;
    let mut found = subjects(&host, "INBOX").await.unwrap();
    found.sort();
    assert_eq!(found, ["Your mail filter does not work", "one", "two"]);
    assert_eq!(actions(&host).await, ["failed", "failed"]);
    // Corrected, it runs at once.
    activate(&host, ANN, "discard; # mended\n");
    taken(&host, "c", "three").await;
    assert_eq!(subjects(&host, "INBOX").await.unwrap().len(), 3);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_fails_while_it_runs_keeps_the_message() {
    let settings = "[sieve]\nredirects = 0\n";
    let host = Host::start().settings(settings).user(ANN).await;
    activate(&host, ANN, "require \"variables\";\nset \"to\" \"x@elsewhere.test\";\nredirect \"${to}\";\n");
    taken(&host, "a", "one").await;
    assert!(subjects(&host, "INBOX").await.unwrap().contains(&"one".to_owned()));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_of_the_site_run_before_and_after() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(
        path("before.sieve"),
        "require \"fileinto\";\nif header :is \"subject\" \"site\" { fileinto \"Site\"; }\n",
    )
    .unwrap();
    std::fs::write(
        path("after.sieve"),
        "require \"fileinto\";\nif header :is \"subject\" \"rest\" { fileinto \"Rest\"; }\n",
    )
    .unwrap();
    std::fs::write(
        path("shared.sieve"),
        "require \"fileinto\";\nif header :is \"subject\" \"shared\" { fileinto \"Shared\"; stop; }\n",
    )
    .unwrap();
    let settings = format!(
        "[delivery.sieve]\nbefore = [\"{}\"]\nafter = [\"{}\"]\nglobal = \"{}\"\n",
        path("before.sieve"),
        path("after.sieve"),
        directory.path().display()
    );
    let host = Host::start().settings(&settings).user(ANN).await;
    // Without a script of her own, those of the site run.
    taken(&host, "a", "site").await;
    taken(&host, "b", "rest").await;
    activate(
        &host,
        ANN,
        "require [\"fileinto\", \"include\", \"imap4flags\"];\ninclude :global \"shared\";\n\
         if header :is \"subject\" [\"site\", \"own\"] { fileinto \"Own\"; }\naddflag \"mine\";\n",
    );
    for (name, subject) in [("c", "site"), ("d", "own"), ("e", "rest"), ("f", "shared"), ("g", "none")] {
        taken(&host, name, subject).await;
    }
    assert_eq!(subjects(&host, "Site").await.unwrap(), ["site", "site"]);
    assert_eq!(subjects(&host, "Rest").await.unwrap(), ["rest", "rest"]);
    assert_eq!(subjects(&host, "Own").await.unwrap(), ["own"]);
    assert_eq!(subjects(&host, "Shared").await.unwrap(), ["shared"]);
    assert_eq!(subjects(&host, "INBOX").await.unwrap(), ["none"]);
    // The script that ran last has marked nothing.
    let mut imap = host.imap(ANN).await;
    imap.ok("EXAMINE INBOX").await;
    let flags = imap.ok("FETCH 1 (FLAGS)").await.untagged.concat();
    assert!(flags.contains("mine"), "{flags}");
    host.stop().await;

    // A mistake is told by `postrider check`.
    std::fs::write(path("before.sieve"), "fileinto \"x\";\nwhat;\n").unwrap();
    let config = directory.path().join("postrider.toml");
    let text = format!(
        "hostname = \"mail.example.test\"\n[storage]\nmail_root = \"{0}\"\n[[listener]]\nprotocol = \"smtp\"\nbind = [\"127.0.0.1:0\"]\n{settings}",
        directory.path().display()
    );
    std::fs::write(&config, text).unwrap();
    let Err(LoadError::Mistakes(mistakes)) = load(&config, Checks::Files, None) else { panic!("no mistakes") };
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|text| text.contains("delivery.sieve.before.1") && text.contains("line 2")), "{told:?}");
}

/// Rules that give a message the score its subject asks for.
const RULES: &str = "header ASKS_JUNK Subject =~ /^junk/\nscore ASKS_JUNK 6\n";

async fn filtering(junk: &str, rules: &tempfile::TempDir) -> Host {
    let path = rules.path().join("rules.cf");
    std::fs::write(&path, RULES).unwrap();
    let settings = format!(
        "[spam.rules]\nbuiltin = false\nfiles = [\"{}\"]\n[spam.classifier]\nenabled = false\n[delivery.sieve]\njunk = \"{junk}\"\n",
        path.display()
    );
    let host = Host::start().settings(&settings).user(ANN).await;
    activate(
        &host,
        ANN,
        "require [\"fileinto\", \"vacation\"];\nif header :is \"subject\" \"junk for me\" { fileinto \"Wanted\"; }\n\
         elsif header :is \"subject\" \"junk away\" { redirect \"x@elsewhere.test\"; }\nvacation \"I am away\";\n",
    );
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_goes_to_junk_unless_the_script_files_it() {
    let rules = tempfile::tempdir().unwrap();
    let host = filtering("file", &rules).await;
    for (name, subject) in [("a", "junk"), ("b", "junk for me"), ("c", "junk away")] {
        taken(&host, name, subject).await;
    }
    assert_eq!(subjects(&host, "Junk").await.unwrap(), ["junk", "junk away"]);
    assert_eq!(subjects(&host, "Wanted").await.unwrap(), ["junk for me"]);
    let queued = host.events(&Query { kinds: vec![EventKind::Queued], ..Query::default() }).await;
    assert!(queued.is_empty(), "junk is neither answered nor passed on: {queued:?}");
    host.stop().await;
    let host = filtering("skip", &rules).await;
    taken(&host, "b", "junk for me").await;
    assert_eq!(subjects(&host, "Junk").await.unwrap(), ["junk for me"]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_lmtp_and_for_several_users_each_has_their_own() {
    let host = Host::start().user(ANN).user("bob@example.test").user("cid@example.test").await;
    activate(&host, ANN, "discard;");
    activate(&host, "bob@example.test", "require \"fileinto\"; fileinto \"Filed\";");
    let all = [ANN, "bob@example.test", "cid@example.test"];
    let reply = host.lmtp().await.deliver("eve@elsewhere.test", &all, &letter("a", "to all")).await;
    assert_eq!(reply.code, 250, "{}", reply.text());
    assert_eq!(subjects(&host, "INBOX").await.unwrap(), [""; 0]);
    let mut bob = host.imap("bob@example.test").await;
    assert!(bob.ok("STATUS Filed (MESSAGES)").await.untagged.concat().contains("MESSAGES 1"));
    let mut cid = host.imap("cid@example.test").await;
    assert!(cid.ok("STATUS INBOX (MESSAGES)").await.untagged.concat().contains("MESSAGES 1"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_half_an_attempt_has_stored_is_not_stored_again() {
    let host = Host::start().user("bob@example.test").await;
    host.add_user(ANN, Some(ByteSize::mib(1))).await;
    activate(&host, ANN, "require \"fileinto\";\nfileinto \"One\";\nfileinto \"Two\";\n");
    let mut imap = host.imap(ANN).await;
    let filling = |kibibytes: usize| format!("{}\r\n", "x".repeat(62)).repeat(kibibytes * 16);
    assert!(imap.append("INBOX", "", &format!("Subject: filler\r\n\r\n{}", filling(780))).await.is_ok());
    let message = format!("Message-ID: <a@elsewhere.test>\r\nSubject: whole\r\n\r\n{}", filling(200));
    // However long it takes.
    for _ in 0..3 {
        let reply = host.lmtp().await.deliver("eve@elsewhere.test", &[ANN], &message).await;
        assert!(reply.text().starts_with("452 4.2.2"), "{}", reply.text());
        assert_eq!(subjects(&host, "One").await.unwrap(), ["whole"]);
        host.clock().advance(Duration::from_secs(8 * 60 * 60));
    }
    let (mut lmtp, mut imap) = (host.lmtp().await, host.imap(ANN).await);
    imap.ok("SELECT INBOX").await;
    imap.ok("STORE 1 +FLAGS (\\Deleted)").await;
    imap.ok("EXPUNGE").await;
    let count = async |folder: &str| subjects(&host, folder).await.unwrap().len();
    // The next attempt does the rest. Once everything is done, sending the same message again makes another one.
    for wanted in [1, 2] {
        let reply = lmtp.deliver("eve@elsewhere.test", &[ANN], &message).await;
        assert_eq!((reply.code, count("One").await, count("Two").await), (250, wanted, wanted), "{}", reply.text());
    }
    host.stop().await;
}

/// Each was looked at before another one was remembered.
#[tokio::test(flavor = "multi_thread")]
async fn of_copies_that_come_at_the_same_moment_one_is_no_duplicate() {
    let host = Host::start().user(ANN).await;
    let test = "require \"duplicate\"; if duplicate { discard; }\n";
    for (name, script) in [("own", test), ("included", "require \"include\"; include \"other\";\n")] {
        activate(&host, ANN, script);
        std::fs::write(home(&host, ANN).join("sieve/other.sieve"), test).unwrap();
        let (connections, message) = (join_all((0..8).map(|_| host.lmtp())).await, letter(name, name));
        let deliver = |mut lmtp: Smtp| {
            let message = &message;
            async move { lmtp.deliver("eve@elsewhere.test", &[ANN], message).await }
        };
        let replies = join_all(connections.into_iter().map(deliver)).await;
        assert!(replies.iter().all(|reply| reply.code == 250), "{replies:?}");
        let stored = subjects(&host, "INBOX").await.unwrap();
        assert_eq!(stored.iter().filter(|subject| *subject == name).count(), 1, "{name}: {stored:?}");
    }
    host.stop().await;
}
