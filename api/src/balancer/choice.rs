//! What the annotation `fastrak.io/balancer` names: a mode, or the class of a load balancer.

use super::Mode;
use crate::names;
use crate::node::is_dns_label;

/// The mode of a Service, with the load balancer class that it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice<'a> {
    /// The mode.
    pub mode: Mode,
    /// The class, which is written while the API server allows it.
    pub class: Option<&'a str>,
}

impl<'a> Choice<'a> {
    /// Returns the choice of a mode, without a name that only a user can give.
    #[must_use]
    pub const fn of(mode: Mode) -> Self {
        Self { mode, class: mode.row().class }
    }

    /// Parses the name of a mode, or `class=<name>`.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        match text.split_once('=') {
            Some((mode, class)) => {
                let is_valid = mode == Mode::Class.as_str() && is_class_name(class);
                is_valid.then_some(Self { mode: Mode::Class, class: Some(class) })
            }
            None => Mode::parse(text).filter(|mode| *mode != Mode::Class).map(Self::of),
        }
    }
}

/// Returns whether the API server accepts the name as the class of another load balancer: a
/// qualified name, as of a label.
fn is_class_name(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    text != names::ADDRESS_CLASS
        && prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_dns_label))
        && bytes.len() <= 63
        && is_outer(bytes.first())
        && is_outer(bytes.last())
        && bytes.iter().all(|byte| is_inner(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_a_mode_or_a_class() {
        assert_eq!(Choice::parse("node-ip"), Some(Choice::of(Mode::NodeIp)));
        for class in ["metallb", "example.com/Internal_1.x", "a"] {
            let text = format!("class={class}");
            let choice = Choice { mode: Mode::Class, class: Some(class) };
            assert_eq!(Choice::parse(&text), Some(choice));
        }
    }

    #[test]
    fn other_texts_are_no_choice() {
        let long = format!("class={}", "a".repeat(64));
        for text in [
            "",
            "class",
            "class=",
            "inlets=x",
            "Node-ip",
            "class=-a",
            "class=a/b/c",
            "class=/a",
            "class=A.com/x",
            "class=a b",
            "class=é",
            "class=a=b",
            "class=fastrak.io/address",
            &long,
        ] {
            assert_eq!(Choice::parse(text), None, "{text}");
        }
    }
}
