//! Request bodies: the maximum size of one, and the memory for all of them.

use http::{HeaderMap, Request, header};
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The maximum size of a body. The API server accepts objects of up to 3 MiB, and a review contains
/// two.
pub const MAX_BODY: usize = 7 * 1024 * 1024;
/// The maximum size of a small body. Small bodies have memory of their own: slow large ones must
/// not block them.
const MAX_SMALL_BODY: usize = 64 * 1024;
/// The memory for small bodies and the first bytes of large ones.
const SMALL_BUDGET: usize = MAX_BODY;
/// The memory for the other bytes of large bodies.
const LARGE_BUDGET: usize = 3 * MAX_BODY;

/// The memory for bodies: a permit for each byte.
#[derive(Debug)]
pub(super) struct Budget {
    small: Semaphore,
    large: Semaphore,
}

/// Why a body could not be received.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is larger than {MAX_BODY} bytes")]
    TooLarge,
    #[error("too many concurrent request bodies")]
    Busy,
    #[error("could not read the body: {0}")]
    Broken(hyper::Error),
}

/// A body and its memory, which is returned when this is dropped.
pub(super) struct Received<'a> {
    content: Content,
    budget: &'a Budget,
    small: Option<SemaphorePermit<'a>>,
    large: Option<SemaphorePermit<'a>>,
}

/// The bytes of a body. Most bodies arrive in one chunk, which is not copied.
enum Content {
    Single(Bytes),
    Joined(Vec<u8>),
}

impl Default for Budget {
    fn default() -> Self {
        Self { small: Semaphore::new(SMALL_BUDGET), large: Semaphore::new(LARGE_BUDGET) }
    }
}

/// Receives a body, without a timeout.
pub(super) async fn receive(
    request: Request<Incoming>,
    budget: &Budget,
) -> Result<Received<'_>, BodyError> {
    if content_length(request.headers()).is_some_and(|length| length > MAX_BODY) {
        return Err(BodyError::TooLarge);
    }
    let mut body = request.into_body();
    let content = Content::Single(Bytes::new());
    let mut received = Received { content, budget, small: None, large: None };
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
        received.take(data)?;
    }
    Ok(received)
}

impl Received<'_> {
    /// Returns the body.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.content {
            Content::Single(chunk) => chunk,
            Content::Joined(joined) => joined,
        }
    }

    /// Adds received bytes. Memory is reserved when bytes arrive and not by the Content-Length,
    /// which costs a peer nothing.
    fn take(&mut self, data: Bytes) -> Result<(), BodyError> {
        let length = self.bytes().len() + data.len();
        if length > MAX_BODY {
            return Err(BodyError::TooLarge);
        }
        let (budget, reserved) = match length <= MAX_SMALL_BODY {
            true => (&self.budget.small, &mut self.small),
            false => (&self.budget.large, &mut self.large),
        };
        // A request that needs more than is available fails at once.
        let bytes = u32::try_from(data.len()).map_err(|_| BodyError::TooLarge)?;
        let more = budget.try_acquire_many(bytes).map_err(|_| BodyError::Busy)?;
        match reserved {
            Some(reserved) => reserved.merge(more),
            None => *reserved = Some(more),
        }
        match &mut self.content {
            Content::Single(chunk) if chunk.is_empty() => *chunk = data,
            Content::Single(chunk) => {
                let mut joined = Vec::with_capacity(2 * length);
                joined.extend_from_slice(chunk);
                joined.extend_from_slice(&data);
                self.content = Content::Joined(joined);
            }
            Content::Joined(joined) => joined.extend_from_slice(&data),
        }
        Ok(())
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_bodies_return_their_memory() {
        let budget = Budget { small: Semaphore::new(10), large: Semaphore::new(0) };
        let content = || Content::Single(Bytes::new());
        let body = || Received { content: content(), budget: &budget, small: None, large: None };
        let takes = |body: &mut Received<'_>, bytes| body.take(vec![0; bytes].into()).is_ok();
        let (mut one, mut other) = (body(), body());
        assert!(takes(&mut one, 4) && takes(&mut one, 3) && takes(&mut other, 3));
        assert!(!takes(&mut one, 1) && !takes(&mut other, 1));
        drop(one);
        assert!(!takes(&mut other, 8) && takes(&mut other, 7));
        drop(other);
        assert_eq!(budget.small.available_permits(), 10);
    }
}
