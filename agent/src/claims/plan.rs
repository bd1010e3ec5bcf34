//! Decides what to do about a claim, from the claim, its class and this node. Pure.
//!
//! It does not read the disk: creating a volume is idempotent and finds an existing one.

use crate::events::claim_reference;
use fastrak_api::claim::{Claim, RequestError, Unservable};
use fastrak_api::class::{Class, OnDelete, ParamError};
use fastrak_api::names::kubernetes;
use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{IDENTITY_FORMAT, Identity, VolumeId};
use fastrak_store::volumes::VolumeSpec;
use k8s_openapi::api::core::v1::ObjectReference;
use std::time::Duration;

/// This node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThisNode<'a> {
    pub(crate) node: &'a NodeName,
    /// Its hostname label, which the affinity of volumes names.
    pub(crate) hostname: Option<&'a str>,
    pub(crate) pools: &'a [PoolName],
}

/// What to do about a claim.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decision {
    /// Nothing: another provisioner or agent serves it, or it needs nothing.
    Ignore(Ignored),
    /// Report that it cannot be served, and retry later.
    Reject(Rejection),
    Create(Box<Plan>),
}

/// Why a claim needs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    Deleting,
    /// It has a volume, or requests one by name.
    HasVolume,
    NoClass,
    UnknownClass,
    ForeignClass,
    /// No node is chosen, or another one.
    OtherNode,
    /// A volume populator fills another claim's volume, which becomes this claim's.
    Populated,
    /// It has no valid uid, name or version. No object from an API server lacks them.
    Malformed,
}

/// Why a claim cannot be served. Its user reads it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("{0}")]
    Unservable(Unservable),
    #[error("{0}")]
    Request(RequestError),
    #[error("{0}; create the class again, since parameters cannot be changed")]
    Param(ParamError),
    #[error(
        "class {class} uses pool {pool}, which node {node} does not have (it has: {known}); use \
         another class, or configure the pool on the node"
    )]
    Pool {
        class: String,
        /// The pool, or the pools to choose from.
        pool: String,
        node: NodeName,
        known: String,
    },
    #[error(
        "node {node} has no label {label}, which the node affinity of a volume requires; add the \
         label to the node",
        label = kubernetes::HOSTNAME
    )]
    NoHostname { node: NodeName },
    #[error(
        "nodes {node} and {other} have the same label {label}={hostname}, which the node affinity \
         of a volume uses: pods on node {other} could not mount the volume; change the label of \
         the node without volumes",
        label = kubernetes::HOSTNAME
    )]
    SharedHostname { node: NodeName, other: String, hostname: String },
}

/// The time that a volume populator has before its absence is reported.
const POPULATOR_PATIENCE: Duration = Duration::from_secs(60);

impl Rejection {
    /// How long the claim must wait before this is reported: another controller may resolve it.
    pub(crate) const fn patience(&self) -> Duration {
        match self {
            Self::Unservable(Unservable::NoPopulator { .. }) => POPULATOR_PATIENCE,
            _ => Duration::ZERO,
        }
    }
}

/// A volume to create, with the fields of its PersistentVolume.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// The volume on the disk.
    pub(crate) spec: VolumeSpec,
    /// The reference to the claim in the version that was read.
    pub(crate) claim: ObjectReference,
    /// The size as the claim writes it.
    pub(crate) size: String,
    pub(crate) access_modes: Vec<String>,
    pub(crate) mount_options: Vec<String>,
    pub(crate) hostname: String,
    pub(crate) node: NodeName,
}

/// Decides what to do about `claim`, whose class is `class` if that is known.
pub(crate) fn plan(claim: &Claim, class: Option<&Class>, this_node: &ThisNode<'_>) -> Decision {
    match ignored(claim, class, this_node) {
        Err(ignored) => Decision::Ignore(ignored),
        Ok(class) => match serve(claim, class, this_node) {
            Ok(Some(plan)) => Decision::Create(Box::new(plan)),
            Ok(None) => Decision::Ignore(Ignored::Malformed),
            Err(rejection) => Decision::Reject(rejection),
        },
    }
}

fn ignored<'a>(
    claim: &Claim,
    class: Option<&'a Class>,
    this_node: &ThisNode<'_>,
) -> Result<&'a Class, Ignored> {
    if claim.deleting {
        return Err(Ignored::Deleting);
    }
    // A claim whose volume is lost has a volume name too. Its data cannot be brought back.
    if claim.volume_name.is_some() || claim.phase.as_deref() == Some("Bound") {
        return Err(Ignored::HasVolume);
    }
    claim.class_name().ok_or(Ignored::NoClass)?;
    let class = class.ok_or(Ignored::UnknownClass)?;
    if !class.is_ours() {
        return Err(Ignored::ForeignClass);
    }
    if claim.served_by().as_ref() != Some(this_node.node) {
        return Err(Ignored::OtherNode);
    }
    if claim.is_being_populated() { Err(Ignored::Populated) } else { Ok(class) }
}

fn serve(
    claim: &Claim,
    class: &Class,
    this_node: &ThisNode<'_>,
) -> Result<Option<Plan>, Rejection> {
    claim.check().map_err(Rejection::Unservable)?;
    let bytes = claim.request().map_err(Rejection::Request)?;
    let params = class.params().map_err(Rejection::Param)?;
    let pools = params.pools.among(this_node.pools);
    if pools.is_empty() {
        let known: Vec<_> = this_node.pools.iter().map(PoolName::as_str).collect();
        return Err(Rejection::Pool {
            class: class.name.clone(),
            pool: params.pools.to_string(),
            node: this_node.node.clone(),
            known: known.join(", "),
        });
    }
    let no_hostname = || Rejection::NoHostname { node: this_node.node.clone() };
    let hostname = this_node.hostname.ok_or_else(no_hostname)?.to_owned();
    let id = claim.uid.as_deref().and_then(|uid| VolumeId::parse(uid).ok());
    let (Some(volume), Some(_), Some(size)) = (id, &claim.resource_version, claim.storage.clone())
    else {
        return Ok(None);
    };
    let identity = Identity {
        format: IDENTITY_FORMAT,
        volume,
        namespace: claim.namespace.clone(),
        claim: claim.name.clone(),
        class: class.name.clone(),
        node: this_node.node.to_string(),
        reclaim_policy: class.reclaim,
        bytes: bytes.0,
        limit: None,
        trash_seconds: match params.on_delete {
            OnDelete::Delete => None,
            // Rounded up: a volume without time in the trash is never restorable.
            OnDelete::Trash(ttl) => Some(ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)),
        },
        bytes_per_inode: params.bytes_per_inode.0,
        claim_created: claim.created,
    };
    Ok(Some(Plan {
        spec: VolumeSpec {
            identity,
            pools,
            policy: params.pool_policy,
            mode: params.mode,
            quota: params.quota,
        },
        claim: claim_reference(claim),
        size,
        access_modes: claim.access_modes.clone(),
        mount_options: class.mount_options.clone(),
        hostname,
        node: this_node.node.clone(),
    }))
}

#[cfg(test)]
mod tests;
