//! Why a watch is interrupted.

use kube::core::response::Status;
use std::io;
use std::string::FromUtf8Error;
use std::time::Duration;

/// Why a watch was interrupted.
#[derive(Debug, thiserror::Error)]
pub(super) enum WatchError {
    #[error("could not list the objects")]
    List(#[source] kube::Error),
    #[error("could not start the watch")]
    Start(#[source] kube::Error),
    #[error("the connection was cut off")]
    Read(#[source] io::Error),
    #[error("the API server sent what is no event and no list")]
    Parse(#[source] serde_json::Error),
    #[error("the API server sent what is no text")]
    Encoding(#[source] FromUtf8Error),
    #[error("the API server ended the watch: {0}")]
    Ended(Box<Status>),
    #[error("the API server ended the watch at once")]
    Short,
    #[error("the API server ended a streamed list before it was complete")]
    Incomplete,
    #[error("the API server sent a list without a version")]
    NoVersion,
}

impl WatchError {
    /// Returns how long the API server has asked its clients to wait. A `Retry-After` in a header is
    /// waited for by the client itself.
    pub(super) fn asked(&self) -> Option<Duration> {
        let status = match self {
            Self::List(kube::Error::Api(status)) | Self::Start(kube::Error::Api(status)) => status,
            Self::Ended(status) => status,
            _ => return None,
        };
        let seconds = status.details.as_ref()?.retry_after_seconds;
        Some(Duration::from_secs(seconds.into()))
    }

    /// Whether the API server does not stream lists: it says that the parameter is not allowed.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self, Self::Start(kube::Error::Api(status)) if matches!(status.code, 400 | 422))
    }
}
