//! The lines of an open watch.

use futures::{AsyncBufRead, AsyncBufReadExt as _};
use std::io;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// The capacity above which the buffer is freed after a line.
const KEEP_BYTES: usize = 64 << 10;
type Reader = Pin<Box<dyn AsyncBufRead + Send>>;

/// The lines of an open watch.
pub(super) struct Lines {
    reader: Reader,
    buffer: String,
    limit: Duration,
    pub(super) since: Instant,
}

impl Lines {
    /// Reads lines from `reader`, with a timeout of `limit` for each.
    pub(super) fn new(reader: impl AsyncBufRead + Send + 'static, limit: Duration) -> Self {
        let since = Instant::now();
        Self { reader: Box::pin(reader), buffer: String::new(), limit, since }
    }

    /// Returns the next line; nothing at the end of the stream or after the timeout.
    pub(super) async fn next(&mut self) -> io::Result<Option<&str>> {
        if self.buffer.capacity() > KEEP_BYTES {
            self.buffer = String::new();
        }
        self.buffer.clear();
        let read = self.reader.read_line(&mut self.buffer);
        let Ok(read) = tokio::time::timeout(self.limit, read).await else { return Ok(None) };
        // A line without a newline is incomplete: the connection was interrupted.
        let is_whole = read? > 0 && self.buffer.ends_with('\n');
        Ok(is_whole.then_some(self.buffer.as_str()))
    }
}
