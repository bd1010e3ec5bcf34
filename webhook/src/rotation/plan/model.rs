//! A simulated cluster: replicas that make one API call at a time and may stop after each, a Secret
//! and a webhook configuration with versions, wrong clocks, and other clients. Certificates are
//! numbers, so thousands of histories take seconds.
//!
//! In every state, each served leaf is trusted by the published bundle, and was trusted for the
//! last [`LAG`] seconds, unless another client removed its CA or it has expired. Once other clients
//! stop, the cluster soon reaches a state without work.

use super::*;
use crate::rotation::state::CLOCKS_DIFFER;
use fastrak_certs::Validity;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use time::Duration as Time;

/// How late an API server may load a bundle: less than `settle`.
const LAG: i64 = 8;
const REPLICAS: usize = 3;
const DAY: i64 = 86_400;

const LIFETIMES: Lifetimes =
    Lifetimes { ca: Time::days(90), leaf: Time::days(30), settle: Duration::from_secs(10) };

#[derive(Clone, Debug)]
enum Op {
    /// A replica makes its next calls, this many.
    Call(usize, usize),
    Pass(i64),
    /// The clocks of all replicas are off by this much, beside their own error of minutes.
    Step(i64),
    Crash(usize),
    /// Another client changes the webhook configuration.
    Wipe,
    Replace,
    /// Another client changes the Secret.
    Delete,
    SpoilCa,
    SpoilLeaf,
    SpoilNext,
    SpoilTime,
}

#[derive(Clone, Debug)]
enum Content {
    Garbage,
    Certs(Box<StoredCerts>),
}

type Versioned = (u64, Content);

#[derive(Clone, Debug, Default)]
struct Configuration {
    version: u64,
    bundle: Vec<CaInfo>,
}

#[derive(Clone, Debug)]
enum Next {
    ReadConfiguration,
    ReadSecret(Configuration, Published),
    Do(Box<(Step, Configuration, Option<Versioned>)>),
}

#[derive(Clone, Debug)]
struct Replica {
    skew: i64,
    served: Option<LeafInfo>,
    /// Whether it had no valid leaf when it started to serve this one, and so did not wait.
    rushed: bool,
    trust_times: BTreeMap<Id, OffsetDateTime>,
    next: Next,
}

struct World {
    now: OffsetDateTime,
    step: i64,
    count: u64,
    secret: Option<Versioned>,
    configuration: Configuration,
    /// The bundles that were published before, each with the time until which it was.
    past: Vec<(OffsetDateTime, Vec<CaInfo>)>,
    /// The CAs that another client removed and that are not published again.
    lost: BTreeSet<Id>,
    /// Until when API servers may use a bundle of another client.
    disturbed: OffsetDateTime,
    replicas: Vec<Replica>,
}

impl World {
    fn new() -> Self {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let replica = |skew| Replica {
            skew,
            served: None,
            rushed: true,
            trust_times: BTreeMap::new(),
            next: Next::ReadConfiguration,
        };
        Self {
            now,
            step: 0,
            count: 0,
            secret: None,
            configuration: Configuration::default(),
            past: Vec::new(),
            lost: BTreeSet::new(),
            disturbed: now,
            replicas: [0, 240, -180].map(replica).to_vec(),
        }
    }

    fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn id(&mut self) -> Id {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.number().to_be_bytes());
        Id(bytes)
    }

    fn local(&self, at: usize) -> OffsetDateTime {
        self.now + Time::seconds(self.step + self.replicas[at].skew)
    }

    fn ca(&mut self, now: OffsetDateTime, lasts: Time) -> CaInfo {
        CaInfo { id: self.id(), validity: Validity::starting(now, lasts) }
    }

    fn leaf(&mut self, of: CaInfo, now: OffsetDateTime) -> Result<LeafInfo, &'static str> {
        let mut validity = Validity::starting(now, LIFETIMES.leaf);
        validity.not_before = validity.not_before.max(of.validity.not_before);
        validity.not_after = validity.not_after.min(of.validity.not_after);
        Ok(LeafInfo { id: self.id(), issuer: of.id, validity })
    }

    fn register(&mut self, bundle: Vec<CaInfo>, by_us: bool) {
        let before = std::mem::replace(&mut self.configuration.bundle, bundle);
        self.configuration.version = self.number();
        let now_there = |id: &Id| self.configuration.bundle.iter().any(|a| a.id == *id);
        if by_us {
            if !self.lost.is_empty() {
                self.disturbed = self.now + Time::seconds(LAG);
            }
            let lost = self.lost.iter().copied().filter(|id| !now_there(id)).collect();
            self.lost = lost;
        } else {
            let gone = before.iter().map(|a| a.id).filter(|id| !now_there(id));
            self.lost.extend(gone);
            self.disturbed = self.now + Time::seconds(LAG);
        }
        self.past.push((self.now, before));
        let oldest = self.now - Time::seconds(LAG);
        self.past.retain(|(until, _)| *until >= oldest);
    }

    fn call(&mut self, at: usize) {
        let next = std::mem::replace(&mut self.replicas[at].next, Next::ReadConfiguration);
        self.replicas[at].next = match next {
            Next::ReadConfiguration => self.read_configuration(at),
            Next::ReadSecret(configuration, published) => {
                self.read_secret(at, configuration, published)
            }
            Next::Do(what) => {
                let (step, configuration, secret) = *what;
                self.act(at, step, &configuration, secret.as_ref());
                Next::ReadConfiguration
            }
        };
    }

    fn read_configuration(&mut self, at: usize) -> Next {
        let configuration = self.configuration.clone();
        let (now, trust_times) = (self.now, &mut self.replicas[at].trust_times);
        trust_times.retain(|id, _| configuration.bundle.iter().any(|a| a.id == *id));
        for ca in &configuration.bundle {
            trust_times.entry(ca.id).or_insert(now);
        }
        let since = |at: &OffsetDateTime| Duration::try_from(now - *at).unwrap();
        let trusted = trust_times.iter().map(|(id, at)| (*id, since(at))).collect();
        let found = configuration.bundle.clone();
        Next::ReadSecret(configuration, Published { trusted, found, exact: false })
    }

    fn read_secret(
        &mut self,
        at: usize,
        configuration: Configuration,
        published: Published,
    ) -> Next {
        let stored = match &self.secret {
            None => Stored::Absent,
            Some((_, Content::Garbage)) => Stored::Unusable("garbage".to_owned()),
            Some((_, Content::Certs(certs))) => Stored::Usable(certs.clone()),
        };
        let mut view = View { published, stored, served: self.replicas[at].served };
        if let Stored::Usable(certs) = &view.stored {
            view.published.exact = certs.trusted().eq(&configuration.bundle);
        }
        let step = plan(&view, &LIFETIMES, self.local(at));
        if step == Step::Serve {
            let served = view.served.as_ref();
            let usable = served.is_some_and(|s| is_usable(s, &view.published, self.local(at)));
            let leaf = match &view.stored {
                Stored::Usable(certs) => certs.leaf.unwrap(),
                Stored::Absent | Stored::Unusable(_) => panic!("there is nothing to serve"),
            };
            let same = served.is_some_and(|served| served.issuer == leaf.issuer);
            let before = self.replicas[at].rushed;
            self.replicas[at].rushed = if same { before } else { !usable };
        }
        Next::Do(Box::new((step, configuration, self.secret.clone())))
    }

    fn act(
        &mut self,
        at: usize,
        step: Step,
        configuration: &Configuration,
        secret: Option<&Versioned>,
    ) {
        let version = |secret: Option<&Versioned>| secret.map(|(version, _)| *version);
        let certs = match secret {
            Some((_, Content::Certs(certs))) => Some(StoredCerts::clone(certs)),
            Some((_, Content::Garbage)) | None => None,
        };
        match step {
            Step::Rest(_) => {}
            Step::Serve => self.replicas[at].served = certs.unwrap().leaf.ok(),
            Step::Publish => {
                if self.configuration.version == configuration.version {
                    let bundle = certs.unwrap().trusted().copied().collect();
                    self.register(bundle, true);
                }
            }
            Step::Change(change) => {
                if version(self.secret.as_ref()) == version(secret) {
                    let now = self.local(at);
                    let certs = self.change(change, certs, &configuration.bundle, now);
                    self.secret = Some((self.number(), Content::Certs(Box::new(certs))));
                }
            }
        }
    }

    fn change(
        &mut self,
        change: Change,
        certs: Option<StoredCerts>,
        found: &[CaInfo],
        now: OffsetDateTime,
    ) -> StoredCerts {
        let pick = |ids: &[Id]| {
            let picked = ids.iter().filter_map(|id| found.iter().find(|a| a.id == *id));
            picked.copied().collect::<Vec<_>>()
        };
        if let Change::Recreate { keep, .. } = &change {
            let current = self.ca(now, LIFETIMES.ca);
            let old = pick(keep);
            let retire_at = (!old.is_empty()).then(|| LIFETIMES.retire_adopted(now));
            let leaf = self.leaf(current, now);
            return StoredCerts { current, next: None, old, leaf, retire_at, inherits: true };
        }
        let mut certs = certs.unwrap();
        match change {
            Change::Recreate { .. } => unreachable!(),
            Change::Adopt(ids) => {
                certs.old.extend(pick(&ids));
                certs.retire_at = certs.retire_at.max(Some(LIFETIMES.retire_adopted(now)));
            }
            Change::Confirm => certs.inherits = false,
            Change::IssueLeaf(_) => certs.leaf = self.leaf(certs.current, now),
            Change::Introduce => certs.next = Some(self.ca(now, LIFETIMES.ca)),
            Change::Promote => {
                certs.retire_at = certs.retire_at.max(Some(LIFETIMES.retire_promoted(&certs)));
                let next = certs.next.take().unwrap();
                certs.old.insert(0, std::mem::replace(&mut certs.current, next));
                certs.leaf = self.leaf(next, now);
            }
            Change::Retire(ids) => {
                certs.old.retain(|old| !ids.contains(&old.id));
                certs.retire_at = certs.retire_at.filter(|_| !certs.old.is_empty());
            }
        }
        certs
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Call(at, times) => (0..times).for_each(|_| self.call(at)),
            Op::Pass(seconds) => self.now += Time::seconds(seconds),
            Op::Step(seconds) => self.step = seconds,
            Op::Crash(at) => {
                let replica = &mut self.replicas[at];
                (replica.served, replica.rushed) = (None, true);
                replica.trust_times.clear();
                replica.next = Next::ReadConfiguration;
            }
            Op::Wipe => self.register(Vec::new(), false),
            Op::Replace => {
                let foreign = self.ca(self.now, Time::days(365));
                self.register(vec![foreign], false);
            }
            Op::Delete => self.secret = None,
            Op::SpoilCa => self.spoil(|_| true),
            Op::SpoilLeaf => self.spoil(|certs| {
                certs.leaf = Err("malformed");
                false
            }),
            Op::SpoilNext => self.spoil(|certs| {
                certs.old.extend(certs.next.take());
                false
            }),
            Op::SpoilTime => self.spoil(|certs| {
                certs.retire_at = None;
                false
            }),
        }
    }

    fn spoil(&mut self, how: impl Fn(&mut StoredCerts) -> bool) {
        let version = self.number();
        if let Some((at, content)) = &mut self.secret {
            let garbage = match content {
                Content::Garbage => true,
                Content::Certs(certs) => how(certs),
            };
            *at = version;
            if garbage {
                *content = Content::Garbage;
            }
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for (at, replica) in self.replicas.iter().enumerate() {
            let Some(served) = replica.served else { continue };
            if served.validity.is_expired(self.now) || self.lost.contains(&served.issuer) {
                continue;
            }
            let trusts = |bundle: &[CaInfo]| bundle.iter().any(|a| a.id == served.issuer);
            prop_assert!(
                trusts(&self.configuration.bundle),
                "replica {at} serves {served:?}, and the bundle is {:?}",
                self.configuration.bundle
            );
            if !replica.rushed && self.now > self.disturbed {
                let late = self.now - Time::seconds(LAG);
                let mut past = self.past.iter().filter(|(until, _)| *until > late);
                let early = past.find(|(_, bundle)| !trusts(bundle));
                prop_assert!(
                    early.is_none(),
                    "replica {at} serves {served:?} too early: {early:?}"
                );
            }
        }
        Ok(())
    }

    fn unsettled(&self) -> Option<String> {
        let Some((_, Content::Certs(certs))) = &self.secret else {
            return Some("no Secret".to_owned());
        };
        let trusts = |id| self.configuration.bundle.iter().any(|a| a.id == id);
        let leaf = certs.leaf.ok()?;
        let fresh = |validity: Validity| validity.verdict(self.now) == Verdict::Fresh;
        let served = |replica: &Replica| replica.served.is_some_and(|s| s.id == leaf.id);
        for (what, holds) in [
            ("exact", certs.trusted().eq(&self.configuration.bundle)),
            ("no next", certs.next.is_none()),
            ("confirmed", !certs.inherits),
            ("CA fresh", fresh(certs.current.validity)),
            ("leaf fresh", fresh(leaf.validity)),
            ("trusted", trusts(leaf.issuer)),
            ("served by all", self.replicas.iter().all(served)),
        ] {
            if !holds {
                return Some(format!("not {what}: {certs:?}, {:?}", self.replicas));
            }
        }
        None
    }
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        40 => (0..REPLICAS, 1usize..4).prop_map(|(at, times)| Op::Call(at, times)),
        12 => (0..REPLICAS, 6usize..24).prop_map(|(at, times)| Op::Call(at, times)),
        12 => (1i64..16).prop_map(Op::Pass),
        6 => (1..DAY).prop_map(Op::Pass),
        6 => (1i64..25).prop_map(|days| Op::Pass(days * DAY)),
        3 => prop::sample::select(vec![0, DAY, -DAY, 0]).prop_map(Op::Step),
        4 => (0..REPLICAS).prop_map(Op::Crash),
        1 => Just(Op::Wipe),
        1 => Just(Op::Replace),
        2 => Just(Op::Delete),
        2 => Just(Op::SpoilCa),
        1 => Just(Op::SpoilLeaf),
        1 => Just(Op::SpoilNext),
        1 => Just(Op::SpoilTime),
    ]
}

fn run(history: &[Op]) -> Result<World, TestCaseError> {
    let mut world = World::new();
    for op in history {
        match *op {
            // Each call is a state of its own.
            Op::Call(at, times) => {
                for _ in 0..times {
                    world.apply(&Op::Call(at, 1));
                    world.check()?;
                }
            }
            _ => {
                world.apply(op);
                world.check()?;
            }
        }
    }
    Ok(world)
}

/// Runs the replicas, a second for each reconciliation, until there is no work. Returns the
/// seconds.
fn settle(world: &mut World, limit: usize) -> Result<usize, TestCaseError> {
    let mut last = None;
    for seconds in 0..limit {
        last = world.unsettled();
        if last.is_none() {
            return Ok(seconds);
        }
        for at in 0..REPLICAS {
            // Two calls to observe, one to act: a reconciliation.
            for _ in 0..3 {
                world.call(at);
                world.check()?;
            }
        }
        world.now += Time::SECOND;
        world.check()?;
    }
    Err(TestCaseError::fail(format!("still {last:?}")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_history_serves_an_untrusted_leaf_and_each_ends_without_work(
        history in prop::collection::vec(ops(), 1..160)
    ) {
        let mut world = run(&history)?;
        world.step = 0;
        settle(&mut world, 60)?;
    }
}

#[test]
fn ten_years_without_faults_rotate_and_never_skip_the_wait() {
    let mut world = World::new();
    settle(&mut world, 60).unwrap();
    for replica in &mut world.replicas {
        replica.rushed = false;
    }
    let first = world.configuration.bundle[0].id;
    let mut cas = BTreeSet::from([first]);
    for _ in 0..10 * 365 {
        world.now += Time::DAY;
        settle(&mut world, 60).unwrap();
        assert!(world.replicas.iter().all(|replica| !replica.rushed));
        assert!(world.configuration.bundle.len() <= 3, "{:?}", world.configuration.bundle);
        cas.insert(world.configuration.bundle[0].id);
    }
    // A CA with a lifetime of 90 days issues for 60.
    assert!((55..=62).contains(&cas.len()), "{}", cas.len());
}

#[test]
fn a_replica_that_was_paused_for_the_lifetime_of_its_leaf_stays_trusted() {
    let mut world = World::new();
    settle(&mut world, 60).unwrap();
    world.now += Time::days(59);
    settle(&mut world, 60).unwrap();
    let away = world.replicas[2].served.unwrap();
    while !away.validity.is_expired(world.now) {
        for at in [0, 1] {
            for _ in 0..12 {
                world.call(at);
                world.check().unwrap();
            }
        }
        world.now += Time::HOUR;
    }
    assert!(
        world.configuration.bundle.iter().any(|a| a.id == away.issuer),
        "it stays until the leaf expires"
    );
    assert_ne!(world.replicas[0].served.unwrap().issuer, away.issuer, "the others rotated");
    world.now += CLOCKS_DIFFER;
    settle(&mut world, 60).unwrap();
    assert!(
        world.configuration.bundle.iter().all(|a| a.id != away.issuer),
        "it is removed afterwards"
    );
}

/// Each of these plans is wrong in one way, and the model detects it.
#[test]
fn a_plan_that_does_not_wait_is_detected() {
    let mut world = World::new();
    settle(&mut world, 60).unwrap();
    let Some((_, Content::Certs(certs))) = world.secret.clone() else { panic!("no Secret") };
    let next = world.ca(world.now, LIFETIMES.ca);
    let leaf = world.leaf(next, world.now).unwrap();
    // Served before it is published.
    world.replicas[0].served = Some(leaf);
    world.check().unwrap_err();
    // Published, and served at once.
    world.register(vec![certs.current, next], true);
    world.replicas[0].rushed = false;
    world.now += Time::SECOND;
    world.disturbed = world.now - Time::SECOND;
    world.check().unwrap_err();
    world.now += Time::seconds(LAG);
    world.check().unwrap();
    // Retired while it is served.
    world.register(vec![next], true);
    world.check().unwrap_err();
}
