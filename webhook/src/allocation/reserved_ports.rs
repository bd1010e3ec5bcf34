//! The ports that no Service gets on the address of a node.

use std::ops::RangeInclusive;

/// The ports that a node needs itself, also while no process listens on them: SSH, etcd, the API
/// server, the kubelet, the control plane and kube-proxy, and the default range of node ports.
const DEFAULT: &str = "22,2379-2381,6443,10248-10259,30000-32767";

/// The flags of addresses.
#[derive(Clone, Debug, clap::Args)]
pub struct AllocationArgs {
    /// Ports and ranges that no Service gets on the address of a node, separated by commas. Set the
    /// range of node ports here if the API server has another one than 30000-32767.
    #[arg(
        long,
        env = "FASTRAK_NODE_IP_RESERVED_PORTS",
        value_name = "PORTS",
        default_value = DEFAULT,
        value_parser = ReservedPorts::parse
    )]
    pub node_ip_reserved_ports: ReservedPorts,
}

/// Ports and ranges of ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReservedPorts(Vec<RangeInclusive<u16>>);

/// A text that is not a list of ports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a port or a range of ports from 1 to 65535, such as 22 or 30000-32767")]
pub struct ReservedPortsError(String);

impl ReservedPorts {
    /// Parses ports and ranges, separated by commas. An empty text reserves none.
    pub fn parse(text: &str) -> Result<Self, ReservedPortsError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let ranges =
            parts.map(|part| range(part).ok_or_else(|| ReservedPortsError(part.to_owned())));
        ranges.collect::<Result<_, _>>().map(Self)
    }

    /// Returns whether the port is reserved.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|range| range.contains(&port))
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    (first > 0 && first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges_are_reserved() {
        let ports = ReservedPorts::parse(DEFAULT).unwrap();
        for port in [22, 2380, 6443, 10250, 10256, 30000, 32767] {
            assert!(ports.contains(port), "{port}");
        }
        for port in [21, 80, 443, 29999, 32768] {
            assert!(!ports.contains(port), "{port}");
        }
        assert!(!ReservedPorts::parse("").unwrap().contains(22));
    }

    #[test]
    fn other_texts_are_refused_with_the_part_that_is_wrong() {
        for part in ["0", "65536", "ssh", "9-8", "1-", "-1", "1-2-3", "+1x"] {
            let error = ReservedPorts::parse(&format!("22, {part}")).unwrap_err();
            assert_eq!(error, ReservedPortsError(part.to_owned()));
        }
    }
}
