//! Ranges of addresses, as the spec of an AddressPool lists them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses of one family, with both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

/// Why a text is not a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The text is none of the three forms.
    #[error("{0:?} is not an address, a CIDR or FIRST-LAST, such as 192.0.2.10-192.0.2.20")]
    Malformed(String),
    /// The ends are of two families.
    #[error("{0:?} mixes IPv4 and IPv6; write one range for each")]
    Mixed(String),
    /// The first address is greater than the last.
    #[error("{0:?} ends before it starts; write the lower address first")]
    Reversed(String),
    /// The address of a CIDR has bits outside its prefix.
    #[error("{text:?} is not a network; write {network}/{length}")]
    HostBits {
        /// The text.
        text: String,
        /// The network that contains the address.
        network: IpAddr,
        /// The length of the prefix.
        length: u8,
    },
    /// Services cannot have such an address.
    #[error(
        "{0:?} contains addresses that no Service can have: unspecified, loopback, link-local or multicast"
    )]
    Reserved(String),
}

impl AddressRange {
    /// Returns the lowest address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// Returns whether the range contains `address`.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && (self.first..=self.last).contains(&address)
    }

    /// Returns whether both ranges contain an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }

    /// Returns the number of addresses, at most the greatest `u64`.
    #[must_use]
    pub fn count(&self) -> u64 {
        let count = number(self.last) - number(self.first);
        u64::try_from(count).ok().and_then(|count| count.checked_add(1)).unwrap_or(u64::MAX)
    }

    /// Returns the addresses in order.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let (is_ipv4, last) = (self.first.is_ipv4(), number(self.last));
        let after = move |&number: &u128| (number < last).then(|| number + 1);
        std::iter::successors(Some(number(self.first)), after)
            .map(move |number| address(number, is_ipv4))
    }
}

impl FromStr for AddressRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let malformed = || RangeError::Malformed(text.to_owned());
        let parse = |part: &str| part.trim().parse::<IpAddr>().map_err(|_| malformed());
        let range = if let Some((network, length)) = text.split_once('/') {
            network_range(text, parse(network)?, length.trim().parse().map_err(|_| malformed())?)?
        } else if let Some((first, last)) = text.split_once('-') {
            Self { first: parse(first)?, last: parse(last)? }
        } else {
            let only = parse(text)?;
            Self { first: only, last: only }
        };
        range.checked(text)
    }
}

impl AddressRange {
    fn checked(self, text: &str) -> Result<Self, RangeError> {
        if self.first.is_ipv4() != self.last.is_ipv4() {
            return Err(RangeError::Mixed(text.to_owned()));
        }
        if self.first > self.last {
            return Err(RangeError::Reversed(text.to_owned()));
        }
        if self.is_reserved() {
            return Err(RangeError::Reserved(text.to_owned()));
        }
        Ok(self)
    }

    fn is_reserved(&self) -> bool {
        let reserved = RESERVED.iter().map(|&(first, last)| Self { first, last });
        reserved.into_iter().any(|reserved| reserved.overlaps(self))
    }
}

/// Returns whether a Service can have `address`.
#[must_use]
pub fn is_possible(address: IpAddr) -> bool {
    !AddressRange { first: address, last: address }.is_reserved()
}

/// Addresses that are not of a Service: of this host, of one link, or of a group (RFC 6890).
const RESERVED: [(IpAddr, IpAddr); 7] = [
    (v4([0, 0, 0, 0]), v4([0, 255, 255, 255])),
    (v4([127, 0, 0, 0]), v4([127, 255, 255, 255])),
    (v4([169, 254, 0, 0]), v4([169, 254, 255, 255])),
    (v4([224, 0, 0, 0]), v4([255, 255, 255, 255])),
    // Unspecified, loopback and IPv4-mapped addresses.
    (v6([0, 0, 0, 0]), v6([0, 0, 0xffff, u32::MAX])),
    (v6([0xfe80_0000, 0, 0, 0]), v6([0xfebf_ffff, u32::MAX, u32::MAX, u32::MAX])),
    (v6([0xff00_0000, 0, 0, 0]), v6([u32::MAX, u32::MAX, u32::MAX, u32::MAX])),
];

const fn v4(octets: [u8; 4]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_octets(octets))
}

const fn v6(words: [u32; 4]) -> IpAddr {
    let [a, b, c, d] = words;
    let high = ((a as u128) << 96) | ((b as u128) << 64);
    IpAddr::V6(Ipv6Addr::from_bits(high | ((c as u128) << 32) | (d as u128)))
}

fn network_range(text: &str, address: IpAddr, length: u8) -> Result<AddressRange, RangeError> {
    let width: u8 = if address.is_ipv4() { 32 } else { 128 };
    let Some(host_bits) = width.checked_sub(length) else {
        return Err(RangeError::Malformed(text.to_owned()));
    };
    let hosts = u128::MAX.checked_shr(128 - u32::from(host_bits)).unwrap_or_default();
    let first = number(address) & !hosts;
    let network = self::address(first, address.is_ipv4());
    if network != address {
        return Err(RangeError::HostBits { text: text.to_owned(), network, length });
    }
    Ok(AddressRange { first: network, last: self::address(first | hosts, address.is_ipv4()) })
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address(number: u128, is_ipv4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if is_ipv4 => Ipv4Addr::from_bits(number).into(),
        _ => Ipv6Addr::from_bits(number).into(),
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(text: &str) -> AddressRange {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_is_an_address_a_cidr_or_two_ends() {
        for (text, shown, len) in [
            ("192.0.2.10", "192.0.2.10", 1),
            ("192.0.2.0/30", "192.0.2.0-192.0.2.3", 4),
            ("192.0.2.10 - 192.0.2.12", "192.0.2.10-192.0.2.12", 3),
            ("2001:db8::/126", "2001:db8::-2001:db8::3", 4),
            ("2001:db8::10/128", "2001:db8::10", 1),
            ("2001:db8::/32", "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", u64::MAX),
        ] {
            let parsed = range(text);
            assert_eq!((parsed.to_string().as_str(), parsed.count()), (shown, len), "{text}");
        }
    }

    #[test]
    fn every_other_text_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "is not an address"),
            ("192.0.2.0/33", "is not an address"),
            ("192.0.2.0/-1", "is not an address"),
            ("192.0.2.1-2001:db8::1", "mixes IPv4 and IPv6"),
            ("192.0.2.9-192.0.2.1", "ends before it starts"),
            ("192.0.2.9/24", "write 192.0.2.0/24"),
            ("127.0.0.1", "no Service can have"),
            ("223.255.255.255-224.0.0.1", "no Service can have"),
            ("0.0.0.0/0", "no Service can have"),
            ("::/0", "no Service can have"),
            ("fe80::/64", "no Service can have"),
            ("::ffff:192.0.2.1", "no Service can have"),
        ] {
            let error = text.parse::<AddressRange>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn ranges_of_two_families_do_not_overlap() {
        assert!(range("192.0.2.0/24").overlaps(&range("192.0.2.9-192.0.3.1")));
        assert!(!range("192.0.2.0/24").overlaps(&range("192.0.3.0/24")));
        assert!(!range("192.0.2.0/24").overlaps(&range("2001:db8::/64")));
    }

    proptest! {
        #[test]
        fn the_addresses_are_those_that_it_contains(first in 1u8..200, more in 0u8..50) {
            let text = format!("192.0.2.{first}-192.0.2.{}", first + more);
            let parsed = range(&text);
            let listed: Vec<_> = parsed.addresses().collect();
            prop_assert_eq!(listed.len() as u64, parsed.count());
            prop_assert!(listed.iter().all(|address| parsed.contains(*address)));
            prop_assert_eq!(range(&parsed.to_string()), parsed);
        }

        #[test]
        fn no_text_panics(text in "[0-9a-f:./-]{0,50}") {
            if let Ok(parsed) = text.parse::<AddressRange>() {
                prop_assert!(parsed.addresses().take(3).count() > 0);
            }
        }
    }
}
