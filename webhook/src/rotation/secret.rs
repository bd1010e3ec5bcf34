//! The Secret that the replicas share, as it is read and changed. Whoever comes first makes it;
//! every change is made to the very version that was read, so of two replicas that want to change
//! it one reads again. It holds keys: nothing of its content is ever logged.

use super::cert_bundle::{CertBundle, CertBundleError};
use fastrak_api::names;
use fastrak_runtime::superseded::is_superseded;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use std::collections::BTreeMap;

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The Secret cannot be read.
    #[error("could not read Secret {name}", name = names::WEBHOOK_SECRET)]
    Read(#[source] kube::Error),
    /// The Secret cannot be made.
    #[error("could not make Secret {name}", name = names::WEBHOOK_SECRET)]
    Create(#[source] kube::Error),
    /// The Secret cannot be changed.
    #[error("could not change Secret {name}", name = names::WEBHOOK_SECRET)]
    Change(#[source] kube::Error),
    /// A patch cannot be written. A defect of ours.
    #[error("could not write a patch of Secret {name}", name = names::WEBHOOK_SECRET)]
    Encode(#[source] serde_json::Error),
}

/// The Secret as it is now: asked of the API server itself, not of a watch, which may be late.
pub async fn read(secrets: &Api<Secret>) -> Result<Option<Secret>, SecretError> {
    secrets.get_opt(names::WEBHOOK_SECRET).await.map_err(SecretError::Read)
}

/// What is in it.
pub fn content(secret: &Secret) -> Result<CertBundle, CertBundleError> {
    let data = secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone()));
    CertBundle::read(&data.collect())
}

/// Makes the Secret, or changes the version of it that was read; false where it was made or changed
/// by another meanwhile.
pub async fn write(
    secrets: &Api<Secret>,
    found: Option<&Secret>,
    material: &CertBundle,
) -> Result<bool, SecretError> {
    let written = match found {
        None => create(secrets, material).await,
        Some(secret) => change(secrets, secret, material).await,
    };
    match written {
        Ok(()) => Ok(true),
        Err(SecretError::Create(kube::Error::Api(status))) if status.code == 409 => Ok(false),
        Err(SecretError::Change(error)) if is_superseded(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn create(secrets: &Api<Secret>, material: &CertBundle) -> Result<(), SecretError> {
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(names::WEBHOOK_SECRET.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some(merged(BTreeMap::new(), material)),
        ..Secret::default()
    };
    let made = secrets.create(&PostParams::default(), &secret).await;
    made.map(drop).map_err(SecretError::Create)
}

async fn change(
    secrets: &Api<Secret>,
    secret: &Secret,
    material: &CertBundle,
) -> Result<(), SecretError> {
    let all = merged(secret.data.clone().unwrap_or_default(), material);
    let patch = serde_json::from_value(json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": secret.metadata.resource_version},
        {"op": "add", "path": "/data", "value": all},
    ]))
    .map_err(SecretError::Encode)?;
    let patch = Patch::Json::<()>(patch);
    let changed = secrets.patch(names::WEBHOOK_SECRET, &PatchParams::default(), &patch).await;
    changed.map(drop).map_err(SecretError::Change)
}

/// All that the Secret holds, with ours in place of what was ours.
fn merged(
    mut all: BTreeMap<String, ByteString>,
    material: &CertBundle,
) -> BTreeMap<String, ByteString> {
    for (key, text) in material.data() {
        all.remove(key);
        all.extend(text.map(|text| (key.to_owned(), ByteString(text.into_bytes()))));
    }
    all
}
