//! The wish to end, from a signal or from within. It does not end anything
//! itself, except when asked a second time: whoever signals twice has waited
//! long enough.

use std::io;

use futures::stream::{Stream, StreamExt as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell reports for a process ended by SIGINT.
const ENDED_BY_SIGNAL: i32 = 130;

/// The wish to end. Clones share it; once wished it stays wished.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

/// Why signals cannot be listened to.
#[derive(Debug, thiserror::Error)]
pub enum ShutdownError {
    /// The handler of one signal could not be installed.
    #[error("could not listen for {name}")]
    Listen {
        /// The signal.
        name: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Shutdown {
    /// One that only [`Shutdown::request`] brings about.
    #[must_use]
    pub fn manual() -> Self {
        Self::default()
    }

    /// One that SIGTERM and SIGINT bring about. Call it once, within a runtime.
    pub fn on_signals() -> Result<Self, ShutdownError> {
        let terminate = named("SIGTERM", SignalKind::terminate())?;
        let interrupt = named("SIGINT", SignalKind::interrupt())?;
        let shutdown = Self::manual();
        let signals = futures::stream::select(terminate, interrupt);
        let listening = shutdown.clone();
        tokio::spawn(async move {
            listen(signals, &listening).await;
            leave_at_once();
        });
        Ok(shutdown)
    }

    /// Wishes to end.
    pub fn request(&self) {
        self.token.cancel();
    }

    /// Whether to end is wished.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until to end is wished.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }
}

/// The first signal is a wish; returns at the second.
async fn listen(signals: impl Stream<Item = &'static str>, shutdown: &Shutdown) {
    let mut signals = std::pin::pin!(signals);
    if let Some(name) = signals.next().await {
        tracing::info!(signal = name, "shutting down");
        shutdown.request();
    }
    match signals.next().await {
        Some(name) => tracing::warn!(signal = name, "second signal: ending at once"),
        // No more signals can come: nothing to hurry for.
        None => std::future::pending().await,
    }
}

fn named(
    name: &'static str,
    kind: SignalKind,
) -> Result<impl Stream<Item = &'static str>, ShutdownError> {
    let source = signal(kind).map_err(|source| ShutdownError::Listen { name, source })?;
    Ok(Box::pin(futures::stream::unfold(source, move |mut source: Signal| async move {
        source.recv().await.map(|()| (name, source))
    })))
}

#[expect(clippy::exit, reason = "a second signal must end even a process whose tasks hang")]
fn leave_at_once() -> ! {
    std::process::exit(ENDED_BY_SIGNAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use futures::channel::mpsc;
    use rustix::process::{Signal as Number, getpid, kill_process};
    use std::time::Duration;

    #[tokio::test]
    async fn a_manual_wish_reaches_every_clone_and_stays() {
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
    async fn sigterm_to_this_very_process_is_a_wish() {
        let shutdown = Shutdown::on_signals().unwrap();
        assert!(!shutdown.is_requested());
        kill_process(getpid(), Number::TERM).unwrap();
        tokio::time::timeout(Duration::from_secs(10), shutdown.requested()).await.unwrap();
    }

    #[tokio::test]
    async fn only_the_second_signal_ends_the_listening() {
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
    async fn when_no_signal_can_come_any_more_nothing_ends() {
        let shutdown = Shutdown::manual();
        let listening = listen(futures::stream::empty(), &shutdown);
        assert_eq!(listening.now_or_never(), None);
        assert!(!shutdown.is_requested());
    }
}
