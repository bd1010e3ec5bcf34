//! A list in pages, and how many objects the next one is to have. Pure.

use super::error::WatchError;
use super::wire::Page;
use std::collections::VecDeque;

/// How many objects the first page has.
const FIRST_PAGE: u32 = 5;
/// How many objects a page has at most.
const LONGEST_PAGE: u32 = 500;
/// How many bytes a page is meant to have.
const PAGE_BYTES: usize = 1 << 20;
/// How many bytes of a page are read before a smaller one is asked for.
pub(super) const MOST_BYTES: u64 = 4 << 20;
/// How far a list in pages has come.
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

/// Returns how many objects the next page is to have after one of so many objects and bytes.
fn next_limit(limit: u32, items: usize, bytes: usize) -> u32 {
    let each = (bytes / items.max(1)).max(1);
    let fit = u32::try_from(PAGE_BYTES / each).unwrap_or(u32::MAX);
    fit.clamp(1, limit.saturating_mul(4).min(LONGEST_PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_the_bytes_that_came() {
        assert_eq!(next_limit(5, 5, 5 * 1000), 20, "a page is at most four times the one before");
        assert_eq!(next_limit(500, 500, 500 * 1000), 500);
        assert_eq!(next_limit(320, 320, 320 * 20_000), 52);
        assert_eq!(next_limit(5, 5, 5 << 20), 1);
        assert_eq!(next_limit(1, 1, 3 << 20), 1);
        assert_eq!(next_limit(5, 0, 90), 20, "an empty page");
    }
}
