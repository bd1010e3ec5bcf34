//! Whether this process leads, for the parts of it that have work for the leader alone. It knows
//! nothing of Leases: only until when the leadership is good, and that it may be prolonged.

use std::time::Instant;

use tokio::sync::watch;

use crate::shutdown::Shutdown;

/// Whether this process leads, and until when without further news. The election gives its Lease
/// back only when all of these are gone.
#[derive(Clone, Debug)]
pub struct Leadership {
    until: watch::Receiver<Option<Instant>>,
}

impl Leadership {
    pub(super) fn new(until: watch::Receiver<Option<Instant>>) -> Self {
        Self { until }
    }

    /// Whether this process leads at this moment.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.until.borrow().is_some_and(|until| until > Instant::now())
    }

    /// Waits until this process leads.
    pub async fn gained(&mut self) {
        while !self.is_held() {
            if self.until.changed().await.is_err() {
                // The election has ended, so nobody will ever say so.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until this process no longer leads. It looks at the time itself: an election that
    /// hangs in a request cannot keep an end from being seen.
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

    /// Waits until it is otherwise than `held`.
    pub async fn changed(&mut self, held: bool) {
        if held { self.lost().await } else { self.gained().await }
    }

    /// Does work whenever this process leads, until shutdown is requested. The work is cut off at
    /// whatever it waits for when the leadership ends, and begun anew with the next.
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
                    // Work that is done is not begun again under the same leadership.
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
    async fn it_ends_by_itself_when_nobody_prolongs_it() {
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
            "an election that ended elects nobody"
        );
    }

    #[tokio::test]
    async fn one_that_is_prolonged_goes_on() {
        let (send, receive) = watch::channel(Some(Instant::now() + SOON));
        let mut leadership = Leadership::new(receive);
        send.send_replace(Some(Instant::now() + LONG));
        assert!(tokio::time::timeout(SOON * 2, leadership.lost()).await.is_err());
        send.send_replace(None);
        tokio::time::timeout(LONG, leadership.lost()).await.unwrap();
    }

    #[tokio::test]
    async fn work_is_cut_off_with_the_leadership_and_begun_anew_with_the_next() {
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
