//! The virus scanner: clamd's INSTREAM command.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::settings::ClamavSettings;

/// What the scanner says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing was found.
    Clean,
    /// This was found.
    Infected(String),
}

/// The scanner cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke.
    #[error("clamd does not answer: {0}")]
    Io(#[from] std::io::Error),
    /// It did not answer in time.
    #[error("clamd did not answer in time")]
    Timeout,
    /// It says something else.
    #[error("clamd answers `{0}`")]
    Answer(String),
}

/// Octets sent in one piece.
const CHUNK: usize = 64 * 1024;
/// Longest answer that is read.
const MAX_ANSWER: u64 = 4096;

/// Has the pieces of one message scanned. `None` when scanning is not set up or the message is too large.
pub async fn scan(settings: &ClamavSettings, pieces: &[&[u8]]) -> Option<Result<Answer, Error>> {
    let endpoint = settings.address.as_ref()?;
    if pieces.iter().map(|p| p.len()).sum::<usize>() > settings.largest.len() {
        return None;
    }
    let patience: Duration = settings.timeout.duration();
    let asked = async {
        let mut wire = endpoint.connect(patience).await?;
        wire.write_all(b"zINSTREAM\0").await?;
        for chunk in pieces.iter().flat_map(|p| p.chunks(CHUNK)) {
            wire.write_all(&u32::try_from(chunk.len()).unwrap_or(0).to_be_bytes()).await?;
            wire.write_all(chunk).await?;
        }
        wire.write_all(&0u32.to_be_bytes()).await?;
        wire.flush().await?;
        let mut answer = Vec::new();
        wire.take(MAX_ANSWER).read_to_end(&mut answer).await?;
        understand(&String::from_utf8_lossy(&answer))
    };
    Some(tokio::time::timeout(patience, asked).await.unwrap_or(Err(Error::Timeout)))
}

/// `stream: OK`, `stream: Name FOUND`, or an error.
fn understand(answer: &str) -> Result<Answer, Error> {
    let answer = answer.trim_matches(['\0', '\n', ' ']);
    let text = answer.strip_prefix("stream: ").unwrap_or(answer);
    if text == "OK" {
        return Ok(Answer::Clean);
    }
    match text.strip_suffix(" FOUND") {
        Some(name) => Ok(Answer::Infected(name.chars().filter(|c| !c.is_control()).take(100).collect())),
        None => Err(Error::Answer(answer.chars().filter(|c| !c.is_control()).take(200).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        assert_eq!(understand("stream: OK\0").unwrap(), Answer::Clean);
        assert_eq!(understand("stream: Eicar-Test FOUND\0").unwrap(), Answer::Infected("Eicar-Test".into()));
        assert!(understand("INSTREAM size limit exceeded. ERROR\0").is_err());
        assert!(understand("").is_err());
    }
}
