//! The messages of a decision, in lines that fit where clients print them. It does not decide which
//! messages there are.

use super::Reason;
use std::borrow::Cow;
use std::fmt;

/// The longest text of a warning: what the API server's guide advises, since clients print each on
/// one line.
const LINE: usize = 120;
/// Before what was done.
const DID: &str = "fastrak: ";
/// Before what would have been done.
const WOULD: &str = "fastrak (dry run) would have ";
/// Before a remark where nothing is done.
const ASIDE: &str = "fastrak (dry run): ";

/// Stands in words for what they are about.
const BLANK: &str = "{}";

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
    /// The words that name fastrak.
    pub before: &'static str,
    /// The message.
    pub text: Cow<'a, str>,
}

impl Message {
    /// Returns the warning: one short line that names fastrak. In dry-run mode nothing was done.
    #[must_use]
    pub fn warning(&self, dry_run: bool) -> Warning<'_> {
        let (before, text) = match (self, dry_run) {
            (Self::Did(text) | Self::Remark(text), false) => (DID, text),
            (Self::Did(text), true) => (WOULD, text),
            (Self::Remark(text), true) => (ASIDE, text),
        };
        Warning { before, text: cut(text, LINE.saturating_sub(before.len())) }
    }
}

impl Warning<'_> {
    /// Returns the same warning with a text of its own.
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

/// Returns what was done for a reason. `about` is cut so that the whole fits a warning: its end says what
/// to do.
#[must_use]
pub(super) fn explained(reason: Reason, about: &str) -> String {
    let words = reason.message();
    let Some((before, after)) = words.split_once(BLANK) else { return words.to_owned() };
    let room = LINE.saturating_sub(WOULD.len() + words.len());
    [before, &cut(about, room), after].concat()
}

/// A text of a user's, fit to be shown to people: one line of at most `most` characters. The API
/// server drops a warning with a control character in silence.
#[must_use]
pub fn clipped(text: &str, most: usize) -> String {
    cut(text, most).into_owned()
}

/// The same, borrowed if the text is short and plain ASCII, as most are.
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
    fn a_warning_is_one_short_line_that_says_who_speaks() {
        let said = |text: &str| Message::Did(text.to_owned());
        let warned = |said: &Message, dry_run| said.warning(dry_run).to_string();
        assert_eq!(warned(&said("left it"), false), "fastrak: left it");
        assert_eq!(warned(&said("left it"), true), "fastrak (dry run) would have left it");
        let remark = Message::Remark("a\nb\u{7}".to_owned());
        assert_eq!(warned(&remark, false), "fastrak: a b ");
        assert_eq!(warned(&remark, true), "fastrak (dry run): a b ");
        let long = warned(&said(&"é".repeat(500)), false);
        assert_eq!(long.chars().count(), 120);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn whatever_it_is_about_a_warning_ends_with_what_its_reason_says() {
        for reason in Reason::ALL {
            let text = Message::Did(explained(*reason, &"x".repeat(300))).warning(true).to_string();
            let end = reason.message().rsplit("{}").next().unwrap();
            assert!(text.chars().count() <= LINE && text.ends_with(end), "{text}");
            let name = "node-a.example";
            let whole = explained(*reason, name);
            assert!(!reason.message().contains("{}") || whole.contains(name), "{whole}");
        }
    }
}
