//! What is checked, by name.

pub(crate) mod groups;
mod limits;
mod membership;
mod numbers;
mod states;
mod store;

use super::scene::Scene;
use anyhow::Result;
use fastrak_testkit::uml::inside::Inside;

/// One thing that must be so on a filesystem that enforces limits.
type Check = fn(&Scene) -> Result<()>;
/// One thing that must be so, wherever.
type Other = fn(&Inside) -> Result<()>;

/// What must be so on each.
pub(crate) const CHECKS: &[(&str, Check)] = &[
    ("it is seen to enforce limits", states::is_seen_to_enforce),
    ("what is made in a volume belongs to it", membership::follows_its_directory),
    ("other marks of a directory stay", membership::other_marks_stay),
    ("nothing is moved or linked into another volume", membership::nothing_comes_from_another),
    ("a whole volume can be moved with its data", membership::a_volume_moves_whole),
    ("only in a user namespace is a tenant held to his project", membership::who_can_leave),
    ("an ordinary writer stops at the limit", limits::stops_a_writer),
    ("space that is reserved ahead is held too", limits::stops_reserving),
    ("what root may do past the limit is known", limits::what_root_may),
    ("a limit is raised while a file is open", limits::is_raised_online),
    ("a limit below what is there lets files go", limits::may_be_below_use),
    ("a limit on inodes holds and is lifted", limits::of_inodes),
    ("the size that is shown is the limit", limits::is_what_statfs_shows),
    ("what a volume holds is right to a block", limits::usage_is_exact),
    ("two volumes do not count for each other", limits::volumes_are_apart),
    ("numbers in use are listed in order", numbers::are_listed),
    ("a number that is asked about is not in use by that", numbers::asking_uses_none),
    ("a number is chosen that is not in use", numbers::are_chosen),
    ("a number is forgotten with its last file and limit", numbers::are_forgotten),
    ("a number is in use as long as there is a file", numbers::stay_with_a_file),
    ("the store holds a volume to its size and lets it grow", store::holds_and_grows),
    ("the store holds a volume to a number of files that grows with it", store::limits_files),
    ("the store gives two that are made at once two numbers", store::gives_each_its_number),
    ("the store gives no number that a record has", store::goes_by_the_records),
    ("the store sets a limit that the kernel has lost", store::sets_a_lost_limit),
    ("the store knows what a volume holds", store::counts_what_is_held),
    ("the store gives a number back when the trash is empty", store::gives_a_number_back),
    ("the store keeps the number of a restorable volume", store::keeps_a_number_in_the_trash),
    ("the store looks through many numbers in several scans", store::sweeps_a_part_at_a_time),
    ("the store forgets what was half made, and nothing else", store::forgets_what_was_half_made),
];

/// What must be so elsewhere.
pub(crate) const OTHERS: &[(&str, Other)] = &[
    ("xfs without the option is off", states::xfs_without_option),
    ("xfs that only counts is seen to", states::xfs_only_counting),
    ("ext4 without the option only counts", states::ext4_without_option),
    ("ext4 without the feature is off", states::ext4_without_feature),
    ("a filesystem in memory is off", states::memory),
    ("xfs keeps limits, usage and numbers when it is mounted again", states::xfs_mounted_again),
    (
        "btrfs keeps no group of a volume that is gone, and all others",
        groups::go_with_their_volumes,
    ),
    ("ext4 keeps limits, usage and numbers when it is mounted again", states::ext4_mounted_again),
];
