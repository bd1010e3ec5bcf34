//! Decides whether a claim gets an existing volume. Pure.
//!
//! The name in the claim proves nothing: every author of a claim can write any name. A claim gets a
//! volume that belonged to its own namespace, not to an earlier namespace of the same name, which
//! was another tenant's. Both are read from the records next to the data, which no tenant can
//! reach.

use super::refusal::{Refusal, Wait};
use crate::claims::plan::Plan;
use crate::cluster::ClaimState;
use crate::cluster::NamespaceView;
use crate::snapshot::volume::{Phase, Volume};
use fastrak_api::claim::Claim;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::class::Quota;
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::pool::PoolName;
use fastrak_api::size::Bytes;
use fastrak_api::volume::VolumeId;
use fastrak_store::volumes::layout;
use fastrak_store::volumes::trash::restore::{FoundVolume, SearchResult};

/// How a claim gets an existing volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// From the trash.
    Undelete,
    /// A volume that was retained.
    Adopt,
}

/// The request of a claim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) claim: &'a Claim,
    /// The plan of a new volume for it.
    pub(crate) plan: &'a Plan,
    /// The volume that it requests.
    pub(crate) id: &'a VolumeId,
    pub(crate) method: Method,
}

/// The evidence, all of it read just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// The volume on the disk.
    pub(crate) data: SearchResult,
    /// The PersistentVolume with the volume's name.
    pub(crate) volume: Option<Volume>,
    /// The state of the original and the last claim of the volume.
    pub(crate) claims: ClaimState,
    pub(crate) namespace: Option<NamespaceView>,
    /// Whether the volume is mounted; `None` if the mounts cannot be read.
    pub(crate) mounted: Option<bool>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: the claim has the volume.
    Done,
    /// Retry soon.
    Wait(Wait),
    /// Report why the claim cannot have the volume.
    Refuse(Refusal),
    /// Move the data to its place and publish the volume.
    Publish(Box<FoundVolume>),
    /// Point the PersistentVolume to the claim.
    Repoint(Box<FoundVolume>, Box<Volume>),
}

/// Returns the claims that must be deleted before this one gets the volume: the original and the
/// last one. Omits this one itself, because an earlier attempt may have recorded it.
pub(crate) fn others(request: &Request<'_>, known: &FoundVolume) -> Vec<ClaimRef> {
    let mut others = vec![ClaimRef::original(&known.identity), known.owner.clone()];
    others.dedup();
    others.retain(|owner| !owner.name.is_empty() && owner.uid != request.claim.uid);
    others
}

type Checked<T> = Result<T, Step>;

/// Decides whether the claim gets the volume.
pub(crate) fn decide(request: &Request<'_>, evidence: &Evidence) -> Step {
    if evidence.volume.as_ref().is_some_and(|volume| is_published(request, volume)) {
        return Step::Done;
    }
    match check(request, evidence) {
        Err(step) => step,
        Ok(known) => match &evidence.volume {
            None => Step::Publish(Box::new(known.clone())),
            Some(volume) => Step::Repoint(Box::new(known.clone()), Box::new(volume.clone())),
        },
    }
}

/// Returns whether an earlier attempt is complete.
fn is_published(request: &Request<'_>, volume: &Volume) -> bool {
    let claim = volume.claim.as_ref().and_then(|claim| claim.uid.as_deref());
    is_own(request, volume)
        && !volume.deleting
        && claim.is_some()
        && claim == request.claim.uid.as_deref()
}

fn is_own(request: &Request<'_>, volume: &Volume) -> bool {
    volume.is_ours()
        && volume.finalizer().is_some()
        && volume.node_label.as_deref() == Some(request.plan.node.key().as_str())
}

fn check<'a>(request: &Request<'_>, evidence: &'a Evidence) -> Checked<&'a FoundVolume> {
    if request.claim.uid.as_deref() == Some(request.id.as_str()) {
        return Err(Step::Refuse(Refusal::Itself));
    }
    let known = proven(request, evidence)?;
    if let Some(volume) = &evidence.volume {
        is_free(request, volume)?;
    }
    let name = request.id.volume_name();
    if evidence.claims != ClaimState::Gone {
        return Err(Step::Refuse(Refusal::ClaimExists(name)));
    }
    if request.method == Method::Adopt && known.trashed {
        return Err(Step::Refuse(Refusal::Trashed(name)));
    }
    fits(request, known)?;
    match evidence.mounted {
        Some(false) => Ok(known),
        Some(true) => Err(Step::Wait(Wait::Mounted)),
        None => Err(Step::Wait(Wait::MountsUnknown)),
    }
}

/// Returns the volume if it exists and belonged to this namespace.
fn proven<'a>(request: &Request<'_>, evidence: &'a Evidence) -> Checked<&'a FoundVolume> {
    let not_here = || {
        let node = request.plan.node.to_string();
        Step::Refuse(Refusal::NotHere { node, id: request.id.clone() })
    };
    let known = match &evidence.data {
        SearchResult::Found(known) => known,
        SearchResult::Unverified(why) => {
            return Err(Step::Refuse(Refusal::Unverified(why.clone())));
        }
        SearchResult::Unknown(why) => return Err(Step::Wait(Wait::Pool(why.clone()))),
        SearchResult::Absent => return Err(not_here()),
    };
    let namespace = &request.claim.namespace;
    // The last owner counts too: the original namespace must not get data that another one has
    // written since.
    let is_same_name =
        *namespace == known.identity.namespace && *namespace == known.owner.namespace;
    let is_same_uid =
        evidence.namespace.as_ref().is_some_and(|namespace| is_same_namespace(namespace, known));
    if is_same_name && is_same_uid { Ok(known) } else { Err(not_here()) }
}

/// Returns whether this is the namespace of the volume's claim. The recorded UID proves it, if
/// there is one. Otherwise the creation times decide: a claim is younger than its namespace by the
/// same clock, so a namespace that is younger than the claim is another one. An administrator may
/// let a namespace inherit the volumes of an earlier one of its name, for example from a cluster
/// that no longer exists.
fn is_same_namespace(namespace: &NamespaceView, known: &FoundVolume) -> bool {
    if namespace.inherits {
        return true;
    }
    match (&known.namespace_uid, namespace.created, known.identity.claim_created) {
        (Some(uid), _, _) => *uid == namespace.uid,
        (None, Some(created), Some(claim)) => created <= claim,
        (None, _, _) => false,
    }
}

/// Returns whether no claim uses the PersistentVolume.
fn is_free(request: &Request<'_>, volume: &Volume) -> Checked<()> {
    let name = volume.name.clone();
    let is_released = matches!(volume.phase, Phase::Released | Phase::Failed);
    if !is_own(request, volume) {
        return Err(Step::Refuse(Refusal::InUse(name)));
    }
    match (volume.policy, request.method) {
        _ if volume.deleting => Err(Step::Wait(Wait::Deleting(name))),
        (ReclaimPolicy::Delete, _) if is_released => Err(Step::Wait(Wait::Deleting(name))),
        (ReclaimPolicy::Retain, Method::Undelete) if is_released => {
            Err(Step::Refuse(Refusal::Kept(name)))
        }
        (ReclaimPolicy::Retain, Method::Adopt)
            if is_released || volume.phase == Phase::Available =>
        {
            let path = volume.path.as_deref().unwrap_or_default();
            if layout::is_data_path(path.as_bytes(), request.id) {
                return Ok(());
            }
            Err(Step::Refuse(Refusal::Unverified(format!("its object names the path {path:?}"))))
        }
        _ => Err(Step::Refuse(Refusal::InUse(name))),
    }
}

fn fits(request: &Request<'_>, known: &FoundVolume) -> Checked<()> {
    let spec = &request.plan.spec;
    if !spec.pools.contains(&known.pool) {
        return Err(Step::Refuse(Refusal::OtherPool {
            has: known.pool.clone(),
            class: spec.identity.class.clone(),
            wanted: named(&spec.pools),
        }));
    }
    if spec.quota == Quota::Required && known.identity.limit.is_none() {
        let class = spec.identity.class.clone();
        return Err(Step::Refuse(Refusal::NoQuota { volume: request.id.volume_name(), class }));
    }
    let (requested, has) = (Bytes(spec.identity.bytes), Bytes(known.identity.bytes));
    if requested > has {
        return Err(Step::Refuse(Refusal::TooLarge { requested, has }));
    }
    Ok(())
}

fn named(pools: &[PoolName]) -> String {
    let names: Vec<_> = pools.iter().map(PoolName::as_str).collect();
    names.join(" or ")
}

#[cfg(test)]
mod tests;
