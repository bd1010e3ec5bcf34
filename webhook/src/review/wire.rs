//! The form of an AdmissionReview on the wire, as the API server writes and reads it. Every field of a
//! request may be missing here: what that means is `review.rs`'s to say.

use fastrak_api::object::Text;
use serde::{Deserialize, Serialize};

pub(super) const API_VERSION: &str = "admission.k8s.io/v1";
pub(super) const KIND: &str = "AdmissionReview";

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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outgoing<'a> {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    pub(super) uid: &'a str,
    pub(super) allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) patch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
    pub(super) audit_annotations: Audit,
}

#[derive(Serialize)]
pub(super) struct Status<'a> {
    pub(super) code: u16,
    pub(super) reason: &'static str,
    pub(super) message: &'a str,
}

/// The API server puts the webhook's name and a slash before each key, which can therefore have
/// none.
#[derive(Serialize)]
pub(super) struct Audit {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) changed: Option<String>,
    pub(super) reason: &'static str,
    pub(super) rule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shadow: Option<&'static str>,
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

/// What a field is where it is missing, of whatever type.
fn nothing<T>() -> Option<T> {
    None
}
