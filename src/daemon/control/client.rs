//! The client side of the control sockets: requests to running roles.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::request::{Answer, Asked, Complaint, Request, Status};
use super::{Reach, socket};
use crate::config::Role;
use crate::daemon::figures::ProcessFigures;
use crate::daemon::{ServerSettings, administrator};
use crate::services::guard::Ban;
use crate::services::served::Report;

/// The request could not be made or was refused.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No role listens there.
    #[error(
        "no server with the role `{role}` is running: nothing listens on `{}`. Start its service (`systemctl start postrider`, \
         on NixOS `postrider-{role}`); if it runs with another configuration, name that with `--config`",
        socket.display()
    )]
    NotRunning {
        /// Which role was wanted.
        role: Role,
        /// Its socket.
        socket: PathBuf,
    },
    /// The socket cannot be used.
    #[error("the running server cannot be reached over `{}`: {source}{}", socket.display(), remedy(source))]
    Socket {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The server accepted the connection but did not answer.
    #[error(
        "the running server has not answered over `{}` within {} seconds: it hangs or is overloaded; it may still carry \
         out the request",
        socket.display(),
        waited.as_secs()
    )]
    NoAnswer {
        /// The socket.
        socket: PathBuf,
        /// How long the client waited.
        waited: Duration,
    },
    /// The server answered with an error.
    #[error("{}", .0.text)]
    Refused(Complaint),
}

fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            ". Only root and the user that the server runs as may use the socket: run this command as one of them, for \
             example with `sudo`"
        }
        _ => "",
    }
}

/// Sends a request to the running server that has a role.
///
/// # Errors
/// No such server is running, it cannot be reached, or it refuses.
pub async fn ask<T: DeserializeOwned>(
    server: &ServerSettings,
    role: Role,
    request: &Request,
) -> Result<T, RequestError> {
    ask_over(socket(server, role, Reach::Everything), role, request, &[]).await
}

/// Posts a message, whose octets follow the request, through the role with the queue.
///
/// # Errors
/// As [`ask`].
pub(in crate::daemon) async fn post<T: DeserializeOwned>(
    server: &ServerSettings,
    request: &Request,
    pieces: &[&[u8]],
) -> Result<T, RequestError> {
    ask_over(socket(server, Role::Mta, Reach::Posting), Role::Mta, request, pieces).await
}

/// The certificates of a running role, over the read-only socket.
///
/// # Errors
/// As [`ask`].
pub(in crate::daemon) async fn look_at_certificates(
    server: &ServerSettings,
    role: Role,
) -> Result<Report, RequestError> {
    ask_over(socket(server, role, Reach::ReadOnly), role, &Request::Certificates, &[]).await
}

/// The status of a role's process, over the read-only socket.
///
/// # Errors
/// As [`ask`].
pub async fn look_at_status(server: &ServerSettings, role: Role) -> Result<Status, RequestError> {
    ask_over(socket(server, role, Reach::ReadOnly), role, &Request::Status, &[]).await
}

/// The figures of a running role's process, over the read-only socket.
///
/// # Errors
/// As [`ask`].
pub(in crate::daemon) async fn look_at_figures(
    server: &ServerSettings,
    role: Role,
) -> Result<ProcessFigures, RequestError> {
    ask_over(socket(server, role, Reach::ReadOnly), role, &Request::Figures, &[]).await
}

/// The bans of a running role, over the read-only socket.
///
/// # Errors
/// As [`ask`].
pub(in crate::daemon) async fn look_at_bans(server: &ServerSettings, role: Role) -> Result<Vec<Ban>, RequestError> {
    ask_over(socket(server, role, Reach::ReadOnly), role, &Request::BanList, &[]).await
}

async fn ask_over<T: DeserializeOwned>(
    socket: PathBuf,
    role: Role,
    request: &Request,
    pieces: &[&[u8]],
) -> Result<T, RequestError> {
    ask_within(request.patience(), socket, role, request, pieces).await
}

async fn ask_within<T: DeserializeOwned>(
    patience: Duration,
    socket: PathBuf,
    role: Role,
    request: &Request,
    pieces: &[&[u8]],
) -> Result<T, RequestError> {
    let conversation = converse(socket.clone(), role, request, pieces);
    let answered = tokio::time::timeout(patience, conversation).await;
    answered.unwrap_or(Err(RequestError::NoAnswer { socket, waited: patience }))
}

async fn converse<T: DeserializeOwned>(
    socket: PathBuf,
    role: Role,
    request: &Request,
    pieces: &[&[u8]],
) -> Result<T, RequestError> {
    use std::io::ErrorKind;
    let failed = |source| RequestError::Socket { socket: socket.clone(), source };
    let stream = match tokio::net::UnixStream::connect(&socket).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Err(RequestError::NotRunning { role, socket });
        }
        Err(error) => return Err(failed(error)),
    };
    let mut stream = BufReader::new(stream);
    let administrator = request.is_recorded().then(administrator).flatten();
    let mut line = serde_json::to_vec(&Asked { request, administrator }).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).await.map_err(failed)?;
    for piece in pieces {
        stream.write_all(piece).await.map_err(failed)?;
    }
    line.clear();
    stream.read_until(b'\n', &mut line).await.map_err(failed)?;
    let malformed = |error: serde_json::Error| failed(error.into());
    match serde_json::from_slice(&line).map_err(malformed)? {
        Answer::Done(value) => serde_json::from_value(value).map_err(malformed),
        Answer::Failed(complaint) => Err(RequestError::Refused(complaint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_cannot_ask_is_told_what_to_do() {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("mta.sock");
        let asked = ask_over::<Status>(socket.clone(), Role::Mta, &Request::Status, &[]).await;
        let told = asked.unwrap_err().to_string();
        assert!(told.contains("`systemctl start postrider`") && told.contains(&socket.display().to_string()), "{told}");
        let denied = RequestError::Socket { socket, source: std::io::ErrorKind::PermissionDenied.into() };
        assert!(denied.to_string().ends_with("with `sudo`"), "{denied}");
    }

    #[tokio::test]
    async fn a_server_that_hangs_is_not_waited_for_for_ever() {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("mta");
        // The system accepts connections, but nobody reads from them.
        let _silent = tokio::net::UnixListener::bind(&socket).unwrap();
        let large = vec![b'x'; 4 << 20];
        for pieces in [&[][..], &[large.as_slice()]] {
            let patience = Duration::from_millis(20);
            let asking = ask_within::<Status>(patience, socket.clone(), Role::Mta, &Request::Status, pieces);
            let asked = tokio::time::timeout(Duration::from_secs(60), asking).await.unwrap();
            let error = asked.unwrap_err();
            assert!(matches!(error, RequestError::NoAnswer { .. }), "{error}");
        }
    }
}
