//! Parses the kernel's routing tables, `/proc/net/route` and `/proc/net/ipv6_route`.

use super::InterfaceName;

/// The flags of a route (linux/route.h).
const RTF_UP: u32 = 0x1;
const RTF_REJECT: u32 = 0x200;

/// A default route: its metric and its interface. The lowest metric is preferred.
type Route<'a> = (u32, &'a str);

/// Returns the interface of the preferred default route: of IPv4, or of IPv6 if there is none.
#[must_use]
pub fn default_route(ipv4: &str, ipv6: &str) -> Option<InterfaceName> {
    // The first line of the table of IPv4 names its columns.
    let ipv4 = preferred(ipv4.lines().skip(1).filter_map(ipv4_route));
    ipv4.or_else(|| preferred(ipv6.lines().filter_map(ipv6_route)))
}

fn preferred<'a>(routes: impl Iterator<Item = Route<'a>>) -> Option<InterfaceName> {
    // Of several routes with one metric the kernel prefers the first.
    let route = routes.min_by_key(|(metric, _)| *metric);
    route.and_then(|(_, interface)| InterfaceName::parse(interface).ok())
}

/// Parses `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, with numbers in hexadecimal
/// except the metric.
fn ipv4_route(line: &str) -> Option<Route<'_>> {
    let columns: Vec<_> = line.split_ascii_whitespace().collect();
    let [interface, destination, _, flags, _, _, metric, mask, ..] = columns[..] else {
        return None;
    };
    let is_default = destination == "00000000" && mask == "00000000";
    let metric = metric.parse().ok()?;
    (is_default && is_usable(flags, interface)).then_some((metric, interface))
}

/// Parses `destination length source length next-hop metric references use flags interface`, with
/// numbers in hexadecimal.
fn ipv6_route(line: &str) -> Option<Route<'_>> {
    let columns: Vec<_> = line.split_ascii_whitespace().collect();
    let [destination, length, _, source, _, metric, _, _, flags, interface] = columns[..] else {
        return None;
    };
    let is_zero = |text: &str| text.bytes().all(|digit| digit == b'0');
    let is_default = is_zero(destination) && length == "00" && source == "00";
    let metric = u32::from_str_radix(metric, 16).ok()?;
    (is_default && is_usable(flags, interface)).then_some((metric, interface))
}

/// The kernel shows a route that rejects packets with the loopback interface.
fn is_usable(flags: &str, interface: &str) -> bool {
    let flags = u32::from_str_radix(flags, 16).unwrap_or_default();
    flags & RTF_UP != 0 && flags & RTF_REJECT == 0 && interface != "lo"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
    const IPV4: &str = "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
    const IPV6: &str = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
        fe800000000000000000000000000001 00000400 00000001 00000000 00450003     eth1\n";

    fn route(ipv4: &[&str], ipv6: &str) -> Option<String> {
        let table = format!("{HEAD}{}", ipv4.concat());
        default_route(&table, ipv6).map(|name| name.as_str().to_owned())
    }

    fn some(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    #[test]
    fn ipv4_comes_before_ipv6() {
        assert_eq!(route(&[IPV4], IPV6), some("eth0"));
        assert_eq!(route(&[], IPV6), some("eth1"));
        assert_eq!(route(&[IPV4], ""), some("eth0"));
        assert_eq!(route(&[], ""), None);
        assert_eq!(default_route("", ""), None);
    }

    #[test]
    fn the_lowest_metric_wins_and_the_first_of_several() {
        let far = IPV4.replace("\t0\t0\t0\t0000", "\t0\t0\t600\t0000").replace("eth0", "wlan0");
        let same = IPV4.replace("eth0", "eth9");
        assert_eq!(route(&[&far, IPV4], ""), some("eth0"));
        assert_eq!(route(&[&far], ""), some("wlan0"));
        assert_eq!(route(&[IPV4, &same], ""), some("eth0"));
        let near = IPV6.replace("00000400", "00000100").replace("eth1", "eth2");
        assert_eq!(route(&[], &format!("{IPV6}{near}")), some("eth2"));
    }

    #[test]
    fn other_routes_are_skipped() {
        let rejected = IPV6.replace("00450003", "00200200").replace("eth1", "lo");
        for line in [
            // A subnet, half of the addresses (as of a VPN), a route that is not usable.
            IPV4.replacen("00000000", "000200C0", 1).replace("00000000", "00FFFFFF"),
            IPV4.replace("\t00000000\t0\t0\t0\n", "\t00000080\t0\t0\t0\n"),
            IPV4.replace("\t0003\t", "\t0201\t"),
            IPV4.replace("\t0003\t", "\t0000\t"),
            "eth0\t00000000\n".to_owned(),
        ] {
            assert_eq!(route(&[&line], &rejected), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_table_panics(ipv4 in "(\\PC|\n|\t){0,200}", ipv6 in "(\\PC|\n){0,200}") {
            let _interface = default_route(&ipv4, &ipv6);
        }

        #[test]
        fn the_found_interface_is_in_the_table(
            routes in proptest::collection::vec(("[a-z]{1,15}", any::<bool>(), 0..1000_u32), 0..8),
        ) {
            let line = |(name, is_default, metric): &(String, bool, u32)| {
                let mask = if *is_default { "00000000" } else { "00FFFFFF" };
                format!("{name}\t00000000\t0\t0003\t0\t0\t{metric}\t{mask}\t0\t0\t0\n")
            };
            let table = format!("{HEAD}{}", routes.iter().map(line).collect::<String>());
            let usable = routes.iter().filter(|(name, is_default, _)| *is_default && name != "lo");
            let lowest = usable.map(|(_, _, metric)| *metric).min();
            let found = default_route(&table, "");
            prop_assert_eq!(found.is_some(), lowest.is_some());
            if let (Some(found), Some(lowest)) = (found, lowest) {
                let is_found = |(name, is_default, metric): &(String, bool, u32)| {
                    name == found.as_str() && *is_default && *metric == lowest
                };
                prop_assert!(routes.iter().any(is_found));
            }
        }
    }
}
