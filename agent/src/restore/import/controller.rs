//! Carries out the decision about a claim that imports another provisioner's data: the directory,
//! then the PersistentVolume, then the event.
//!
//! The administrator removes the old object and all else of the old provisioner.

use super::plan::{self, Evidence, Place, Refusal};
use super::source::Source;
use crate::backoff::Backoff;
use crate::claims::plan::Plan;
use crate::claims::pv;
use crate::cluster::ClaimState;
use crate::context::Context;
use crate::failure::{During as _, Failure, Operation};
use crate::metrics::{Restore, RestoreKind};
use crate::unfinished::Outcome;
use fastrak_api::claim::Claim;
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::Identity;
use fastrak_store::host::mounts;
use fastrak_store::volumes::ProvisionedVolume;
use fastrak_store::volumes::import::Import;
use std::path::Path;

/// Gives the claim the data of the volume with this name.
pub(crate) async fn reconcile(
    context: &Context,
    claim: &Claim,
    plan: &Plan,
    name: &str,
) -> Outcome {
    let id = &plan.spec.identity.volume;
    let (counted, outcome) = match import(context, claim, plan, name).await {
        Ok(Ok(())) => (Restore::done, Outcome::Done),
        Ok(Err(refusal)) => {
            context.report(id, claim, EventReason::RestoreRefused, &refusal.to_string());
            (Restore::refused, Outcome::Requeue(Backoff::Refused))
        }
        Err(failure) => {
            let is_refused = failure.backoff() == Backoff::Refused;
            let counted = if is_refused { Restore::refused } else { Restore::failed };
            (counted, context.failed(id, claim, &failure))
        }
    };
    context.metrics.restore(RestoreKind::import, counted);
    outcome
}

async fn import(
    context: &Context,
    claim: &Claim,
    plan: &Plan,
    name: &str,
) -> Result<Result<(), Refusal>, Failure> {
    let identity = identity(plan);
    let id = identity.volume.clone();
    let imported = context.on_disk(move |store| store.imported(&id)).await;
    let volume = match imported.during(Operation::Import)? {
        Some(volume) => volume,
        None => match find_source(context, claim, plan, name).await? {
            Ok(place) => move_data(context, plan, (name, &identity), place).await?,
            Err(refusal) => return Ok(Err(refusal)),
        },
    };
    let mut plan = plan.clone();
    plan.spec.identity = identity;
    let object = pv::object(&plan, &volume);
    if context.cluster.create(&object).await.during(Operation::Import)? {
        context.snapshot.set_published(&plan.spec.identity.volume);
        report_imported(context, claim, name, &volume).await;
    }
    Ok(Ok(()))
}

/// An imported volume is retained: an administrator who migrates data wants to check it before it
/// is deleted.
fn identity(plan: &Plan) -> Identity {
    let identity = plan.spec.identity.clone();
    Identity { reclaim_policy: ReclaimPolicy::Retain, limit: None, ..identity }
}

async fn find_source(
    context: &Context,
    claim: &Claim,
    plan: &Plan,
    name: &str,
) -> Result<Result<Place, Refusal>, Failure> {
    let evidence = gather(context, claim, name).await?;
    let this_node = (context.node.as_str(), plan.hostname.as_str(), context.import_from.as_slice());
    Ok(plan::decide((claim, plan.spec.quota), name, this_node, &evidence))
}

async fn move_data(
    context: &Context,
    plan: &Plan,
    (volume, identity): (&str, &Identity),
    place: Place,
) -> Result<ProvisionedVolume, Failure> {
    let import = Import {
        identity: identity.clone(),
        pools: plan.spec.pools.clone(),
        from: place.from,
        name: place.name,
        volume: volume.to_owned(),
    };
    let imported = context.on_disk(move |store| store.import(&import)).await;
    let imported = imported.during(Operation::Import)?;
    context.metrics.pools.volumes.add(&imported.pool, 1);
    Ok(imported)
}

async fn gather(context: &Context, claim: &Claim, name: &str) -> Result<Evidence, Failure> {
    let namespace = context.cluster.namespace(&claim.namespace);
    let read = tokio::try_join!(context.cluster.object(name), namespace);
    let (object, namespace) = read.during(Operation::Import)?;
    let namespace_created = namespace.and_then(|namespace| namespace.created);
    let source = object.as_ref().map(Source::read);
    let claim = match source.as_ref().and_then(|source| source.volume.claim.as_ref()) {
        Some(claim) => context.cluster.claim(claim).await.during(Operation::Import)?,
        None => ClaimState::Gone,
    };
    let path = source.as_ref().and_then(|source| source.path.as_deref());
    let mounted = path.and_then(|path| is_mounted(context, name, path));
    Ok(Evidence { source, claim, namespace_created, mounted })
}

/// Returns whether its directory, a directory in it, or anything with the name of its
/// PersistentVolume is mounted.
fn is_mounted(context: &Context, volume: &str, path: &Path) -> Option<bool> {
    let directory = path.file_name()?.as_encoded_bytes();
    let part = |path: &[u8], wanted: &[u8]| path.split(|b| *b == b'/').any(|part| part == wanted);
    let mounts = mounts::all(context.store.pools().machine()).ok()?;
    let of_it = |mount: &mounts::Mount| {
        part(&mount.root, directory) || part(&mount.point, volume.as_bytes())
    };
    Some(mounts.iter().any(of_it))
}

async fn report_imported(
    context: &Context,
    claim: &Claim,
    name: &str,
    imported: &ProvisionedVolume,
) {
    let (namespace, claim_name, pool) = (&claim.namespace, &claim.name, &imported.pool);
    tracing::info!(%namespace, claim = %claim_name, volume = name, %pool, "imported a volume");
    let text = format!("imported the data of volume {name} into pool {pool}");
    context.events.write(claim, EventReason::VolumeImported, text);
    if let Ok(Some(old)) = context.cluster.volume(name).await {
        let text = format!(
            "claim {namespace}/{claim_name} has imported its data; delete this PersistentVolume, \
             which has no data"
        );
        context.events.write(&old, EventReason::VolumeImported, text);
    }
}
