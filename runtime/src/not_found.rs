//! Errors about objects that do not exist.

/// Returns whether the API server reports that the object `name` of `resource`
/// (`persistentvolumeclaims`) does not exist. A misconfigured proxy or load balancer responds 404
/// too, and data deleted because of that is lost. Therefore only a Status that names the object
/// counts.
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
    fn an_object_is_not_found_only_if_the_status_names_it() {
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
