//! Every single fault at every call, in each of the situations that the agent can be in.

use crate::disk::Cut;
use crate::faults::{Call, Fault};
use crate::world::{Event, World};
use std::collections::BTreeMap;

/// A situation, and what the agent does in it while something goes wrong.
struct Scenario {
    name: &'static str,
    before: Vec<Event>,
    during: Vec<Event>,
}

/// How much was tried.
#[derive(Debug, Default)]
struct Counts {
    scenarios: usize,
    calls: usize,
    faults: usize,
    recoveries: usize,
    by_call: BTreeMap<Call, usize>,
    failures: Vec<String>,
}

fn scenario(name: &'static str, before: &[Event], during: &[Event]) -> Scenario {
    Scenario { name, before: before.to_vec(), during: during.to_vec() }
}

/// A claim that is bound, used, and written to.
fn used(n: u8, class: &'static str) -> Vec<Event> {
    use Event::{Claim, Control, Leave, Litter, Round, Use};
    vec![Claim(n, class), Round, Control, Use(n), Litter(n), Leave(n), Event::See]
}

fn scenarios() -> Vec<Scenario> {
    use Event::{
        Claim, Consent, Control, DeleteVolume, HalfMade, Keep, LetGo, Restart, Round, Scan, See,
        Tend, Unclaim, Unmount, Use, Wait,
    };
    let gone = |class| [used(1, class), vec![Unclaim(1), Control]].concat();
    let kept = [used(1, "near"), vec![Keep(1)]].concat();
    let ended = [gone("kept"), vec![DeleteVolume(1)]].concat();
    let unpublished = [used(1, "near"), vec![Claim(2, "near"), See, Unclaim(2), Tend(2)]].concat();
    let trashed = [gone("near"), vec![See, Tend(1)]].concat();
    vec![
        scenario("first start", &[], &[Round]),
        scenario("start where someone agreed", &[Consent], &[Round]),
        scenario("first volume of a new pool", &[Claim(1, "near")], &[Round]),
        scenario("a volume more", &[used(1, "near"), vec![Claim(2, "near")]].concat(), &[Round]),
        scenario("two volumes in two pools", &[Claim(1, "near"), Claim(2, "far")], &[Round]),
        scenario("made anew", &[Round, HalfMade(1), Claim(1, "near")], &[Round]),
        scenario("restart", &[used(1, "near"), vec![HalfMade(2)]].concat(), &[Restart, Round]),
        scenario(
            "a disk is away",
            &[used(1, "far"), used(2, "near"), vec![Claim(3, "far"), Unmount]].concat(),
            &[Restart, Round],
        ),
        scenario("deletion", &gone("near"), &[Round]),
        scenario(
            "a pod outlives its claim",
            &[used(1, "near"), vec![Use(1), Unclaim(1), Control]].concat(),
            &[Round],
        ),
        scenario("deletion beside a volume", &[used(2, "near"), gone("near")].concat(), &[Round]),
        scenario("trash is emptied", &trashed, &[Restart, Round]),
        scenario("a volume is to be kept", &kept, &[Round]),
        scenario("a kept volume's object goes", &ended, &[Round]),
        scenario(
            "kept after all",
            &[kept, vec![Unclaim(1), Control, DeleteVolume(1)]].concat(),
            &[Round],
        ),
        scenario("let go after all", &[gone("kept"), vec![LetGo(1)]].concat(), &[Round]),
        scenario("claim without object goes", &unpublished, &[Wait, Scan, Wait, Scan, Round]),
        scenario(
            "object deleted before it was bound",
            &[Claim(1, "near"), Round, DeleteVolume(1)],
            &[Round, Round],
        ),
    ]
}

impl Scenario {
    fn run(&self, fault: Option<(usize, Fault)>) -> World {
        let mut world = World::after(&self.before);
        world.machine.state().watch(fault);
        for event in &self.during {
            world.happen(event);
            // A process that is no more does nothing more.
            if world.machine.state().is_dead() {
                break;
            }
        }
        world
    }

    /// Lets one call go wrong in one way, and looks whether all comes right: while the process goes on
    /// if it can, after a restart, and after a power cut when everything seemed to be well again.
    fn strike(&self, at: usize, fault: Fault, counts: &mut Counts) {
        let restarts: &[bool] = if fault.is_deadly() { &[false] } else { &[false, true] };
        for restart in restarts {
            let mut world = self.run(Some((at, fault)));
            assert!(world.machine.state().has_struck(), "{}: no fault at call {at}", self.name);
            world.after_fault(fault);
            if *restart {
                world.happen(&Event::Restart);
            }
            let call = world.machine.state().calls[at];
            let what = format!("{fault:?} at call {at}, {call:?}, restart {restart}");
            self.check(&mut world, &what, counts);
            world.happen(&Event::Cut(Cut::Nothing));
            self.check(&mut world, &format!("{what}, and a power cut afterwards"), counts);
        }
    }

    fn check(&self, world: &mut World, what: &str, counts: &mut Counts) {
        world.recover();
        counts.recoveries += 1;
        let problems = world.problems();
        if !problems.is_empty() {
            counts.failures.push(format!("{}, {what}:\n  {}", self.name, problems.join("\n  ")));
        }
    }

    fn strike_everywhere(&self) -> Counts {
        let mut counts = Counts { scenarios: 1, ..Counts::default() };
        let mut clean = self.run(None);
        let calls = clean.machine.state().calls.clone();
        self.check(&mut clean, "without a fault", &mut counts);
        counts.calls += calls.len();
        for (at, call) in calls.iter().enumerate() {
            *counts.by_call.entry(*call).or_default() += 1;
            for fault in Fault::all().into_iter().filter(|fault| fault.fits(*call)) {
                self.strike(at, fault, &mut counts);
                counts.faults += 1;
            }
        }
        counts
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.scenarios += other.scenarios;
        self.calls += other.calls;
        self.faults += other.faults;
        self.recoveries += other.recoveries;
        for (call, times) in other.by_call {
            *self.by_call.entry(call).or_default() += times;
        }
        self.failures.extend(other.failures);
    }
}

#[test]
fn no_single_fault_at_any_call_loses_leaks_or_mixes_up_anything() {
    let mut counts = Counts::default();
    std::thread::scope(|scope| {
        let runs: Vec<_> = scenarios()
            .into_iter()
            .map(|scenario| scope.spawn(move || scenario.strike_everywhere()))
            .collect();
        runs.into_iter().for_each(|run| counts.add(run.join().expect("it runs")));
    });
    println!(
        "{} scenarios, {} calls, {} faults, {} recoveries, by call {:?}",
        counts.scenarios, counts.calls, counts.faults, counts.recoveries, counts.by_call
    );
    let (failures, shown) = (&counts.failures, counts.failures.len().min(4000));
    assert!(
        failures.is_empty(),
        "{} failures, among them:\n{}",
        failures.len(),
        failures[..shown].join("\n")
    );
    assert!(counts.calls > 2_000 && counts.faults > 20_000, "{counts:?}");
    assert!(counts.by_call.len() == 16, "{counts:?}");
}
