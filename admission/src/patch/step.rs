//! The operations of a patch, as text.

use crate::json::write_text;

/// The parts of a path: at most three.
pub(super) type Path = [Option<&'static str>; 3];

/// One operation of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step<'a> {
    pub(super) op: Op,
    pub(super) path: Path,
    pub(super) value: Content<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Test,
    Replace,
    Remove,
}

/// The value of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Nothing,
    Empty,
    Text(&'a str),
}

/// Writes a path. Its parts are fastrak's own and have nothing that JSON escapes. Only a key has
/// characters that a path escapes.
fn write_path([first, second, key]: Path, out: &mut Vec<u8>) {
    for name in [first, second].into_iter().flatten() {
        out.push(b'/');
        out.extend_from_slice(name.as_bytes());
    }
    let Some(key) = key else { return };
    out.push(b'/');
    let mut rest = key.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'~' | b'/')) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(if rest[at] == b'~' { b"~0" } else { b"~1" });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

impl Op {
    /// Returns the text of the operation before its path.
    const fn as_text(self) -> &'static str {
        match self {
            Self::Add => r#"{"op":"add","path":""#,
            Self::Test => r#"{"op":"test","path":""#,
            Self::Replace => r#"{"op":"replace","path":""#,
            Self::Remove => r#"{"op":"remove","path":""#,
        }
    }
}

impl Step<'_> {
    /// Writes the operation as text.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.op.as_text().as_bytes());
        write_path(self.path, out);
        match self.value {
            Content::Nothing => out.extend_from_slice(b"\"}"),
            Content::Empty => out.extend_from_slice(b"\",\"value\":{}}"),
            Content::Text(text) => {
                out.extend_from_slice(b"\",\"value\":");
                write_text(text, out);
                out.push(b'}');
            }
        }
    }
}
