//! How many files a volume may have for its size.
//!
//! A limit on bytes alone does not protect a node: an empty file takes an inode and no bytes, and
//! ext4 and XFS have a bounded number of inodes for the whole filesystem.

use crate::size::Bytes;
use std::ops::RangeInclusive;

/// How many bytes of a volume's size allow it one more file; `None` if its files are not limited.
/// The same ratio as that of `mkfs.ext4 -i`: volumes with the ratio of their filesystem cannot have
/// more files together than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BytesPerInode(pub Option<u64>);

/// The range that mkfs.ext4 accepts.
const RANGE: RangeInclusive<u64> = 1024..=64 * 1024 * 1024;
/// The word for no limit.
const NONE: &str = "none";

impl BytesPerInode {
    /// Parses a size such as `16384` or `16Ki`, or the word `none`. Zero is rejected: it could mean
    /// no limit or no file at all.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == NONE {
            return Some(Self(None));
        }
        let bytes = Bytes::parse(text).ok().filter(|bytes| RANGE.contains(&bytes.0))?;
        Some(Self(Some(bytes.0)))
    }
}

impl Default for BytesPerInode {
    /// The ratio of an ext4 that was made without `-i`.
    fn default() -> Self {
        Self(Some(16384))
    }
}
