//! How fast a peer must send: a request's header soon after its first byte, and something at all
//! before the silence is too long. Bodies are timed where they are read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

const HEADER: u8 = 0;
const SERVING: u8 = 1;
const IDLE: u8 = 2;

/// What a connection is at, shared by its socket and its service.
#[derive(Clone, Debug)]
pub(crate) struct Pacer(Arc<AtomicU8>);

/// A socket whose reads fail when its peer is too slow.
#[derive(Debug)]
pub(crate) struct Paced<S> {
    inner: S,
    pacer: Pacer,
    header: Duration,
    idle: Duration,
    timed: Option<u8>,
    timer: Pin<Box<Sleep>>,
}

impl Pacer {
    /// A header is awaited.
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU8::new(HEADER)))
    }

    /// A header has come.
    pub(crate) fn serving(&self) {
        self.0.store(SERVING, Ordering::Relaxed);
    }

    /// A request has been answered.
    pub(crate) fn served(&self) {
        self.0.store(IDLE, Ordering::Relaxed);
    }

    fn phase(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn byte_came(&self) {
        // Of a header that has begun, or of a body, one more byte says nothing.
        if self.phase() == IDLE {
            self.0.store(HEADER, Ordering::Relaxed);
        }
    }
}

impl<S> Paced<S> {
    pub(crate) fn new(inner: S, pacer: Pacer, header: Duration, idle: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep(header));
        Self { inner, pacer, header, idle, timed: Some(HEADER), timer }
    }

    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let phase = self.pacer.phase();
        let limit = match phase {
            HEADER => self.header,
            IDLE => self.idle,
            _ => {
                self.timed = None;
                return Poll::Pending;
            }
        };
        if self.timed.replace(phase) != Some(phase) {
            self.timer.as_mut().reset(Instant::now() + limit);
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the peer is too slow"))
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
        let pacer = Pacer::new();
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
