//! Names of pools: the directories of a node in which volumes are created.

use crate::node::is_dns_label;
use std::fmt;

/// The pool of a class that names none.
pub const DEFAULT_POOL: &str = "default";

/// A pool's name: a DNS label, so that it can be a label's value and a metric's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolName(String);

/// A text that is not the name of a pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a pool name has 1 to 63 lower-case letters, digits and '-', and starts and ends with a letter or digit"
)]
pub struct PoolNameError;

impl PoolName {
    /// Parses a pool's name.
    pub fn parse(text: &str) -> Result<Self, PoolNameError> {
        if text.len() <= 63 && is_dns_label(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PoolNameError)
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for PoolName {
    fn default() -> Self {
        Self(DEFAULT_POOL.to_owned())
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_name_is_a_dns_label() {
        for good in ["default", "nvme-0", "a", &"a".repeat(63)] {
            assert_eq!(PoolName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "..", "a/b", "A", "-a", "a.b", &"a".repeat(64)] {
            assert_eq!(PoolName::parse(bad), Err(PoolNameError), "{bad:?}");
        }
    }
}
