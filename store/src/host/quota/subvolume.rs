//! Which subvolume of btrfs one is, as the name of a file that outlives it. Pure.
//!
//! A number alone would not say it: when the filesystem is mounted anew, the next subvolume gets the
//! number after the highest that there is then, which may be that of one that is gone.

use std::ffi::{OsStr, OsString};

/// The numbers that subvolumes can have. Groups with larger ones are groups of groups, which are an
/// administrator's, and those with smaller ones are of the filesystem itself.
const FIRST: u64 = 256;
const LAST: u64 = (1 << 48) - 1;

/// The level of the groups that a volume shares with the subvolumes in it, which only we use: people
/// count levels from 1. The level is above the bits of the number.
const SHARED: u64 = 0x4654;

/// The number of the group that the subvolume of this number shares with those in it.
#[must_use]
pub(super) const fn shared_group(number: u64) -> u64 {
    SHARED << 48 | number
}

/// A subvolume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subvolume {
    /// Its number, and that of its group.
    pub number: u64,
    /// What no other has, whatever its number.
    pub uuid: [u8; 16],
}

impl Subvolume {
    /// The name of the note of it.
    #[must_use]
    pub fn note(&self) -> OsString {
        let Self { number, uuid } = self;
        OsString::from(format!("{number}.{:032x}", u128::from_be_bytes(*uuid)))
    }

    /// The subvolume of a note; none where the name is not just what [`Subvolume::note`] gives.
    #[must_use]
    pub fn of_note(name: &OsStr) -> Option<Self> {
        let (number, uuid) = name.to_str()?.split_once('.')?;
        let uuid = u128::from_str_radix(uuid, 16).ok()?.to_be_bytes();
        let subvolume = Self { number: number.parse().ok()?, uuid };
        let is_one = (FIRST..=LAST).contains(&subvolume.number) && subvolume.note() == name;
        is_one.then_some(subvolume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_that_is_no_note_is_none() {
        let uuid = "0123456789abcdef0123456789abcdef";
        let good = format!("256.{uuid}");
        let found = Subvolume::of_note(OsStr::new(&good)).unwrap();
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
            // 1/256, a group of groups.
            format!("{}.{uuid}", (1_u64 << 48) + 256),
            format!("18446744073709551616.{uuid}"),
        ] {
            assert_eq!(Subvolume::of_note(OsStr::new(&bad)), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_note_says_which_subvolume_it_is_of(number in FIRST..=LAST, uuid: [u8; 16]) {
            let subvolume = Subvolume { number, uuid };
            prop_assert_eq!(Subvolume::of_note(&subvolume.note()), Some(subvolume));
        }

        #[test]
        fn whatever_a_file_is_called_it_is_one_note_or_none(name in ".{0,60}") {
            if let Some(subvolume) = Subvolume::of_note(OsStr::new(&name)) {
                prop_assert_eq!(subvolume.note(), OsString::from(name));
            }
        }
    }
}
