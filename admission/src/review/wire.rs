//! The wire form of an AdmissionReview. Every field of a request may be missing here; `read.rs` and
//! `decide.rs` check them.
//!
//! An answer is written by hand: a serializer would search the base64 of the patch for characters
//! to escape, and grow its buffer past the sizes that the allocator keeps in its cache.

use crate::json::{write_base64, write_text, write_texts};
use crate::patch::Settled;
use crate::verdict::Warning;
use fastrak_api::object::Text;
use serde::Deserialize;

pub(super) const API_VERSION: &str = "admission.k8s.io/v1";
pub(super) const KIND: &str = "AdmissionReview";
/// The size of most answers without their patch.
const REST: usize = 1024;

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

/// An answer.
pub(super) struct Response<'a, W> {
    pub(super) uid: &'a str,
    /// Why the object is denied, if it is.
    pub(super) refused: Option<Status<'a>>,
    /// The JSON Patch, if there is one.
    pub(super) patch: Option<Vec<u8>>,
    /// The warnings, one by one.
    pub(super) warnings: W,
    pub(super) audit: Audit<'a>,
}

pub(super) struct Status<'a> {
    pub(super) code: u16,
    pub(super) reason: &'static str,
    pub(super) message: &'a str,
}

/// The API server puts the webhook's name and a slash before each key, so a key has no slash.
pub(super) struct Audit<'a> {
    pub(super) changed: Option<&'a Settled<'a>>,
    pub(super) reason: &'static str,
    pub(super) rule: &'static str,
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

impl<'a, W: Iterator<Item = Warning<'a>>> Response<'_, W> {
    /// Writes the answer.
    pub(super) fn write(self) -> Vec<u8> {
        let patch = self.patch.as_ref().map_or(0, Vec::len);
        let mut out = Vec::with_capacity(REST + patch.div_ceil(3) * 4);
        let named = |name: &str, out: &mut Vec<u8>| out.extend_from_slice(name.as_bytes());
        named("{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\"", &mut out);
        named(",\"response\":{\"uid\":", &mut out);
        write_text(self.uid, &mut out);
        match &self.refused {
            None => named(",\"allowed\":true", &mut out),
            Some(status) => {
                named(",\"allowed\":false,\"status\":", &mut out);
                status.write(&mut out);
            }
        }
        if let Some(patch) = &self.patch {
            named(",\"patch\":\"", &mut out);
            write_base64(patch, &mut out);
            named("\",\"patchType\":\"JSONPatch\"", &mut out);
        }
        let (mut before, mut after) = (",\"warnings\":[", "");
        for Warning { before: who, text } in self.warnings {
            named(before, &mut out);
            write_texts(&[who, &text], &mut out);
            (before, after) = (",", "]");
        }
        named(after, &mut out);
        named(",\"auditAnnotations\":", &mut out);
        self.audit.write(&mut out);
        named("}}", &mut out);
        out
    }
}

impl Status<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"code\":");
        out.extend_from_slice(self.code.to_string().as_bytes());
        out.extend_from_slice(b",\"reason\":");
        write_text(self.reason, out);
        out.extend_from_slice(b",\"message\":");
        write_text(self.message, out);
        out.push(b'}');
    }
}

impl Audit<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"reason\":");
        write_text(self.reason, out);
        out.extend_from_slice(b",\"rule\":");
        write_text(self.rule, out);
        if let Some(edits) = self.changed {
            out.extend_from_slice(b",\"changed\":\"");
            let mut before = "";
            for field in edits.fields() {
                // Our own names, which have nothing to escape.
                let parts = [before, field.noun(), field.name()];
                parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
                before = ", ";
            }
            out.push(b'"');
        }
        if let Some(dry_run) = self.dry_run {
            out.extend_from_slice(b",\"dry-run\":");
            write_text(dry_run, out);
        }
        out.push(b'}');
    }
}

/// The default of a missing field of any type.
fn nothing<T>() -> Option<T> {
    None
}
