//! The requests that the agent makes for one volume, apart from its watches.

use crate::faults::{Call, Verb};
use crate::world::{Event, World};

/// Returns the requests during an event.
fn requests(world: &mut World, event: &Event) -> Vec<Verb> {
    world.machine.state().watch(None);
    world.happen(event);
    let calls = world.machine.state().calls.clone();
    let requests = calls.into_iter().filter_map(|call| match call {
        Call::Api(verb) => Some(verb),
        _ => None,
    });
    requests.collect()
}

#[test]
fn a_volume_is_removed_without_reading_its_object() {
    use Event::{Claim, Control, DeleteClaim, Reconcile, Round, See};
    let mut world =
        World::after(&[Claim(1, "near"), Round, Control, See, DeleteClaim(1), Control, See]);
    let made = requests(&mut world, &Reconcile(1));
    assert_eq!(made, [Verb::ReadClaim, Verb::Delete, Verb::Finalize]);
    // Another reconciliation before the watch delivers the deletion.
    assert_eq!(requests(&mut world, &Reconcile(1)), []);
}

#[test]
fn a_volume_that_is_being_deleted_is_read_before_its_data_is_trashed() {
    use Event::{Claim, Control, DeleteClaim, DeleteVolume, Reconcile, Round, See};
    let mut world = World::after(&[
        Claim(1, "near"),
        Round,
        Control,
        See,
        DeleteClaim(1),
        Control,
        DeleteVolume(1),
        See,
    ]);
    let made = requests(&mut world, &Reconcile(1));
    assert_eq!(made, [Verb::ReadVolume, Verb::ReadClaim, Verb::Finalize]);
}

#[test]
fn a_volume_is_created_with_one_request_once_the_hostname_label_is_verified() {
    use Event::{CheckPools, Claim, Reconcile, See};
    let mut world = World::after(&[CheckPools, Claim(1, "near"), Claim(2, "near"), See]);
    assert_eq!(requests(&mut world, &Reconcile(1)), [Verb::ListNodes, Verb::Create]);
    assert_eq!(requests(&mut world, &Reconcile(2)), [Verb::Create]);
}

#[test]
fn a_scan_reads_a_claim_only_if_it_lost_its_label() {
    use Event::{Claim, Control, Grow, Round, Scan, See, Unlabel};
    let before =
        [Claim(1, "near"), Claim(2, "near"), Round, Control, Round, Unlabel(1), Unlabel(2)];
    let mut world = World::after(&before[..5]);
    assert_eq!(requests(&mut world, &Scan), []);
    let mut world = World::after(&[&before[..], &[See]].concat());
    assert_eq!(requests(&mut world, &Scan), [Verb::ReadOwner, Verb::ReadOwner]);
    // The new size is read and written.
    world.happen(&Grow(1, "2Gi"));
    world.happen(&See);
    let made = requests(&mut world, &Scan);
    assert_eq!(made[..2], [Verb::ReadOwner, Verb::ReadOwner]);
    assert!(made.contains(&Verb::Resize) && made.contains(&Verb::WriteStatus), "{made:?}");
}
