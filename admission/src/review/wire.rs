//! The form of an AdmissionReview on the wire, as the API server writes and reads it. Every field of a
//! request may be missing here: what that means is `review.rs`'s to say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrak_api::object::Text;
use json_patch::PatchOperation;
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};

pub(super) const API_VERSION: &str = "admission.k8s.io/v1";
pub(super) const KIND: &str = "AdmissionReview";
const PATCH_TYPE: &str = "JSONPatch";

/// A review whose objects are read as `O`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "O: Deserialize<'de>"))]
pub(super) struct Incoming<'a, O> {
    #[serde(borrow, default)]
    pub(super) api_version: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow, default = "nothing")]
    pub(super) request: Option<Request<'a, O>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "O: Deserialize<'de>"))]
pub(super) struct Request<'a, O> {
    #[serde(borrow, default)]
    pub(super) uid: Text<'a>,
    #[serde(borrow, default)]
    pub(super) kind: GroupVersionKind<'a>,
    #[serde(borrow, default)]
    pub(super) sub_resource: Text<'a>,
    #[serde(borrow, default)]
    pub(super) namespace: Text<'a>,
    #[serde(borrow, default)]
    pub(super) operation: Text<'a>,
    #[serde(default = "nothing")]
    pub(super) object: Option<O>,
    #[serde(default = "nothing")]
    pub(super) old_object: Option<O>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct GroupVersionKind<'a> {
    #[serde(borrow)]
    pub(super) group: Text<'a>,
    #[serde(borrow)]
    pub(super) version: Text<'a>,
    #[serde(borrow)]
    pub(super) kind: Text<'a>,
}

/// An answer to a review.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outgoing<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: &'a Response<'a>,
}

/// What an answer says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "base64")]
    patch: Vec<PatchOperation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    audit_annotations: Audit,
}

#[derive(Serialize)]
pub(super) struct Status<'a> {
    pub(super) code: u16,
    pub(super) reason: &'static str,
    pub(super) message: &'a str,
}

/// The API server puts the webhook's name and a slash before each key, so a key has no slash.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Audit {
    pub(super) reason: &'static str,
    pub(super) rule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) changed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dry_run: Option<&'static str>,
}

impl<'a, O> Request<'a, O> {
    /// The request without its objects, and the objects.
    pub(super) fn parted(self) -> (Request<'a, ()>, Option<O>, Option<O>) {
        let Self { uid, kind, sub_resource, namespace, operation, object, old_object } = self;
        let rest = Request {
            uid,
            kind,
            sub_resource,
            namespace,
            operation,
            object: None,
            old_object: None,
        };
        (rest, object, old_object)
    }
}

impl<'a> Response<'a> {
    /// The object is allowed, with this patch if there is one.
    pub(super) fn allowed(uid: &'a str, patch: Vec<PatchOperation>, audit: Audit) -> Self {
        let patch_type = (!patch.is_empty()).then_some(PATCH_TYPE);
        let (status, warnings) = (None, Vec::new());
        Self { uid, allowed: true, status, patch, patch_type, warnings, audit_annotations: audit }
    }

    /// The object is denied.
    pub(super) fn denied(uid: &'a str, status: Status<'a>, audit: Audit) -> Self {
        Self { allowed: false, status: Some(status), ..Self::allowed(uid, Vec::new(), audit) }
    }

    /// The same with these warnings.
    pub(super) fn with_warnings(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }

    /// Writes the answer. Strings and numbers always serialize, so it is never empty.
    pub(super) fn write(&self) -> Vec<u8> {
        let outgoing = Outgoing { api_version: API_VERSION, kind: KIND, response: self };
        serde_json::to_vec(&outgoing).unwrap_or_default()
    }
}

/// Writes a patch as the API server wants it: the base64 text of its JSON.
fn base64<S: Serializer>(patch: &[PatchOperation], serializer: S) -> Result<S::Ok, S::Error> {
    let text = serde_json::to_vec(patch).map_err(S::Error::custom)?;
    serializer.serialize_str(&STANDARD.encode(text))
}

/// What a field is where it is missing, of whatever type.
fn nothing<T>() -> Option<T> {
    None
}
