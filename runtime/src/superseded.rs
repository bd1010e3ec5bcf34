//! Conflicts of conditional writes.

/// Returns whether a conditional write failed because the object was changed or deleted. The API
/// server responds 404 if the object is gone, 409 if its version differs, and 422 if the test of a
/// JSON Patch fails. It also responds 422 to an invalid change, such as one of an immutable Secret,
/// but then names the fields.
#[must_use]
pub fn is_superseded(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let names_fields = || status.details.as_ref().is_some_and(|details| !details.causes.is_empty());
    matches!(status.code, 404 | 409) || (status.code == 422 && !names_fields())
}
