//! Greylisting: an unknown sender of a doubtful message is asked to try again.

use std::net::IpAddr;
use std::time::Duration;

use crate::foundations::clock::Timestamp;
use crate::foundations::hexadecimal::hexadecimal;
use crate::storage::database::{self, Database};

use super::settings::GreylistSettings;

/// What to do with an unknown sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The sender has come back, or is known.
    Known,
    /// The sender must wait.
    Wait,
}

/// Looks up and remembers a sender, given by everything that identifies the same sender again. The settings say how long
/// senders are remembered; `delay` is how long they must wait.
pub async fn ask(
    database: &Database,
    settings: &GreylistSettings,
    delay: Duration,
    name: &str,
    now: Timestamp,
) -> Result<Answer, database::Error> {
    let key = digest(name);
    let row = database
        .fetch_optional("SELECT first_seen, last_seen, passed FROM greylist WHERE triplet = ?", &[key.as_str().into()])
        .await?;
    let (first, last, passed) = match row {
        // A sender who came while the clock was ahead counts as having come now.
        Some(row) => (row.time(0)?.min(now), row.time(1)?.min(now), row.truth(2)?),
        None => (now, Timestamp::EPOCH, false),
    };
    let kept = if passed { settings.remember } else { settings.window };
    let stale = now.since(last) > kept.duration();
    let (first, passed) = if stale { (now, false) } else { (first, passed) };
    let waited = now.since(first) >= delay;
    let known = !stale && (passed || waited);
    let upsert = database.dialect().upsert("greylist", &["triplet"], &["first_seen", "last_seen", "passed"]);
    database.execute(upsert, &[key.into(), first.into(), now.into(), known.into()]).await?;
    // From time to time, so that senders who never come back do not fill the table.
    if now.unix_micros() % 256 == 0 {
        prune(database, settings, now).await?;
    }
    Ok(if known { Answer::Known } else { Answer::Wait })
}

/// Deletes expired senders.
async fn prune(database: &Database, settings: &GreylistSettings, now: Timestamp) -> Result<u64, database::Error> {
    let stale = now - settings.window.duration();
    let forgotten = now - settings.remember.duration();
    let sql = "DELETE FROM greylist WHERE (passed = 0 AND last_seen < ?) OR last_seen < ?";
    database.execute(sql, &[stale.into(), forgotten.into()]).await
}

/// A hash, so that the table does not reveal who writes to whom.
fn digest(name: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.to_lowercase().as_bytes());
    hexadecimal(digest.as_ref())
}

/// The network a client may come back from: /24 or /64.
pub fn network(client: IpAddr) -> String {
    match client.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}")
        }
        IpAddr::V6(v6) => format!("{:?}", &v6.segments()[..4]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::settings::Span;
    use crate::storage::database::test_database;

    #[tokio::test]
    async fn a_stranger_who_comes_back_is_known() {
        let (_folder, database) = test_database().await;
        let settings = GreylistSettings { enabled: true, ..GreylistSettings::default() };
        let client = "198.51.100.7".parse().unwrap();
        let start = Timestamp::from_unix_seconds(1_000_000);
        let mut now = start;
        for (after, from, wanted) in [
            (Span::seconds(0), client, Answer::Wait),
            (Span::seconds(60), client, Answer::Wait),
            (Span::minutes(5), client, Answer::Known),
            (Span::seconds(1), "198.51.100.9".parse().unwrap(), Answer::Known),
            (Span::seconds(1), "198.51.101.9".parse().unwrap(), Answer::Wait),
            (Span::days(20), client, Answer::Known),
            (Span::days(40), client, Answer::Wait),
        ] {
            now = now + after.duration();
            let name = format!("{} a@b.test c@d.test", network(from));
            let answer = ask(&database, &settings, settings.delay.duration(), &name, now).await.unwrap();
            assert_eq!(answer, wanted, "{now}");
        }
        assert_eq!(prune(&database, &settings, now + Span::days(3).duration()).await.unwrap(), 2);
        // A stranger comes while the clock is ahead by a year, and comes back.
        let name = "198.51.100 e@b.test c@d.test";
        let ahead = now + Span::days(365).duration();
        for (at, wanted) in
            [(ahead, Answer::Wait), (now, Answer::Wait), (now + Span::minutes(6).duration(), Answer::Known)]
        {
            let answer = ask(&database, &settings, settings.delay.duration(), name, at).await.unwrap();
            assert_eq!(answer, wanted, "{at}");
        }
    }
}
