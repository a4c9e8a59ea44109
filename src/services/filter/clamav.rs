//! The virus scanner: clamd's INSTREAM command.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::settings::ClamavSettings;

/// What the scanner says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing was found.
    Clean,
    /// This was found.
    Infected(String),
}

/// The scanner cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke.
    #[error("clamd does not answer: {0}")]
    Io(#[from] std::io::Error),
    /// It did not answer in time.
    #[error("clamd did not answer in time")]
    Timeout,
    /// It accepts less at once than it was sent.
    #[error(
        "clamd does not accept messages as large as this one: set its `StreamMaxLength` to at least `spam.clamav.largest`"
    )]
    TooLarge,
    /// It says something else.
    #[error("clamd answers `{0}`")]
    Answer(String),
}

/// Octets sent in one piece.
const CHUNK: usize = 64 * 1024;
/// Longest answer that is read.
const MAX_ANSWER: u64 = 4096;

/// Scans a message given in pieces. `None` when scanning is not set up or the message is too large.
pub async fn scan(settings: &ClamavSettings, pieces: &[&[u8]]) -> Option<Result<Answer, Error>> {
    let endpoint = settings.address.as_ref()?;
    if pieces.iter().map(|p| p.len()).sum::<usize>() > settings.largest.len() {
        return None;
    }
    let patience: Duration = settings.timeout.duration();
    let asked = async {
        let mut wire = endpoint.connect(patience).await?;
        let sent = send(&mut wire, pieces).await;
        let (answer, read) = read(&mut wire).await;
        // It closes the connection when it is sent too much, and has said so before.
        if answer.is_empty() {
            sent?;
            read?;
            return understand("");
        }
        match understand(&String::from_utf8_lossy(&answer))? {
            // A message is not clean unless the scanner has seen its end.
            Answer::Clean => sent.map(|()| Answer::Clean).map_err(Error::Io),
            found @ Answer::Infected(_) => Ok(found),
        }
    };
    Some(tokio::time::timeout(patience, asked).await.unwrap_or(Err(Error::Timeout)))
}

async fn send(wire: &mut (impl AsyncWrite + Unpin), pieces: &[&[u8]]) -> std::io::Result<()> {
    wire.write_all(b"zINSTREAM\0").await?;
    for chunk in pieces.iter().flat_map(|p| p.chunks(CHUNK)) {
        wire.write_all(&u32::try_from(chunk.len()).unwrap_or(0).to_be_bytes()).await?;
        wire.write_all(chunk).await?;
    }
    wire.write_all(&0u32.to_be_bytes()).await?;
    wire.flush().await
}

/// The answer to a command in its `z` form, which ends with NUL, or what arrived of it. A proxy in front of clamd need not close
/// the connection after it.
async fn read(wire: &mut (impl AsyncRead + Unpin)) -> (Vec<u8>, std::io::Result<()>) {
    let (mut answer, mut wire) = (Vec::new(), wire.take(MAX_ANSWER));
    while !answer.contains(&0) {
        match wire.read_buf(&mut answer).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return (answer, Err(error)),
        }
    }
    (answer, Ok(()))
}

/// `stream: OK`, `stream: Name FOUND`, or an error.
fn understand(answer: &str) -> Result<Answer, Error> {
    let answer = answer.trim_matches(['\0', '\n', ' ']);
    let text = answer.strip_prefix("stream: ").unwrap_or(answer);
    if text == "OK" {
        return Ok(Answer::Clean);
    }
    if text.starts_with("INSTREAM size limit exceeded") {
        return Err(Error::TooLarge);
    }
    match text.strip_suffix(" FOUND") {
        Some(name) => Ok(Answer::Infected(name.chars().filter(|c| !c.is_control()).take(100).collect())),
        None => Err(Error::Answer(answer.chars().filter(|c| !c.is_control()).take(200).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::filter::Endpoint;

    #[test]
    fn answers() {
        assert_eq!(understand("stream: OK\0").unwrap(), Answer::Clean);
        assert_eq!(understand("stream: Eicar-Test FOUND\0").unwrap(), Answer::Infected("Eicar-Test".into()));
        assert!(matches!(understand("INSTREAM size limit exceeded. ERROR\0"), Err(Error::TooLarge)));
        assert!(understand("").is_err());
    }

    /// What is found when the scanner reads so much of a message of 4 MB, says this, and then ends the connection or not.
    async fn found_where(reads: Reads, said: &str, then: Then) -> Result<Answer, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clamd.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let settings = ClamavSettings { address: Some(Endpoint::Unix(path)), ..ClamavSettings::default() };
        let message = vec![b'x'; 4 << 20];
        let pieces = [message.as_slice()];
        let clamd = async {
            let (mut wire, _) = listener.accept().await.unwrap();
            let all = message.len() + message.len() / CHUNK * 4 + b"zINSTREAM\0".len() + 4;
            let reads = if reads == Reads::All { all } else { 1000 };
            wire.read_exact(&mut vec![0; reads]).await.unwrap();
            // It may be cut short.
            wire.write_all(said.as_bytes()).await.ok();
            (then == Then::Stays).then_some(wire)
        };
        let (found, _) = tokio::join!(scan(&settings, &pieces), clamd);
        found.unwrap()
    }

    #[derive(PartialEq)]
    enum Reads {
        All,
        Little,
    }

    #[derive(PartialEq)]
    enum Then {
        Closes,
        Stays,
    }

    #[tokio::test]
    async fn says_why_it_breaks_off() {
        for (said, wanted) in [("INSTREAM size limit exceeded. ERROR\0", "StreamMaxLength"), ("", "does not answer")] {
            let error = found_where(Reads::Little, said, Then::Closes).await.unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[tokio::test]
    async fn nothing_is_clean_that_was_not_seen_to_its_end() {
        assert_eq!(found_where(Reads::All, "stream: OK\0", Then::Closes).await.unwrap(), Answer::Clean);
        let early = found_where(Reads::Little, "stream: OK\0", Then::Closes).await;
        assert!(matches!(early, Err(Error::Io(_))), "{early:?}");
        let found = found_where(Reads::Little, "stream: Eicar-Test FOUND\0", Then::Closes).await;
        assert_eq!(found.unwrap(), Answer::Infected("Eicar-Test".into()));
        for said in ["stream: OK\0stream: Eicar-Test FOUND\0", &"stream: OK".repeat(1_000_000)] {
            let found = found_where(Reads::All, said, Then::Closes).await;
            assert!(matches!(found, Err(Error::Answer(_)) | Ok(Answer::Infected(_))), "{found:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_ends_where_it_ends() {
        assert_eq!(found_where(Reads::All, "stream: OK\0", Then::Stays).await.unwrap(), Answer::Clean);
    }
}
