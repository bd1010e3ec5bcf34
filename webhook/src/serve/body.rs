//! Bodies: how large one may be, and how much memory all of them may take together. It does not look
//! into them.

use http::{HeaderMap, Request, header};
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The largest body. The API server takes objects of up to 3 MiB, and a review holds two.
pub const LARGEST: usize = 7 * 1024 * 1024;
/// As much of a body as most have. It has memory of its own: large ones that dawdle must not keep
/// the many small ones from being read.
const SMALL: usize = 64 * 1024;
/// The small bodies, and beginnings of large ones, that may be in memory at a time, in bytes.
const FOR_SMALL: usize = LARGEST;
/// What goes beyond that.
const FOR_LARGE: usize = 3 * LARGEST;

/// The memory for bodies.
#[derive(Debug)]
pub(super) struct Budget {
    small: BodyBudget,
    large: BodyBudget,
}

/// Bytes that are still to be had. Nobody waits for them.
#[derive(Debug)]
struct BodyBudget(AtomicUsize);

/// Bytes that were had, and are given back when this is dropped.
#[derive(Debug)]
struct Held<'a> {
    room: &'a BodyBudget,
    bytes: usize,
}

/// Why a body could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is larger than {LARGEST} bytes")]
    TooLarge,
    #[error("too many bodies at a time")]
    Busy,
    #[error("the body could not be read: {0}")]
    Broken(hyper::Error),
}

/// A body, and the memory that it takes of the budget.
pub(super) struct Received<'a> {
    content: Content,
    small: Held<'a>,
    large: Held<'a>,
}

/// Most bodies come in one piece, which is then not copied.
enum Content {
    Piece(Bytes),
    Pieces(Vec<u8>),
}

impl Default for Budget {
    fn default() -> Self {
        let room = |bytes| BodyBudget(AtomicUsize::new(bytes));
        Self { small: room(FOR_SMALL), large: room(FOR_LARGE) }
    }
}

/// Receives a body, however long that takes.
pub(super) async fn receive(
    request: Request<Incoming>,
    budget: &Budget,
) -> Result<Received<'_>, BodyError> {
    if announced(request.headers()).is_some_and(|length| length > LARGEST) {
        return Err(BodyError::TooLarge);
    }
    let mut body = request.into_body();
    let content = Content::Piece(Bytes::new());
    let (small, large) = (budget.small.nothing(), budget.large.nothing());
    let mut received = Received { content, small, large };
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
        received.take(data)?;
    }
    Ok(received)
}

impl Received<'_> {
    /// The body.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.content {
            Content::Piece(piece) => piece,
            Content::Pieces(pieces) => pieces,
        }
    }

    /// Memory is taken from the budget as bytes come, and not as they are announced: to announce
    /// much costs a peer nothing.
    fn take(&mut self, data: Bytes) -> Result<(), BodyError> {
        let length = self.bytes().len() + data.len();
        if length > LARGEST {
            return Err(BodyError::TooLarge);
        }
        let held = if length <= SMALL { &mut self.small } else { &mut self.large };
        held.take(data.len()).ok_or(BodyError::Busy)?;
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
    const fn nothing(&self) -> Held<'_> {
        Held { room: self, bytes: 0 }
    }
}

impl Held<'_> {
    /// Takes so many more, if they are to be had.
    fn take(&mut self, more: usize) -> Option<()> {
        let less = |have: usize| have.checked_sub(more);
        let taken = self.room.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        self.bytes += taken.ok().map(|_| more)?;
        Some(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.room.0.fetch_add(self.bytes, Ordering::Relaxed);
        }
    }
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back() {
        let room = BodyBudget(AtomicUsize::new(10));
        let (mut one, mut other) = (room.nothing(), room.nothing());
        assert_eq!((one.take(4), one.take(3), other.take(3)), (Some(()), Some(()), Some(())));
        assert_eq!((one.take(1), other.take(1)), (None, None));
        drop(one);
        assert_eq!((other.take(8), other.take(7)), (None, Some(())));
        drop(other);
        assert_eq!(room.0.into_inner(), 10);
    }
}
