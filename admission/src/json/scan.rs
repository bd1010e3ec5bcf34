//! A scanner of JSON text: what comes next, where a string ends, where a value ends. It builds no
//! values.
//!
//! It accepts only JSON. Invalid text is `None`, and so is text that it does not support, such as
//! brackets nested too deep.

use wide::u8x16;

/// A text with the part that is not read yet.
#[derive(Debug)]
pub(super) struct Scanner<'de> {
    text: &'de str,
    rest: &'de [u8],
}

/// The open brackets of a value that is skipped, one bit for each level.
#[derive(Debug, Default)]
struct Open {
    depth: u32,
    /// Set for each level that is an object; the innermost is the lowest bit.
    objects: u64,
}

impl<'de> Scanner<'de> {
    pub(super) const fn new(text: &'de str) -> Self {
        Self { text, rest: text.as_bytes() }
    }

    /// Returns whether only spaces are left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.peek().is_none() && self.rest.is_empty()
    }

    /// Returns the next byte that is not a space, without consuming it.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        match self.rest {
            [byte, ..] if *byte > b' ' => Some(*byte),
            _ => self.peek_after_spaces(),
        }
    }

    /// Consumes this byte, which must be next.
    #[inline]
    pub(super) fn pass(&mut self, wanted: u8) -> Option<()> {
        let next = self.peek()?;
        self.pass_byte();
        (next == wanted).then_some(())
    }

    /// Consumes this word, which must be next.
    pub(super) fn pass_word(&mut self, wanted: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(wanted.as_bytes())?;
        Some(())
    }

    /// Consumes the next string if it has no escapes. Otherwise consumes only spaces.
    #[inline]
    pub(super) fn plain_string(&mut self) -> Option<&'de str> {
        self.peek()?;
        let inner = self.rest.strip_prefix(b"\"")?;
        let length = plain(inner);
        let rest = inner.get(length..)?.strip_prefix(b"\"")?;
        let start = self.text.len() - inner.len();
        self.rest = rest;
        self.text.get(start..start + length)
    }

    /// Consumes the next string, and returns it with its quotes.
    #[cold]
    pub(super) fn quoted_string(&mut self) -> Option<&'de str> {
        self.peek()?;
        let start = self.text.len() - self.rest.len();
        self.pass_string()?;
        self.text.get(start..self.text.len() - self.rest.len())
    }

    /// Consumes the next number if it is an integer of 32 bits.
    pub(super) fn small_integer(&mut self) -> Option<i32> {
        self.peek()?;
        let start = self.text.len() - self.rest.len();
        self.pass_number()?;
        let text = self.text.get(start..self.text.len() - self.rest.len())?;
        (text != "-0").then(|| text.parse().ok())?
    }

    /// Consumes the next value of any type.
    pub(super) fn skip(&mut self) -> Option<()> {
        let mut open = Open::default();
        loop {
            let is_complete = match self.peek()? {
                b'{' => self.enter(&mut open, b'}')?,
                b'[' => self.enter(&mut open, b']')?,
                _ => self.pass_scalar().map(|()| true)?,
            };
            if is_complete && self.leave(&mut open)? {
                return Some(());
            }
        }
    }

    /// Consumes an opening bracket. Returns whether its value is empty and consumed too.
    #[inline]
    fn enter(&mut self, open: &mut Open, end: u8) -> Option<bool> {
        self.pass_byte();
        if self.peek()? == end {
            self.pass_byte();
            return Some(true);
        }
        open.push(end)?;
        self.pass_key_within(end)?;
        Some(false)
    }

    /// Consumes what separates a value from the next. Returns whether no bracket is open any more.
    #[inline]
    fn leave(&mut self, open: &mut Open) -> Option<bool> {
        while let Some(end) = open.last() {
            let next = self.peek()?;
            self.pass_byte();
            if next == b',' {
                self.pass_key_within(end)?;
                return Some(false);
            }
            if next != end {
                return None;
            }
            open.pop();
        }
        Some(true)
    }

    /// Consumes the key of an entry of an object.
    #[inline]
    fn pass_key_within(&mut self, end: u8) -> Option<()> {
        if end == b']' {
            return Some(());
        }
        self.peek()?;
        self.pass_string()?;
        self.pass(b':')
    }

    #[inline]
    fn pass_scalar(&mut self) -> Option<()> {
        match self.rest.first()? {
            b'"' => self.pass_string(),
            b't' => self.pass_word("true"),
            b'f' => self.pass_word("false"),
            b'n' => self.pass_word("null"),
            _ => self.pass_number(),
        }
    }

    fn pass_number(&mut self) -> Option<()> {
        self.pass_any(b"-");
        if !self.pass_any(b"0") {
            self.pass_digits()?;
        }
        if self.pass_any(b".") {
            self.pass_digits()?;
        }
        if self.pass_any(b"eE") {
            self.pass_any(b"+-");
            self.pass_digits()?;
        }
        Some(())
    }

    fn pass_digits(&mut self) -> Option<()> {
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = &self.rest[length..];
        (length > 0).then_some(())
    }

    /// Consumes a byte if it is one of these.
    fn pass_any(&mut self, bytes: &[u8]) -> bool {
        let is_next = self.rest.first().is_some_and(|byte| bytes.contains(byte));
        if is_next {
            self.pass_byte();
        }
        is_next
    }

    #[inline]
    fn pass_string(&mut self) -> Option<()> {
        let inner = self.rest.strip_prefix(b"\"")?;
        let rest = inner.get(plain(inner)..)?;
        self.rest = rest;
        match rest.strip_prefix(b"\"") {
            Some(rest) => self.rest = rest,
            None => self.pass_rest_of_string()?,
        }
        Some(())
    }

    #[cold]
    fn pass_rest_of_string(&mut self) -> Option<()> {
        loop {
            match self.rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return Some(());
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => {
                    self.rest = rest;
                }
                [b'\\', b'u', a, b, c, d, rest @ ..] => {
                    self.rest = rest;
                    [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
                }
                // A control character, which a string may not have, or the end.
                _ => return None,
            }
            self.rest = self.rest.get(plain(self.rest)..)?;
        }
    }

    #[cold]
    fn peek_after_spaces(&mut self) -> Option<u8> {
        let is_space = |byte: &&u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        let spaces = self.rest.iter().take_while(is_space).count();
        self.rest = self.rest.get(spaces..)?;
        self.rest.first().copied()
    }

    #[inline]
    fn pass_byte(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }
}

impl Open {
    /// Returns the bracket that closes the innermost level.
    #[inline]
    fn last(&self) -> Option<u8> {
        let end = if self.objects & 1 == 1 { b'}' } else { b']' };
        (self.depth > 0).then_some(end)
    }

    #[inline]
    fn push(&mut self, end: u8) -> Option<()> {
        self.depth += 1;
        self.objects = self.objects << 1 | u64::from(end == b'}');
        (self.depth <= u64::BITS).then_some(())
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }
}

/// Returns how many bytes come before a quote, an escape or a control character. It compares
/// sixteen bytes at a time, in which most strings of a review end.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((sixteen, after)) = rest.split_first_chunk() {
        let special = special(u8x16::new(*sixteen));
        if special != 0 {
            return bytes.len() - rest.len() + special.trailing_zeros() as usize;
        }
        rest = after;
    }
    let is_plain = |byte: &&u8| **byte >= b' ' && **byte != b'"' && **byte != b'\\';
    bytes.len() - rest.len() + rest.iter().take_while(is_plain).count()
}

/// Returns a bit for each byte that is a quote, an escape or a control character.
#[inline]
fn special(sixteen: u8x16) -> u32 {
    let are = |byte| sixteen.simd_eq(u8x16::splat(byte));
    let control = sixteen.min(u8x16::splat(b' ' - 1)).simd_eq(sixteen);
    (are(b'"') | are(b'\\') | control).to_bitmask()
}
