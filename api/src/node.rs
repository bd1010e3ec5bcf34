//! Names of nodes, and the label-safe key by which an agent watches its own objects.
//!
//! A well-formed name does not mean that the node exists.

use sha2::{Digest, Sha256};
use smol_str::SmolStr;
use std::fmt;

/// The longest name that Kubernetes gives a node (a DNS subdomain).
const MAX_NAME: usize = 253;
/// The longest value of a label.
const MAX_LABEL: usize = 63;
/// Hex digits of the hash at the end of a shortened key: 64 bits.
const HASH_DIGITS: usize = 16;

/// A well-formed node name. The node need not exist.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName(SmolStr);

/// The node's name if it fits a label, else a shortened form that ends in its hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeKey(SmolStr);

/// A text that is not the name of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeNameError {
    /// The text is empty.
    #[error("a node name cannot be empty")]
    Empty,
    /// The text is longer than a DNS subdomain.
    #[error("a node name has at most {MAX_NAME} characters, this has {0}")]
    TooLong(usize),
    /// The text is not a DNS subdomain.
    #[error(
        "a node name consists of lower-case letters, digits, '-' and '.', and starts and ends with a letter or digit"
    )]
    NotASubdomain,
}

impl NodeName {
    /// Parses a node name that Kubernetes accepts.
    pub fn parse(text: &str) -> Result<Self, NodeNameError> {
        if text.is_empty() {
            return Err(NodeNameError::Empty);
        }
        if text.len() > MAX_NAME {
            return Err(NodeNameError::TooLong(text.len()));
        }
        if text.split('.').all(is_dns_label) {
            Ok(Self(text.into()))
        } else {
            Err(NodeNameError::NotASubdomain)
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the value of the label `fastrak.io/node` on objects of this node.
    #[must_use]
    pub fn key(&self) -> NodeKey {
        if self.0.len() <= MAX_LABEL {
            return NodeKey(self.0.clone());
        }
        let digest = Sha256::digest(self.0.as_bytes());
        let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let head = &self.0[..MAX_LABEL - HASH_DIGITS - 1];
        NodeKey(format!("{head}-{}", &hash[..HASH_DIGITS]).into())
    }
}

impl From<&NodeName> for SmolStr {
    fn from(name: &NodeName) -> Self {
        name.0.clone()
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl NodeKey {
    /// Returns the key as a label's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<NodeKey> for SmolStr {
    fn from(key: NodeKey) -> Self {
        key.0
    }
}

impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 1123: letters, digits and inner dashes. (Its limit of 63 does not hold for parts of a
/// Kubernetes subdomain.)
pub(crate) fn is_dns_label(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_that_is_not_a_node_name_is_rejected() {
        assert_eq!(NodeName::parse(""), Err(NodeNameError::Empty));
        assert_eq!(NodeName::parse(&"a".repeat(254)), Err(NodeNameError::TooLong(254)));
        for text in
            ["Node", "../etc", "a b", "-a", "a-", "a..b", ".a", "a.", "knöten", "a/b", "a\0"]
        {
            assert_eq!(NodeName::parse(text), Err(NodeNameError::NotASubdomain), "{text:?}");
        }
    }

    #[test]
    fn a_key_is_the_name_if_it_fits_a_label() {
        for name in ["node-a", "10.0.0.1", "ip-10-0-0-1.eu.compute.internal", &"a".repeat(63)] {
            assert_eq!(NodeName::parse(name).unwrap().key().as_str(), name);
        }
    }

    proptest! {
        #[test]
        fn every_key_is_a_label_value_and_long_names_have_different_keys(
            name in "[a-z0-9]{1,30}([.-][a-z0-9]{1,30}){2,7}", tail in "[a-z0-9]{1,9}") {
            prop_assume!(name.len() + tail.len() < 253);
            let one = NodeName::parse(&name).unwrap().key();
            let other = NodeName::parse(&format!("{name}{tail}")).unwrap().key();
            prop_assert_ne!(&one, &other);
            for key in [one, other] {
                let bytes = key.as_str().as_bytes();
                prop_assert!(bytes.len() <= 63);
                prop_assert!(bytes[0].is_ascii_alphanumeric());
                prop_assert!(bytes[bytes.len() - 1].is_ascii_alphanumeric());
            }
        }
    }
}
