//! Reads and writes the Secret that the replicas share. Any replica creates it. A change applies
//! only to the version that was read, so of two concurrent changes one fails and is planned again.
//! The Secret contains keys: its content is never logged.

use super::cert_bundle::{CertBundle, CertBundleError};
use fastrak_api::names;
use fastrak_runtime::superseded::is_superseded;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use std::collections::BTreeMap;

/// Why the Secret could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretError {
    #[error("could not read Secret {name}", name = names::WEBHOOK_SECRET)]
    Read(#[source] kube::Error),
    #[error("could not create Secret {name}", name = names::WEBHOOK_SECRET)]
    Create(#[source] kube::Error),
    #[error("could not change Secret {name}", name = names::WEBHOOK_SECRET)]
    Change(#[source] kube::Error),
}

/// Reads the Secret from the API server. A watch may be behind.
pub(super) async fn read(secrets: &Api<Secret>) -> Result<Option<Secret>, SecretError> {
    secrets.get_opt(names::WEBHOOK_SECRET).await.map_err(SecretError::Read)
}

/// Parses the content of the Secret.
pub(super) fn content(secret: &Secret) -> Result<CertBundle, CertBundleError> {
    let data = secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone()));
    CertBundle::read(&data.collect())
}

/// Creates the Secret, or changes the version that was read. Returns false if another client
/// created or changed it first.
pub(super) async fn write(
    secrets: &Api<Secret>,
    found: Option<&Secret>,
    certs: &CertBundle,
) -> Result<bool, SecretError> {
    let written = match found {
        None => create(secrets, certs).await,
        Some(secret) => change(secrets, secret, certs).await,
    };
    match written {
        Ok(()) => Ok(true),
        Err(SecretError::Create(kube::Error::Api(status))) if status.code == 409 => Ok(false),
        Err(SecretError::Change(error)) if is_superseded(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn create(secrets: &Api<Secret>, certs: &CertBundle) -> Result<(), SecretError> {
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(names::WEBHOOK_SECRET.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some(merged(BTreeMap::new(), certs)),
        ..Secret::default()
    };
    let created = secrets.create(&PostParams::default(), &secret).await;
    created.map(drop).map_err(SecretError::Create)
}

async fn change(
    secrets: &Api<Secret>,
    secret: &Secret,
    certs: &CertBundle,
) -> Result<(), SecretError> {
    let all = merged(secret.data.clone().unwrap_or_default(), certs);
    let patch = serde_json::from_value(json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": secret.metadata.resource_version},
        {"op": "add", "path": "/data", "value": all},
    ]))
    .map_err(kube::Error::SerdeError);
    let patch = Patch::Json::<()>(patch.map_err(SecretError::Change)?);
    let changed = secrets.patch(names::WEBHOOK_SECRET, &PatchParams::default(), &patch).await;
    changed.map(drop).map_err(SecretError::Change)
}

/// Returns the data of the Secret with our keys replaced.
fn merged(
    mut all: BTreeMap<String, ByteString>,
    certs: &CertBundle,
) -> BTreeMap<String, ByteString> {
    for (key, text) in certs.data() {
        all.remove(key);
        all.extend(text.map(|text| (key.to_owned(), ByteString(text.into_bytes()))));
    }
    all
}
