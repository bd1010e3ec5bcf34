//! Chooses the project ID of a volume on a filesystem with project quotas. `host/quota/project.rs`
//! assigns it.
//!
//! The caller checks which IDs are taken. It must not create another volume on the filesystem
//! between the check and the kernel limit for the chosen ID.

use fastrak_api::volume::VolumeId;
use std::ops::RangeInclusive;

/// The project IDs of fastrak. People (`/etc/projid`) and container engines count up from 1, and
/// the kubelet from 2^20 for ephemeral volumes; 0 is the default project. The range fits into 31
/// bits because some tools treat IDs as signed. It is large, so that two volumes rarely want the
/// same ID. IDs are not secret: the owner of a file can assign it to any project, and statfs(2)
/// then shows whether that has a limit. Only a user namespace prevents this.
pub const PROJECT_IDS: RangeInclusive<u32> = 0x4600_0000..=0x7FFF_FFFF;

/// The number of IDs that are tried for a volume. If all of them are taken, something is wrong.
const MAX_TRIES: u32 = 4096;

/// Returns the first free ID for the volume, or `None` after too many taken ones. The search starts
/// at a hash of the volume ID: two volumes rarely start at the same ID, and the ID of a removed
/// volume is rarely used again.
pub fn choose<E>(
    volume: &VolumeId,
    mut is_taken: impl FnMut(u32) -> Result<bool, E>,
) -> Result<Option<u32>, E> {
    for number in candidates(volume) {
        if !is_taken(number)? {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// Returns the IDs to try for the volume, in order and without duplicates.
fn candidates(volume: &VolumeId) -> impl Iterator<Item = u32> + use<> {
    let (first, last) = (*PROJECT_IDS.start(), *PROJECT_IDS.end());
    let count = last - first + 1;
    let start = hash(volume.as_str().as_bytes()) % count;
    (0..MAX_TRIES.min(count)).map(move |step| first + (start + step) % count)
}

/// Returns the 32-bit FNV-1a hash. Another hash would only change where the search starts.
fn hash(bytes: &[u8]) -> u32 {
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811C_9DC5, mix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    fn volume(bits: u128) -> VolumeId {
        let text = format!("{bits:032x}");
        let (a, b, c) = (&text[..8], &text[8..12], &text[12..16]);
        VolumeId::parse(&format!("{a}-{b}-{c}-{}-{}", &text[16..20], &text[20..])).unwrap()
    }

    fn chosen(volume: &VolumeId, taken: &BTreeSet<u32>) -> Option<u32> {
        let Ok(chosen) = choose::<Infallible>(volume, |number| Ok(taken.contains(&number)));
        chosen
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // From the tables of the FNV authors.
        assert_eq!(
            (hash(b""), hash(b"a"), hash(b"foobar")),
            (0x811C_9DC5, 0xE40C_292C, 0xBF9C_F968)
        );
    }

    #[test]
    fn if_all_ids_are_taken_none_is_chosen() {
        let mut asked = BTreeSet::new();
        let all = choose::<Infallible>(&volume(7), |number| {
            assert!(asked.insert(number), "{number} was checked twice");
            Ok(true)
        });
        assert_eq!((all, asked.len()), (Ok(None), MAX_TRIES as usize));
    }

    #[test]
    fn a_failed_check_fails_the_choice() {
        assert_eq!(choose(&volume(7), |_| Err("no response")), Err("no response"));
    }

    #[test]
    fn ten_thousand_volumes_get_different_ids_with_few_checks() {
        let (mut taken, mut asked) = (BTreeSet::new(), 0);
        for bits in 0..10_000_u128 {
            let check = |number: u32| {
                asked += 1;
                Ok::<_, Infallible>(taken.contains(&number))
            };
            let number = choose(&volume(bits.wrapping_mul(0x9E37_79B9_7F4A_7C15)), check);
            taken.insert(number.unwrap().unwrap());
        }
        assert_eq!(taken.len(), 10_000);
        assert!(asked < 10_100, "{asked} checks");
    }

    proptest! {
        #[test]
        fn a_chosen_id_is_in_the_range_and_not_taken(
            bits: u128,
            steps in btree_set(0..64_u32, 0..64),
            others in vec(any::<u32>(), 0..64),
        ) {
            // Some of the first candidates and some IDs of other software are taken.
            let volume = volume(bits);
            let near: Vec<u32> = candidates(&volume).take(64).collect();
            let mut taken: BTreeSet<u32> = others.into_iter().collect();
            taken.extend(steps.iter().map(|step| near[*step as usize]));
            let number = chosen(&volume, &taken).unwrap();
            prop_assert!(PROJECT_IDS.contains(&number) && number != 0);
            prop_assert!(!taken.contains(&number));
            prop_assert_eq!(chosen(&volume, &taken), Some(number));
        }

        #[test]
        fn volumes_that_are_created_one_after_another_share_no_id(bits in vec(any::<u128>(), 1..64)) {
            let (mut taken, mut volumes) = (BTreeSet::new(), 0);
            // The same volume ID twice stands for two volumes whose search starts at the same ID.
            for bits in bits.iter().chain(&bits) {
                prop_assert!(taken.insert(chosen(&volume(*bits), &taken).unwrap()));
                volumes += 1;
            }
            prop_assert_eq!(taken.len(), volumes);
        }
    }
}
