//! Every single fault at every call, in each scenario of the agent.

use crate::disk::Cut;
use crate::faults::{Call, Fault, print_summary};
use crate::world::{Event, World};
use std::collections::BTreeMap;

/// The scenarios that also run on a disk with projects.
const WITH_PROJECTS: [&str; 7] = [
    "first volume of a new pool",
    "another volume",
    "partly created before",
    "restart",
    "deletion beside another volume",
    "emptying of the trash",
    "deletion of a retained volume's object",
];

/// A scenario: the events before, and the events during which a fault occurs.
#[derive(Clone)]
struct Scenario {
    name: String,
    before: Vec<Event>,
    during: Vec<Event>,
}

/// The totals.
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

/// A bound claim that a pod uses and writes to.
fn used(n: u8, class: &'static str) -> Vec<Event> {
    use Event::{Claim, Control, EndPod, Litter, Round, Use};
    vec![Claim(n, class), Round, Control, Use(n), Litter(n), EndPod(n), Event::See]
}

/// Scenarios of volumes that are created.
fn scenarios_of_creation() -> Vec<Scenario> {
    use Event::{Claim, CreateMarker, PartlyCreated, PartlyCreatedFar, Restart, Round, Unmount};
    vec![
        scenario("first start", &[], &[Round]),
        scenario("start with a marker of an administrator", &[CreateMarker], &[Round]),
        scenario("first volume of a new pool", &[Claim(1, "near")], &[Round]),
        scenario("another volume", &[used(1, "near"), vec![Claim(2, "near")]].concat(), &[Round]),
        scenario("two volumes in two pools", &[Claim(1, "near"), Claim(2, "far")], &[Round]),
        scenario("partly created before", &[Round, PartlyCreated(1), Claim(1, "near")], &[Round]),
        scenario("restart", &[used(1, "near"), vec![PartlyCreated(2)]].concat(), &[Restart, Round]),
        scenario(
            "a disk is unmounted",
            &[used(1, "far"), used(2, "near"), vec![Claim(3, "far"), Unmount]].concat(),
            &[Restart, Round],
        ),
        scenario(
            "a partly created subvolume",
            &[Claim(1, "far"), Round, PartlyCreatedFar(2)],
            &[Round, Round],
        ),
    ]
}

/// Scenarios of volumes that are deleted or retained.
fn scenarios_of_deletion() -> Vec<Scenario> {
    use Event::{
        Claim, Control, DeleteClaim, DeleteVolume, ForceDelete, Reconcile, Restart, Round, Scan,
        See, SetDelete, SetRetain, Use, Wait,
    };
    let gone = |class| [used(1, class), vec![DeleteClaim(1), Control]].concat();
    let kept = [used(1, "near"), vec![SetRetain(1)]].concat();
    let ended = [gone("kept"), vec![DeleteVolume(1)]].concat();
    let unpublished =
        [used(1, "near"), vec![Claim(2, "near"), See, DeleteClaim(2), Reconcile(2)]].concat();
    let orphaned = [gone("near"), vec![ForceDelete(1), See]].concat();
    let trashed = [gone("near"), vec![See, Reconcile(1)]].concat();
    vec![
        scenario("deletion", &gone("near"), &[Round]),
        scenario(
            "a pod outlives its claim",
            &[used(1, "near"), vec![Use(1), DeleteClaim(1), Control]].concat(),
            &[Round],
        ),
        scenario(
            "deletion beside another volume",
            &[used(2, "near"), gone("near")].concat(),
            &[Round],
        ),
        scenario("emptying of the trash", &trashed, &[Restart, Round]),
        scenario("deletion of a subvolume", &gone("far"), &[Round, Round, Round]),
        scenario("a volume becomes retained", &kept, &[Round]),
        scenario("deletion of a retained volume's object", &ended, &[Round]),
        scenario(
            "set to Retain at the last moment",
            &[kept, vec![DeleteClaim(1), Control, DeleteVolume(1)]].concat(),
            &[Round],
        ),
        scenario(
            "retained volume set to Delete",
            &[gone("kept"), vec![SetDelete(1)]].concat(),
            &[Round],
        ),
        scenario(
            "deletion of a claim without a volume",
            &unpublished,
            &[Wait, Scan, Wait, Scan, Round],
        ),
        scenario("an object is removed with its finalizers", &orphaned, &[Scan, Wait, Scan]),
        scenario(
            "object deleted before it was bound",
            &[Claim(1, "near"), Round, DeleteVolume(1)],
            &[Round, Round],
        ),
    ]
}

/// Scenarios in which an administrator changes an object and the agent's watch is behind.
fn scenarios_of_stale_views() -> Vec<Scenario> {
    use Event::{
        Control, DeleteClaim, DeleteVolume, ForceDelete, Reconcile, Round, See, SetRetain,
    };
    let gone = |class| [used(1, class), vec![DeleteClaim(1), Control]].concat();
    vec![
        scenario(
            "set to Retain before the watch delivers it",
            &[gone("near"), vec![See, SetRetain(1)]].concat(),
            &[Reconcile(1), Round],
        ),
        scenario(
            "set to Retain while its object is deleted",
            &[gone("near"), vec![DeleteVolume(1), See, SetRetain(1)]].concat(),
            &[Reconcile(1), Round],
        ),
        scenario(
            "removed with its finalizers before the watch delivers it",
            &[gone("near"), vec![See, ForceDelete(1)]].concat(),
            &[Reconcile(1), Round],
        ),
    ]
}

/// Returns the scenario on a disk with project quotas.
fn with_projects(mut scenario: Scenario) -> Scenario {
    scenario.name.push_str(", with projects");
    scenario.before.insert(0, Event::Projects);
    scenario
}

fn all_scenarios() -> Vec<Scenario> {
    let mut all = [scenarios_of_creation(), scenarios_of_deletion()].concat();
    let chosen = all.iter().filter(|scenario| WITH_PROJECTS.contains(&scenario.name.as_str()));
    let mut more: Vec<_> = chosen.cloned().map(with_projects).collect();
    assert_eq!(more.len(), WITH_PROJECTS.len(), "a scenario was renamed");
    // The second round reuses the project of the trashed volume.
    more.iter_mut().for_each(|scenario| scenario.during.push(Event::Round));
    all.extend(more);
    all
}

/// Scenarios of a claim that grows, on a disk without and with quotas.
fn scenarios_of_growth() -> Vec<Scenario> {
    use Event::{Grow, Round, Unlabel};
    let asks = |class| [used(1, class), vec![Grow(1, "2Gi")]].concat();
    vec![
        scenario("resize", &asks("near"), &[Round]),
        scenario("resize of a subvolume", &asks("far"), &[Round]),
        with_projects(scenario("resize", &asks("near"), &[Round])),
        scenario(
            "resize of a claim without its label",
            &[asks("near"), vec![Unlabel(1), Grow(1, "4Gi")]].concat(),
            &[Round],
        ),
        scenario("two resizes", &asks("far"), &[Round, Grow(1, "4Gi"), Round]),
    ]
}

/// Scenarios of volumes that are trashed and restored, and that are retained and adopted.
fn scenarios_of_the_trash() -> Vec<Scenario> {
    use Event::{
        Adopt, Control, DeleteClaim, DeleteVolume, Evict, Import, Reconcile, Round, See, Undelete,
        Wait,
    };
    let gone = |class| [used(1, class), vec![DeleteClaim(1), Control]].concat();
    let ended = [gone("kept"), vec![DeleteVolume(1), Round, Adopt(2, 1)]].concat();
    let binned = |class, more: &[Event]| {
        [gone(class), vec![See, Reconcile(1), Control], more.to_vec()].concat()
    };
    vec![
        scenario("deletion with a retention", &gone("bin"), &[Round]),
        scenario("undelete", &binned("bin", &[Undelete(2, 1)]), &[Round, Control, Round]),
        scenario(
            "undelete by a claim that is deleted",
            &binned("bin", &[Undelete(2, 1)]),
            &[See, Reconcile(2), DeleteClaim(2), Control, Round],
        ),
        scenario("expiry in the trash", &binned("soon", &[Wait, Wait, Wait]), &[Round]),
        scenario("eviction from the trash", &binned("bin", &[]), &[Evict, Round]),
        scenario("import", &[used(2, "near"), vec![Import(1)]].concat(), &[Round]),
        scenario(
            "import by a claim that is deleted",
            &[Round, Import(1)],
            &[See, Reconcile(1), DeleteClaim(1), Control, Round],
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
            // An ended process does nothing.
            if world.machine.state().is_dead() {
                break;
            }
        }
        world
    }

    /// Injects a fault at one call and checks the recovery: in the running process if it continues,
    /// after a restart, and after a later power cut. `calls` are the calls without the fault up to
    /// this one: they must be reproducible.
    fn inject(&self, calls: &[Call], fault: Fault, counts: &mut Counts) {
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

    fn inject_everywhere(&self) -> Counts {
        let mut counts = Counts { scenarios: 1, ..Counts::default() };
        let mut clean = self.run(None);
        let calls = clean.machine.state().calls.clone();
        self.check(&mut clean, "without a fault", &mut counts);
        counts.calls += calls.len();
        for (at, call) in calls.iter().enumerate() {
            *counts.by_call.entry(*call).or_default() += 1;
            for fault in Fault::all().into_iter().filter(|fault| fault.fits(*call)) {
                self.inject(&calls[..=at], fault, &mut counts);
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
fn no_single_fault_at_any_call_loses_leaks_or_confuses_data() {
    let mut counts = Counts::default();
    std::thread::scope(|scope| {
        let runs: Vec<_> = all_scenarios()
            .into_iter()
            .chain(scenarios_of_growth())
            .chain(scenarios_of_the_trash())
            .chain(scenarios_of_stale_views())
            .map(|scenario| scope.spawn(move || scenario.inject_everywhere()))
            .collect();
        runs.into_iter().for_each(|run| counts.add(run.join().expect("it runs")));
    });
    let Counts { scenarios, calls, faults, recoveries, by_call, .. } = &counts;
    print_summary(&format!(
        "fault matrix: {scenarios} scenarios, {calls} calls, {faults} faults, {recoveries} \
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
    // Every call of the machine and of the API server.
    assert!(counts.by_call.len() == 16 + 15, "{counts:?}");
}
