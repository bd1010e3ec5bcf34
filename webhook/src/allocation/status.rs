//! The status of AddressPools: how many addresses are assigned, and whether Services get any.

use super::lease::AddressLease;
use super::pools::Checked;
use super::state::KnownPool;
use fastrak_api::address_pool::AddressPoolStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The condition of a pool.
const READY: &str = "Ready";

/// Returns the pools whose status is out of date, with their status.
pub(super) fn outdated(
    known: &BTreeMap<String, KnownPool>,
    checked: &Checked,
    leases: &BTreeMap<IpAddr, AddressLease>,
    now: Timestamp,
) -> Vec<(String, AddressPoolStatus)> {
    let mut outdated = Vec::new();
    for (name, pool) in known {
        let Some(problem) = checked.get(name).map(|pool| pool.as_ref().err()) else { continue };
        let total = pool.pool.as_ref().map_or(0, |pool| pool.total());
        let has = |lease: &&AddressLease| {
            !lease.is_refused()
                && pool.pool.as_ref().is_ok_and(|pool| pool.contains(lease.address()))
        };
        let allocated = u64::try_from(leases.values().filter(has).count()).unwrap_or(u64::MAX);
        let before = pool
            .status
            .as_ref()
            .and_then(|status| status.conditions.iter().find(|condition| condition.type_ == READY));
        let message = problem.map(|unusable| unusable.problem.to_string());
        let condition = ready(pool.generation, message, before, now);
        let status = AddressPoolStatus { total, allocated, conditions: vec![condition] };
        if pool.status.as_ref() != Some(&status) {
            outdated.push((name.clone(), status));
        }
    }
    outdated
}

fn ready(
    generation: i64,
    problem: Option<String>,
    before: Option<&Condition>,
    now: Timestamp,
) -> Condition {
    let status = if problem.is_some() { "False" } else { "True" };
    let unchanged = before.filter(|before| before.status == status);
    Condition {
        type_: READY.to_owned(),
        status: status.to_owned(),
        reason: if problem.is_some() { "Unusable" } else { "Usable" }.to_owned(),
        message: problem.unwrap_or_else(|| "Services can get addresses of this pool".to_owned()),
        observed_generation: Some(generation),
        last_transition_time: unchanged
            .map_or_else(|| Time(now), |before| before.last_transition_time.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocation::pools::check;
    use crate::allocation::state::read_pool;
    use serde_json::json;

    fn known(addresses: &str, status: Option<&AddressPoolStatus>) -> BTreeMap<String, KnownPool> {
        let text = json!({
            "metadata": {"name": "lan", "generation": 2},
            "spec": {"addresses": [addresses]},
            "status": status,
        });
        let (name, pool) = read_pool(&text.to_string()).unwrap();
        [(name, pool.unwrap())].into()
    }

    fn of(known: &BTreeMap<String, KnownPool>, now: i64) -> Option<AddressPoolStatus> {
        let pools = known.iter().map(|(name, known)| (name.clone(), known.pool.clone()));
        let checked = check(&pools.collect(), &BTreeMap::new(), &[]);
        let now = Timestamp::from_second(now).unwrap();
        outdated(known, &checked, &BTreeMap::new(), now).pop().map(|(_, status)| status)
    }

    #[test]
    fn a_status_is_written_once_and_changes_with_the_pool() {
        let first = of(&known("192.0.2.0/28", None), 1).unwrap();
        assert_eq!((first.total, first.allocated), (16, 0));
        let condition = &first.conditions[0];
        assert_eq!((condition.status.as_str(), condition.observed_generation), ("True", Some(2)));
        assert_eq!(of(&known("192.0.2.0/28", Some(&first)), 2), None);
        let broken = of(&known("192.0.2.1/28", Some(&first)), 3).unwrap();
        let condition = &broken.conditions[0];
        assert_eq!((broken.total, condition.status.as_str()), (0, "False"));
        assert!(condition.message.contains("write 192.0.2.0/28"), "{}", condition.message);
        assert_eq!(condition.last_transition_time.0.as_second(), 3);
    }
}
