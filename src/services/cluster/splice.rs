//! Two connections that become one.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::link::Link;
use crate::foundations::net;

/// Octets on their way in one direction.
const PIECE: usize = 8 << 10;
/// How long the owner of a session may go on when the client's side has ended.
const FAREWELL: Duration = Duration::from_secs(10);

/// Passes octets on in both directions until the node that serves the session has ended it. `begun` is what the client has sent
/// already. A side that takes nothing for `stall` ends it too; for how long a client may be silent is the other node's business.
///
/// When the client's side ends, or `stop` says so, the other node is told by the end of what it reads, and what it has yet
/// to say still goes to the client.
pub async fn splice<C, L>(client: C, link: L, begun: Bytes, stop: CancellationToken, stall: Duration)
where
    C: AsyncRead + AsyncWrite + Unpin,
    L: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from_client, mut to_client) = split(client);
    let (mut from_link, mut to_link) = split(link);
    {
        let upward = async {
            tokio::select! {
                passed = up(&mut from_client, &mut to_link, &begun, stall) => passed,
                () = stop.cancelled() => Ok(()),
            }
        };
        let downward = pass(&mut from_link, &mut to_client, stall);
        tokio::pin!(downward);
        let ended = tokio::select! {
            _ = &mut downward => true,
            passed = upward => {
                if let Err(error) = passed {
                    log::debug!(error:% = error; "A client whose session is with another node has gone");
                }
                false
            }
        };
        if !ended {
            // Both may be gone already; then there is nothing to say.
            let _ = timeout(stall, to_link.shutdown()).await;
            let _ = timeout(FAREWELL, downward).await;
        }
    }
    let _ = timeout(stall, to_client.shutdown()).await;
}

/// Sends a client what it has yet to be told, and lets its session go on at the node that has taken it.
pub async fn go_on_elsewhere(mut client: net::Link, link: Box<Link>, stop: CancellationToken, stall: Duration) {
    if client.flush().await.is_ok()
        && let Some((stream, begun)) = client.into_transport()
    {
        Box::pin(splice(stream, *link, begun, stop, stall)).await;
    }
}

async fn up<C: AsyncRead, L: AsyncWrite>(
    client: &mut ReadHalf<C>,
    link: &mut WriteHalf<L>,
    begun: &[u8],
    stall: Duration,
) -> io::Result<()> {
    if !begun.is_empty() {
        write(link, begun, stall).await?;
    }
    pass(client, link, stall).await
}

async fn pass<R: AsyncRead, W: AsyncWrite>(
    from: &mut ReadHalf<R>,
    to: &mut WriteHalf<W>,
    stall: Duration,
) -> io::Result<()> {
    let mut piece = BytesMut::with_capacity(PIECE);
    loop {
        if from.read_buf(&mut piece).await? == 0 {
            return Ok(());
        }
        write(to, &piece, stall).await?;
        piece.clear();
    }
}

async fn write<W: AsyncWrite>(to: &mut WriteHalf<W>, octets: &[u8], stall: Duration) -> io::Result<()> {
    let write = async {
        to.write_all(octets).await?;
        to.flush().await
    };
    timeout(stall, write).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::tasks::Tasks;

    #[tokio::test]
    async fn what_was_begun_goes_first_and_farewells_arrive() {
        let ((mut client, near), (far, mut owner)) = (tokio::io::duplex(64), tokio::io::duplex(64));
        let (stop, tasks) = (CancellationToken::new(), Tasks::new());
        let begun = Bytes::from_static(b"a ");
        let spliced = tasks.spawn(splice(near, far, begun, stop.clone(), Duration::from_secs(5)));
        client.write_all(b"NOOP\r\n").await.unwrap();
        let mut heard = [0; 8];
        owner.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"a NOOP\r\n");
        stop.cancel();
        assert_eq!(owner.read(&mut heard).await.unwrap(), 0);
        owner.write_all(b"* BYE\r\n").await.unwrap();
        drop(owner);
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"* BYE\r\n");
        spliced.await.unwrap();
    }
}
