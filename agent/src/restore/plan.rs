//! Decides whether a claim gets an existing volume. Pure.
//!
//! The name in the claim proves nothing: every author of a claim can write any name. A claim gets a volume
//! that belonged to its own namespace, not to an earlier namespace of the same name, which was another
//! tenant's. Both are read from the records beside the data, which no tenant can reach.

use super::refusal::{Refusal, Wait};
use crate::claims::plan::Plan;
use crate::cluster::ClaimState;
use crate::cluster::identity::NamespaceView;
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
pub enum Way {
    /// From the trash.
    Undelete,
    /// A volume that was retained.
    Adopt,
}

/// The request of a claim.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The claim.
    pub claim: &'a Claim,
    /// The plan of a new volume for it.
    pub plan: &'a Plan,
    /// The volume that it requests.
    pub id: &'a VolumeId,
    /// How it gets the volume.
    pub way: Way,
}

/// The evidence, all of it read just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The volume on the disk.
    pub data: SearchResult,
    /// The PersistentVolume with the volume's name.
    pub volume: Option<Volume>,
    /// The claim that the volume was made for, and the one that had it last.
    pub claims: ClaimState,
    /// The claim's namespace.
    pub namespace: Option<NamespaceView>,
    /// Whether the volume is mounted; `None` if the mounts cannot be read.
    pub mounted: Option<bool>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
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

/// The claims that must be gone before this one gets the volume: the one that it was made for, and the
/// one that had it last. Not this one itself, for which an earlier try may have recorded it already.
#[must_use]
pub fn others(request: &Request<'_>, known: &FoundVolume) -> Vec<ClaimRef> {
    let mut others = vec![ClaimRef::original(&known.identity), known.owner.clone()];
    others.dedup();
    others.retain(|owner| !owner.name.is_empty() && owner.uid != request.claim.uid);
    others
}

type Checked<T> = Result<T, Step>;

/// Decides whether the claim gets the volume.
#[must_use]
pub fn decide(request: &Request<'_>, evidence: &Evidence) -> Step {
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
    is_mine(request, volume)
        && !volume.deleting
        && claim.is_some()
        && claim == request.claim.uid.as_deref()
}

fn is_mine(request: &Request<'_>, volume: &Volume) -> bool {
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
    if request.way == Way::Adopt && known.trashed {
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
    // Also of the one that had it last: what another namespace has written since is not the first
    // one's to have, though the volume was made for it.
    let same = *namespace == known.identity.namespace && *namespace == known.owner.namespace;
    let is_it = evidence.namespace.as_ref().is_some_and(|namespace| is_that(namespace, known));
    if same && is_it { Ok(known) } else { Err(not_here()) }
}

/// Returns whether this is the very namespace in which the volume's claim was. Its uid says so, if
/// it was recorded when the claim was gone. Otherwise a claim is younger than its namespace, by the
/// same clock, so a namespace that is younger than the claim of the volume is another one. An
/// administrator may let a namespace have the volumes of an earlier one of its name, such as that
/// of a cluster that is no more.
fn is_that(namespace: &NamespaceView, known: &FoundVolume) -> bool {
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
    let ended = matches!(volume.phase, Phase::Released | Phase::Failed);
    if !is_mine(request, volume) {
        return Err(Step::Refuse(Refusal::InUse(name)));
    }
    match (volume.policy, request.way) {
        _ if volume.deleting => Err(Step::Wait(Wait::Leaving(name))),
        (ReclaimPolicy::Delete, _) if ended => Err(Step::Wait(Wait::Leaving(name))),
        (ReclaimPolicy::Retain, Way::Undelete) if ended => Err(Step::Refuse(Refusal::Kept(name))),
        (ReclaimPolicy::Retain, Way::Adopt) if ended || volume.phase == Phase::Available => {
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
    let order = &request.plan.spec;
    if !order.pools.contains(&known.pool) {
        return Err(Step::Refuse(Refusal::OtherPool {
            has: known.pool.clone(),
            class: order.identity.class.clone(),
            wanted: named(&order.pools),
        }));
    }
    if order.quota == Quota::Required && known.identity.limit.is_none() {
        let class = order.identity.class.clone();
        return Err(Step::Refuse(Refusal::NoQuota { volume: request.id.volume_name(), class }));
    }
    let (asked, has) = (Bytes(order.identity.bytes), Bytes(known.identity.bytes));
    if asked > has {
        return Err(Step::Refuse(Refusal::TooLarge { asked, has }));
    }
    Ok(())
}

fn named(pools: &[PoolName]) -> String {
    let names: Vec<_> = pools.iter().map(PoolName::as_str).collect();
    names.join(" or ")
}

#[cfg(test)]
mod tests;
