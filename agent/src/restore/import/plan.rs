//! Decides whether a claim gets the data of another provisioner's volume. Pure.
//!
//! The administrator configures the directories and has set the volume to Retain. The claim names
//! the volume, which proves nothing. The PersistentVolume names its former claim.

use super::source::Source;
use crate::cluster::ClaimState;
use fastrak_api::claim::Claim;
use fastrak_api::class::Quota;
use fastrak_api::names::provisioners;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The evidence, all of it read just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// The PersistentVolume with that name.
    pub(crate) source: Option<Source>,
    /// The state of its former claim.
    pub(crate) claim: ClaimState,
    /// The creation time of the claim's namespace, in seconds since 1970.
    pub(crate) namespace_created: Option<i64>,
    /// Whether its data is mounted; `None` if the mounts cannot be read.
    pub(crate) mounted: Option<bool>,
}

/// The place of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The configured directory.
    pub(crate) from: PathBuf,
    /// The name of the volume's directory in it.
    pub(crate) name: OsString,
}

/// Why a claim cannot have the data. Its user reads it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "node {0} imports no volumes; an administrator can allow it with --import-from of its agent"
    )]
    Nothing(String),
    /// The volume does not exist, or belonged to another namespace. Both have one message, so that
    /// nobody learns about the volumes of others.
    #[error(
        "node {node} has no volume {volume} that a claim in this namespace may import; it must be \
         of the provisioner {local_path} or {openebs}, on that node, with the policy Retain, Released \
         by a claim of this namespace, and the namespace must not have been recreated since",
        local_path = provisioners::LOCAL_PATH,
        openebs = provisioners::OPENEBS_LOCAL
    )]
    NotHere { node: String, volume: String },
    #[error(
        "no quota can enforce the size of volume {0}, and the claim's class requires one; use a class \
         without quota: required"
    )]
    NoQuota(String),
    #[error(
        "volume {0} is in none of the directories from which its node imports volumes; an \
         administrator can add its directory with --import-from of the agent"
    )]
    OtherDirectory(String),
    #[error("volume {0} still belongs to a claim; delete that claim first")]
    ClaimExists(String),
    #[error("volume {0} is still mounted, or the agent cannot read the mounts; delete its pods")]
    Mounted(String),
}

/// Decides whether `claim`, whose class has this `quota`, may import the volume of this name on the
/// node with this name and hostname. Returns the place of the data.
pub(crate) fn decide(
    (claim, quota): (&Claim, Quota),
    volume: &str,
    (node, hostname, directories): (&str, &str, &[PathBuf]),
    evidence: &Evidence,
) -> Result<Place, Refusal> {
    if directories.is_empty() {
        return Err(Refusal::Nothing(node.to_owned()));
    }
    let not_here = || Refusal::NotHere { node: node.to_owned(), volume: volume.to_owned() };
    let source = evidence.source.as_ref().ok_or_else(not_here)?;
    if !is_importable(source) || source.hostname.as_deref() != Some(hostname) {
        return Err(not_here());
    }
    let former_claim = source.former_claim().ok_or_else(not_here)?;
    // A volume is younger than its claim, and the claim than its namespace, by the same clock.
    let older = evidence.namespace_created.zip(source.created);
    let older = older.is_some_and(|(namespace, made)| namespace <= made);
    if !older || former_claim.namespace != claim.namespace {
        return Err(not_here());
    }
    if evidence.claim != ClaimState::Gone {
        return Err(Refusal::ClaimExists(volume.to_owned()));
    }
    if evidence.mounted != Some(false) {
        return Err(Refusal::Mounted(volume.to_owned()));
    }
    if quota == Quota::Required {
        return Err(Refusal::NoQuota(volume.to_owned()));
    }
    let place = source.path.as_deref().and_then(|path| place(path, directories));
    place.ok_or_else(|| Refusal::OtherDirectory(volume.to_owned()))
}

fn is_importable(source: &Source) -> bool {
    let theirs = [provisioners::LOCAL_PATH, provisioners::OPENEBS_LOCAL];
    source.volume.provisioned_by.as_deref().is_some_and(|by| theirs.contains(&by))
}

/// Splits the path into one of the configured directories and a name in it. `..` is not a name.
fn place(path: &Path, directories: &[PathBuf]) -> Option<Place> {
    let name = path.file_name()?.to_owned();
    let from = directories
        .iter()
        .find(|directory| directory.join(&name).as_os_str() == path.as_os_str())?;
    Some(Place { from: from.clone(), name })
}

#[cfg(test)]
mod tests;
