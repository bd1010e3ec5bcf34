//! The status patches of a claim whose volume is resized, or cannot be. Pure.
//!
//! They are strategic merge patches, because others write conditions too: unnamed conditions stay.
//! They carry the resource version that was read, so they never overwrite a newer status.

use crate::cluster::ClaimStatus;
use crate::snapshot::growth::{CONDITIONS, CONTROLLER_ERROR, RESIZING, STORAGE};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value, json};

/// The resize status of a size that cannot be provided.
const INFEASIBLE: &str = "ControllerResizeInfeasible";
/// The reason of the condition.
const POOL_FULL: &str = "PoolFull";

/// The resize status of a size that is being provided.
const IN_PROGRESS: &str = "ControllerResizeInProgress";

/// Returns the patch for a volume that is about to be published with `size`.
///
/// With this status a kubelet leaves the claim alone. Without it the kubelet would write the new
/// capacity itself, which would hide an interrupted resize.
pub(crate) fn growing(status: &ClaimStatus, size: &str, now: Timestamp) -> Value {
    let gone = CONDITIONS.into_iter().filter(|type_| *type_ != RESIZING);
    let mut conditions: Vec<_> = gone.map(without).collect();
    let under_way = json!({ "type": RESIZING, "status": "True", "lastTransitionTime": Time(now) });
    conditions.push(under_way);
    let fields = json!({
        "allocatedResources": storage(json!(size)),
        "allocatedResourceStatuses": storage(json!(IN_PROGRESS)),
        "conditions": conditions,
    });
    patch(status, &fields)
}

/// Returns the patch for a volume that has `size`, with no resize in progress.
pub(crate) fn grown(status: &ClaimStatus, size: &str) -> Value {
    let fields = json!({
        "capacity": storage(json!(size)),
        "allocatedResources": storage(json!(size)),
        "allocatedResourceStatuses": storage(Value::Null),
        "conditions": CONDITIONS.map(without),
    });
    patch(status, &fields)
}

/// Returns the patch for a `size` that cannot be provided now. A smaller request that is still
/// larger than the current size resolves it.
pub(crate) fn refused(status: &ClaimStatus, size: &str, why: &str, now: Timestamp) -> Value {
    let condition = json!({
        "type": CONTROLLER_ERROR,
        "status": "True",
        "reason": POOL_FULL,
        "message": why,
        "lastTransitionTime": Time(now),
    });
    let fields = json!({
        "allocatedResources": storage(json!(size)),
        "allocatedResourceStatuses": storage(json!(INFEASIBLE)),
        "conditions": [condition],
    });
    patch(status, &fields)
}

fn patch(read: &ClaimStatus, status: &Value) -> Value {
    json!({ "metadata": { "uid": read.uid, "resourceVersion": read.version }, "status": status })
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
    use crate::snapshot::growth::Growth;

    #[test]
    fn patches_contain_only_fields_of_the_size() {
        let read =
            ClaimStatus { uid: "u".to_owned(), version: "7".to_owned(), growth: Growth::default() };
        let written = grown(&read, "2Gi");
        assert_eq!(written["metadata"], json!({ "uid": "u", "resourceVersion": "7" }));
        let fields: Vec<_> = written["status"].as_object().unwrap().keys().collect();
        assert_eq!(
            fields,
            ["allocatedResourceStatuses", "allocatedResources", "capacity", "conditions"]
        );
        assert_eq!(written["status"]["allocatedResources"], json!({ "storage": "2Gi" }));
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let written = growing(&read, "2Gi", now);
        assert_eq!(written["status"]["allocatedResources"], json!({ "storage": "2Gi" }));
        assert_eq!(
            written["status"]["conditions"][3],
            json!({ "type": RESIZING, "status": "True", "lastTransitionTime": now })
        );
        let written = refused(&read, "9Ti", "no space", now);
        assert_eq!(written["status"]["conditions"][0]["message"], "no space");
        assert_eq!(written["status"]["capacity"], Value::Null);
    }
}
