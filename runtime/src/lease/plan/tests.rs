use super::*;
use proptest::prelude::*;

const DURATION: Duration = Duration::from_secs(15);

fn record(holder: Option<&str>, transitions: i32) -> Record {
    Record { holder: holder.map(str::to_owned), renewed: None, transitions }
}

fn after(seen: Option<(Record, Duration)>) -> Step {
    let start = Instant::now();
    let (seen, now) = match seen {
        Some((record, passed)) => (Some(Observed { record, since: start }), start + passed),
        None => (None, start),
    };
    plan(seen.as_ref(), "me", DURATION, now)
}

#[test]
fn a_candidate_creates_takes_renews_or_waits() {
    let table = [
        (None, Step::Create),
        (Some((record(None, 3), Duration::ZERO)), Step::Take),
        (Some((record(Some("me"), 3), Duration::ZERO)), Step::Renew),
        (Some((record(Some("me"), 3), DURATION * 9)), Step::Renew),
        (Some((record(Some("other"), 3), Duration::ZERO)), Step::Wait(read_interval(DURATION))),
        (
            Some((record(Some("other"), 3), DURATION - Duration::from_millis(5))),
            Step::Wait(Duration::from_millis(5)),
        ),
        (Some((record(Some("other"), 3), DURATION)), Step::Take),
    ];
    for (seen, wanted) in table {
        assert_eq!(after(seen.clone()), wanted, "{seen:?}");
    }
}

#[test]
fn an_empty_holder_identity_is_no_holder() {
    let lease = serde_json::json!({"metadata": {}, "spec": {"holderIdentity": ""}});
    assert_eq!(Record::read(&serde_json::from_value(lease).unwrap()), record(None, 0));
    assert_eq!(Record::read(&Lease::default()), record(None, 0));
}

/// A Lease as the API server keeps it: a write counts only against the version that was read.
#[derive(Default)]
struct Stored {
    version: u64,
    record: Option<Record>,
}

/// A candidate as its controller drives it, one call to the API server at a time.
#[derive(Default)]
struct Candidate {
    seen: Option<Observed>,
    read: Option<(u64, Step, Instant)>,
    leads_until: Option<Instant>,
}

impl Candidate {
    fn read(&mut self, me: &str, stored: &Stored, now: Instant) {
        self.seen = stored.record.clone().map(|record| observe(self.seen.take(), record, now));
        self.read = Some((stored.version, plan(self.seen.as_ref(), me, DURATION, now), now));
    }

    fn write(&mut self, me: &str, stored: &mut Stored) {
        let Some((version, step, read_at)) = self.read.take() else { return };
        if matches!(step, Step::Wait(_)) || version != stored.version {
            return;
        }
        stored.version += 1;
        // The version stands in for the time that a renewal writes.
        let transitions = i32::try_from(stored.version).unwrap();
        stored.record = Some(record(Some(me), transitions));
        self.leads_until = Some(read_at + leads_for(DURATION));
    }

    fn give_back(&mut self, me: &str, stored: &mut Stored) {
        self.leads_until = None;
        self.read = None;
        if stored.record.as_ref().is_some_and(|record| record.holder.as_deref() == Some(me)) {
            stored.version += 1;
            stored.record = Some(record(None, i32::try_from(stored.version).unwrap()));
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Read(usize),
    Write(usize),
    GiveBack(usize),
    Die(usize),
    Pass(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let who = 0..3_usize;
    let act = prop_oneof![
        6 => who.clone().prop_map(Act::Read),
        6 => who.clone().prop_map(Act::Write),
        1 => who.clone().prop_map(Act::GiveBack),
        1 => who.prop_map(Act::Die),
        6 => (0..9000_u64).prop_map(Act::Pass),
    ];
    prop::collection::vec(act, 0..200)
}

proptest! {
    #[test]
    fn two_candidates_never_lead_at_once(acts in acts()) {
        let names = ["a", "b", "c"];
        let mut stored = Stored::default();
        let mut all: [Candidate; 3] = Default::default();
        let mut now = Instant::now();
        for act in acts {
            match act {
                Act::Read(who) => all[who].read(names[who], &stored, now),
                Act::Write(who) => all[who].write(names[who], &mut stored),
                Act::GiveBack(who) => all[who].give_back(names[who], &mut stored),
                Act::Die(who) => all[who] = Candidate::default(),
                Act::Pass(millis) => now += Duration::from_millis(millis),
            }
            let leading = all.iter().filter(|one| one.leads_until.is_some_and(|until| until > now));
            prop_assert!(leading.count() <= 1);
        }
    }

    #[test]
    fn a_candidate_leads_within_twice_the_lease_duration(acts in acts()) {
        let names = ["a", "b", "c"];
        let mut stored = Stored::default();
        let mut all: [Candidate; 3] = Default::default();
        let mut now = Instant::now();
        for act in acts {
            match act {
                Act::Read(who) => all[who].read(names[who], &stored, now),
                Act::Write(who) => all[who].write(names[who], &mut stored),
                Act::GiveBack(_) | Act::Die(_) => {}
                Act::Pass(millis) => now += Duration::from_millis(millis),
            }
        }
        // All but the last die. The last reads the lease at its interval.
        let mut last = Candidate::default();
        let start = now;
        while last.leads_until.is_none_or(|until| until <= now) {
            prop_assert!(now - start <= DURATION * 2, "there is no leader");
            last.read("last", &stored, now);
            last.write("last", &mut stored);
            now += read_interval(DURATION);
        }
    }
}
