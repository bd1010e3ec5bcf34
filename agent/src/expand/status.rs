//! What is written into the status of a claim whose volume has grown, or cannot. Pure.
//!
//! A strategic merge, since conditions are a list with keys that others write to as well: what is
//! not named stays. It bears the version that was read, so that it is never written over a newer one.

use crate::facts::growth::{CONDITIONS, CONTROLLER_ERROR, STORAGE};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value, json};

/// Why a claim's size cannot be had, in the words of the API.
const INFEASIBLE: &str = "ControllerResizeInfeasible";
/// The reason of the condition.
const NO_ROOM: &str = "PoolFull";

/// The claim's volume may hold `size`, and nothing is under way.
#[must_use]
pub fn grown((uid, version): (&str, &str), size: &str) -> Value {
    let gone = CONDITIONS.map(|type_| json!({ "$patch": "delete", "type": type_ }));
    json!({
        "metadata": { "uid": uid, "resourceVersion": version },
        "status": {
            "capacity": storage(json!(size)),
            "allocatedResources": storage(Value::Null),
            "allocatedResourceStatuses": storage(Value::Null),
            "conditions": gone,
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
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let written = refused(("u", "7"), "9Ti", "no room", now);
        assert_eq!(written["status"]["conditions"][0]["message"], "no room");
        assert_eq!(written["status"]["capacity"], Value::Null);
    }
}
