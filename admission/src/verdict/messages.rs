//! The messages of a decision, in lines that fit where clients print them. It does not decide which
//! messages there are.

use super::Reason;
use std::borrow::Cow;
use std::fmt;

/// The maximum length of a warning, as Kubernetes advises: clients print each on one line.
const MAX_LINE: usize = 120;
/// The prefix of what was done.
const PREFIX: &str = "fastrak: ";
/// The prefix of what would have been done.
const DRY_RUN_PREFIX: &str = "fastrak (dry run) would have ";
/// The prefix of a remark in dry-run mode.
const DRY_RUN_REMARK_PREFIX: &str = "fastrak (dry run): ";

/// The place of the subject in a message.
const PLACEHOLDER: &str = "{}";

/// A message for the requester.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// What fastrak did.
    Did(String),
    /// A remark.
    Remark(String),
}

/// A line that a client prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning<'a> {
    /// The prefix, which names fastrak.
    pub before: &'static str,
    /// The message.
    pub text: Cow<'a, str>,
}

impl Message {
    /// Returns the warning: one short line that names fastrak. In dry-run mode nothing was done.
    #[must_use]
    pub fn warning(&self, dry_run: bool) -> Warning<'_> {
        let (before, text) = match (self, dry_run) {
            (Self::Did(text) | Self::Remark(text), false) => (PREFIX, text),
            (Self::Did(text), true) => (DRY_RUN_PREFIX, text),
            (Self::Remark(text), true) => (DRY_RUN_REMARK_PREFIX, text),
        };
        Warning { before, text: cut(text, MAX_LINE.saturating_sub(before.len())) }
    }
}

impl Warning<'_> {
    /// Returns the warning with an owned text.
    #[must_use]
    pub fn into_owned(self) -> Warning<'static> {
        Warning { before: self.before, text: self.text.into_owned().into() }
    }
}

impl fmt::Display for Warning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.before)?;
        f.write_str(&self.text)
    }
}

/// Describes what was done for a reason. The subject is cut to fit, because the end of the message
/// says what to do.
#[must_use]
pub(super) fn explained(reason: Reason, about: &str) -> String {
    let words = reason.message();
    let Some((before, after)) = words.split_once(PLACEHOLDER) else { return words.to_owned() };
    let room = MAX_LINE.saturating_sub(DRY_RUN_PREFIX.len() + words.len());
    [before, &cut(about, room), after].concat()
}

/// Returns a user's text as one line of at most `most` characters. The API server silently drops a
/// warning with a control character.
#[must_use]
pub fn clipped(text: &str, most: usize) -> String {
    cut(text, most).into_owned()
}

/// Returns the same, borrowed if the text is short and plain ASCII, as most are.
fn cut(text: &str, most: usize) -> Cow<'_, str> {
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte);
    // The fold has no exit, so it takes many bytes at a time.
    if text.len() <= most && text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        return text.into();
    }
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    if text.chars().count() <= most {
        return line.collect();
    }
    line.take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_one_short_line_that_names_fastrak() {
        let did = |text: &str| Message::Did(text.to_owned());
        let warned = |message: &Message, dry_run| message.warning(dry_run).to_string();
        assert_eq!(warned(&did("left it"), false), "fastrak: left it");
        assert_eq!(warned(&did("left it"), true), "fastrak (dry run) would have left it");
        let remark = Message::Remark("a\nb\u{7}".to_owned());
        assert_eq!(warned(&remark, false), "fastrak: a b ");
        assert_eq!(warned(&remark, true), "fastrak (dry run): a b ");
        let long = warned(&did(&"é".repeat(500)), false);
        assert_eq!(long.chars().count(), 120);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn a_warning_ends_with_the_words_of_its_reason_even_if_its_subject_is_long() {
        for reason in Reason::ALL {
            let text = Message::Did(explained(reason, &"x".repeat(300))).warning(true).to_string();
            let end = reason.message().rsplit("{}").next().unwrap();
            assert!(text.chars().count() <= MAX_LINE && text.ends_with(end), "{text}");
            let name = "node-a.example";
            let whole = explained(reason, name);
            assert!(!reason.message().contains("{}") || whole.contains(name), "{whole}");
        }
    }
}
