use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::client::Client;
use super::{Steps, User, address};
use crate::config::Protocol;
use crate::daemon::Listening;

/// What the message says.
const BODY: &str = "This message went from Ann to Bob over authenticated TLS.\r\n.. and back out over IMAP.\r\n";

/// Sends a message from the first user to the second and reads it back.
pub(super) async fn run(
    listening: &[Listening],
    authority: &Path,
    users: &[User],
    steps: &mut Steps,
) -> anyhow::Result<()> {
    let [ann, bob] = users else { bail!("exactly two users are needed") };
    let check = async {
        let subject = format!("Self-check {}", std::process::id());
        submit(address(listening, Protocol::Submissions)?, authority, ann, bob, &subject, steps).await?;
        read(address(listening, Protocol::Imaps)?, authority, bob, &subject, steps).await
    };
    tokio::time::timeout(PATIENCE, check).await.context("the self-check took too long")?
}

async fn submit(
    address: std::net::SocketAddr,
    authority: &Path,
    from: &User,
    to: &User,
    subject: &str,
    steps: &mut Steps,
) -> anyhow::Result<()> {
    let mut client = Client::connect(address, authority).await.context("submission over TLS")?;
    client.smtp("", "220").await?;
    client.smtp("EHLO demo.example.test", "250").await?;
    let plain = STANDARD.encode(format!("\0{}\0{}", from.address, from.password));
    client.smtp(&format!("AUTH PLAIN {plain}"), "235").await?;
    steps.done(&format!("{} logged in for submission over TLS", from.address));
    client.smtp(&format!("MAIL FROM:<{}>", from.address), "250").await?;
    client.smtp(&format!("RCPT TO:<{}>", to.address), "250").await?;
    client.smtp("DATA", "354").await?;
    let header = format!("From: {}\r\nTo: {}\r\nSubject: {subject}\r\n\r\n", from.address, to.address);
    // RFC 5321 §4.5.2: a dot at the start of a line is sent twice.
    let stuffed = BODY.replace("\r\n.", "\r\n..");
    client.send(&format!("{header}{stuffed}")).await?;
    client.smtp(".", "250").await?;
    client.smtp("QUIT", "221").await?;
    steps.done(&format!("submitted a message to {}; it is on disk", to.address));
    Ok(())
}

async fn read(
    address: std::net::SocketAddr,
    authority: &Path,
    user: &User,
    subject: &str,
    steps: &mut Steps,
) -> anyhow::Result<()> {
    let mut client = Client::connect(address, authority).await.context("IMAP over TLS")?;
    let greeting = client.line().await?;
    if !greeting.starts_with("* OK") {
        bail!("the IMAP server greets with `{greeting}`");
    }
    client.imap("a", &format!("LOGIN {} {}", user.address, user.password)).await?;
    steps.done(&format!("{} logged in to IMAP over TLS", user.address));
    client.imap("b", "SELECT INBOX").await?;
    let found = client.imap("c", &format!("UID SEARCH SUBJECT \"{subject}\"")).await?;
    let uids =
        found.iter().find_map(|(line, _)| line.strip_prefix("* SEARCH ").or(line.split_once(" ALL ").map(|x| x.1)));
    let uid =
        uids.and_then(|uids| uids.split([' ', ',', ':']).next_back()).context("the message is not in the INBOX")?;
    let fetched = client.imap("d", &format!("UID FETCH {uid} (BODY.PEEK[])")).await?;
    let message = fetched.iter().find(|(_, literal)| !literal.is_empty()).context("the message is empty")?;
    let text = String::from_utf8_lossy(&message.1);
    if !text.ends_with(BODY) || !text.contains(&format!("Subject: {subject}\r\n")) {
        bail!("the message was changed in transit");
    }
    client.imap("e", "LOGOUT").await?;
    steps.done(&format!("read it back unchanged: {} octets", message.1.len()));
    Ok(())
}

/// Longer than any machine needs.
const PATIENCE: Duration = Duration::from_secs(60);
