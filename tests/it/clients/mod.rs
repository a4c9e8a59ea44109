//! Sessions of external clients; the scripts are in `tests/clients`.

mod extensions;
pub mod leaving;
mod moving;
mod moving_files;
mod order;
mod other_servers;
mod programs;

use futures_util::FutureExt as _;
use std::time::Duration;

use mail_auth::report::{Disposition, DmarcResult, PolicyEvaluated, PolicyPublished, Record, Report, Row};
use postrider::foundations::clock::{Clock as _, SystemClock};
use postrider::foundations::event::{Event, EventKind};
use postrider::foundations::secret::Secret;
use postrider::services::backup::{Run, RunKind, note_run};
use postrider::storage::journal::Query;
use postrider::storage::reports::{Kind, Received};
use serde_json::json;

use crate::harness::{Host, PASSWORD, tools};

async fn run(script: &str, programs: &[&str]) {
    let host = Host::start().user("ann@example.test").user("bob@example.test").real_time().await;
    tools::run_script(script, programs, &host.description()).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn smtplib() {
    run("smtplib_session.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn imaplib() {
    run("imaplib_session.py", &[]).await;
}

/// Twice: what the clients knew before a restart must bring them up to date after it.
#[tokio::test(flavor = "multi_thread")]
async fn imap_sessions_against_a_model() {
    let host = Host::start().user("ann@example.test").real_time().await;
    tools::run_script("imap_model.py", &[], &host.description()).await;
    let host = host.restart().await;
    tools::run_script("imap_model.py", &[], &host.description()).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poplib() {
    run("poplib_session.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn managesieve() {
    let host = Host::start().user("ann@example.test").user("bob@example.test").real_time().await;
    let description = host.description();
    tools::run_system_script("managesieve_session.py", &["sievelib"], &["sieve-connect"], &description).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn swaks() {
    run("swaks_session.py", &["swaks"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn curl() {
    run("curl_session.py", &["curl"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mbsync() {
    run("mbsync_session.py", &["mbsync"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offlineimap() {
    run("offlineimap_session.py", &["offlineimap"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn msmtp_fetchmail_mpop_and_s_nail() {
    run("fetching_session.py", &["msmtp", "fetchmail", "mpop", "s-nail"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thunderbird() {
    run("thunderbird_session.py", &["thunderbird", "certutil"]).await;
}

/// A server whose monitoring page requires a password.
async fn run_dashboard(script: &str, module: &str, programs: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let password = directory.path().join("dashboard-password");
    let hash = postrider::services::login::hash(&Secret::new(PASSWORD.to_owned()), 4).unwrap();
    std::fs::write(&password, hash.expose()).unwrap();
    let settings = format!(
        "[dashboard]\npassword_file = \"{}\"\nwrong_password_delay = \"10ms\"\nfresh_for = \"1s\"\n\
         [guard]\nlongest_delay = \"10ms\"\n[queue]\nsample_every = \"5s\"\n",
        password.display()
    );
    let host = Host::start().settings(&settings).user("ann@example.test").user("bob@example.test");
    let host = host.dns("silent.test FAIL").real_time().await;
    note_backups(&host).await;
    note_report(&host).await;
    tools::run_system_script(script, &[module], programs, &host.description()).await;
    host.stop().await;
}

/// A backup, and a drill of it that found a problem.
async fn note_backups(host: &Host) {
    let at = SystemClock.now();
    let totals = json!({ "messages": 1234, "octets": 5_000_000, "stored": 4_000_000 });
    let differences = ["ann@example.test: folder `INBOX` differs", "bob@example.test: folder `Sent` is not there"];
    let drilled = json!({ "backup": "b1", "users": 3, "messages": 1234, "differences": differences });
    for (n, (what, name, details, problem)) in
        [(RunKind::Created, "totals", totals, None), (RunKind::Drill, "drill", drilled, Some(differences[0]))]
            .into_iter()
            .enumerate()
    {
        let at = at - Duration::from_secs(60 + n as u64);
        let run = Run {
            what,
            at,
            succeeded_at: None,
            milliseconds: 9_000,
            recovery_milliseconds: (what == RunKind::Drill).then_some(2_500),
            differences: (what == RunKind::Drill).then_some(2),
            problem: problem.map(str::to_owned),
        };
        note_run(&host.parts().database, &run).await.unwrap();
        let event =
            Event::new(at, EventKind::Backup).with("what", what.word()).with("backup", "b1").with(name, details);
        host.parts().journal.record(event);
    }
    host.parts().journal.flush().await;
}

/// A report of another server about forged mail.
async fn note_report(host: &Host) {
    let row = |source: &str, count, result| Record {
        row: Row {
            source_ip: Some(source.parse().unwrap()),
            count,
            policy_evaluated: PolicyEvaluated { dkim: result, spf: result, ..PolicyEvaluated::default() },
        },
        ..Record::default()
    };
    let content = Report {
        policy_published: PolicyPublished { p: Disposition::Quarantine, ..PolicyPublished::default() },
        record: vec![row("192.0.2.7", 40, DmarcResult::Pass), row("192.0.2.66", 2, DmarcResult::Fail)],
        ..Report::default()
    };
    let now = SystemClock.now();
    let received = Received {
        kind: Kind::Dmarc,
        domain: "example.test".to_owned(),
        organization: "peer.example".to_owned(),
        report_id: "1".to_owned(),
        sender: "reports@peer.example".to_owned(),
        begins_at: now - Duration::from_hours(24),
        ends_at: now - Duration::from_secs(1),
        received_at: now,
        passed: 40,
        failed: 2,
        content: serde_json::to_string(&content).unwrap(),
    };
    assert!(host.parts().reports.keep(&received).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_api() {
    run_dashboard("dashboard_api.py", "jsonschema", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_in_chromium() {
    run_dashboard("dashboard_browser.py", "selenium", &["chromium", "chromedriver"]).await;
}

/// A server with two users; answers to wrong passwords are not delayed.
async fn run_webmail(script: &str, module: &str, programs: &[&str]) {
    let settings = "[guard]\nlongest_delay = \"10ms\"\n[webmail]\nattachment = \"1M\"\n";
    let host = Host::start().settings(settings).user("ann@example.test").user("bob@example.test").real_time().await;
    tools::run_system_script(script, &[module], programs, &host.description()).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webmail_api() {
    run_webmail("webmail_api.py", "jsonschema", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webmail_filters() {
    let attempt =
        || run_webmail("webmail_filters.py", "selenium, sievelib", &["chromium", "chromedriver", "sieve-connect"]);
    if std::panic::AssertUnwindSafe(attempt()).catch_unwind().await.is_err() {
        eprintln!("once more, with another server");
        attempt().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn app_passwords_and_two_factor() {
    run_webmail("security_session.py", "pyotp", &[]).await;
}

/// A server that demands two-factor login from the users of one domain.
#[tokio::test(flavor = "multi_thread")]
async fn two_factor_in_chromium() {
    let settings = "[guard]\nlongest_delay = \"10ms\"\n[login]\ntwo_factor_domains = [\"strict.test\"]\n";
    let attempt = async || {
        let host = Host::start().settings(settings).user("ann@example.test").user("bob@strict.test");
        let host = host.real_time().await;
        let programs = ["chromium", "chromedriver"];
        tools::run_system_script("security_browser.py", &["selenium", "pyotp"], &programs, &host.description()).await;
        host.stop().await;
    };
    if std::panic::AssertUnwindSafe(attempt()).catch_unwind().await.is_err() {
        eprintln!("once more, with another server");
        attempt().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webmail_in_chromium() {
    // A browser on a very busy machine may lose a key press. A test that fails twice, on servers of its own, shows a
    // defect.
    let attempt = || run_webmail("webmail_browser.py", "selenium", &["chromium", "chromedriver"]);
    if std::panic::AssertUnwindSafe(attempt()).catch_unwind().await.is_err() {
        eprintln!("once more, with another server");
        attempt().await;
    }
}

/// Phones, large fonts, the keyboard alone, a slow line.
#[tokio::test(flavor = "multi_thread")]
async fn access_in_chromium() {
    let attempt = || run_webmail("accessibility_browser.py", "selenium", &["chromium", "chromedriver"]);
    if std::panic::AssertUnwindSafe(attempt()).catch_unwind().await.is_err() {
        eprintln!("once more, with another server");
        attempt().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn formatted_messages_in_chromium() {
    let attempt = || run_webmail("formatted_browser.py", "selenium", &["chromium", "chromedriver"]);
    if std::panic::AssertUnwindSafe(attempt()).catch_unwind().await.is_err() {
        eprintln!("once more, with another server");
        attempt().await;
    }
}

/// Everything about composing a letter: responses, signatures, a priority, message files.
#[tokio::test(flavor = "multi_thread")]
async fn writing_in_chromium() {
    let attempt = || run_webmail("writing_browser.py", "selenium", &["chromium", "chromedriver"]);
    if std::panic::AssertUnwindSafe(attempt()).catch_unwind().await.is_err() {
        eprintln!("once more, with another server");
        attempt().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_in_chromium() {
    let attempt = || run_webmail("letters_browser.py", "selenium", &["chromium", "chromedriver"]);
    if std::panic::AssertUnwindSafe(attempt()).catch_unwind().await.is_err() {
        eprintln!("once more, with another server");
        attempt().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn caldav_and_vdirsyncer() {
    let settings =
        "[guard]\nlongest_delay = \"10ms\"\n[dav]\nobject = \"64K\"\nelements = 2000\nremoved = 5\nanswer = \"256K\"\n";
    let host = Host::start().settings(settings).user("ann@example.test").user("bob@example.test").real_time().await;
    tools::run_system_script("dav_session.py", &["caldav"], &["vdirsyncer"], &host.description()).await;
    let query = Query { kinds: vec![EventKind::CollectionChanged, EventKind::CollectionRefused], ..Query::default() };
    let kinds: Vec<EventKind> = host.events(&query).await.iter().map(|event| event.kind).collect();
    assert!(
        kinds.contains(&EventKind::CollectionChanged) && kinds.contains(&EventKind::CollectionRefused),
        "{kinds:?}"
    );
    let logins = host.events(&Query { kinds: vec![EventKind::LoginAccepted], ..Query::default() }).await;
    // Programs send the password with every request; one proof is valid for some minutes.
    assert!(logins.len() < 20, "{} logins", logins.len());
    host.stop().await;
}
