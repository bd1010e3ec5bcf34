//! Request bodies: the maximum size of one, and the memory for all of them.

use http::{HeaderMap, Request, header};
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The maximum size of a body. The API server accepts objects of up to 3 MiB, and a review contains
/// two.
pub const MAX_BODY: usize = 7 * 1024 * 1024;
/// The size of a small body. Small bodies have memory of their own: slow large ones must not block
/// them.
const SMALL: usize = 64 * 1024;
/// The memory for small bodies and the first bytes of large ones.
const FOR_SMALL: usize = MAX_BODY;
/// The memory for the other bytes of large bodies.
const FOR_LARGE: usize = 3 * MAX_BODY;

/// The memory for bodies.
#[derive(Debug)]
pub(super) struct Budget {
    small: BodyBudget,
    large: BodyBudget,
}

/// The number of available bytes. A request that needs more fails at once.
#[derive(Debug)]
struct BodyBudget(AtomicUsize);

/// Bytes that are returned to the budget when this is dropped.
#[derive(Debug)]
struct Reservation<'a> {
    budget: &'a BodyBudget,
    bytes: usize,
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

/// A body and its memory.
pub(super) struct Received<'a> {
    content: Content,
    small: Reservation<'a>,
    large: Reservation<'a>,
}

/// The bytes of a body. Most bodies arrive in one piece, which is not copied.
enum Content {
    Piece(Bytes),
    Pieces(Vec<u8>),
}

impl Default for Budget {
    fn default() -> Self {
        let budget = |bytes| BodyBudget(AtomicUsize::new(bytes));
        Self { small: budget(FOR_SMALL), large: budget(FOR_LARGE) }
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
    let content = Content::Piece(Bytes::new());
    let (small, large) = (budget.small.reserve_nothing(), budget.large.reserve_nothing());
    let mut received = Received { content, small, large };
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
            Content::Piece(piece) => piece,
            Content::Pieces(pieces) => pieces,
        }
    }

    /// Adds received bytes. Memory is reserved when bytes arrive and not by the Content-Length,
    /// which costs a peer nothing.
    fn take(&mut self, data: Bytes) -> Result<(), BodyError> {
        let length = self.bytes().len() + data.len();
        if length > MAX_BODY {
            return Err(BodyError::TooLarge);
        }
        let reservation = if length <= SMALL { &mut self.small } else { &mut self.large };
        reservation.grow(data.len()).ok_or(BodyError::Busy)?;
        match &mut self.content {
            Content::Piece(piece) if piece.is_empty() => *piece = data,
            Content::Piece(piece) => {
                let mut pieces = Vec::with_capacity(2 * length);
                pieces.extend_from_slice(piece);
                pieces.extend_from_slice(&data);
                self.content = Content::Pieces(pieces);
            }
            Content::Pieces(pieces) => pieces.extend_from_slice(&data),
        }
        Ok(())
    }
}

impl BodyBudget {
    const fn reserve_nothing(&self) -> Reservation<'_> {
        Reservation { budget: self, bytes: 0 }
    }
}

impl Reservation<'_> {
    /// Reserves more bytes. Returns `None` if they are not available.
    fn grow(&mut self, more: usize) -> Option<()> {
        let less = |available: usize| available.checked_sub(more);
        let taken = self.budget.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        self.bytes += taken.ok().map(|_| more)?;
        Some(())
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_reservations_are_returned() {
        let budget = BodyBudget(AtomicUsize::new(10));
        let (mut one, mut other) = (budget.reserve_nothing(), budget.reserve_nothing());
        assert_eq!((one.grow(4), one.grow(3), other.grow(3)), (Some(()), Some(()), Some(())));
        assert_eq!((one.grow(1), other.grow(1)), (None, None));
        drop(one);
        assert_eq!((other.grow(8), other.grow(7)), (None, Some(())));
        drop(other);
        assert_eq!(budget.0.into_inner(), 10);
    }
}
