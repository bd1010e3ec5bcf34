//! Long random sequences: several claims in two pools, changing requests, and any number of faults,
//! kills and power cuts, also during the recovery from an earlier one.

use crate::cluster::CLASSES;
use crate::disk::{Cut, Random};
use crate::faults::{Fault, print_summary};
use crate::world::{Event, World};
use fastrak_testkit::environment;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of sequences, each with its own seed.
const SEEDS: u64 = 10_000;

/// The maximum number of claims in a sequence.
const CLAIMS: usize = 5;

/// The totals of all sequences.
#[derive(Debug, Default)]
struct Counts {
    events: AtomicUsize,
    faults: AtomicUsize,
    deaths: AtomicUsize,
    cuts: AtomicUsize,
}

fn any_event(random: &mut Random) -> Event {
    let n = random.below(CLAIMS) as u8;
    match random.below(54) {
        0..=5 => Event::Claim(n, CLASSES[random.below(CLASSES.len())].0),
        6..=8 => Event::DeleteClaim(n),
        9..=11 => Event::Use(n),
        12 => Event::Litter(n),
        13 => Event::EndPod(n),
        14 => Event::DeleteVolume(n),
        15 => Event::SetRetain(n),
        16 => Event::SetDelete(n),
        17..=20 => Event::Control,
        21 => Event::See,
        22 => Event::CheckPools,
        23..=26 => Event::Reconcile(n),
        27 => Event::Scan,
        28 => Event::Trash,
        29..=33 => Event::Round,
        34 => Event::Restart,
        35 => Event::Wait,
        36 => Event::Settle,
        37 => Event::Cut(any_cut(random)),
        38 => Event::PartlyCreated(n + 100),
        39 => Event::Unmount,
        40 => Event::Mount,
        41..=43 => Event::Undelete(n, random.below(CLAIMS) as u8),
        44..=45 => Event::Adopt(n, random.below(CLAIMS) as u8),
        46 => Event::Evict,
        47..=50 => Event::Grow(n, ["2Gi", "4Gi", "7Gi"][random.below(3)]),
        51..=52 => Event::Unlabel(n),
        _ => Event::PartlyCreatedFar(n + 100),
    }
}

fn any_cut(random: &mut Random) -> Cut {
    match random.below(6) {
        0 => Cut::Nothing,
        1 => Cut::Everything,
        _ => Cut::Some(random.next()),
    }
}

fn any_fault(random: &mut Random) -> Fault {
    let all = Fault::all();
    match all[random.below(all.len())] {
        Fault::CutBefore(Cut::Some(_)) => Fault::CutBefore(Cut::Some(random.next())),
        Fault::CutAfter(Cut::Some(_)) => Fault::CutAfter(Cut::Some(random.next())),
        other => other,
    }
}

/// Runs one sequence. Returns the violations and the events.
fn run(seed: u64, counts: &Counts) -> (Vec<String>, Vec<String>) {
    let mut random = Random::new(seed);
    let (mut world, mut story) = (World::new(), Vec::new());
    if random.one_in(2) {
        world.happen(&Event::Projects);
    }
    let mut claimed = [false; CLAIMS];
    let mut fault = None;
    for _ in 0..12 + random.below(29) {
        let event = any_event(&mut random);
        // A UID is used once.
        if let Event::Claim(n, _) | Event::Undelete(n, _) | Event::Adopt(n, _) = event
            && std::mem::replace(&mut claimed[usize::from(n)], true)
        {
            continue;
        }
        if fault.is_none() && random.one_in(2) {
            // Early calls are chosen as often as late ones, although there are more late ones.
            let limit = 1 << random.below(7);
            let planned = (random.below(limit), any_fault(&mut random));
            world.machine.state().watch(Some(planned));
            fault = Some(planned);
        }
        story.push(format!("{event:?} with {fault:?}"));
        counts.events.fetch_add(1, Ordering::Relaxed);
        counts.cuts.fetch_add(usize::from(matches!(event, Event::Cut(_))), Ordering::Relaxed);
        world.happen(&event);
        fault = settle(&mut world, fault, &mut random, counts);
    }
    if let Some((_, fault)) = fault {
        world.after_fault(fault);
    }
    world.recover();
    let mut problems = world.problems();
    story.push("recovery, power cut, recovery".to_owned());
    world.happen(&Event::Cut(Cut::Nothing));
    world.recover();
    problems.extend(world.problems());
    (problems, story)
}

/// Handles a planned fault after an event: starts an ended process again, and removes the cause of
/// a lasting error at some time.
fn settle(
    world: &mut World,
    planned: Option<(usize, Fault)>,
    random: &mut Random,
    counts: &Counts,
) -> Option<(usize, Fault)> {
    let (at, fault) = planned?;
    let struck = world.machine.state().has_struck();
    let dead = world.machine.state().is_dead();
    if dead || (struck && random.one_in(2)) {
        counts.faults.fetch_add(1, Ordering::Relaxed);
        counts.deaths.fetch_add(usize::from(dead), Ordering::Relaxed);
        counts.cuts.fetch_add(usize::from(dead && fault.cut().is_some()), Ordering::Relaxed);
        world.after_fault(fault);
        return None;
    }
    Some((at, fault))
}

/// Runs the seeds from `next` until the first violation.
fn run_seeds(next: &AtomicUsize, base: u64, counts: &Counts) -> Option<String> {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed) as u64;
        if number >= SEEDS {
            return None;
        }
        let seed = base.wrapping_add(number);
        let (problems, story) = run(seed, counts);
        if !problems.is_empty() {
            next.store(usize::MAX / 2, Ordering::Relaxed);
            let (problems, story) = (problems.join("\n  "), story.join("\n    "));
            return Some(format!("seed {seed}:\n  {problems}\n  after\n    {story}"));
        }
    }
}

#[test]
fn no_sequence_of_faults_loses_leaks_or_confuses_data() {
    let counts = Counts::default();
    if let Some(seed) = environment::seed() {
        let (problems, story) = run(seed, &counts);
        println!("seed {seed}: {}", story.join("\n    "));
        assert!(problems.is_empty(), "{}", problems.join("\n  "));
        return;
    }
    let (base, next) = (RandomState::new().hash_one(0), AtomicUsize::new(0));
    print_summary(&format!("fault sequences: {SEEDS} seeds from {base}"));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failed: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| run_seeds(&next, base, &counts))).collect();
        threads.into_iter().filter_map(|thread| thread.join().expect("it runs")).collect()
    });
    print_summary(&format!("fault sequences: {counts:?}"));
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let [events, faults, deaths, cuts] =
        [counts.events, counts.faults, counts.deaths, counts.cuts].map(AtomicUsize::into_inner);
    assert!(events > 200_000 && faults > 20_000 && deaths > 10_000 && cuts > 10_000);
}
