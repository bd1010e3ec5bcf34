//! Whether an object does not exist. It does not decide what follows from that.

/// Whether the API server itself says that the object `name` of `resource` (`persistentvolumeclaims`)
/// does not exist. A proxy or load balancer in between answers 404 too when it has lost its way, and
/// what is deleted because of such an answer is lost: only a Status of the API server counts, and only
/// for the object that it names.
#[must_use]
pub fn is_not_found(error: &kube::Error, resource: &str, name: &str) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let names_it = |details: &kube::core::response::StatusDetails| {
        details.name == name && details.kind == resource
    };
    status.code == 404
        && status.reason == "NotFound"
        && status.details.as_ref().is_some_and(names_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn answer(status: serde_json::Value) -> kube::Error {
        kube::Error::Api(Box::new(serde_json::from_value::<Status>(status).unwrap()))
    }

    #[test]
    fn only_a_status_that_names_the_object_says_that_it_does_not_exist() {
        let details = |kind, name| serde_json::json!({ "kind": kind, "name": name });
        let status = |code, reason, details| serde_json::json!({ "status": "Failure", "code": code, "reason": reason, "details": details });
        let claims = "persistentvolumeclaims";
        let real = answer(status(404, "NotFound", details(claims, "data")));
        assert!(is_not_found(&real, claims, "data"));
        for other in [
            // What the client makes of a page that is no Status.
            status(404, "Failed to parse error data", serde_json::Value::Null),
            status(404, "NotFound", serde_json::Value::Null),
            status(404, "NotFound", details(claims, "other")),
            status(404, "NotFound", details("persistentvolumes", "data")),
            // A server without the resource names none.
            status(404, "NotFound", serde_json::json!({})),
            status(403, "Forbidden", details(claims, "data")),
        ] {
            assert!(!is_not_found(&answer(other.clone()), claims, "data"), "{other}");
        }
    }
}
