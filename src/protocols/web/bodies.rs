//! Bodies of requests from logged-in users, and of the answers. They share memory: what many slow transfers at once can take
//! is limited.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;

use crate::foundations::budget::{Budget, Enough, Share};
use crate::foundations::net::HttpSettings;

/// Memory for bodies and answers, by account. Cloning gives another handle to it.
#[derive(Debug, Clone)]
pub struct Bodies {
    arriving: Budget<String>,
    answers: Budget<String>,
}

/// A body that has arrived, and the memory that it takes.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) octets: Bytes,
    pub(super) share: Share<String>,
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("It is too large.")]
    TooLarge,
    #[error("Too much is arriving at the moment. Try again soon.")]
    NoRoom,
    #[error("The request ended early or arrived too slowly.")]
    Broken,
}

/// An answer, and the memory that it takes, for as long as a piece of it has not been sent.
struct Held {
    octets: Bytes,
    _share: Share<String>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

/// There is no memory for an answer.
#[derive(Debug)]
pub(super) struct Untaken;

/// How long a body waits for memory before it is refused.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer does, which takes its memory meanwhile.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);
/// Shorter answers are not counted: connections bound them, and lists and most messages are to be had while others have taken all
/// the memory.
const SHORT: u64 = 256 << 10;

impl Bodies {
    /// As the settings say now.
    pub fn new(settings: &HttpSettings) -> Self {
        Self {
            arriving: Budget::new(settings.bodies, settings.bodies_per_user),
            answers: Budget::new(settings.answers, settings.answers_per_user),
        }
    }

    /// Counts an answer towards an account until it has been sent. Streamed answers are not counted.
    pub(super) async fn answer(&self, account: &str, response: Response) -> Result<Response, Untaken> {
        let length = response.body().size_hint().exact().filter(|length| *length > SHORT);
        let Some(length) = length.and_then(|length| usize::try_from(length).ok()) else { return Ok(response) };
        let mut share = self.answers.share(Some(account.to_owned()));
        if self.answers.enlarge(&mut share, length, ANSWER_PATIENCE).await == Enough::No {
            return Err(Untaken);
        }
        let (parts, body) = response.into_parts();
        // A body completely in memory needs no copy, and cannot fail.
        let octets = body.collect().await.map_err(|_| Untaken)?.to_bytes();
        Ok(Response::from_parts(parts, Body::from(Bytes::from_owner(Held { octets, _share: share }))))
    }

    /// Reads a body of at most so many octets. Strangers may send so little (`LARGEST_LOGIN`) that connections bound it: shared
    /// memory would let some of them keep everybody from signing in.
    pub(super) async fn read(&self, account: Option<&str>, mut body: Body, most: usize) -> Result<Arrived, Unread> {
        // What is announced is no reason to take memory for it.
        let announced = body.size_hint().upper().and_then(|upper| usize::try_from(upper).ok()).unwrap_or(most);
        if body.size_hint().lower() > most as u64 {
            return Err(Unread::TooLarge);
        }
        let mut share = self.arriving.share(account.map(str::to_owned));
        let mut octets = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| if is_limit(&error) { Unread::TooLarge } else { Unread::Broken })?;
            let Ok(data) = frame.into_data() else { continue };
            let length = octets.len() + data.len();
            if length > most {
                return Err(Unread::TooLarge);
            }
            if length > octets.capacity() {
                let wanted = (octets.capacity() * 2).clamp(length, announced.max(length));
                if account.is_some() && self.arriving.enlarge(&mut share, wanted, PATIENCE).await == Enough::No {
                    return Err(Unread::NoRoom);
                }
                octets.reserve(wanted - octets.len());
            }
            octets.extend_from_slice(&data);
        }
        Ok(Arrived { octets: octets.freeze(), share })
    }

    /// Memory for work on behalf of an account; `None` when there is none for it just now.
    pub(super) async fn work(&self, account: &str, octets: usize) -> Option<Share<String>> {
        let mut share = self.arriving.share(Some(account.to_owned()));
        (self.arriving.enlarge(&mut share, octets, PATIENCE).await == Enough::Yes).then_some(share)
    }
}

/// Whether axum's limit has been reached.
fn is_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if one.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = one.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_util::StreamExt as _;

    use super::*;
    use crate::foundations::settings::ByteSize;
    use crate::foundations::tasks::Tasks;

    fn bodies(per_user: u64, all: u64) -> Bodies {
        let (bodies, bodies_per_user) = (ByteSize::mib(all), ByteSize::mib(per_user));
        Bodies::new(&HttpSettings { bodies, bodies_per_user, ..HttpSettings::default() })
    }

    /// So many mebibytes, and then the client waits for ever.
    fn unfinished(mebibytes: usize) -> Body {
        let pieces =
            futures_util::stream::iter((0..mebibytes).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![0; 1 << 20]))));
        Body::from_stream(pieces.chain(futures_util::stream::pending()))
    }

    /// The body of a request that says beforehand how long it is.
    struct Announced {
        length: u64,
        sent: Body,
    }

    impl hyper::body::Body for Announced {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
            Pin::new(&mut self.sent).poll_frame(context)
        }

        fn size_hint(&self) -> hyper::body::SizeHint {
            hyper::body::SizeHint::with_exact(self.length)
        }
    }

    fn announced(length: u64, sent: Body) -> Body {
        Body::new(Announced { length, sent })
    }

    /// Lets another task read a body that does not end.
    async fn begun(bodies: &Bodies, account: &'static str, body: Body) -> Tasks {
        let tasks = Tasks::new();
        let held = bodies.clone();
        tasks.spawn(async move { drop(held.read(Some(account), body, 30 << 20).await) });
        tokio::time::sleep(Duration::from_millis(100)).await;
        tasks
    }

    #[tokio::test]
    async fn those_of_one_account_share_its_memory() {
        let bodies = bodies(8, 64);
        let _tasks = begun(&bodies, "ann", unfinished(5)).await;
        let more = Body::from(vec![0; 5 << 20]);
        assert!(matches!(bodies.read(Some("ann"), more, 30 << 20).await, Err(Unread::NoRoom)));
        let other = bodies.read(Some("bob"), Body::from(vec![0; 5 << 20]), 30 << 20).await.unwrap();
        assert_eq!(other.octets.len(), 5 << 20);
        assert!(bodies.work("ann", 5 << 20).await.is_none() && bodies.work("bob", 2 << 20).await.is_some());
    }

    /// Who announces much and sends little holds little.
    #[tokio::test]
    async fn what_is_only_announced_takes_no_memory() {
        let bodies = bodies(8, 64);
        let _tasks = begun(&bodies, "ann", announced(8 << 20, unfinished(1))).await;
        assert!(bodies.read(Some("ann"), Body::from(vec![0; 5 << 20]), 30 << 20).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_announced_too_large_is_not_waited_for() {
        let bodies = bodies(8, 64);
        let reading = bodies.read(Some("ann"), announced(11, unfinished(0)), 10);
        let read = tokio::time::timeout(Duration::from_secs(10), reading).await.expect("waits for what it will refuse");
        assert!(matches!(read, Err(Unread::TooLarge)));
    }

    /// Nobody who uses up the shared memory keeps others from signing in.
    #[tokio::test]
    async fn strangers_need_no_shared_memory() {
        let bodies = bodies(8, 8);
        let _tasks = begun(&bodies, "ann", unfinished(7)).await;
        assert!(bodies.work("bob", 4 << 20).await.is_none());
        assert!(bodies.read(None, Body::from(vec![0; 4 << 20]), 8 << 20).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_is_bounded() {
        let bodies = bodies(8, 64);
        assert!(matches!(bodies.read(Some("ann"), Body::from(vec![0; 11]), 10).await, Err(Unread::TooLarge)));
        let streamed =
            Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![0; 11]))]));
        assert!(matches!(bodies.read(Some("ann"), streamed, 10).await, Err(Unread::TooLarge)));
        assert_eq!(bodies.read(Some("ann"), Body::from(vec![0; 10]), 10).await.unwrap().octets.len(), 10);
    }

    #[tokio::test]
    async fn answers_take_memory_until_they_are_taken() {
        let settings =
            HttpSettings { answers: ByteSize::mib(8), answers_per_user: ByteSize::mib(4), ..HttpSettings::default() };
        let bodies = Bodies::new(&settings);
        let response = |octets: usize| Response::new(Body::from(vec![7; octets]));
        let held = bodies.answer("ann", response(3 << 20)).await.unwrap();
        assert!(bodies.answer("ann", response(3 << 20)).await.is_err());
        // Others have theirs, and what is short or made as it is taken costs nothing.
        assert!(bodies.answer("bob", response(3 << 20)).await.is_ok());
        assert!(bodies.answer("ann", response(200 << 10)).await.is_ok());
        let endless = Body::from_stream(futures_util::stream::pending::<std::io::Result<Bytes>>());
        assert!(bodies.answer("ann", Response::new(endless)).await.is_ok());
        // As long as anybody has a piece of it, the whole is in memory.
        let mut octets = held.into_body().collect().await.unwrap().to_bytes();
        assert!(octets.len() == 3 << 20 && octets.iter().all(|octet| *octet == 7));
        let piece = octets.split_to(10);
        drop(octets);
        assert!(bodies.answer("ann", response(3 << 20)).await.is_err());
        drop(piece);
        assert!(bodies.answer("ann", response(3 << 20)).await.is_ok());
    }
}
