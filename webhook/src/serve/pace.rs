//! How fast a peer must send: a request's header soon after its first byte, and something at all
//! before the silence is too long. Bodies are timed where they are read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A header is awaited, or has begun.
    Header,
    /// A request is being received and answered.
    Serving,
    /// Nothing is on its way.
    Idle,
}

/// What a connection is at, shared by its socket, its service and whoever needs its place.
#[derive(Clone, Debug)]
pub(crate) struct Pacer(Arc<State>);

#[derive(Debug)]
struct State {
    phase: AtomicU8,
    /// When it was last answered, as the number of that answer among all.
    last: AtomicU64,
    turns: Arc<AtomicU64>,
}

/// A socket whose reads fail when its peer is too slow.
///
/// There is one timer for a connection, and it is not set anew for each request: one that goes off
/// before its time looks how much is left. Two moves of a timer for each request were a
/// measurable part of what a review costs.
#[derive(Debug)]
pub(crate) struct Paced<S> {
    inner: S,
    pacer: Pacer,
    header: Duration,
    idle: Duration,
    timed: Option<Phase>,
    deadline: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Pacer {
    /// A header is awaited. Answers are counted in `turns`.
    pub(crate) fn new(turns: Arc<AtomicU64>) -> Self {
        let last = AtomicU64::new(turns.fetch_add(1, Ordering::Relaxed));
        Self(Arc::new(State { phase: AtomicU8::new(Phase::Header as u8), last, turns }))
    }

    /// A header has come.
    pub(crate) fn serving(&self) {
        self.set(Phase::Serving);
    }

    /// A request has been answered.
    pub(crate) fn served(&self) {
        self.0.last.store(self.0.turns.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.set(Phase::Idle);
    }

    /// What the connection is at.
    pub(crate) fn phase(&self) -> Phase {
        const HEADER: u8 = Phase::Header as u8;
        const IDLE: u8 = Phase::Idle as u8;
        match self.0.phase.load(Ordering::Relaxed) {
            HEADER => Phase::Header,
            IDLE => Phase::Idle,
            _ => Phase::Serving,
        }
    }

    /// When it was last answered; of two, the smaller is the longer ago.
    pub(crate) fn last_turn(&self) -> u64 {
        self.0.last.load(Ordering::Relaxed)
    }

    fn set(&self, phase: Phase) {
        self.0.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn byte_came(&self) {
        // Of a header that has begun, or of a body, one more byte says nothing.
        if self.phase() == Phase::Idle {
            self.set(Phase::Header);
        }
    }
}

impl<S> Paced<S> {
    pub(crate) fn new(inner: S, pacer: Pacer, header: Duration, idle: Duration) -> Self {
        let deadline = Instant::now() + header;
        let timer = Box::pin(tokio::time::sleep_until(deadline));
        Self { inner, pacer, header, idle, timed: Some(Phase::Header), deadline, timer }
    }

    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let phase = self.pacer.phase();
        let limit = match phase {
            Phase::Header => self.header,
            Phase::Idle => self.idle,
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

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut this.inner).poll_read(cx, buf) {
            if buf.filled().len() > before {
                this.pacer.byte_came();
            }
            return Poll::Ready(result);
        }
        this.poll_too_slow(cx).map(Err)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
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
    const IDLE_LIMIT: Duration = Duration::from_millis(400);

    fn pair() -> (DuplexStream, Paced<DuplexStream>, Pacer) {
        let (peer, own) = duplex(64);
        let pacer = Pacer::new(Arc::default());
        (peer, Paced::new(own, pacer.clone(), HEADER_LIMIT, IDLE_LIMIT), pacer)
    }

    async fn time_until_too_slow(paced: &mut Paced<DuplexStream>) -> Duration {
        let start = Instant::now();
        let error = loop {
            if let Err(error) = paced.read_u8().await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        start.elapsed()
    }

    async fn trickle(mut peer: DuplexStream) {
        let mut pace = tokio::time::interval(HEADER_LIMIT / 8);
        loop {
            pace.tick().await;
            peer.write_u8(b'x').await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_first_header_must_come_soon() {
        let (_peer, mut paced, _pacer) = pair();
        let time = time_until_too_slow(&mut paced).await;
        assert!(time < IDLE_LIMIT, "{time:?}");
    }

    #[tokio::test]
    async fn a_header_that_trickles_is_cut_off() {
        let (peer, mut paced, _pacer) = pair();
        tokio::select! {
            time = time_until_too_slow(&mut paced) => assert!(time < IDLE_LIMIT, "{time:?}"),
            () = trickle(peer) => unreachable!("it never ends"),
        }
    }

    #[tokio::test]
    async fn silence_between_requests_may_be_longer() {
        let (mut peer, mut paced, pacer) = pair();
        pacer.serving();
        pacer.served();
        assert!(time_until_too_slow(&mut paced).await >= IDLE_LIMIT);
        pacer.served();
        peer.write_u8(b'G').await.unwrap();
        assert_eq!(paced.read_u8().await.unwrap(), b'G');
        assert!(time_until_too_slow(&mut paced).await < IDLE_LIMIT);
    }

    #[tokio::test]
    async fn a_request_that_is_served_is_not_timed_here() {
        let (_peer, mut paced, pacer) = pair();
        pacer.serving();
        assert!(tokio::time::timeout(HEADER_LIMIT * 2, paced.read_u8()).await.is_err());
    }
}
