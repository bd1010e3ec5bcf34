//! Bodies: how large one may be, and how much memory all of them may take together. It does not look
//! into them.

use http::{HeaderMap, Request, header};
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use tokio::sync::{Semaphore, SemaphorePermit};

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
    small: Semaphore,
    large: Semaphore,
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
    budget: &'a Budget,
    content: Content,
    small: Option<SemaphorePermit<'a>>,
    large: Option<SemaphorePermit<'a>>,
}

/// Most bodies come in one piece, which is then not copied.
enum Content {
    Piece(Bytes),
    Pieces(Vec<u8>),
}

impl Default for Budget {
    fn default() -> Self {
        Self { small: Semaphore::new(FOR_SMALL), large: Semaphore::new(FOR_LARGE) }
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
    let mut received = Received { budget, content, small: None, large: None };
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
        let count = u32::try_from(data.len()).map_err(|_| BodyError::TooLarge)?;
        let (from, held) = if length <= SMALL {
            (&self.budget.small, &mut self.small)
        } else {
            (&self.budget.large, &mut self.large)
        };
        let more = from.try_acquire_many(count).map_err(|_| BodyError::Busy)?;
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
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

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
