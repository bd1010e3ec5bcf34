//! The Secret that the replicas share. Whoever comes first makes it; every change is made to the
//! very version that was read, so of two replicas that want to change it one reads again. It holds
//! keys: nothing of its content is ever logged.

use super::material::{Material, MaterialError};
use super::plan::{Step, Stored, plan};
use fastrak_api::names;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// Attempts against other replicas before it is given up until the next turn.
const ATTEMPTS: usize = 5;

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
    /// No certificate can be made.
    #[error("could not make a certificate")]
    Make(#[source] MaterialError),
    /// A patch cannot be written. A defect of ours.
    #[error("could not write a patch of Secret {name}", name = names::WEBHOOK_SECRET)]
    Encode(#[source] serde_json::Error),
    /// Others change it all the time.
    #[error("others keep changing Secret {name}", name = names::WEBHOOK_SECRET)]
    Raced,
}

/// The certificates, made or renewed where it is time.
pub async fn ensure(
    secrets: &Api<Secret>,
    names: &[String],
    now: OffsetDateTime,
) -> Result<Material, SecretError> {
    for _ in 0..ATTEMPTS {
        let found = secrets.get_opt(names::WEBHOOK_SECRET).await.map_err(SecretError::Read)?;
        let stored = found.as_ref().map_or(Stored::Absent, read);
        let step = plan(&stored, now, names);
        if let (Step::Keep, Stored::Usable(material)) = (&step, stored) {
            return Ok(*material);
        }
        tracing::info!(?step, "certificates");
        // What was read is given up to be made anew, so it is read once more.
        let stored = found.as_ref().map_or(Stored::Absent, read);
        let material = carry_out(step, stored, now, names).map_err(SecretError::Make)?;
        let written = match &found {
            None => create(secrets, &material).await?,
            Some(secret) => change(secrets, secret, &material).await?,
        };
        if written {
            return Ok(material);
        }
    }
    Err(SecretError::Raced)
}

fn read(secret: &Secret) -> Stored {
    let data = secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone()));
    match Material::read(&data.collect()) {
        Ok(material) => Stored::Usable(Box::new(material)),
        Err(error) => Stored::Unusable(error),
    }
}

fn carry_out(
    step: Step,
    stored: Stored,
    now: OffsetDateTime,
    names: &[String],
) -> Result<Material, MaterialError> {
    match (step, stored) {
        (Step::Keep, Stored::Usable(material)) => Ok(*material),
        (Step::IssueLeaf(_), Stored::Usable(material)) => material.with_new_leaf(now, names),
        (Step::Renew, Stored::Usable(material)) => material.renewed(now, names),
        (Step::Create | Step::Remake(_), _)
        | (Step::Keep | Step::IssueLeaf(_) | Step::Renew, Stored::Absent | Stored::Unusable(_)) => {
            Material::create(now, names)
        }
    }
}

/// Makes the Secret; false where another replica was first.
async fn create(secrets: &Api<Secret>, material: &Material) -> Result<bool, SecretError> {
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(names::WEBHOOK_SECRET.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some(data(material)?),
        ..Secret::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => Ok(true),
        Err(error) if is_conflict(&error) => Ok(false),
        Err(error) => Err(SecretError::Create(error)),
    }
}

/// Changes the version of the Secret that was read; false where it has changed since.
async fn change(
    secrets: &Api<Secret>,
    secret: &Secret,
    material: &Material,
) -> Result<bool, SecretError> {
    let patch = serde_json::from_value(json!([
        {"op": "test", "path": "/metadata/resourceVersion", "value": secret.metadata.resource_version},
        {"op": "add", "path": "/data", "value": merged(secret, material)?},
    ]))
    .map_err(SecretError::Encode)?;
    let patch = Patch::Json::<()>(patch);
    let params = PatchParams::default();
    match secrets.patch(names::WEBHOOK_SECRET, &params, &patch).await {
        Ok(_) => Ok(true),
        Err(error) if is_conflict(&error) => Ok(false),
        Err(error) => Err(SecretError::Change(error)),
    }
}

/// All that the Secret holds, with ours in place of what was ours.
fn merged(
    secret: &Secret,
    material: &Material,
) -> Result<BTreeMap<String, ByteString>, SecretError> {
    let mut all = secret.data.clone().unwrap_or_default();
    all.extend(data(material)?);
    Ok(all)
}

fn data(material: &Material) -> Result<BTreeMap<String, ByteString>, SecretError> {
    let data = material.data().map_err(SecretError::Make)?;
    let entry = |(key, text): (&str, String)| (key.to_owned(), ByteString(text.into_bytes()));
    Ok(data.into_iter().map(entry).collect())
}

/// Whether somebody else was first: it is there already, or is another version, or is gone. The
/// API server says 422 of a JSON Patch whose test does not hold.
fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409 | 422))
}
