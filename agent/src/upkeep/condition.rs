//! The condition of the node that reports its pools.
//!
//! It checks no pool itself, and nothing waits for it: a write that fails is retried. A condition
//! is written again only if it changes or if the Node has another uid, because a Node that is
//! created again lacks it.

use fastrak_api::names;
use fastrak_api::pool::PoolName;
use fastrak_store::pools::Change;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The delay before a failed write is retried.
const RETRY: Duration = Duration::from_secs(60);

/// The state of the pools, and the condition that was written last.
#[derive(Debug, Default)]
pub struct Condition {
    problems: BTreeMap<PoolName, Option<String>>,
    since: Option<Timestamp>,
    /// The uid of the Node that has the latest condition.
    written: Option<String>,
    retry: Option<Instant>,
}

impl Condition {
    /// Records changes of the pools.
    pub(crate) fn take(&mut self, changes: &[Change], now: Timestamp) {
        if changes.is_empty() {
            return;
        }
        let before = self.all_usable();
        for change in changes {
            self.problems.insert(change.pool.clone(), change.problem.clone());
        }
        if self.since.is_none() || before != self.all_usable() {
            self.since = Some(now);
        }
        (self.written, self.retry) = (None, None);
    }

    /// Returns the condition to write on the Node with this uid. Returns nothing if the Node has
    /// it.
    pub(crate) fn to_write(&self, node: &str, now: Timestamp, at: Instant) -> Option<Value> {
        let since = self.since?;
        let is_written = self.written.as_deref() == Some(node);
        if is_written || self.retry.is_some_and(|retry| at < retry) {
            return None;
        }
        let problems: Vec<_> = self.problems.values().flatten().map(String::as_str).collect();
        let all_usable = problems.is_empty();
        let message = if all_usable { self.all() } else { problems.join("; ") };
        let condition = json!({
            "type": names::POOLS_READY,
            "status": if all_usable { "True" } else { "False" },
            "reason": if all_usable { "PoolsReady" } else { "PoolUnusable" },
            "message": message,
            "lastHeartbeatTime": Time(now),
            "lastTransitionTime": Time(since),
        });
        Some(json!({ "status": { "conditions": [condition] } }))
    }

    /// Records that the Node with this uid has the condition.
    pub(crate) fn written(&mut self, node: String) {
        (self.written, self.retry) = (Some(node), None);
    }

    /// Records that a write failed.
    pub(crate) fn failed(&mut self, at: Instant) {
        self.retry = at.checked_add(RETRY);
    }

    fn all_usable(&self) -> bool {
        self.problems.values().all(Option::is_none)
    }

    fn all(&self) -> String {
        let names: Vec<_> = self.problems.keys().map(PoolName::as_str).collect();
        format!("usable pools: {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(pool: &str, problem: Option<&str>) -> Change {
        Change {
            is_volatile: false,
            pool: PoolName::parse(pool).unwrap(),
            problem: problem.map(str::to_owned),
            is_first: false,
            adopted: false,
        }
    }

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn written(condition: &Condition) -> (String, String, String) {
        let written = condition.to_write("u", time(9), Instant::now()).unwrap();
        let text = |key: &str| written["status"]["conditions"][0][key].as_str().unwrap().to_owned();
        (text("status"), text("message"), text("lastTransitionTime"))
    }

    #[test]
    fn the_condition_names_the_unusable_pools_and_their_time() {
        let mut condition = Condition::default();
        assert_eq!(condition.to_write("u", time(0), Instant::now()), None);
        condition.take(&[change("a", None), change("b", None)], time(1));
        let all_usable = "usable pools: a, b".to_owned();
        assert_eq!(
            written(&condition),
            ("True".to_owned(), all_usable, "1970-01-01T00:00:01Z".to_owned())
        );
        condition.take(&[change("b", Some("gone"))], time(2));
        condition.take(&[change("a", Some("full of sand"))], time(3));
        let (status, message, since) = written(&condition);
        assert_eq!((status.as_str(), message.as_str()), ("False", "full of sand; gone"));
        assert_eq!(since, "1970-01-01T00:00:02Z", "not all were usable in between");
        condition.take(&[change("a", None), change("b", None)], time(4));
        assert_eq!(written(&condition).2, "1970-01-01T00:00:04Z");
    }

    #[test]
    fn the_condition_is_written_once_and_again_after_a_change() {
        let (mut condition, start) = (Condition::default(), Instant::now());
        let is_due = |condition: &Condition, node: &str, at: Instant| {
            condition.to_write(node, time(2), at).is_some()
        };
        condition.take(&[change("a", None)], time(1));
        condition.written("u".to_owned());
        condition.take(&[], time(2));
        let much_later = start + Duration::from_secs(24 * 3600);
        assert!(!is_due(&condition, "u", start) && !is_due(&condition, "u", much_later));
        assert!(is_due(&condition, "v", start), "the node was created again");
        condition.take(&[change("a", Some("gone"))], time(2));
        assert!(is_due(&condition, "u", start));
        condition.failed(start);
        assert!(!is_due(&condition, "u", start) && is_due(&condition, "u", start + RETRY));
    }
}
