//! The pages of a list and their sizes. Pure.

use super::error::WatchError;
use super::wire::Page;
use std::collections::VecDeque;

/// The number of objects in the first page.
const FIRST_PAGE: u32 = 5;
/// The maximum number of objects in a page.
const MAX_PAGE: u32 = 500;
/// The target size of a page in bytes.
const PAGE_BYTES: usize = 1 << 20;
/// The maximum size of a page in bytes. A larger page is requested again with fewer objects.
pub(super) const MAX_BYTES: u64 = 4 << 20;

/// The progress of a list in pages.
pub(super) struct Pages<T> {
    pub(super) objects: VecDeque<T>,
    pub(super) token: Option<String>,
    pub(super) version: Option<String>,
    pub(super) limit: u32,
}

impl<T> Pages<T> {
    pub(super) fn new() -> Self {
        Self { objects: VecDeque::new(), token: None, version: None, limit: FIRST_PAGE }
    }

    pub(super) fn take(&mut self, page: Page<T>, bytes: usize) -> Result<(), WatchError> {
        if page.version.is_none() && page.token.is_none() {
            return Err(WatchError::NoVersion);
        }
        self.limit = next_limit(self.limit, page.items, bytes);
        self.objects = page.objects;
        self.version = page.version;
        self.token = page.token;
        Ok(())
    }
}

/// Returns the number of objects to request for the next page, from the objects and bytes of the
/// last one.
fn next_limit(limit: u32, items: usize, bytes: usize) -> u32 {
    let each = (bytes / items.max(1)).max(1);
    let fit = u32::try_from(PAGE_BYTES / each).unwrap_or(u32::MAX);
    fit.clamp(1, limit.saturating_mul(4).min(MAX_PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_size_follows_the_received_bytes() {
        assert_eq!(next_limit(5, 5, 5 * 1000), 20, "a page is at most four times the one before");
        assert_eq!(next_limit(500, 500, 500 * 1000), 500);
        assert_eq!(next_limit(320, 320, 320 * 20_000), 52);
        assert_eq!(next_limit(5, 5, 5 << 20), 1);
        assert_eq!(next_limit(1, 1, 3 << 20), 1);
        assert_eq!(next_limit(5, 0, 90), 20, "an empty page");
    }
}
