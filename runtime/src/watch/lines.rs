//! The lines of a watch that is open, one at a time.

use futures::{AsyncBufRead, AsyncBufReadExt as _};
use std::io;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// A buffer that has grown larger than this for one object is given back.
const KEEP_BYTES: usize = 64 << 10;
type Reader = Pin<Box<dyn AsyncBufRead + Send>>;

/// The lines of a watch that is open.
pub(super) struct Lines {
    reader: Reader,
    buffer: String,
    limit: Duration,
    pub(super) since: Instant,
}

impl Lines {
    /// Reads lines from here, and waits for each no longer than `limit`.
    pub(super) fn new(reader: impl AsyncBufRead + Send + 'static, limit: Duration) -> Self {
        let since = Instant::now();
        Self { reader: Box::pin(reader), buffer: String::new(), limit, since }
    }

    /// Returns the next line; none at the end, and when nothing has come for so long that the other
    /// side must be gone.
    pub(super) async fn next(&mut self) -> io::Result<Option<&str>> {
        if self.buffer.capacity() > KEEP_BYTES {
            self.buffer = String::new();
        }
        self.buffer.clear();
        let read = self.reader.read_line(&mut self.buffer);
        let Ok(read) = tokio::time::timeout(self.limit, read).await else { return Ok(None) };
        // A line without an end is the rest of a connection that was cut off.
        let is_whole = read? > 0 && self.buffer.ends_with('\n');
        Ok(is_whole.then_some(self.buffer.as_str()))
    }
}
