//! Clients that stall, while sending a request or while taking a response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long nothing has moved, with a limit.
#[derive(Debug)]
struct Patience {
    stall: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    const fn new(stall: Duration) -> Self {
        Self { stall, waiting: None }
    }

    /// The result of a poll, or the news that it took too long.
    fn judge<T>(&mut self, context: &mut Context<'_>, polled: Poll<T>) -> Poll<Result<T, io::Error>> {
        if let Poll::Ready(value) = polled {
            self.waiting = None;
            return Poll::Ready(Ok(value));
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(self.stall)));
        waiting.as_mut().poll(context).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client has stalled")))
    }
}

/// The body of a request, which must keep arriving, and not too slowly.
#[derive(Debug)]
pub(super) struct Arriving {
    body: Body,
    patience: Patience,
    rate: Rate,
}

impl Arriving {
    pub(super) const fn new(body: Body, stall: Duration, least_rate: u64) -> Self {
        Self { body, patience: Patience::new(stall), rate: Rate::new(stall, least_rate) }
    }
}

/// How much arrived during the time spent waiting for it. While nobody asks for more, the client need not send.
#[derive(Debug)]
struct Rate {
    grace: Duration,
    /// Octets a second.
    least: u64,
    octets: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
}

impl Rate {
    const fn new(grace: Duration, least: u64) -> Self {
        Self { grace, least, octets: 0, waited: Duration::ZERO, waiting_since: None }
    }

    /// The outcome of one poll: something arrived, or not yet.
    fn note(&mut self, octets: Option<usize>) {
        match octets {
            None => drop(self.waiting_since.get_or_insert_with(Instant::now)),
            Some(octets) => {
                self.waited += self.waiting_since.take().map_or(Duration::ZERO, |since| since.elapsed());
                self.octets += octets as u64;
            }
        }
    }

    fn is_too_low(&self) -> bool {
        self.octets.checked_div(self.least).is_some_and(|earned| self.waited > self.grace + Duration::from_secs(earned))
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        this.rate.note(match &polled {
            Poll::Pending => None,
            Poll::Ready(Some(Ok(frame))) => Some(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(_) => Some(0),
        });
        if matches!(&polled, Poll::Ready(Some(Ok(_)))) && this.rate.is_too_low() {
            let slow = io::Error::new(io::ErrorKind::TimedOut, "the body arrives too slowly");
            return Poll::Ready(Some(Err(axum::Error::new(slow))));
        }
        this.patience
            .judge(context, polled)
            .map(|judged| judged.unwrap_or_else(|error| Some(Err(axum::Error::new(error)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream whose other side must keep taking what is written. How long it may stay silent is not checked here.
#[derive(Debug)]
pub(super) struct Taking<S> {
    stream: S,
    patience: Patience,
}

impl<S> Taking<S> {
    pub(super) const fn new(stream: S, stall: Duration) -> Self {
        Self { stream, patience: Patience::new(stall) }
    }
}

/// One of two results.
fn flat<T>(polled: Poll<Result<io::Result<T>, io::Error>>) -> Poll<io::Result<T>> {
    polled.map(|judged| judged.and_then(|result| result))
}

impl<S: AsyncRead + Unpin> AsyncRead for Taking<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taking<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(context, octets);
        flat(this.patience.judge(context, polled))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(context);
        flat(this.patience.judge(context, polled))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_shutdown(context);
        flat(this.patience.judge(context, polled))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        flat(this.patience.judge(context, polled))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
