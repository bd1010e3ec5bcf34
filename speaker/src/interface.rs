//! The interface whose link a speaker answers on: its name, its state, and the one that the default
//! route names.

mod default_route;

pub use default_route::default_route;

use crate::frame::Mac;
use std::fmt;

/// The longest name that Linux gives an interface.
const MAX_NAME: usize = 15;

/// A name that an interface may have. The interface need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceName(String);

/// A text that is not the name of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an interface name has 1 to {MAX_NAME} bytes, and no '/', ':' or white space")]
pub struct InterfaceNameError;

/// The state of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no interface with this name.
    Missing,
    /// The interface has no MAC address that ARP and NDP could name.
    NotEthernet,
    /// The interface is disabled or has no carrier.
    Down,
    /// The interface can send and receive.
    Up {
        /// The index of the interface. An interface that is created again has another.
        index: u32,
        /// Its MAC address.
        mac: Mac,
    },
}

impl InterfaceName {
    /// Parses a name that Linux accepts.
    pub fn parse(text: &str) -> Result<Self, InterfaceNameError> {
        let is_forbidden = |c: char| matches!(c, '/' | ':' | '\0') || c.is_whitespace();
        let is_name = (1..=MAX_NAME).contains(&text.len())
            && !matches!(text, "." | "..")
            && !text.contains(is_forbidden);
        if is_name { Ok(Self(text.to_owned())) } else { Err(InterfaceNameError) }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the names of the interfaces in `/proc/net/dev`, separated by commas.
#[must_use]
pub fn listed(dev: &str) -> String {
    let names = dev.lines().skip(2).filter_map(|line| line.split_once(':'));
    names.map(|(name, _)| name.trim()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_linux_accepts() {
        for name in ["eth0", "enp0s31f6", "bond0.100", "br-lan", "fifteen-bytes-x"] {
            assert_eq!(InterfaceName::parse(name).unwrap().as_str(), name);
        }
        for name in
            ["", ".", "..", "a/b", "eth0:1", "eth 0", "eth0\n", "eth0\0", "sixteen-bytes-xx"]
        {
            assert_eq!(InterfaceName::parse(name), Err(InterfaceNameError), "{name:?}");
        }
    }

    #[test]
    fn interfaces_are_listed_from_the_table_of_the_kernel() {
        let table = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo: 1000 10 0 0 0 0 0 0 1000 10 0
  eth0:2000 20 0 0 0 0 0 0 2000 20 0
";
        assert_eq!(listed(table), "lo, eth0");
        assert_eq!(listed(""), "");
    }
}
