//! An error with its causes on one line.

use std::error::Error;
use std::fmt;

/// Displays `error: cause: cause of the cause`.
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    /// Writes each cause once. Many libraries both include the source in their message and return
    /// it as the source.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut previous = self.0.to_string();
        f.write_str(&previous)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !previous.ends_with(&text) {
                write!(f, ": {text}")?;
                previous = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Self>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|layer| layer as _)
        }
    }

    fn stack(messages: &[&'static str]) -> Layer {
        let (first, rest) = messages.split_first().unwrap();
        Layer(first, (!rest.is_empty()).then(|| Box::new(stack(rest))))
    }

    #[test]
    fn every_cause_is_displayed_once() {
        let table: [(&[&'static str], &str); 5] = [
            (&["alone"], "alone"),
            (&["saving", "writing", "disk full"], "saving: writing: disk full"),
            (&["saving: disk full", "disk full"], "saving: disk full"),
            (&["saving: disk full", "disk full", "quota"], "saving: disk full: quota"),
            (&["same", "same", "same"], "same"),
        ];
        for (messages, wanted) in table {
            assert_eq!(Chain(&stack(messages)).to_string(), wanted);
        }
    }
}
