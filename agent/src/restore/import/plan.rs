//! Decides whether a claim gets the data of another provisioner's volume. Pure.
//!
//! The administrator says from which folders, and has set the volume to be kept; the claim names the
//! volume, which proves nothing; the volume says whose it was.

use super::source::Source;
use crate::cluster::ClaimState;
use fastrak_api::claim::Claim;
use fastrak_api::class::Quota;
use fastrak_api::names::provisioners;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The evidence, all of it read just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The PersistentVolume with that name.
    pub source: Option<Source>,
    /// The claim that it was for.
    pub claim: ClaimState,
    /// The creation time of the claim's namespace, in seconds since 1970.
    pub namespace_created: Option<i64>,
    /// Whether its data is mounted; `None` if the mounts cannot be read.
    pub mounted: Option<bool>,
}

/// The place of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder, as it is configured.
    pub from: PathBuf,
    /// The name in it.
    pub name: OsString,
}

/// Why a claim cannot have the data. Its user reads it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No folder is configured.
    #[error("node {0} takes no volumes over; an administrator can have it do so (--import-from)")]
    Nothing(String),
    /// There is none, or it was another's. One text, so that nobody learns of others' volumes.
    #[error(
        "node {node} has no volume {volume} that a claim of this namespace may take over: it has to be \
         of the provisioner {local_path} or {openebs}, on this node, with the policy Retain, Released \
         by a claim of this namespace, and the namespace must not have been made anew since",
        local_path = provisioners::LOCAL_PATH,
        openebs = provisioners::OPENEBS_LOCAL
    )]
    NotHere {
        /// This node.
        node: String,
        /// What was asked for.
        volume: String,
    },
    /// The class requires a quota, which imported data cannot have.
    #[error(
        "nothing would hold the data of volume {0} to its size, and the claim's class requires a quota; \
         use a class that does not"
    )]
    NoQuota(String),
    /// Its data is in none of the directories.
    #[error(
        "volume {0} is in none of the folders from which this node takes volumes over (--import-from)"
    )]
    OtherFolder(String),
    /// Its claim still exists.
    #[error("volume {0} still belongs to a claim; delete that claim first")]
    ClaimExists(String),
    /// It is mounted.
    #[error("volume {0} is still mounted, or the agent cannot read the mounts")]
    Mounted(String),
}

/// Decides whether `claim`, whose class wants this `quota`, may take over the volume of this name, on the
/// node of this name and hostname; where its data is.
pub fn decide(
    (claim, quota): (&Claim, Quota),
    volume: &str,
    (node, hostname, folders): (&str, &str, &[PathBuf]),
    evidence: &Evidence,
) -> Result<Place, Refusal> {
    if folders.is_empty() {
        return Err(Refusal::Nothing(node.to_owned()));
    }
    let not_here = || Refusal::NotHere { node: node.to_owned(), volume: volume.to_owned() };
    let source = evidence.source.as_ref().ok_or_else(not_here)?;
    if !is_theirs(source) || source.hostname.as_deref() != Some(hostname) {
        return Err(not_here());
    }
    let left_by = source.left_by().ok_or_else(not_here)?;
    // A volume is younger than its claim, and that than its namespace, by the same clock.
    let older = evidence.namespace_created.zip(source.created);
    let older = older.is_some_and(|(namespace, made)| namespace <= made);
    if !older || left_by.namespace != claim.namespace {
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
    let place = source.path.as_deref().and_then(|path| place(path, folders));
    place.ok_or_else(|| Refusal::OtherFolder(volume.to_owned()))
}

fn is_theirs(source: &Source) -> bool {
    let theirs = [provisioners::LOCAL_PATH, provisioners::OPENEBS_LOCAL];
    source.volume.provisioned_by.as_deref().is_some_and(|by| theirs.contains(&by))
}

/// The path as one of the folders and a name in it; `..` and the like are no names.
fn place(path: &Path, folders: &[PathBuf]) -> Option<Place> {
    let name = path.file_name()?.to_owned();
    let from = folders.iter().find(|folder| folder.join(&name).as_os_str() == path.as_os_str())?;
    Some(Place { from: from.clone(), name })
}

#[cfg(test)]
mod tests;
