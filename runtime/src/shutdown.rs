//! Shutdown requests by a signal or by the process itself. A second signal exits at once.

use std::io;

use futures::stream::{Stream, StreamExt as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code that a shell reports for a process ended by SIGINT.
const EXIT_SIGINT: i32 = 130;

/// A shutdown request. Clones share it. A request cannot be withdrawn.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

/// The handler of a signal could not be installed.
#[derive(Debug, thiserror::Error)]
#[error("could not listen for {name}")]
pub struct ShutdownError {
    name: &'static str,
    source: io::Error,
}

impl Shutdown {
    /// Returns a shutdown that only [`Shutdown::request`] requests.
    #[must_use]
    pub fn manual() -> Self {
        Self::default()
    }

    /// Returns a shutdown that SIGTERM and SIGINT request. Call it once, within a tokio runtime.
    pub fn on_signals() -> Result<Self, ShutdownError> {
        let terminate = named("SIGTERM", SignalKind::terminate())?;
        let interrupt = named("SIGINT", SignalKind::interrupt())?;
        let shutdown = Self::manual();
        let signals = futures::stream::select(terminate, interrupt);
        let listening = shutdown.clone();
        tokio::spawn(async move {
            listen(signals, &listening).await;
            exit_now();
        });
        Ok(shutdown)
    }

    /// Requests shutdown.
    pub fn request(&self) {
        self.token.cancel();
    }

    /// Returns whether shutdown was requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until shutdown is requested.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }
}

/// Requests shutdown at the first signal and returns at the second.
async fn listen(signals: impl Stream<Item = &'static str>, shutdown: &Shutdown) {
    let mut signals = std::pin::pin!(signals);
    if let Some(name) = signals.next().await {
        tracing::info!(signal = name, "shutting down");
        shutdown.request();
    }
    match signals.next().await {
        Some(name) => tracing::warn!(signal = name, "second signal received, exiting at once"),
        None => std::future::pending().await,
    }
}

fn named(
    name: &'static str,
    kind: SignalKind,
) -> Result<impl Stream<Item = &'static str>, ShutdownError> {
    let source = signal(kind).map_err(|source| ShutdownError { name, source })?;
    Ok(Box::pin(futures::stream::unfold(source, move |mut source: Signal| async move {
        source.recv().await.map(|()| (name, source))
    })))
}

#[expect(clippy::exit, reason = "a second signal must end even a process whose tasks hang")]
fn exit_now() -> ! {
    std::process::exit(EXIT_SIGINT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use futures::channel::mpsc;
    use rustix::process::{Signal as Number, getpid, kill_process};
    use std::time::Duration;

    #[tokio::test]
    async fn a_manual_request_reaches_every_clone() {
        let shutdown = Shutdown::manual();
        let clone = shutdown.clone();
        assert!(!clone.is_requested());
        assert_eq!(clone.requested().now_or_never(), None);
        shutdown.request();
        shutdown.request();
        assert!(clone.is_requested());
        clone.requested().await;
    }

    #[tokio::test]
    async fn sigterm_requests_shutdown() {
        let shutdown = Shutdown::on_signals().unwrap();
        assert!(!shutdown.is_requested());
        kill_process(getpid(), Number::TERM).unwrap();
        tokio::time::timeout(Duration::from_secs(10), shutdown.requested()).await.unwrap();
    }

    #[tokio::test]
    async fn only_the_second_signal_exits() {
        let (mut send, signals) = mpsc::unbounded();
        let shutdown = Shutdown::manual();
        let mut listening = Box::pin(listen(signals, &shutdown));
        assert_eq!((&mut listening).now_or_never(), None);
        assert!(!shutdown.is_requested());
        send.start_send("SIGTERM").unwrap();
        assert_eq!((&mut listening).now_or_never(), None);
        assert!(shutdown.is_requested());
        send.start_send("SIGINT").unwrap();
        assert_eq!((&mut listening).now_or_never(), Some(()));
    }

    #[tokio::test]
    async fn a_closed_signal_stream_does_not_exit() {
        let shutdown = Shutdown::manual();
        let listening = listen(futures::stream::empty(), &shutdown);
        assert_eq!(listening.now_or_never(), None);
        assert!(!shutdown.is_requested());
    }
}
