//! The errors of watches.

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
    #[error("the connection was interrupted")]
    Read(#[source] io::Error),
    #[error("the API server sent an invalid event or list")]
    Parse(#[source] serde_json::Error),
    #[error("the API server sent invalid UTF-8")]
    Encoding(#[source] FromUtf8Error),
    #[error("the API server ended the watch: {0}")]
    Ended(Box<Status>),
    #[error("the API server ended the watch immediately")]
    Short,
    #[error("the API server ended a streamed list before it was complete")]
    Incomplete,
    #[error("the API server sent a list without a version")]
    NoVersion,
}

impl WatchError {
    /// Returns the delay that a Status requests. The client itself handles a `Retry-After` header.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let status = match self {
            Self::List(kube::Error::Api(status)) | Self::Start(kube::Error::Api(status)) => status,
            Self::Ended(status) => status,
            _ => return None,
        };
        let seconds = status.details.as_ref()?.retry_after_seconds;
        Some(Duration::from_secs(seconds.into()))
    }

    /// Returns whether the API server rejected the parameter of streamed lists.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self, Self::Start(kube::Error::Api(status)) if matches!(status.code, 400 | 422))
    }
}
