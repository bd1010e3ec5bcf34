//! A watch that starts when it is first needed: most clusters never need it.

use futures::StreamExt as _;
use futures::stream::{BoxStream, Stream};

/// The events of a watch, once it is started.
pub(super) struct OnDemand<'a, T>(Option<BoxStream<'a, T>>);

impl<'a, T> OnDemand<'a, T> {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    /// Starts the watch if it is needed and was not started before.
    pub(super) fn start_if<S>(&mut self, is_needed: bool, start: impl FnOnce() -> S)
    where
        S: Stream<Item = T> + Send + 'a,
    {
        if is_needed && self.0.is_none() {
            self.0 = Some(start().boxed());
        }
    }

    /// Returns the next event. Waits forever if the watch was not started.
    pub(super) async fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            Some(events) => events.next().await,
            None => std::future::pending().await,
        }
    }
}
