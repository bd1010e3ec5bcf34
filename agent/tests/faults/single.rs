//! Every single fault at every call, in each of the situations that the agent can be in.

use crate::disk::Cut;
use crate::faults::{Call, Fault, tell};
use crate::world::{Event, World};
use std::collections::BTreeMap;

/// The situations that are tried on a disk with projects as well.
const WITH_PROJECTS: [&str; 7] = [
    "first volume of a new pool",
    "a volume more",
    "made anew",
    "restart",
    "deletion beside a volume",
    "trash is emptied",
    "a kept volume's object goes",
];

/// A situation, and what the agent does in it while something goes wrong.
#[derive(Clone)]
struct Scenario {
    name: String,
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
    Scenario { name: name.to_owned(), before: before.to_vec(), during: during.to_vec() }
}

/// A claim that is bound, used, and written to.
fn used(n: u8, class: &'static str) -> Vec<Event> {
    use Event::{Claim, Control, Leave, Litter, Round, Use};
    vec![Claim(n, class), Round, Control, Use(n), Litter(n), Leave(n), Event::See]
}

fn scenarios() -> Vec<Scenario> {
    use Event::{
        Claim, Consent, Control, DeleteVolume, Force, HalfMade, HalfMadeFar, Keep, LetGo, Restart,
        Round, Scan, See, Tend, Unclaim, Unmount, Use, Wait,
    };
    let gone = |class| [used(1, class), vec![Unclaim(1), Control]].concat();
    let kept = [used(1, "near"), vec![Keep(1)]].concat();
    let ended = [gone("kept"), vec![DeleteVolume(1)]].concat();
    let unpublished = [used(1, "near"), vec![Claim(2, "near"), See, Unclaim(2), Tend(2)]].concat();
    let orphaned = [gone("near"), vec![Force(1), See]].concat();
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
        scenario("deletion of a subvolume", &gone("far"), &[Round, Round, Round]),
        scenario(
            "a half-made subvolume",
            &[Claim(1, "far"), Round, HalfMadeFar(2)],
            &[Round, Round],
        ),
        scenario("a volume is to be kept", &kept, &[Round]),
        scenario("a kept volume's object goes", &ended, &[Round]),
        scenario(
            "kept after all",
            &[kept, vec![Unclaim(1), Control, DeleteVolume(1)]].concat(),
            &[Round],
        ),
        scenario("let go after all", &[gone("kept"), vec![LetGo(1)]].concat(), &[Round]),
        scenario("claim without object goes", &unpublished, &[Wait, Scan, Wait, Scan, Round]),
        scenario("an object is taken away by force", &orphaned, &[Scan, Wait, Scan]),
        scenario(
            "object deleted before it was bound",
            &[Claim(1, "near"), Round, DeleteVolume(1)],
            &[Round, Round],
        ),
    ]
}

/// An administrator changes an object, and the agent goes by what it has seen before.
fn scenarios_of_stale_views() -> Vec<Scenario> {
    use Event::{Control, DeleteVolume, Force, Keep, Round, See, Tend, Unclaim};
    let gone = |class| [used(1, class), vec![Unclaim(1), Control]].concat();
    vec![
        scenario(
            "kept before the watch shows it",
            &[gone("near"), vec![See, Keep(1)]].concat(),
            &[Tend(1), Round],
        ),
        scenario(
            "kept while its object is deleted",
            &[gone("near"), vec![DeleteVolume(1), See, Keep(1)]].concat(),
            &[Tend(1), Round],
        ),
        scenario(
            "taken away by force before the watch shows it",
            &[gone("near"), vec![See, Force(1)]].concat(),
            &[Tend(1), Round],
        ),
    ]
}

/// The same where the disk holds projects to limits.
fn with_projects(mut scenario: Scenario) -> Scenario {
    scenario.name.push_str(", with projects");
    scenario.before.insert(0, Event::Projects);
    scenario
}

fn all_scenarios() -> Vec<Scenario> {
    let mut all = scenarios();
    let chosen = all.iter().filter(|scenario| WITH_PROJECTS.contains(&scenario.name.as_str()));
    let mut more: Vec<_> = chosen.cloned().map(with_projects).collect();
    assert_eq!(more.len(), WITH_PROJECTS.len(), "a situation has another name now");
    // What was in the trash has given its number back by the second round.
    more.iter_mut().for_each(|scenario| scenario.during.push(Event::Round));
    all.extend(more);
    all
}

/// A claim that has asked for more, on a disk that cannot limit it and on one that can.
fn scenarios_of_growth() -> Vec<Scenario> {
    use Event::{Grow, Round, Unlabel};
    let asks = |class| [used(1, class), vec![Grow(1, "2Gi")]].concat();
    vec![
        scenario("growth", &asks("near"), &[Round]),
        scenario("growth of a subvolume", &asks("far"), &[Round]),
        with_projects(scenario("growth", &asks("near"), &[Round])),
        scenario(
            "growth of a claim that lost its label",
            &[asks("near"), vec![Unlabel(1), Grow(1, "4Gi")]].concat(),
            &[Round],
        ),
        scenario("growth, and more", &asks("far"), &[Round, Grow(1, "4Gi"), Round]),
    ]
}

/// What comes into the trash for a time, and back from it; and what is kept and goes to another claim.
fn scenarios_of_the_trash() -> Vec<Scenario> {
    use Event::{
        Adopt, Control, DeleteVolume, GiveWay, Import, Round, See, Tend, Unclaim, Undelete, Wait,
    };
    let gone = |class| [used(1, class), vec![Unclaim(1), Control]].concat();
    let ended = [gone("kept"), vec![DeleteVolume(1), Round, Adopt(2, 1)]].concat();
    let binned =
        |class, more: &[Event]| [gone(class), vec![See, Tend(1), Control], more.to_vec()].concat();
    vec![
        scenario("deletion for a time", &gone("bin"), &[Round]),
        scenario("undelete", &binned("bin", &[Undelete(2, 1)]), &[Round, Control, Round]),
        scenario(
            "undelete by a claim that goes",
            &binned("bin", &[Undelete(2, 1)]),
            &[See, Tend(2), Unclaim(2), Control, Round],
        ),
        scenario("time in the trash is over", &binned("soon", &[Wait, Wait, Wait]), &[Round]),
        scenario("trash gives way", &binned("bin", &[]), &[GiveWay, Round]),
        scenario("import", &[used(2, "near"), vec![Import(1)]].concat(), &[Round]),
        scenario(
            "import by a claim that goes",
            &[Round, Import(1)],
            &[See, Tend(1), Unclaim(1), Control, Round],
        ),
        scenario("adopt", &[gone("kept"), vec![See, Adopt(2, 1)]].concat(), &[Round]),
        scenario("adopt without an object", &ended, &[Round]),
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
    /// `calls` are those that are made without it, up to this one: they must be the same each time.
    fn strike(&self, calls: &[Call], fault: Fault, counts: &mut Counts) {
        let at = calls.len() - 1;
        let restarts: &[bool] = if fault.is_deadly() { &[false] } else { &[false, true] };
        for restart in restarts {
            let mut world = self.run(Some((at, fault)));
            assert!(world.machine.state().has_struck(), "{}: no fault at call {at}", self.name);
            assert_eq!(&world.machine.state().calls[..=at], calls, "{}", self.name);
            world.after_fault(fault);
            if *restart {
                world.happen(&Event::Restart);
            }
            let what = format!("{fault:?} at call {at}, {:?}, restart {restart}", calls[at]);
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
                self.strike(&calls[..=at], fault, &mut counts);
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
        let runs: Vec<_> = all_scenarios()
            .into_iter()
            .chain(scenarios_of_growth())
            .chain(scenarios_of_the_trash())
            .chain(scenarios_of_stale_views())
            .map(|scenario| scope.spawn(move || scenario.strike_everywhere()))
            .collect();
        runs.into_iter().for_each(|run| counts.add(run.join().expect("it runs")));
    });
    let Counts { scenarios, calls, faults, recoveries, by_call, .. } = &counts;
    tell(&format!(
        "fault matrix: {scenarios} situations, {calls} calls, {faults} faults, {recoveries} \
         recoveries, by call {by_call:?}"
    ));
    let (failures, shown) = (&counts.failures, counts.failures.len().min(4000));
    assert!(
        failures.is_empty(),
        "{} failures, among them:\n{}",
        failures.len(),
        failures[..shown].join("\n")
    );
    assert!(counts.calls > 2_000 && counts.faults > 20_000, "{counts:?}");
    // Every call of the machine, and every one of the API server.
    assert!(counts.by_call.len() == 16 + 15, "{counts:?}");
}
