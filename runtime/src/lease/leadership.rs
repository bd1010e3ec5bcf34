//! The leadership of this process, for its leader-only work.

use std::time::Instant;

use tokio::sync::watch;

use crate::shutdown::Shutdown;

/// The leadership of this process and the time at which it expires unless it is renewed. The
/// election releases the Lease only after all clones are dropped.
#[derive(Clone, Debug)]
pub struct Leadership {
    until: watch::Receiver<Option<Instant>>,
}

impl Leadership {
    pub(super) fn new(until: watch::Receiver<Option<Instant>>) -> Self {
        Self { until }
    }

    /// Returns whether this process leads now.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.until.borrow().is_some_and(|until| until > Instant::now())
    }

    /// Waits until this process leads.
    pub async fn gained(&mut self) {
        while !self.is_held() {
            if self.until.changed().await.is_err() {
                // The election is over, so this process will never lead.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until this process no longer leads. Has its own timer, because the election may hang
    /// in a request.
    pub async fn lost(&mut self) {
        loop {
            let until = *self.until.borrow_and_update();
            let Some(until) = until.filter(|until| *until > Instant::now()) else { return };
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                changed = self.until.changed() => if changed.is_err() {
                    tokio::time::sleep_until(until.into()).await;
                },
            }
        }
    }

    /// Waits until [`Leadership::is_held`] is no longer `held`.
    pub async fn changed(&mut self, held: bool) {
        if held { self.lost().await } else { self.gained().await }
    }

    /// Runs work while this process leads, until shutdown is requested. Drops the work when the
    /// leadership ends, and starts it again with the next leadership.
    pub async fn while_held<W>(mut self, shutdown: &Shutdown, mut work: impl FnMut() -> W)
    where
        W: Future<Output = ()>,
    {
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                () = self.gained() => {}
            }
            tokio::select! {
                () = shutdown.requested() => return,
                () = self.lost() => {}
                () = work() => {
                    // Completed work is not started again in the same leadership.
                    tokio::select! {
                        () = shutdown.requested() => return,
                        () = self.lost() => {}
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::cell::Cell;
    use std::time::Duration;

    const SOON: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_leadership_that_is_not_renewed_expires() {
        let (send, receive) = watch::channel(Some(Instant::now() + SOON));
        let mut leadership = Leadership::new(receive);
        assert!(leadership.is_held());
        tokio::time::timeout(LONG, leadership.lost()).await.unwrap();
        assert!(!leadership.is_held());
        assert_eq!(leadership.gained().now_or_never(), None);
        drop(send);
        assert_eq!(
            leadership.gained().now_or_never(),
            None,
            "an election that is over elects no leader"
        );
    }

    #[tokio::test]
    async fn a_renewed_leadership_continues() {
        let (send, receive) = watch::channel(Some(Instant::now() + SOON));
        let mut leadership = Leadership::new(receive);
        send.send_replace(Some(Instant::now() + LONG));
        assert!(tokio::time::timeout(SOON * 2, leadership.lost()).await.is_err());
        send.send_replace(None);
        tokio::time::timeout(LONG, leadership.lost()).await.unwrap();
    }

    #[tokio::test]
    async fn work_is_dropped_with_the_leadership_and_started_again_with_the_next() {
        let (send, receive) = watch::channel(None);
        let shutdown = Shutdown::manual();
        let begun = Cell::new(0);
        let working = Cell::new(false);
        let work = || async {
            begun.set(begun.get() + 1);
            working.set(true);
            let _ended = Ended(&working);
            std::future::pending::<()>().await;
        };
        let all = Leadership::new(receive).while_held(&shutdown, work);
        let mut all = std::pin::pin!(all);
        assert_eq!((all.as_mut().now_or_never(), begun.get()), (None, 0));
        for count in 1..=3 {
            send.send_replace(Some(Instant::now() + LONG));
            assert_eq!((all.as_mut().now_or_never(), begun.get()), (None, count));
            assert!(working.get());
            send.send_replace(None);
            assert_eq!((all.as_mut().now_or_never(), working.get()), (None, false));
        }
        shutdown.request();
        assert_eq!(all.as_mut().now_or_never(), Some(()));
    }

    struct Ended<'a>(&'a Cell<bool>);

    impl Drop for Ended<'_> {
        fn drop(&mut self) {
            self.0.set(false);
        }
    }
}
