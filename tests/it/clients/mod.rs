//! Sessions of clients that nobody here wrote; the scripts are in `tests/clients`.

mod moving;

use postrider::foundations::secret::Secret;

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

/// A server whose monitoring page wants a password.
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
    tools::run_system_script(script, &[module], programs, &host.description()).await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_api() {
    run_dashboard("dashboard_api.py", "jsonschema", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_in_chromium() {
    run_dashboard("dashboard_browser.py", "selenium", &["chromium", "chromedriver"]).await;
}
