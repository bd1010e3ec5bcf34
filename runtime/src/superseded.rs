//! Whether a conditional change came too late. It does not decide what is done about that.

/// Whether somebody else changed or took the object first. The API server says 404 of one that is gone,
/// 409 of another version, and 422 of a JSON Patch whose test does not hold. It says 422 of a change
/// that it refuses too, such as one of an immutable Secret, but then names the fields at fault.
#[must_use]
pub fn is_superseded(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let names_fields = || status.details.as_ref().is_some_and(|details| !details.causes.is_empty());
    matches!(status.code, 404 | 409) || (status.code == 422 && !names_fields())
}
