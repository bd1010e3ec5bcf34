//! The review that every server of the bench gets, as the API server writes it: a new claim of a
//! StatefulSet, of 2.3 KB, which gets a pin. Calls differ only in their uid.

use fastrak_api::names;
use serde_json::{Value, json};

/// The only node.
pub(crate) const NODE: &str = "bench-node";
/// The length of a uid.
const UID_LENGTH: usize = 36;
/// The start of the uid, before the number of the call.
const UID_PREFIX: &str = "6f0c1a52-9d3e-4b71-8c";

/// A request: header and body.
#[derive(Clone, Debug)]
pub(crate) struct Review {
    bytes: Vec<u8>,
    uid_at: usize,
    body_at: usize,
}

impl Review {
    /// Returns the review of a new claim.
    #[must_use]
    pub(crate) fn of_a_claim() -> Self {
        let body = body().to_string();
        // The API server writes the timeout into the query.
        let head = format!(
            "POST {}?timeout=2s HTTP/1.1\r\nHost: {}.{}.svc:443\r\nUser-Agent: kube-apiserver-admission\r\n\
             Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Accept-Encoding: gzip\r\n\r\n",
            names::CLAIMS_PATH,
            names::WEBHOOK,
            names::NAMESPACE,
            body.len(),
        );
        let body_at = head.len();
        let text = head + &body;
        let uid_at = text.find(UID_PREFIX).unwrap_or(body_at);
        Self { bytes: text.into_bytes(), uid_at, body_at }
    }

    /// Returns the request of a call with its own uid.
    pub(crate) fn numbered(&mut self, mut number: u64) -> &[u8] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let end = self.uid_at + UID_LENGTH;
        // The last group of a uid has twelve hexadecimal digits.
        for place in self.bytes[end - 12..end].iter_mut().rev() {
            *place = DIGITS[(number % 16) as usize];
            number /= 16;
        }
        &self.bytes
    }

    /// Returns the current uid.
    #[must_use]
    pub(crate) fn uid(&self) -> &[u8] {
        &self.bytes[self.uid_at..self.uid_at + UID_LENGTH]
    }

    /// Returns the body.
    #[must_use]
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[self.body_at..]
    }
}

fn body() -> Value {
    let group = |version: &str, kind: &str| json!({"group": "", "version": version, "kind": kind});
    let resource = json!({"group": "", "version": "v1", "resource": "persistentvolumeclaims"});
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": format!("{UID_PREFIX}25-000000000000"),
            "kind": group("v1", "PersistentVolumeClaim"),
            "resource": resource,
            "requestKind": group("v1", "PersistentVolumeClaim"),
            "requestResource": resource,
            "name": "data-postgres-0",
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {
                "username": "system:serviceaccount:kube-system:statefulset-controller",
                "uid": "0b9a52a9-2b0c-4d34-a53c-6f1d9b1f7c11",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
                "extra": {"authentication.kubernetes.io/credential-id": ["JTI=7d0f8b2e-52a1-4c0d-9f57-3b1a64c2e9d0"]},
            },
            "object": claim(),
            "oldObject": null,
            "dryRun": false,
            "options": {
                "kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1",
                "fieldManager": "kube-controller-manager"},
        },
    })
}

fn claim() -> Value {
    let labels = json!({
        "app.kubernetes.io/component": "database", "app.kubernetes.io/instance": "shop",
        "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/name": "postgres",
        "app.kubernetes.io/part-of": "shop", "helm.sh/chart": "postgres-15.5.38"});
    let owned = json!({
        "f:metadata": {"f:labels": {
            ".": {}, "f:app.kubernetes.io/component": {}, "f:app.kubernetes.io/instance": {},
            "f:app.kubernetes.io/managed-by": {}, "f:app.kubernetes.io/name": {},
            "f:app.kubernetes.io/part-of": {}, "f:helm.sh/chart": {}}},
        "f:spec": {
            "f:accessModes": {}, "f:resources": {"f:requests": {".": {}, "f:storage": {}}},
            "f:storageClassName": {}, "f:volumeMode": {}}});
    json!({
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "metadata": {
            "name": "data-postgres-0",
            "namespace": "shop",
            "uid": "a2c7f7f5-4b0e-4f7c-a9d9-2f7f9ad0c8f4",
            "creationTimestamp": "2026-06-01T08:30:00Z",
            "labels": labels,
            "annotations": {
                "example.com/backup-schedule": "17 3 * * *",
                "example.com/contact": "storage-on-call@example.com",
                "example.com/runbook": "https://wiki.example.com/runbooks/postgres/volumes"},
            "finalizers": ["kubernetes.io/pvc-protection"],
            "managedFields": [{
                "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
                "time": "2026-06-01T08:30:00Z", "fieldsType": "FieldsV1", "fieldsV1": owned}],
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "20Gi"}},
            "storageClassName": names::CLASS_DEFAULT,
            "volumeMode": "Filesystem",
        },
        "status": {"phase": "Pending"},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_review_has_the_documented_size() {
        let length = Review::of_a_claim().body().len();
        assert!((2250..2350).contains(&length), "{length}");
    }

    #[test]
    fn calls_differ_only_in_their_uid() {
        let mut review = Review::of_a_claim();
        let first = review.numbered(0x1).to_vec();
        assert_eq!(review.uid(), format!("{UID_PREFIX}25-000000000001").as_bytes());
        let second = review.numbered(0xabc).to_vec();
        let different = first.iter().zip(&second).filter(|(a, b)| a != b).count();
        assert_eq!((different, review.uid().ends_with(b"abc")), (3, true));
        assert_eq!(second.len(), first.len());
    }
}
