//! Waits for PersistentVolumeClaims.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, ResourceExt as _};

use crate::eventually::eventually;

/// Waits until the claim of this name is Bound, and returns it.
pub async fn bound_claim(
    claims: &Api<PersistentVolumeClaim>,
    name: &str,
    deadline: Duration,
) -> Result<PersistentVolumeClaim> {
    eventually(deadline, format!("{name} is Bound"), || async {
        let claim = claims.get(name).await?;
        let phase = claim.status.clone().unwrap_or_default().phase;
        ensure!(phase.as_deref() == Some("Bound"), "it is {phase:?}: {:?}", claim.annotations());
        Ok(claim)
    })
    .await
}
