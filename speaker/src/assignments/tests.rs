use super::*;
use fastrak_api::assignment::State;
use std::net::Ipv4Addr;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
const MAC: crate::frame::Mac = crate::frame::Mac([2, 0, 0, 0, 0, 9]);

fn node(name: &str) -> NodeName {
    NodeName::parse(name).unwrap()
}

fn assignment(holder: &str, state: State, version: &str) -> Assignment {
    Assignment {
        address: ADDRESS,
        holder: node(holder),
        standby: Some(node("standby")),
        state,
        uid: "u1".to_owned(),
        version: version.to_owned(),
    }
}

/// Returns the assignments of a node that has read the list `listed`.
fn current(name: &str, listed: Vec<Assignment>) -> (Assignments, Instant) {
    let (mut assignments, now) = (Assignments::new(node(name)), Instant::now());
    assignments.step(now);
    assert_eq!(assignments.take_actions(), [Action::List(Epoch::default())]);
    assignments.listed(Epoch::default(), Some(listed), now);
    (assignments, now)
}

fn answer(epoch: Epoch) -> Action {
    Action::Send(Command::Answer(ADDRESS, epoch))
}

#[test]
fn nothing_is_answered_before_the_assignments_are_read() {
    let (mut assignments, now) = (Assignments::new(node("a")), Instant::now());
    assignments.apply(assignment("a", State::Accepted, "1"), now);
    assert!(!assignments.answers());
    assert!(!assignments.take_actions().contains(&answer(Epoch::default())));
    assignments.step(now);
    assignments.listed(Epoch::default(), Some(vec![assignment("a", State::Accepted, "1")]), now);
    assert!(assignments.answers());
    assert!(assignments.take_actions().contains(&answer(Epoch::default())));
}

#[test]
fn an_older_version_changes_nothing() {
    let (mut assignments, now) = current("a", vec![assignment("b", State::Accepted, "10")]);
    assignments.apply(assignment("a", State::Accepted, "9"), now);
    assert!(!assignments.answers());
    assignments.apply(assignment("a", State::Accepted, "11"), now);
    assert!(assignments.answers());
}

#[test]
fn a_failed_list_is_repeated() {
    let (mut assignments, now) = (Assignments::new(node("a")), Instant::now());
    assignments.step(now);
    assignments.listed(Epoch::default(), None, now);
    let _listed = assignments.take_actions();
    assignments.step(now);
    assert_eq!(assignments.take_actions(), []);
    assignments.step(now + RETRY);
    assert_eq!(assignments.take_actions(), [Action::List(Epoch::default())]);
}

#[test]
fn a_node_that_was_stopped_answers_again_only_after_it_has_read_the_assignments() {
    let (mut assignments, now) = current("a", vec![assignment("a", State::Accepted, "1")]);
    let _answered = assignments.take_actions();
    let epoch = Epoch::default().next();
    assignments.paused(epoch);
    assert!(!assignments.answers());
    // A watch event does not show that the assignment is current.
    assignments.apply(assignment("a", State::Accepted, "2"), now);
    assert!(!assignments.answers());
    assignments.step(now);
    assert!(assignments.take_actions().contains(&Action::List(epoch)));
    // The list that was requested before the pause is void.
    assignments.listed(Epoch::default(), Some(vec![assignment("a", State::Accepted, "2")]), now);
    assert!(!assignments.answers());
    assignments.listed(epoch, Some(vec![assignment("b", State::Accepted, "3")]), now);
    assert!(!assignments.answers());
}

#[test]
fn a_foreign_claim_silences_a_node_until_it_has_read_the_assignments() {
    let (mut assignments, now) = current("a", vec![assignment("a", State::Accepted, "1")]);
    let _answered = assignments.take_actions();
    let sighting = Sighting { address: ADDRESS, mac: MAC };
    assignments.seen(sighting);
    assert!(!assignments.answers());
    let silence = Action::Send(Command::Silence(ADDRESS));
    assert_eq!(assignments.take_actions(), [Action::Warn(sighting), silence]);
    assignments.step(now);
    assignments.listed(Epoch::default(), Some(vec![assignment("a", State::Accepted, "1")]), now);
    assert!(assignments.answers());
}

#[test]
fn a_proposed_address_is_probed_and_accepted() {
    let (mut assignments, now) = current("a", vec![assignment("a", State::Proposed, "1")]);
    let mut actions = Vec::new();
    for step in 0..20 {
        assignments.step(now + Duration::from_millis(50) * step);
        actions.extend(assignments.take_actions());
    }
    let probes = actions.iter().filter(|action| **action == Action::Send(Command::Probe(ADDRESS)));
    assert_eq!(probes.count(), 3);
    let accept = Action::Write(assignment("a", State::Proposed, "1"), Change::Accept);
    assert_eq!(actions.iter().filter(|action| **action == accept).count(), 1);
}

#[test]
fn a_proposed_address_in_use_is_refused() {
    let (mut assignments, now) = current("a", vec![assignment("a", State::Proposed, "1")]);
    let _commands = assignments.take_actions();
    assignments.seen(Sighting { address: ADDRESS, mac: MAC });
    assignments.step(now);
    let refuse = Action::Write(assignment("a", State::Proposed, "1"), Change::Refuse(MAC));
    assert_eq!(assignments.take_actions(), [refuse]);
}

#[test]
fn a_deleted_assignment_is_silenced() {
    let (mut assignments, now) = current("a", vec![assignment("a", State::Accepted, "1")]);
    assignments.remove(ADDRESS, "another");
    assert!(assignments.answers(), "another object of the same name");
    assignments.remove(ADDRESS, "u1");
    assert!(!assignments.answers());
    // A list shows deletions that the watch has missed.
    assignments.apply(assignment("a", State::Accepted, "1"), now);
    assert!(assignments.answers());
    assignments.expire();
    assignments.step(now);
    assignments.listed(Epoch::default(), Some(Vec::new()), now);
    assert!(!assignments.answers());
}

#[test]
fn a_stopping_node_hands_over_what_has_a_standby() {
    let lonely = Assignment {
        address: Ipv4Addr::new(192, 0, 2, 11).into(),
        standby: None,
        uid: "u2".to_owned(),
        ..assignment("a", State::Accepted, "1")
    };
    let (mut assignments, _) = current("a", vec![assignment("a", State::Accepted, "1"), lonely]);
    let _answered = assignments.take_actions();
    assert!(assignments.can_hand_over());
    assignments.hand_over();
    let hand_over = Action::Write(assignment("a", State::Accepted, "1"), Change::HandOver);
    assert_eq!(assignments.take_actions(), [hand_over]);
}

#[test]
fn a_standby_takes_over_a_silent_address_without_a_heartbeat() {
    let (mut assignments, now) = current("standby", vec![assignment("a", State::Accepted, "1")]);
    let take_over = Action::Write(assignment("a", State::Accepted, "1"), Change::TakeOver);
    let taken = (0..100).find(|step| {
        let now = now + Duration::from_millis(50) * *step;
        assignments.step(now);
        let actions = assignments.take_actions();
        if actions.contains(&Action::ReadHeartbeat(ADDRESS, node("a"))) {
            assignments.heartbeat(ADDRESS, Some(Some("7".to_owned())), now);
        }
        actions.contains(&take_over)
    });
    assert!(taken.is_some_and(|step| step >= 30), "{taken:?}");
}
