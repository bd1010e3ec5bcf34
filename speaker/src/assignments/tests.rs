use super::*;
use crate::frame::Mac;
use fastrak_api::assignment::State;
use std::net::Ipv4Addr;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));
const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);
const SEEN: Sighting = Sighting { address: ADDRESS, mac: MAC };
const OLD: Epoch = Epoch::FIRST;

impl Assignments {
    /// Returns whether the node answers for any address.
    fn answers(&self) -> bool {
        self.roles().0 > 0
    }
}

fn node(name: &str) -> NodeName {
    NodeName::parse(name).unwrap()
}

fn accepted(holder: &str, version: u64) -> Assignment {
    Assignment {
        address: ADDRESS,
        holder: node(holder),
        standby: Some(node("standby")),
        state: State::Accepted,
        uid: "u1".to_owned(),
        version,
    }
}

fn proposed(holder: &str, version: u64) -> Assignment {
    Assignment { state: State::Proposed, ..accepted(holder, version) }
}

fn list(version: u64, assignments: Vec<Assignment>) -> Option<Listed> {
    Some(Listed { version, assignments })
}

/// Returns the assignments of a node whose interface is up.
fn of(name: &str) -> Assignments {
    let mut assignments = Assignments::new(node(name));
    assignments.enable(true, Instant::now());
    assignments
}

/// Lets the list that is due be requested. Returns its number.
fn request(assignments: &mut Assignments, now: Instant) -> Option<u64> {
    assignments.step(now);
    assignments.take_actions().into_iter().find_map(|action| match action {
        Action::List(number, _) => Some(number),
        _ => None,
    })
}

/// Returns the assignments of a node that has read this list.
fn current(name: &str, version: u64, listed: Vec<Assignment>) -> (Assignments, Instant) {
    let (mut assignments, now) = (of(name), Instant::now());
    let number = request(&mut assignments, now).unwrap();
    assignments.listed(number, OLD, list(version, listed), now);
    (assignments, now)
}

fn answer(epoch: Epoch, sightings: u64) -> Action {
    Action::Send(Command::Answer(ADDRESS, Ticket { epoch, sightings }))
}

#[test]
fn nothing_is_answered_before_the_assignments_are_listed() {
    let (mut assignments, now) = (of("a"), Instant::now());
    assignments.watched(accepted("a", 1), now);
    assert!(!assignments.answers());
    let number = request(&mut assignments, now).unwrap();
    assignments.listed(number, OLD, list(1, vec![accepted("a", 1)]), now);
    assert!(assignments.answers());
    assert!(assignments.take_actions().contains(&answer(OLD, 0)));
}

#[test]
fn a_watch_event_alone_does_not_make_a_node_answer() {
    let (mut assignments, now) = current("a", 10, vec![accepted("b", 10)]);
    assignments.watched(accepted("a", 9), now);
    assert_eq!(request(&mut assignments, now), None, "it is old");
    assignments.watched(accepted("a", 11), now);
    assert!(!assignments.answers());
    let number = request(&mut assignments, now).unwrap();
    assignments.listed(number, OLD, list(12, vec![accepted("c", 12)]), now);
    assert!(!assignments.answers(), "the event was old");
}

#[test]
fn the_response_to_its_own_write_makes_a_node_answer_at_once() {
    let (mut assignments, now) = current("a", 1, vec![proposed("a", 1)]);
    let done = || Written::Done(Box::new(accepted("a", 2)));
    assignments.written(&proposed("a", 1), OLD, done(), now);
    assert!(assignments.answers());

    let (mut assignments, now) = current("a", 1, vec![proposed("a", 1)]);
    assignments.silenced(OLD.next(), now);
    assignments.written(&proposed("a", 1), OLD, done(), now);
    assert!(!assignments.answers(), "it was stopped since it wrote");
    assert!(request(&mut assignments, now).is_some());
}

#[test]
fn a_failed_list_is_repeated() {
    let (mut assignments, now) = (of("a"), Instant::now());
    let number = request(&mut assignments, now).unwrap();
    assignments.listed(number, OLD, None, now);
    assert_eq!(request(&mut assignments, now), None);
    assert_eq!(request(&mut assignments, now + RETRY), Some(number + 1));
}

#[test]
fn an_assignment_that_is_newer_than_a_list_stays() {
    let (mut assignments, now) = (of("a"), Instant::now());
    let number = request(&mut assignments, now).unwrap();
    assignments.watched(proposed("a", 101), now);
    assignments.listed(number, OLD, list(100, Vec::new()), now);
    assignments.step(now + Duration::from_secs(1));
    assert!(assignments.take_actions().contains(&Action::Send(Command::Probe(ADDRESS))));
}

#[test]
fn a_deleted_assignment_does_not_come_back() {
    let (mut assignments, now) = current("a", 1, vec![accepted("a", 1)]);
    assignments.expire();
    let number = request(&mut assignments, now).unwrap();
    assignments.deleted(ADDRESS, "u1", 3);
    assert!(!assignments.answers());
    assignments.listed(number, OLD, list(2, vec![accepted("a", 1)]), now);
    assert!(!assignments.answers(), "the list is older than the deletion");
    assignments.watched(accepted("a", 2), now);
    assert_eq!(request(&mut assignments, now), None, "the event is older than the deletion");
}

#[test]
fn a_deletion_that_the_watch_has_missed_is_found_by_a_list() {
    let (mut assignments, now) = current("a", 1, vec![accepted("a", 1)]);
    assignments.deleted(ADDRESS, "another", 2);
    assert!(assignments.answers(), "another object of the same name");
    assignments.expire();
    let number = request(&mut assignments, now).unwrap();
    assignments.listed(number, OLD, list(3, Vec::new()), now);
    assert!(!assignments.answers());
}

#[test]
fn a_node_that_was_stopped_answers_again_only_after_a_new_list() {
    let (mut assignments, now) = current("a", 1, vec![accepted("a", 1)]);
    assignments.expire();
    let before = request(&mut assignments, now).unwrap();
    let epoch = OLD.next();
    assignments.silenced(epoch, now);
    assignments.listed(before, OLD, list(1, vec![accepted("a", 1)]), now);
    assert!(!assignments.answers(), "the list was requested before the pause");
    let number = request(&mut assignments, now).unwrap();
    assignments.listed(number, epoch, list(2, vec![accepted("a", 1)]), now);
    assert!(assignments.take_actions().contains(&answer(epoch, 0)));
}

#[test]
fn a_foreign_claim_silences_a_node_until_a_list_that_was_requested_after_it() {
    let (mut assignments, now) = current("a", 1, vec![accepted("a", 1)]);
    assignments.expire();
    let before = request(&mut assignments, now).unwrap();
    assignments.seen(SEEN, 1);
    assert_eq!(assignments.take_actions(), [Action::Warn(SEEN)]);
    assignments.listed(before, OLD, list(1, vec![accepted("a", 1)]), now);
    assert!(!assignments.answers(), "another node may have taken over since");
    let number = request(&mut assignments, now).unwrap();
    assignments.listed(number, OLD, list(2, vec![accepted("a", 1)]), now);
    let actions = assignments.take_actions();
    assert!(actions.contains(&answer(OLD, 1)), "{actions:?}");
    let tolerate = |stations: &[Mac]| {
        Action::Send(Command::Tolerate(ADDRESS, stations.iter().copied().collect()))
    };
    assert!(actions.contains(&tolerate(&[MAC])), "{actions:?}");
    // A changed assignment may name that station.
    assignments.watched(accepted("a", 3), now);
    let actions = assignments.take_actions();
    assert!(actions.contains(&tolerate(&[])), "{actions:?}");
}

#[test]
fn without_the_api_server_a_silenced_address_is_answered_if_nobody_else_does() {
    let (mut assignments, now) = current("a", 1, vec![accepted("a", 1)]);
    let run = |assignments: &mut Assignments, answered: bool| {
        assignments.seen(SEEN, 1);
        let number = request(assignments, now).unwrap();
        assignments.listed(number, OLD, None, now);
        for step in 0..20 {
            assignments.step(now + Duration::from_millis(50) * step);
            // The first probe is sent after 200 ms.
            if answered && step >= 4 {
                assignments.seen(SEEN, 1);
            }
        }
        assignments.answers()
    };
    assert!(run(&mut assignments, false));
    let (mut assignments, _) = current("a", 1, vec![accepted("a", 1)]);
    assert!(!run(&mut assignments, true));
}

#[test]
fn a_proposed_address_is_probed_and_accepted() {
    let (mut assignments, now) = current("a", 1, vec![proposed("a", 1)]);
    let mut actions = Vec::new();
    for step in 0..20 {
        assignments.step(now + Duration::from_millis(50) * step);
        actions.extend(assignments.take_actions());
    }
    let probes = actions.iter().filter(|action| **action == Action::Send(Command::Probe(ADDRESS)));
    assert_eq!(probes.count(), 3);
    let accept = Action::Write(proposed("a", 1), Change::Accept, OLD);
    assert_eq!(actions.iter().filter(|action| **action == accept).count(), 1);
}

#[test]
fn a_proposed_address_in_use_is_refused() {
    let (mut assignments, now) = current("a", 1, vec![proposed("a", 1)]);
    let _commands = assignments.take_actions();
    assignments.seen(SEEN, 0);
    assignments.step(now);
    assert_eq!(assignments.take_actions(), [], "the node that had it before may have sent this");
    let mut writes = Vec::new();
    for step in 4..70 {
        assignments.step(now + Duration::from_millis(50) * step);
        for action in assignments.take_actions() {
            match action {
                Action::Send(Command::Probe(_)) => assignments.seen(SEEN, 0),
                action => writes.push(action),
            }
        }
    }
    let refuse = Action::Write(proposed("a", 1), Change::Refuse(MAC), OLD);
    assert_eq!(writes, [refuse]);
}

#[test]
fn a_stopping_node_hands_over_what_has_a_standby_until_it_is_done() {
    let lonely = Assignment {
        address: Ipv4Addr::new(192, 0, 2, 11).into(),
        standby: None,
        uid: "u2".to_owned(),
        ..accepted("a", 1)
    };
    let (mut assignments, now) = current("a", 1, vec![accepted("a", 1), lonely]);
    let _answered = assignments.take_actions();
    assert!(assignments.can_hand_over());
    assignments.stop();
    let hand_over = || Action::Write(accepted("a", 1), Change::HandOver, OLD);
    assignments.step(now);
    assert_eq!(assignments.take_actions(), [hand_over()]);
    assignments.step(now);
    assert_eq!(assignments.take_actions(), [], "one request at a time");
    assignments.written(&accepted("a", 1), OLD, Written::Failed, now);
    assignments.step(now + Duration::from_millis(250));
    assert_eq!(assignments.take_actions(), [hand_over()]);
    let after = Assignment { standby: Some(node("a")), ..accepted("standby", 2) };
    assignments.written(&accepted("a", 1), OLD, Written::Done(Box::new(after)), now);
    assert!(!assignments.can_hand_over());
}

#[test]
fn a_standby_takes_over_a_silent_address_without_a_heartbeat() {
    let (mut assignments, start) = current("standby", 1, vec![accepted("a", 1)]);
    let take_over = Action::Write(accepted("a", 1), Change::TakeOver, OLD);
    let taken = (0..100).find(|step| {
        let now = start + Duration::from_millis(50) * *step;
        assignments.step(now);
        let actions = assignments.take_actions();
        if actions.contains(&Action::ReadHeartbeat(node("a"))) {
            assignments.heartbeat(&node("a"), Some(Some("7".to_owned())), now);
        }
        actions.contains(&take_over)
    });
    assert!(taken.is_some_and(|step| (31..34).contains(&step)), "{taken:?}");
}

#[test]
fn the_response_to_a_write_of_an_older_version_delays_nothing() {
    let (mut assignments, now) = current("a", 1, vec![proposed("a", 1)]);
    let done = Written::Done(Box::new(accepted("a", 2)));
    assignments.written(&proposed("a", 1), OLD, done, now);
    assignments.written(&proposed("a", 1), OLD, Written::Failed, now);
    assignments.stop();
    let _commands = assignments.take_actions();
    assignments.step(now);
    let hand_over = Action::Write(accepted("a", 2), Change::HandOver, OLD);
    assert_eq!(assignments.take_actions(), [hand_over]);
}

#[test]
fn nothing_is_due_while_the_interface_is_down() {
    let observed = |name| current(name, 1, vec![accepted("holder", 1)]);
    let proposal = |name| current(name, 1, vec![proposed(name, 1)]);
    for (mut assignments, now) in [observed("holder"), observed("standby"), proposal("a")] {
        let _answers = assignments.take_actions();
        assignments.enable(false, now);
        assignments.silenced(OLD.next(), now);
        assert_eq!(assignments.roles().0, 0);
        for second in 0..10 {
            // The heartbeat of the holder has stopped too: a switch is down.
            assignments.heartbeat(&node("holder"), Some(None), now);
            assignments.step(now + Duration::from_secs(second));
        }
        assert_eq!(assignments.take_actions(), []);
    }
}

#[test]
fn a_node_whose_interface_was_down_answers_only_after_a_new_list() {
    let (mut assignments, now) = current("a", 1, vec![accepted("a", 1)]);
    assignments.enable(false, now);
    assignments.silenced(OLD.next(), now);
    assert_eq!(request(&mut assignments, now), None);
    let epoch = OLD.next().next();
    assignments.enable(true, now);
    assignments.silenced(epoch, now);
    assert!(!assignments.answers());
    let number = request(&mut assignments, now).unwrap();
    assignments.listed(number, epoch, list(2, vec![accepted("a", 1)]), now);
    assert!(assignments.take_actions().contains(&answer(epoch, 0)));
}

#[test]
fn with_another_speaker_a_node_is_silent_until_a_list_requested_after_that_has_stopped() {
    let (mut assignments, now) = current("a", 1, vec![accepted("a", 1)]);
    assignments.expire();
    let before = request(&mut assignments, now).unwrap();
    assignments.enable(false, now);
    assert!(!assignments.answers());
    let same = || list(1, vec![accepted("a", 1)]);
    assignments.listed(before, OLD, same(), now);
    assert!(!assignments.answers(), "the node has another speaker");
    assignments.enable(true, now);
    assignments.listed(before, OLD, same(), now);
    assert!(!assignments.answers(), "the list is old");
    let number = request(&mut assignments, now).unwrap();
    assignments.listed(number, OLD, same(), now);
    assert!(assignments.answers());
}
