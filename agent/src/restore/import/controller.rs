//! Carries out the decision about a claim that imports another provisioner's data: the directory, then
//! the PersistentVolume, then the event.
//!
//! The old object is left to the administrator, as is all else of the old provisioner.

use super::plan::{self, Evidence, Place, Refusal};
use super::source::Source;
use crate::backoff::Backoff;
use crate::cluster::{ClaimState, ClusterError};
use crate::context::{Context, Outcome};
use crate::metrics::{Act, OfPool, Restore};
use crate::provision::plan::Plan;
use crate::provision::pv;
use crate::restore::report::report_failure;
use crate::snapshot::volume::ClaimRef;
use fastrak_api::claim::Claim;
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::Identity;
use fastrak_runtime::chain::Chain;
use fastrak_store::host::mounts;
use fastrak_store::volumes::import::Import;
use fastrak_store::volumes::{ProvisionedVolume, VolumeError};
use std::path::Path;

/// The import failed and is retried.
#[derive(Debug, thiserror::Error)]
enum ImportError {
    #[error("the data could not be taken over")]
    Volume(#[source] VolumeError),
    #[error("the API server could not be asked, or told")]
    Cluster(#[source] ClusterError),
    #[error("{0}")]
    Refused(Refusal),
}

/// Gives the claim the data of the volume with this name.
pub async fn reconcile(context: &Context, claim: &Claim, plan: &Plan, name: &str) -> Outcome {
    let Err(error) = give(context, claim, plan, name).await else {
        context.metrics.restore(Act::import, Restore::done);
        return Outcome::Done;
    };
    let (outcome, pace) = match &error {
        ImportError::Refused(_)
        | ImportError::Volume(
            VolumeError::Full(_)
            | VolumeError::OtherFilesystem(_)
            | VolumeError::Pool(_)
            | VolumeError::Occupied { .. },
        ) => (Restore::refused, Backoff::Refused),
        ImportError::Volume(_) | ImportError::Cluster(_) => (Restore::failed, Backoff::Failed),
    };
    context.metrics.restore(Act::import, outcome);
    report_failure(context, plan, claim, &Chain(&error).to_string());
    Outcome::Requeue(pace)
}

async fn give(
    context: &Context,
    claim: &Claim,
    plan: &Plan,
    name: &str,
) -> Result<(), ImportError> {
    let identity = identity(plan);
    let id = identity.volume.clone();
    let found = context.on_disk(move |store| store.imported(&id)).await;
    let made = match found.map_err(ImportError::Volume)? {
        Some(made) => made,
        None => take_over(context, claim, plan, (name, &identity)).await?,
    };
    let mut plan = plan.clone();
    plan.spec.identity = identity;
    let object = pv::object(&plan, &made);
    let created = context.cluster.create(&object).await.map_err(ImportError::Cluster)?;
    if created {
        context.snapshot.set_published(&plan.spec.identity.volume);
        tell(context, claim, name, &made).await;
    }
    Ok(())
}

/// An imported volume is retained: an administrator who migrates data wants to check it before it is
/// deleted.
fn identity(plan: &Plan) -> Identity {
    let identity = plan.spec.identity.clone();
    Identity { reclaim_policy: ReclaimPolicy::Retain, limit: None, ..identity }
}

async fn take_over(
    context: &Context,
    claim: &Claim,
    plan: &Plan,
    (name, identity): (&str, &Identity),
) -> Result<ProvisionedVolume, ImportError> {
    let evidence = gather(context, claim, name).await?;
    let here = (context.node.as_str(), plan.hostname.as_str(), context.import_from.as_slice());
    let asked = (claim, plan.spec.quota);
    let place = plan::decide(asked, name, here, &evidence).map_err(ImportError::Refused)?;
    let Place { from, name: folder } = place;
    let import = Import {
        identity: identity.clone(),
        pools: plan.spec.pools.clone(),
        from,
        name: folder,
        volume: name.to_owned(),
    };
    let made = context.on_disk(move |store| store.import(&import)).await;
    let made = made.map_err(ImportError::Volume)?;
    context.metrics.add(OfPool::Volumes, &made.pool, 1);
    Ok(made)
}

async fn gather(context: &Context, claim: &Claim, name: &str) -> Result<Evidence, ImportError> {
    let namespace = context.cluster.namespace(&claim.namespace);
    let asked = tokio::try_join!(context.cluster.object(name), namespace);
    let (object, namespace) = asked.map_err(ImportError::Cluster)?;
    let namespace_created = namespace.and_then(|namespace| namespace.created);
    let source = object.as_ref().map(Source::read);
    let of = source.as_ref().and_then(|source| source.volume.claim.clone());
    let claim = match &of {
        Some(of) => state(context, of).await?,
        None => ClaimState::Gone,
    };
    let path = source.as_ref().and_then(|source| source.path.as_deref());
    let mounted = path.and_then(|path| is_mounted(context, name, path));
    Ok(Evidence { source, claim, namespace_created, mounted })
}

async fn state(context: &Context, of: &ClaimRef) -> Result<ClaimState, ImportError> {
    context.cluster.claim(of).await.map_err(ImportError::Cluster)
}

/// Returns whether its directory, a directory in it, or anything with the name of its PersistentVolume is
/// mounted.
fn is_mounted(context: &Context, volume: &str, path: &Path) -> Option<bool> {
    let folder = path.file_name()?.as_encoded_bytes();
    let part = |path: &[u8], wanted: &[u8]| path.split(|b| *b == b'/').any(|part| part == wanted);
    let mounts = mounts::all(context.store.pools().machine()).ok()?;
    let of_it =
        |mount: &mounts::Mount| part(&mount.root, folder) || part(&mount.point, volume.as_bytes());
    Some(mounts.iter().any(of_it))
}

async fn tell(context: &Context, claim: &Claim, name: &str, made: &ProvisionedVolume) {
    let (namespace, claim_name) = (&claim.namespace, &claim.name);
    tracing::info!(%namespace, claim = %claim_name, volume = name, pool = %made.pool, "data taken over");
    let text = format!("has the data of volume {name}, which is in pool {} now", made.pool);
    context.events.on_claim(claim, EventReason::VolumeImported, text);
    if let Ok(Some(old)) = context.cluster.volume(name).await {
        let text = format!(
            "its data is claim {namespace}/{claim_name}'s now; delete this object, which has none"
        );
        context.events.on_volume(&old, EventReason::VolumeImported, text);
    }
}
