//! The permissions of a new volume's root.

/// Permission bits of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Mode {
    /// Parses permissions in octal, with or without leading zeros.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let octal = (1..=5).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
        let bits = u32::from_str_radix(text, 8).ok().filter(|_| octal)?;
        (bits <= 0o7777).then_some(Self(bits))
    }
}

impl Default for Mode {
    /// Every user may write: the kubelet changes a volume's owner only for pods that set an
    /// fsGroup, and a container that runs as an ordinary user could otherwise write nothing. The
    /// directory above keeps out other users of the node.
    fn default() -> Self {
        Self(0o777)
    }
}
