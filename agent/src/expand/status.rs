//! What is written into the status of a claim whose volume has grown, or cannot. Pure.
//!
//! A strategic merge, since conditions are a list with keys that others write to as well: what is
//! not named stays. It bears the version that was read, so that it is never written over a newer one.

use crate::snapshot::growth::{CONDITIONS, CONTROLLER_ERROR, RESIZING, STORAGE};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value, json};

/// Why a claim's size cannot be had, in the words of the API.
const INFEASIBLE: &str = "ControllerResizeInfeasible";
/// The reason of the condition.
const NO_ROOM: &str = "PoolFull";

/// That a claim's size is being changed, in the words of the API.
const IN_PROGRESS: &str = "ControllerResizeInProgress";

/// The claim's volume is about to be published with `size`.
///
/// While this is in the status, a kubelet leaves the claim alone; with nothing in its place it would
/// write the new capacity by itself, and nobody could see any more that a growth was cut off.
#[must_use]
pub fn growing((uid, version): (&str, &str), size: &str, now: Timestamp) -> Value {
    let gone = CONDITIONS.into_iter().filter(|type_| *type_ != RESIZING);
    let mut conditions: Vec<_> = gone.map(without).collect();
    let under_way = json!({ "type": RESIZING, "status": "True", "lastTransitionTime": Time(now) });
    conditions.push(under_way);
    json!({
        "metadata": { "uid": uid, "resourceVersion": version },
        "status": {
            "allocatedResources": storage(json!(size)),
            "allocatedResourceStatuses": storage(json!(IN_PROGRESS)),
            "conditions": conditions,
        },
    })
}

/// The claim's volume may hold `size`, and nothing is under way.
#[must_use]
pub fn grown((uid, version): (&str, &str), size: &str) -> Value {
    json!({
        "metadata": { "uid": uid, "resourceVersion": version },
        "status": {
            "capacity": storage(json!(size)),
            "allocatedResources": storage(json!(size)),
            "allocatedResourceStatuses": storage(Value::Null),
            "conditions": CONDITIONS.map(without),
        },
    })
}

/// The claim asks for `size`, which cannot be had now. Asking for less, as long as it is more than the
/// claim has, puts it right.
#[must_use]
pub fn refused((uid, version): (&str, &str), size: &str, why: &str, now: Timestamp) -> Value {
    let condition = json!({
        "type": CONTROLLER_ERROR,
        "status": "True",
        "reason": NO_ROOM,
        "message": why,
        "lastTransitionTime": Time(now),
    });
    json!({
        "metadata": { "uid": uid, "resourceVersion": version },
        "status": {
            "allocatedResources": storage(json!(size)),
            "allocatedResourceStatuses": storage(json!(INFEASIBLE)),
            "conditions": [condition],
        },
    })
}

fn without(condition: &str) -> Value {
    json!({ "$patch": "delete", "type": condition })
}

fn storage(value: Value) -> Value {
    Value::Object(Map::from_iter([(STORAGE.to_owned(), value)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_of_the_size_is_named() {
        let written = grown(("u", "7"), "2Gi");
        assert_eq!(written["metadata"], json!({ "uid": "u", "resourceVersion": "7" }));
        let fields: Vec<_> = written["status"].as_object().unwrap().keys().collect();
        assert_eq!(
            fields,
            ["allocatedResourceStatuses", "allocatedResources", "capacity", "conditions"]
        );
        assert_eq!(written["status"]["allocatedResources"], json!({ "storage": "2Gi" }));
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let written = growing(("u", "7"), "2Gi", now);
        assert_eq!(written["status"]["allocatedResources"], json!({ "storage": "2Gi" }));
        assert_eq!(
            written["status"]["conditions"][3],
            json!({ "type": RESIZING, "status": "True", "lastTransitionTime": now })
        );
        let written = refused(("u", "7"), "9Ti", "no room", now);
        assert_eq!(written["status"]["conditions"][0]["message"], "no room");
        assert_eq!(written["status"]["capacity"], Value::Null);
    }
}
