//! The defects of admission responses, one variant for each rule.

/// Why the API server would reject an admission response.
#[derive(Debug, thiserror::Error)]
pub enum Defect {
    /// The review itself is no JSON: the defect is the test's.
    #[error("the review is no JSON")]
    Review(#[source] serde_json::Error),
    /// The answer is no JSON.
    #[error("the answer is no JSON")]
    Json(#[source] serde_json::Error),
    /// The answer is not exactly an AdmissionReview of v1.
    #[error("the answer is no AdmissionReview of admission.k8s.io/v1")]
    OtherKind,
    /// There is no response in it.
    #[error("the answer has no response")]
    NoResponse,
    /// The response is to another request.
    #[error("the response does not repeat the request's uid")]
    OtherUid,
    /// It neither allows nor denies.
    #[error("the response says neither yes nor no")]
    Undecided,
    /// A denial would come out as another status.
    #[error("a denial's code is {0:?} and not one of an error")]
    DenialCode(Option<u64>),
    /// A denial says nothing to its user.
    #[error("a denial says nothing")]
    DenialWithoutWords,
    /// A denial bears a patch, which nobody reads.
    #[error("a denial bears a patch")]
    DenialWithPatch,
    /// Only one of `patch` and `patchType` is there.
    #[error("only one of patch and patchType is there")]
    HalfAPatch,
    /// Another type of patch than the one there is.
    #[error("patchType is not JSONPatch")]
    PatchType,
    /// The patch is not a base64 text.
    #[error("the patch is no base64 text")]
    PatchEncoding,
    /// The patch is not a JSON Patch.
    #[error("the patch is no JSON Patch")]
    PatchForm(#[source] serde_json::Error),
    /// The patch has no operations; both fields are to be left out then.
    #[error("the patch has no operations")]
    PatchEmpty,
    /// There is nothing that a patch could be of.
    #[error("a patch of what is being deleted")]
    PatchOfNothing,
    /// The patch does not apply: the user's request fails, whatever the failure policy says.
    #[error("the patch does not apply")]
    PatchDoesNotApply(#[source] json_patch::PatchError),
    /// What comes of the patch is not such an object any more.
    #[error("what the patch makes cannot be read as a {kind}")]
    PatchedObject {
        /// The kind of object.
        kind: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The patch changes what the webhook does not promise to write.
    #[error("the patch changes more than was declared: {0}")]
    Undeclared(String),
    /// A warning would be dropped or cut.
    #[error("a warning would be dropped or cut: {0:?}")]
    Warning(String),
    /// All warnings together are more than clients get.
    #[error("the warnings have {0} characters together")]
    Warnings(usize),
    /// An annotation of the audit log would be dropped.
    #[error("an audit annotation would be dropped: {0:?}")]
    Audit(String),
}
