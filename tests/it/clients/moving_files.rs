//! Importing from files: Maildirs, mbox files and archives of other programs.

use std::io::Write as _;

use super::moving::{USER, counts, message, postrider};
use crate::harness::{Host, cli};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_comes_from_files() {
    let host = Host::start().user(USER).user("bob@example.test").user("carl@example.test").real_time().await;
    let place = tempfile::tempdir().unwrap();
    let home = place.path().join("example.test/ann");
    for folder in ["", "Work", "Work/2026"] {
        for directory in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(home.join(folder).join(directory)).unwrap();
        }
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, b"Subject: compressed\n\nNumber one\n").unwrap();
    std::fs::write(home.join("cur/1700000000.M1P1.h,S=33:2,SZ"), gzip.finish().unwrap()).unwrap();
    std::fs::write(home.join("Work/2026/new/1700000001.M2P2.h"), "Subject: plain\n\nNumber two\n").unwrap();
    std::fs::write(home.join("dovecot-uidlist"), "3 V1690000000 N40\n17 :1700000000.M1P1.h,S=33\n").unwrap();
    std::fs::write(home.join("subscriptions"), "Work/2026\n").unwrap();
    std::fs::write(home.join("Work/cur/1700000002.M3P3.h:2,S"), "").unwrap();
    let root = place.path().display().to_string();
    let told = cli::output(&host.config(), &["import", "dovecot", &root, "--layout", "fs"], "").await;
    let warnings = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(warnings.contains("1700000002.M3P3.h:2,S"), "{warnings}");
    let moved = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(counts(&moved), (2, 0));
    assert!(warnings.contains("with its UIDs"), "{warnings}");
    // What is there already keeps its UIDs.
    let again = cli::output(&host.config(), &["import", "dovecot", &root, "--layout", "fs"], "").await;
    let warnings = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(warnings.contains("1 already there") && !warnings.contains("new UIDs"), "{warnings}");
    let mut imap = host.imap(USER).await;
    let first = message(&mut imap, "INBOX", 1).await;
    assert!(first.contains("UID 17") && first.contains("\\Seen") && first.contains("Number one"), "{first}");
    assert!(message(&mut imap, "Work/2026", 1).await.contains("Number two"));
    assert!(format!("{:?}", imap.ok("LSUB \"\" *").await).contains("Work/2026"));

    // An inbox that is a directory of its own, beside an empty one; folders below it; and one whose name cannot be
    // shown.
    let home = place.path().join("dovecot");
    for folder in ["", ".INBOX", ".INBOX.Work", ".&A-"] {
        for directory in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(home.join(folder).join(directory)).unwrap();
        }
    }
    std::fs::write(home.join(".INBOX/cur/1700000003.M4P4.h:2,S"), "Subject: 4\n\nNumber four\n").unwrap();
    std::fs::write(home.join(".INBOX/dovecot-uidlist"), "3 V1690000001 N40\n19 :1700000003.M4P4.h\n").unwrap();
    std::fs::write(home.join(".INBOX.Work/cur/1700000004.M5P5.h:2,S"), "Subject: 5\n\nNumber five\n").unwrap();
    let path = home.display().to_string();
    let arguments = ["import", "dovecot", &path, "--user", "carl@example.test"];
    let told = cli::output(&host.config(), &arguments, "").await;
    assert_eq!(told.status.code(), Some(7), "something was passed over");
    let moved: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(counts(&moved), (2, 0), "{moved}");
    assert_eq!(moved[0]["unnamed"], serde_json::json!([home.join(".&A-")]));
    let mut carl = host.imap("carl@example.test").await;
    let first = message(&mut carl, "INBOX", 1).await;
    assert!(first.contains("UID 19") && first.contains("Number four"), "{first}");
    assert!(message(&mut carl, "INBOX/Work", 1).await.contains("Number five"));

    // One Maildir is not all of them.
    let arguments = ["import", "maildir", &path, "--user", "bob@example.test", "--folder", "One"];
    let told = cli::output(&host.config(), &arguments, "").await;
    let warnings = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.success() && warnings.contains("also contains 3 folders"), "{warnings}");

    let mbox = place.path().join("old.mbox");
    let text = "From a@b Mon Nov 23 04:00:00 2026\nSubject: 1\nStatus: RO\n\n>From here\n\nFrom c@d Tue Nov 24 04:00:00 2026\nSubject: 2\n\ny\n";
    std::fs::write(&mbox, text).unwrap();
    let mbox = mbox.display().to_string();
    let arguments = ["import", "mbox", &mbox, "--user", "bob@example.test", "--folder", "Old/2026"];
    assert_eq!(counts(&postrider(&host, &arguments).await), (2, 0));
    assert_eq!(counts(&postrider(&host, &arguments).await), (0, 2));
    let shown = postrider(&host, &["user", "show", "bob@example.test"]).await;
    assert_eq!(shown["messages"], 2, "{shown}");
    assert!(shown["used"].as_u64().unwrap() > 20, "{shown}");
    let mut bob = host.imap("bob@example.test").await;
    let first = message(&mut bob, "Old/2026", 1).await;
    assert!(first.contains("\\Seen") && first.contains("From here") && !first.contains(">From"), "{first}");
    host.stop().await;
}

/// One message of Google Takeout.
fn labelled(n: u32, labels: &str) -> String {
    format!(
        "From 1{n}@xxx Mon Nov 23 04:00:0{n} +0000 2026\r\nX-Gmail-Labels: {labels}\r\nSubject: {n}\r\n\r\n>From {n}\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_of_gmail_is_sorted_by_its_labels() {
    let host = Host::start().user(USER).user("bob@example.test").real_time().await;
    let place = tempfile::tempdir().unwrap();
    let mbox =
        [(1, "Inbox,Unread"), (2, "Archived,Starred"), (3, "=?UTF-8?Q?Opened,Gesch=C3=A4ft?="), (4, "Sent,Work")]
            .map(|(n, labels)| labelled(n, labels))
            .concat();
    let path = place.path().join("takeout.zip").display().to_string();
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let name = "Takeout/Mail/All mail Including Spam and Trash.mbox";
    archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(mbox.as_bytes()).unwrap();
    archive.start_file("Takeout/archive_browser.html", zip::write::SimpleFileOptions::default()).unwrap();
    archive.finish().unwrap();
    let arguments = ["import", "mbox", &path, "--user", USER];
    assert_eq!(counts(&postrider(&host, &arguments).await), (4, 0));
    assert_eq!(counts(&postrider(&host, &arguments).await), (0, 4));
    let mut ann = host.imap(USER).await;
    for (folder, n, flag, without) in [
        ("INBOX", 1, "", "\\Seen"),
        ("Archive", 2, "\\Flagged", "Starred"),
        ("Gesch&AOQ-ft", 3, "\\Seen", "Opened"),
        ("Sent", 4, "Work", "\\Flagged"),
    ] {
        ann.ok(&format!("EXAMINE {folder}")).await;
        let found = ann.ok("FETCH 1 (FLAGS BODY.PEEK[])").await.untagged.join(" ");
        assert!(found.contains(&format!("Subject: {n}")) && found.contains(flag), "{folder}: {found}");
        assert!(
            !found.split("BODY").next().unwrap().contains(without) && !found.contains(">From"),
            "{folder}: {found}"
        );
    }
    // Into one folder, and compressed differently.
    let path = place.path().join("all.mbox.gz");
    let mut gzip = flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), flate2::Compression::fast());
    gzip.write_all(mbox.as_bytes()).unwrap();
    gzip.finish().unwrap();
    let path = path.display().to_string();
    let arguments = ["import", "mbox", &path, "--user", "bob@example.test", "--folder", "Gmail"];
    assert_eq!(counts(&postrider(&host, &arguments).await), (4, 0));
    assert!(message(&mut host.imap("bob@example.test").await, "Gmail", 2).await.contains("\\Flagged"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_of_thunderbird_and_apple_mail_keep_their_names() {
    let host = Host::start().user(USER).real_time().await;
    let place = tempfile::tempdir().unwrap();
    let one = |n: u32| format!("From - Mon Nov 23 04:00:0{n} 2026\nX-Mozilla-Status: 0001\nSubject: {n}\n\nx\n\n");
    for (file, content) in [
        ("Inbox", one(1) + &one(2)),
        ("Inbox.msf", "// <!-- <mdb:mork:z v=\"1.4\"/> -->\n".to_owned()),
        ("Work", String::new()),
        ("Work.sbd/Clients", one(3)),
        ("msgFilterRules.dat", "version=\"9\"\n".to_owned()),
        ("Letters.mbox/mbox", one(4)),
        ("Letters.mbox/table_of_contents", "\0\0".to_owned()),
        ("Letters.mbox/Old.mbox/mbox", one(5)),
        ("Export.mbox", format!("\n{}", one(6))),
    ] {
        let path = place.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    // As Thunderbird locks a profile.
    std::os::unix::fs::symlink("127.0.1.1:+1", place.path().join("lock")).unwrap();
    let path = place.path().display().to_string();
    let moved = postrider(&host, &["import", "mbox", &path, "--user", USER]).await;
    let folders: Vec<_> =
        moved[0]["folders"].as_array().unwrap().iter().map(|one| one["folder"].as_str().unwrap()).collect();
    assert_eq!(folders, ["Export", "INBOX", "Letters/Old", "Letters", "Work/Clients"]);
    assert_eq!(counts(&moved), (6, 0));
    let below = ["import", "mbox", &path, "--user", USER, "--folder", "From Thunderbird", "--dry-run"];
    let moved = postrider(&host, &below).await;
    assert_eq!(moved[0]["folders"][1]["folder"], "From Thunderbird/Inbox", "{moved}");
    // A link does not give access to another user's file, and what is not imported is told.
    let (link, nameless) = (place.path().join("Linked"), place.path().join("a.sbd/\u{7}"));
    std::os::unix::fs::symlink(place.path().join("Inbox"), &link).unwrap();
    std::fs::create_dir(place.path().join("a.sbd")).unwrap();
    std::fs::write(&nameless, one(7)).unwrap();
    let (moved, code) = cli::run(&host.config(), &["import", "mbox", &path, "--user", USER], "").await;
    assert_eq!((code, counts(&moved)), (7, (0, 6)), "{moved}");
    assert_eq!(moved[0]["links"], serde_json::json!([link]), "{moved}");
    assert_eq!(moved[0]["unnamed"], serde_json::json!([nameless]), "{moved}");
    let empty = tempfile::tempdir().unwrap();
    let path = empty.path().display().to_string();
    let (told, code) = cli::run(&host.config(), &["import", "mbox", &path, "--user", USER], "").await;
    assert!(code == 4 && told["error"].as_str().unwrap().contains("no mbox in"), "{told}");
    host.stop().await;
}

/// What came before a damaged file stays, and counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_before_a_damaged_mbox_counts() {
    let host = Host::start().user(USER).real_time().await;
    let place = tempfile::tempdir().unwrap();
    let line = "From a@b Mon Nov 23 04:00:00 2026\nSubject: 1\n\nx\n";
    std::fs::write(place.path().join("A"), line).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(line.as_bytes()).unwrap();
    (0..100_000_u64).for_each(|n| writeln!(gzip, "{}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).unwrap());
    let whole = gzip.finish().unwrap();
    std::fs::write(place.path().join("B"), &whole[..whole.len() / 2]).unwrap();
    let path = place.path().display().to_string();
    let (told, code) = cli::run(&host.config(), &["import", "mbox", &path, "--user", USER], "").await;
    assert!(code != 0 && told["error"].as_str().is_some_and(|error| error.contains("/B`")), "{code} {told}");
    assert_eq!(postrider(&host, &["user", "show", USER]).await["messages"], 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_within_homes_comes_from_a_root() {
    let host = Host::start().user(USER).user("bob@example.test").real_time().await;
    let root = tempfile::tempdir().unwrap();
    let domain = root.path().join("example.test");
    for folder in ["ann/mail", "ann/mail/.Work", "bob/Maildir"] {
        for directory in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(domain.join(folder).join(directory)).unwrap();
        }
    }
    std::fs::write(domain.join("ann/mail/.Work/cur/1700000000.M1P1.h:2,S"), "Subject: 1\n\nNumber one\n").unwrap();
    std::fs::write(domain.join("bob/Maildir/new/1700000001.M2P2.h"), "Subject: 2\n\nNumber two\n").unwrap();
    std::fs::create_dir_all(domain.join("ann/sieve")).unwrap();
    std::fs::write(domain.join("ann/sieve/main.sieve"), "keep;\r\n").unwrap();
    std::fs::create_dir_all(domain.join("carl/elsewhere")).unwrap();

    let told = cli::output(&host.config(), &["import", "dovecot", &root.path().display().to_string()], "").await;
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(said.contains("example.test/carl` was skipped: it contains no Maildir"), "{said}");
    let moved: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(moved.as_array().map(Vec::len), Some(2), "{moved}");
    assert!(message(&mut host.imap(USER).await, "Work", 1).await.contains("Number one"));
    assert!(message(&mut host.imap("bob@example.test").await, "INBOX", 1).await.contains("Number two"));
    let scripts = postrider(&host, &["sieve", "list", USER]).await;
    assert!(scripts.to_string().contains("main"), "{scripts}");
    host.stop().await;
}

/// Mail of a user without an account here is reported before, not after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_of_nobody_here_is_told_of_first() {
    let host = Host::start().user(USER).real_time().await;
    let root = tempfile::tempdir().unwrap();
    for user in ["ann", "zed"] {
        for directory in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(root.path().join("example.test").join(user).join(directory)).unwrap();
        }
        std::fs::write(root.path().join("example.test").join(user).join("new/1.a.h"), "Subject: 1\n\nx\n").unwrap();
    }
    for arguments in [&["--dry-run"][..], &[]] {
        let path = root.path().display().to_string();
        let told = cli::output(&host.config(), &[&["import", "dovecot", &path], arguments].concat(), "").await;
        let said = String::from_utf8_lossy(&told.stderr).into_owned();
        let (nobody, moved) =
            (said.find("zed@example.test has no account here"), said.find("ann@example.test: INBOX:"));
        assert!(nobody.is_some() && moved.is_some() && nobody < moved, "{said}");
        assert!(!said.contains("ann@example.test has no account"), "{said}");
    }
    // Mail of nobody at all.
    std::fs::create_dir_all(root.path().join("example.test/a@b/cur")).unwrap();
    std::fs::create_dir_all(root.path().join("example.test/a@c")).unwrap();
    let told = cli::output(&host.config(), &["import", "dovecot", &root.path().display().to_string()], "").await;
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.status.code() == Some(7) && said.contains("the mail in 1 directory was skipped"), "{said}");
    host.stop().await;
}

/// An administrator can read every file; a user of the other server could not, and a link gives nobody another owner's
/// data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_to_what_others_own_are_passed_over() {
    use std::os::unix::fs::{lchown, symlink};
    let host = Host::start().user(USER).real_time().await;
    let (place, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for directory in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(place.path().join(directory)).unwrap();
        std::fs::create_dir_all(other.path().join(directory)).unwrap();
    }
    std::fs::write(other.path().join("new/2.b.h"), "Subject: of another\n\nx\n").unwrap();
    std::fs::write(place.path().join("real"), "Subject: own\n\nx\n").unwrap();
    let links = [
        ("new/1.own.h", place.path().join("real")),
        ("new/3.foreign.h", "/etc/passwd".into()),
        (".Other", other.path().to_owned()),
        ("subscriptions", "/etc/passwd".into()),
        (".dovecot.sieve", "/etc/passwd".into()),
    ];
    // Only root can give a link away; without that, all links belong to the user running this, like `.Other`, and
    // nothing is kept out.
    let is_root = rustix::process::geteuid().is_root();
    for (name, target) in links.into_iter().filter(|(name, _)| is_root || *name != ".Other") {
        symlink(target, place.path().join(name)).unwrap();
        if is_root {
            lchown(place.path().join(name), Some(4711), None).unwrap();
            lchown(place.path().join("real"), Some(4711), None).unwrap();
        }
    }
    let path = place.path().display().to_string();
    let (moved, code) = cli::run(&host.config(), &["import", "dovecot", &path, "--user", USER], "").await;
    assert_eq!((code, counts(&moved)), (7, (1, 0)), "{moved}");
    if is_root {
        assert_eq!(moved[0]["links"], serde_json::json!([place.path().join(".Other")]), "{moved}");
    }
    assert_eq!(moved[0]["folders"][0]["links"], 1, "{moved}");
    let mut imap = host.imap(USER).await;
    assert!(message(&mut imap, "INBOX", 1).await.contains("own"));
    assert!(!format!("{:?}", imap.ok("LSUB \"\" *").await).contains("root"));
    assert_eq!(postrider(&host, &["sieve", "list", USER]).await, serde_json::json!([]));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_come_along_into_a_folder_that_is_there() {
    let host = Host::start().user(USER).real_time().await;
    let mut imap = host.imap(USER).await;
    imap.append("INBOX", "own", "Subject: 1\r\n\r\nx\r\n").await;
    imap.ok("SELECT INBOX").await;
    let place = tempfile::tempdir().unwrap();
    for directory in ["cur", "new", "tmp"] {
        std::fs::create_dir(place.path().join(directory)).unwrap();
    }
    std::fs::write(place.path().join("dovecot-keywords"), "0 $label1\n1 holiday\n").unwrap();
    std::fs::write(place.path().join("cur/1.a.h:2,Sab"), "Subject: 2\n\ny\n").unwrap();
    let from = place.path().display().to_string();
    assert_eq!(counts(&postrider(&host, &["import", "maildir", &from, "--user", USER]).await), (1, 0));
    imap.ok("NOOP").await;
    let flags = imap.ok("FETCH 1:2 FLAGS").await.untagged;
    assert!(flags[0].contains("own") && !flags[0].contains("holiday"), "{flags:?}");
    assert!(["\\Seen", "$label1", "holiday"].iter().all(|flag| flags[1].contains(flag)), "{flags:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_comes_in_only_for_users_that_there_are() {
    let host = Host::start().user(USER).real_time().await;
    let mbox = host.directory().join("one.mbox");
    std::fs::write(&mbox, "From a@b Mon Nov 23 04:00:00 2026\nSubject: 1\n\nx\n").unwrap();
    let mbox = mbox.display().to_string();
    for user in ["nobody@example.test", "who@nodomain.test"] {
        let (told, code) = cli::run(&host.config(), &["import", "mbox", &mbox, "--user", user], "").await;
        assert_eq!(code, 4, "{told}");
        assert!(told["error"].as_str().unwrap().contains(user), "{told}");
    }
    assert!(!host.mail_root().join("example.test/nobody").exists());
    host.stop().await;
}

/// Unreadable mail of one user does not stop the next ones, and mail imported before counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_that_cannot_be_read_keeps_nobody_elses_out() {
    let (bob, carl) = ("bob@example.test", "carl@example.test");
    let host = Host::start().user(USER).user(bob).user(carl).real_time().await;
    let root = tempfile::tempdir().unwrap();
    let domain = root.path().join("example.test");
    // Some programs make `new` only with the first message.
    for user in ["ann", "bob", "carl"] {
        std::fs::create_dir_all(domain.join(user).join("cur")).unwrap();
        std::fs::write(domain.join(user).join("cur/1700000000.M1P1.h:2,S"), "Subject: 1\n\nx\n").unwrap();
    }
    std::fs::create_dir(domain.join("bob/dovecot-uidlist")).unwrap();
    std::fs::write(domain.join("carl/cur/1700000001.M2P2.h,Z:2,S"), "BZh91AY&SY").unwrap();
    let (moved, code) = cli::run(&host.config(), &["import", "dovecot", &root.path().display().to_string()], "").await;
    assert_eq!(code, 7, "{moved}");
    let problems: Vec<bool> = moved.as_array().unwrap().iter().map(|user| user["problem"].is_string()).collect();
    assert_eq!(problems, [false, true, false], "{moved}");
    assert_eq!(moved[2]["folders"][0]["unreadable"], 1, "{moved}");
    for (user, messages) in [(USER, 1), (bob, 0), (carl, 1)] {
        assert_eq!(postrider(&host, &["user", "show", user]).await["messages"], messages, "{user}");
    }
    host.stop().await;
}

/// Dovecot's own formats are mail, too, and the administrator is told if they are left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_that_only_dovecot_reads_is_told_of() {
    let host = Host::start().user(USER).user("bob@example.test").real_time().await;
    let root = tempfile::tempdir().unwrap();
    let domain = root.path().join("example.test");
    for directory in ["ann/mdbox/mailboxes", "ann/mdbox/storage", "bob/mailboxes/INBOX/dbox-Mails", "carl/cur"] {
        std::fs::create_dir_all(domain.join(directory)).unwrap();
    }
    std::fs::write(domain.join("carl/cur/1700000000.M1P1.h:2,S"), "Subject: 1\n\nx\n").unwrap();
    let (moved, code) = cli::run(&host.config(), &["import", "dovecot", &root.path().display().to_string()], "").await;
    assert_eq!((code, counts(&moved)), (7, (0, 0)), "{moved}");
    let says_how =
        |problem: &serde_json::Value| problem.as_str().is_some_and(|problem| problem.contains("doveadm backup"));
    let problems: Vec<bool> = moved.as_array().unwrap().iter().map(|user| says_how(&user["problem"])).collect();
    assert_eq!(problems, [true, true, false], "{moved}");
    assert_eq!(moved[2]["folders"][0]["messages"], 1, "{moved}");
    for user in [USER, "bob@example.test"] {
        let path = domain.join(user.split('@').next().unwrap()).display().to_string();
        let (told, code) = cli::run(&host.config(), &["import", "dovecot", &path, "--user", user], "").await;
        assert!(code == 1 && says_how(&told["error"]), "{code} {told}");
    }
    host.stop().await;
}
