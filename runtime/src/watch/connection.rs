//! The connection of a watch: lists, watches, and resumes after an interruption.
//!
//! A list is streamed if the API server supports that, which needs memory for one object at a time
//! on both sides. Otherwise it is read in pages, whose sizes follow from the bytes received.

use super::Watch;
use super::error::WatchError;
use super::lines::Lines;
use super::pages::Pages;
use super::wire::{self, Line};
use crate::backoff::Backoff;
use crate::chain::Chain;
use kube::runtime::watcher::Event;
use std::time::{Duration, Instant};

/// The requested duration of a watch, and the random part by which it is shortened: watches that
/// were started together should not be renewed together.
const DURATION: Duration = Duration::from_secs(290);
const JITTER: Duration = Duration::from_secs(60);
/// The minimum duration of a successful watch.
const MIN_DURATION: Duration = Duration::from_secs(1);

enum State<T> {
    Start,
    Listing(Lines),
    Paging(Pages<T>),
    Listed(String),
    Watching(String, Lines),
}

/// A watch that is retried after failures.
pub(super) struct Connection<T> {
    watch: Watch<T>,
    backoff: Backoff,
    state: State<T>,
    /// Whether lists are read in pages.
    pages: bool,
}

impl<T: Send + 'static> Connection<T> {
    pub(super) fn new(watch: Watch<T>, backoff: Backoff) -> Self {
        Self { watch, backoff, state: State::Start, pages: false }
    }

    /// Waits for the next event. Retries after failures.
    pub(super) async fn next(&mut self) -> Event<T> {
        loop {
            match self.step().await {
                Ok(Some(event)) => return event,
                Ok(None) => {}
                Err(error) => {
                    let wait = self.backoff.failed(Instant::now(), error.retry_after());
                    let kind = &self.watch.kind;
                    tracing::warn!(error = %Chain(&error), kind, ?wait, "watch interrupted");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// Takes one step. After a failure, the state is the one to resume from.
    async fn step(&mut self) -> Result<Option<Event<T>>, WatchError> {
        match std::mem::replace(&mut self.state, State::Start) {
            State::Start if self.pages => {
                self.state = State::Paging(Pages::new());
                Ok(Some(Event::Init))
            }
            State::Start => self.stream_list().await,
            State::Listing(lines) => self.list_line(lines).await,
            State::Paging(pages) => self.page(pages).await,
            State::Listed(version) => {
                let duration = self.next_duration();
                let opened = self.watch.open(&version, false, duration).await;
                self.resume(version, opened)?;
                Ok(None)
            }
            State::Watching(version, lines) => self.watch_line(version, lines).await,
        }
    }

    async fn stream_list(&mut self) -> Result<Option<Event<T>>, WatchError> {
        let duration = self.next_duration();
        match self.watch.open("", true, duration).await {
            Ok(lines) => {
                self.state = State::Listing(lines);
                Ok(Some(Event::Init))
            }
            Err(error) if error.is_refused() => {
                tracing::debug!(kind = self.watch.kind, "falling back to paged lists");
                self.pages = true;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn list_line(&mut self, mut lines: Lines) -> Result<Option<Event<T>>, WatchError> {
        // Any failure of a streamed list falls back to pages, which all servers support.
        self.pages = true;
        let Some(line) = self.watch.line(&mut lines).await? else {
            return Err(WatchError::Incomplete);
        };
        let event = match line {
            Line::Applied(object, _) => object.map(Event::InitApply),
            Line::Deleted(..) => None,
            Line::Failed(status) => return Err(WatchError::Ended(status)),
            Line::Bookmark { version, is_listed: true } => {
                self.pages = false;
                self.backoff.succeeded();
                self.state = State::Watching(version, lines);
                return Ok(Some(Event::InitDone));
            }
            Line::Bookmark { .. } => None,
        };
        self.pages = false;
        self.state = State::Listing(lines);
        Ok(event)
    }

    async fn page(&mut self, mut pages: Pages<T>) -> Result<Option<Event<T>>, WatchError> {
        if let Some(object) = pages.objects.pop_front() {
            self.state = State::Paging(pages);
            return Ok(Some(Event::InitApply(object)));
        }
        if pages.token.is_none()
            && let Some(version) = pages.version
        {
            self.backoff.succeeded();
            self.state = State::Listed(version);
            return Ok(Some(Event::InitDone));
        }
        let Some(text) = self.watch.fetch(pages.limit, pages.token.clone()).await? else {
            pages.limit = (pages.limit / 4).max(1);
            self.state = State::Paging(pages);
            return Ok(None);
        };
        let page = wire::page(&text, &self.watch.kind, self.watch.read);
        pages.take(page.map_err(WatchError::Parse)?, text.len())?;
        self.state = State::Paging(pages);
        Ok(None)
    }

    async fn watch_line(
        &mut self,
        version: String,
        mut lines: Lines,
    ) -> Result<Option<Event<T>>, WatchError> {
        let line = match self.watch.line(&mut lines).await {
            Ok(Some(line)) => line,
            Ok(None) => {
                let is_short = lines.since.elapsed() < MIN_DURATION;
                self.state = State::Listed(version);
                return if is_short { Err(WatchError::Short) } else { Ok(None) };
            }
            Err(error) => {
                self.state = State::Listed(version);
                return Err(error);
            }
        };
        let (event, version) = match line {
            Line::Applied(object, version) => (object.map(Event::Apply), version),
            Line::Deleted(object, version) => (object.map(Event::Delete), version),
            Line::Bookmark { version, .. } => (None, version),
            Line::Failed(status) => {
                self.resume_unless_gone(version, status.code);
                return Err(WatchError::Ended(status));
            }
        };
        self.state = State::Watching(version, lines);
        Ok(event)
    }

    fn resume(
        &mut self,
        version: String,
        opened: Result<Lines, WatchError>,
    ) -> Result<(), WatchError> {
        match opened {
            Ok(lines) => {
                self.state = State::Watching(version, lines);
                Ok(())
            }
            Err(error) => {
                let code = match &error {
                    WatchError::Start(kube::Error::Api(status)) => status.code,
                    _ => 0,
                };
                self.resume_unless_gone(version, code);
                Err(error)
            }
        }
    }

    /// Resumes at `version`, or lists again if the server responded 410: it no longer has the
    /// changes since that version.
    fn resume_unless_gone(&mut self, version: String, code: u16) {
        self.state = if code == 410 { State::Start } else { State::Listed(version) };
    }

    /// Returns the duration of the next watch.
    fn next_duration(&mut self) -> Duration {
        DURATION.saturating_sub(JITTER.mul_f64(self.backoff.fraction()))
    }
}
