//! The defects of admission responses, one variant for each rule.

/// Why the API server would reject an admission response.
#[derive(Debug, thiserror::Error)]
pub enum Defect {
    /// The review itself is not JSON, which is a defect of the test.
    #[error("the review is not JSON")]
    Review(#[source] serde_json::Error),
    /// The answer is not JSON.
    #[error("the answer is not JSON")]
    Json(#[source] serde_json::Error),
    /// The answer is not an AdmissionReview of v1.
    #[error("the answer is not an AdmissionReview of admission.k8s.io/v1")]
    OtherKind,
    /// The answer has no response.
    #[error("the answer has no response")]
    NoResponse,
    /// The response has another uid than the request.
    #[error("the response does not repeat the request's uid")]
    OtherUid,
    /// The response neither allows nor denies.
    #[error("the response neither allows nor denies")]
    Undecided,
    /// The code of a denial is not an HTTP error.
    #[error("the code of a denial is {0:?}, not an HTTP error")]
    DenialCode(Option<u64>),
    /// A denial has no message.
    #[error("a denial has no message")]
    DenialWithoutMessage,
    /// A denial has a patch, which is ignored.
    #[error("a denial has a patch")]
    DenialWithPatch,
    /// Only one of `patch` and `patchType` is there.
    #[error("only one of patch and patchType is there")]
    HalfAPatch,
    /// The type of the patch is not JSONPatch, the only one.
    #[error("patchType is not JSONPatch")]
    PatchType,
    /// The patch is not base64.
    #[error("the patch is not base64")]
    PatchEncoding,
    /// The patch is not a JSON Patch.
    #[error("the patch is not a JSON Patch")]
    PatchForm(#[source] serde_json::Error),
    /// The patch has no operations. Then both fields must be absent.
    #[error("the patch has no operations")]
    PatchEmpty,
    /// The request has no object to patch.
    #[error("a patch in a request without an object")]
    PatchOfNothing,
    /// The patch does not apply. The user's request then fails under every failure policy.
    #[error("the patch does not apply")]
    PatchDoesNotApply(#[source] json_patch::PatchError),
    /// The patched object is not valid for its kind.
    #[error("the patched object is not a valid {kind}")]
    PatchedObject {
        /// The kind of object.
        kind: String,
        /// The reason.
        #[source]
        source: serde_json::Error,
    },
    /// The patch changes a field that the webhook does not declare.
    #[error("the patch changes a field that is not declared: {0}")]
    Undeclared(String),
    /// A warning would be dropped or truncated.
    #[error("a warning would be dropped or truncated: {0:?}")]
    Warning(String),
    /// All warnings together exceed the limit.
    #[error("the warnings have {0} characters together")]
    Warnings(usize),
    /// An annotation of the audit log would be dropped.
    #[error("an audit annotation would be dropped: {0:?}")]
    Audit(String),
}
