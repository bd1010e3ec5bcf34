//! The requests of a watch.

use super::Watch;
use super::error::WatchError;
use super::lines::Lines;
use super::pages::MAX_BYTES;
use super::wire::{self, Line};
use futures::AsyncReadExt as _;
use kube::api::{ListParams, WatchParams};
use kube::core::Request;
use std::time::Duration;

/// The time after the requested duration of a watch at which a silent watch counts as dead.
const TIMEOUT_MARGIN: Duration = Duration::from_secs(5);

impl<T> Watch<T> {
    /// Starts the watch at a version. If `lists`, the server sends all objects first.
    pub(super) async fn open(
        &self,
        version: &str,
        lists: bool,
        duration: Duration,
    ) -> Result<Lines, WatchError> {
        let params = WatchParams {
            label_selector: self.labels.clone(),
            field_selector: self.fields.clone(),
            timeout: u32::try_from(duration.as_secs()).ok(),
            bookmarks: true,
            send_initial_events: lists,
        };
        let request = Request::new(&self.path);
        let request = if self.metadata_only {
            request.watch_metadata(&params, version)
        } else {
            request.watch(&params, version)
        };
        let request = request.map_err(kube::Error::BuildRequest).map_err(WatchError::Start)?;
        let reader = self.client.request_stream(request).await.map_err(WatchError::Start)?;
        Ok(Lines::new(reader, duration + TIMEOUT_MARGIN))
    }

    /// Reads the next line. Returns nothing at the end of the stream.
    pub(super) async fn line(&self, lines: &mut Lines) -> Result<Option<Line<T>>, WatchError> {
        let Some(text) = lines.next().await.map_err(WatchError::Read)? else { return Ok(None) };
        wire::line(text, &self.kind, self.read).map(Some).map_err(WatchError::Parse)
    }

    /// Fetches a page of at most `limit` objects. Returns nothing if the page has too many bytes
    /// and more than one object.
    pub(super) async fn fetch(
        &self,
        limit: u32,
        token: Option<String>,
    ) -> Result<Option<String>, WatchError> {
        let params = ListParams {
            label_selector: self.labels.clone(),
            field_selector: self.fields.clone(),
            limit: Some(limit),
            continue_token: token,
            ..ListParams::default()
        };
        let request = Request::new(&self.path);
        let request =
            if self.metadata_only { request.list_metadata(&params) } else { request.list(&params) };
        let request = request.map_err(kube::Error::BuildRequest).map_err(WatchError::List)?;
        let body = self.client.request_stream(request).await.map_err(WatchError::List)?;
        let most = if limit == 1 { u64::MAX } else { MAX_BYTES };
        let mut text = Vec::new();
        let read = Box::pin(body).take(most).read_to_end(&mut text).await;
        let read = read.map_err(WatchError::Read)? as u64;
        if limit > 1 && read == MAX_BYTES {
            return Ok(None);
        }
        String::from_utf8(text).map(Some).map_err(WatchError::Encoding)
    }
}
