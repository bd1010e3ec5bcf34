//! Identifies a btrfs subvolume by a file name that outlives it. Pure.
//!
//! The ID alone is not enough: after a remount the next subvolume gets the ID after the highest
//! existing one, which may have belonged to a subvolume that is gone.

use std::ffi::{OsStr, OsString};

/// The IDs that subvolumes can have. Quota groups with higher IDs are groups of groups, which
/// belong to an administrator; lower IDs belong to the filesystem.
const FIRST: u64 = 256;
const LAST: u64 = (1 << 48) - 1;

/// A btrfs subvolume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subvolume {
    /// Its ID, which is also the ID of its quota group.
    pub number: u64,
    /// Its UUID, which is never reused.
    pub uuid: [u8; 16],
}

impl Subvolume {
    /// Returns the file name that records the subvolume.
    #[must_use]
    pub fn record_name(&self) -> OsString {
        let Self { number, uuid } = self;
        OsString::from(format!("{number}.{:032x}", u128::from_be_bytes(*uuid)))
    }

    /// Parses a file name. Returns `None` unless it is exactly what [`Subvolume::record_name`]
    /// returns.
    #[must_use]
    pub fn from_record_name(name: &OsStr) -> Option<Self> {
        let (number, uuid) = name.to_str()?.split_once('.')?;
        let uuid = u128::from_str_radix(uuid, 16).ok()?.to_be_bytes();
        let subvolume = Self { number: number.parse().ok()?, uuid };
        let is_one = (FIRST..=LAST).contains(&subvolume.number) && subvolume.record_name() == name;
        is_one.then_some(subvolume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_in_another_format_is_rejected() {
        let uuid = "0123456789abcdef0123456789abcdef";
        let good = format!("256.{uuid}");
        let found = Subvolume::from_record_name(OsStr::new(&good)).unwrap();
        assert_eq!((found.number, found.uuid[..2].to_vec()), (256, vec![0x01, 0x23]));
        for bad in [
            String::new(),
            "256".to_owned(),
            uuid.to_owned(),
            format!("0256.{uuid}"),
            format!("+256.{uuid}"),
            format!("256.{}", uuid.to_uppercase()),
            format!("256.{uuid}0"),
            format!("256.+{}", &uuid[1..]),
            format!("5.{uuid}"),
            format!("255.{uuid}"),
            // Quota group 1/256, a group of groups.
            format!("{}.{uuid}", (1_u64 << 48) + 256),
            format!("18446744073709551616.{uuid}"),
        ] {
            assert_eq!(Subvolume::from_record_name(OsStr::new(&bad)), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_record_name_is_parsed_back(number in FIRST..=LAST, uuid: [u8; 16]) {
            let subvolume = Subvolume { number, uuid };
            prop_assert_eq!(Subvolume::from_record_name(&subvolume.record_name()), Some(subvolume));
        }

        #[test]
        fn every_accepted_name_is_canonical(name in ".{0,60}") {
            if let Some(subvolume) = Subvolume::from_record_name(OsStr::new(&name)) {
                prop_assert_eq!(subvolume.record_name(), OsString::from(name));
            }
        }
    }
}
