//! What the agent asks of the API server for one volume, beside its watches.

use crate::faults::{Call, Verb};
use crate::world::{Event, World};

/// What is asked of the API server while this happens.
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
    use Event::{Claim, Control, Round, See, Tend, Unclaim};
    let mut world =
        World::after(&[Claim(1, "near"), Round, Control, See, Unclaim(1), Control, See]);
    let asked = requests(&mut world, &Tend(1));
    assert_eq!(asked, [Verb::ReadClaim, Verb::Delete, Verb::Finalize]);
    // Another look, before the watch has shown that it is gone.
    assert_eq!(requests(&mut world, &Tend(1)), []);
}

#[test]
fn a_volume_whose_object_is_deleted_already_is_read_before_its_data_goes() {
    use Event::{Claim, Control, DeleteVolume, Round, See, Tend, Unclaim};
    let mut world = World::after(&[
        Claim(1, "near"),
        Round,
        Control,
        See,
        Unclaim(1),
        Control,
        DeleteVolume(1),
        See,
    ]);
    let asked = requests(&mut world, &Tend(1));
    assert_eq!(asked, [Verb::ReadVolume, Verb::ReadClaim, Verb::Finalize]);
}

#[test]
fn a_volume_is_made_with_one_request_once_the_hostname_label_was_looked_up() {
    use Event::{Claim, Look, See, Tend};
    let mut world = World::after(&[Look, Claim(1, "near"), Claim(2, "near"), See]);
    assert_eq!(requests(&mut world, &Tend(1)), [Verb::ListNodes, Verb::Create]);
    assert_eq!(requests(&mut world, &Tend(2)), [Verb::Create]);
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
    // What it asks for is read, and written.
    world.happen(&Grow(1, "2Gi"));
    world.happen(&See);
    let asked = requests(&mut world, &Scan);
    assert_eq!(asked[..2], [Verb::ReadOwner, Verb::ReadOwner]);
    assert!(asked.contains(&Verb::Resize) && asked.contains(&Verb::WriteStatus), "{asked:?}");
}
