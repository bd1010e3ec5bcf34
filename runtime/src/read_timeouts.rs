//! Read timeouts of server connections: for the header of a request and for the time between two
//! requests. Handlers limit the time of bodies.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first header is awaited, or a header is being received.
    Header,
    /// A request is being received and answered.
    Serving,
    /// The connection is between two requests.
    Idle,
}

/// The activity of one connection, shared by its stream, its service and the connection table.
#[derive(Clone, Debug)]
pub struct Activity(Arc<State>);

#[derive(Debug)]
struct State {
    phase: AtomicU8,
    /// The sequence number of the last response, counted over all connections.
    last_response: AtomicU64,
    responses: Arc<AtomicU64>,
}

/// The read timeouts of a connection.
#[derive(Clone, Copy, Debug)]
pub struct ReadTimeouts {
    /// The time from the first byte of a header to its end. The first header is timed from the
    /// start of the connection.
    pub header: Duration,
    /// The time between two requests.
    pub idle: Duration,
}

/// A stream whose reads fail if its peer exceeds the [`ReadTimeouts`].
///
/// A connection has one timer, which is not reset for each request: a timer that fires early is
/// extended by the remaining time. Two resets for each request were a measurable part of its cost.
#[derive(Debug)]
pub struct TimedStream<S> {
    inner: S,
    activity: Activity,
    timeouts: ReadTimeouts,
    timed: Option<Phase>,
    deadline: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Activity {
    /// Returns the activity of a new connection. `responses` counts the responses of all
    /// connections.
    pub(crate) fn new(responses: Arc<AtomicU64>) -> Self {
        let last_response = AtomicU64::new(responses.fetch_add(1, Ordering::Relaxed));
        let phase = AtomicU8::new(Phase::Header as u8);
        Self(Arc::new(State { phase, last_response, responses }))
    }

    /// Records that the header of a request was received.
    pub(crate) fn request_received(&self) {
        self.set(Phase::Serving);
    }

    /// Records that the response to a request is complete.
    pub(crate) fn response_made(&self) {
        let number = self.0.responses.fetch_add(1, Ordering::Relaxed);
        self.0.last_response.store(number, Ordering::Relaxed);
        self.set(Phase::Idle);
    }

    /// Returns the phase of the connection.
    #[must_use]
    pub fn phase(&self) -> Phase {
        const HEADER: u8 = Phase::Header as u8;
        const IDLE: u8 = Phase::Idle as u8;
        match self.0.phase.load(Ordering::Relaxed) {
            HEADER => Phase::Header,
            IDLE => Phase::Idle,
            _ => Phase::Serving,
        }
    }

    /// Returns the sequence number of the last response. The smaller of two is the older.
    pub(crate) fn last_response(&self) -> u64 {
        self.0.last_response.load(Ordering::Relaxed)
    }

    fn set(&self, phase: Phase) {
        self.0.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn bytes_received(&self) {
        // More bytes of a header or a body do not change the phase.
        if self.phase() == Phase::Idle {
            self.set(Phase::Header);
        }
    }
}

impl<S> TimedStream<S> {
    /// Wraps a stream and starts the timeout of the first header.
    pub fn new(inner: S, activity: Activity, timeouts: ReadTimeouts) -> Self {
        let deadline = Instant::now() + timeouts.header;
        let timer = Box::pin(tokio::time::sleep_until(deadline));
        Self { inner, activity, timeouts, timed: Some(Phase::Header), deadline, timer }
    }

    fn poll_timed_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let phase = self.activity.phase();
        let limit = match phase {
            Phase::Header => self.timeouts.header,
            Phase::Idle => self.timeouts.idle,
            Phase::Serving => {
                self.timed = None;
                return Poll::Pending;
            }
        };
        if self.timed.replace(phase) != Some(phase) {
            self.deadline = Instant::now() + limit;
            if self.timer.deadline() > self.deadline {
                self.timer.as_mut().reset(self.deadline);
            }
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.timer.deadline() >= self.deadline {
                let error = io::Error::new(io::ErrorKind::TimedOut, "the peer is too slow");
                return Poll::Ready(error);
            }
            self.timer.as_mut().reset(self.deadline);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut this.inner).poll_read(cx, buf) {
            if buf.filled().len() > before {
                this.activity.bytes_received();
            }
            return Poll::Ready(result);
        }
        this.poll_timed_out(cx).map(Err)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    const HEADER_LIMIT: Duration = Duration::from_millis(40);
    const IDLE_LIMIT: Duration = Duration::from_secs(2);
    const TIMEOUTS: ReadTimeouts = ReadTimeouts { header: HEADER_LIMIT, idle: IDLE_LIMIT };

    fn pair() -> (DuplexStream, TimedStream<DuplexStream>, Activity) {
        let (peer, own) = duplex(64);
        let activity = Activity::new(Arc::default());
        (peer, TimedStream::new(own, activity.clone(), TIMEOUTS), activity)
    }

    async fn time_until_timeout(stream: &mut TimedStream<DuplexStream>) -> Duration {
        let start = Instant::now();
        let error = loop {
            if let Err(error) = stream.read_u8().await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        start.elapsed()
    }

    async fn trickle(mut peer: DuplexStream) {
        let mut interval = tokio::time::interval(HEADER_LIMIT / 8);
        loop {
            interval.tick().await;
            peer.write_u8(b'x').await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_first_header_is_timed_from_the_start() {
        let (_peer, mut stream, _activity) = pair();
        let time = time_until_timeout(&mut stream).await;
        assert!(time < IDLE_LIMIT, "{time:?}");
    }

    #[tokio::test]
    async fn a_trickling_header_times_out() {
        let (peer, mut stream, _activity) = pair();
        tokio::select! {
            time = time_until_timeout(&mut stream) => assert!(time < IDLE_LIMIT, "{time:?}"),
            () = trickle(peer) => unreachable!("it never ends"),
        }
    }

    #[tokio::test]
    async fn the_idle_timeout_applies_between_requests() {
        let (mut peer, mut stream, activity) = pair();
        activity.request_received();
        activity.response_made();
        assert!(time_until_timeout(&mut stream).await >= IDLE_LIMIT);
        activity.response_made();
        peer.write_u8(b'G').await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'G');
        assert!(time_until_timeout(&mut stream).await < IDLE_LIMIT);
    }

    #[tokio::test]
    async fn a_request_that_is_being_served_does_not_time_out() {
        let (_peer, mut stream, activity) = pair();
        activity.request_received();
        assert!(tokio::time::timeout(HEADER_LIMIT * 2, stream.read_u8()).await.is_err());
    }
}
