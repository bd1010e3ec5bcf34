//! The invariants of the world once all work is done. The module changes nothing.

use super::{PROOF, World, id};
use crate::agent::POOLS;
use crate::cluster::{CLASSES, Cluster, LEFT, OLD};
use crate::disk::{Ino, Node};
use crate::machine::State;
use crate::{groups, growth, projects};
use fastrak_agent::snapshot::volume::{Phase, Volume};
use fastrak_api::claim::{Claim, RestoreRequest};
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::volume::{Identity, VolumeId};
use fastrak_store::volumes::layout;
use std::ffi::OsStr;
use std::path::Path;

impl World {
    /// Returns all violations once the agent has nothing left to do.
    pub(crate) fn problems(&mut self) -> Vec<String> {
        let mut problems = std::mem::take(&mut self.witness.problems);
        let mut state = self.machine.state();
        let violations = std::mem::take(&mut state.violations);
        problems.extend(violations.into_iter().map(|what| format!("forbidden change: {what}")));
        problems.extend(self.claims_without_their_data(&state));
        problems.extend(self.trash_that_is_lost(&state));
        problems.extend(self.data_that_is_nowhere(&state));
        problems.extend(self.objects_that_should_be_gone());
        problems.extend(groups::problems(&state.disk));
        problems.extend(POOLS.iter().flat_map(|(_, path)| self.leaks(&state, Path::new(path))));
        if state.has_projects {
            problems.extend(projects::problems(&state.disk, state.places[Path::new(POOLS[0].1)]));
        }
        let kept = self.kept.iter().filter_map(|id| {
            let volumes: Vec<_> = POOLS.iter().map(|(_, path)| own(&state, path, id)).collect();
            let there =
                volumes.iter().any(|data| data.is_some_and(|data| self.is_own(&state, id, data)));
            (!there).then(|| format!("{id} was to be kept, and is not there"))
        });
        problems.extend(kept);
        problems
    }

    fn claims_without_their_data(&self, state: &State) -> Vec<String> {
        let mut problems = Vec::new();
        for (id, claim) in &self.cluster.claims {
            let class = claim.class_name().unwrap_or_default();
            let pool = CLASSES.iter().find(|(name, ..)| *name == class).map(|(_, pool, _)| *pool);
            let path = format!("/{}", pool.unwrap_or_default());
            let (uid, of) = (Some(id.as_str()), id);
            let id = &requested(claim).unwrap_or_else(|| id.clone());
            let owner =
                |volume: &&Volume| volume.claim.as_ref().and_then(|c| c.uid.as_deref()) == uid;
            let volume = self.cluster.volumes.get(id).filter(owner);
            let Some(volume) = volume.filter(|volume| volume.phase == Phase::Bound) else {
                let refused =
                    claim.restore_request.is_some() && !self.may_be_restored(state, claim, id);
                problems.extend((!refused).then(|| format!("{id} has no volume")));
                continue;
            };
            let named = layout::data_path(Path::new(&path), id);
            if volume.path.as_deref().map(Path::new) != Some(named.as_path()) {
                problems.push(format!("{id} is at {:?}", volume.path));
            }
            match own(state, &path, id) {
                None => problems.push(format!("{id} is Bound, and its data is not there")),
                Some(data) if !self.is_own(state, id, data) => {
                    problems.push(format!("{id} has not the data that its tenant has synced"));
                }
                Some(data) => problems.extend(self.wrong_size((of, claim), volume, (state, data))),
            }
            if let Err(problem) = state.durable_volume(Path::new(&path), id, 0o777) {
                problems.push(format!("{id} is Bound, and on the disk {problem}"));
            }
        }
        problems
    }

    fn wrong_size(
        &self,
        claim: (&VolumeId, &Claim),
        volume: &Volume,
        (state, data): (&State, Ino),
    ) -> Option<String> {
        let record = identity(state, state.disk.parent(data))?;
        growth::problem(claim, (&self.cluster, volume), (state, data, &record))
    }

    /// Returns whether the claim may get the volume that it requests.
    fn may_be_restored(&self, state: &State, claim: &Claim, id: &VolumeId) -> bool {
        let Cluster { claims, volumes, .. } = &self.cluster;
        let (near, far) = (POOLS[0].1, POOLS[1].1);
        if claims.contains_key(id) || own(state, far, id).is_some() {
            return false;
        }
        let released = |volume: &Volume| volume.phase == Phase::Released && !volume.deleting;
        match (&claim.restore_request, volumes.get(id)) {
            (Some(Ok(RestoreRequest::Undelete(_))), None) => {
                in_trash(state, near, id).is_some() || own(state, near, id).is_some()
            }
            (Some(Ok(RestoreRequest::Adopt(_))), None) => own(state, near, id).is_some(),
            (Some(Ok(RestoreRequest::Adopt(_))), Some(volume)) => {
                volume.policy == ReclaimPolicy::Retain
                    && released(volume)
                    && own(state, near, id).is_some()
            }
            _ => false,
        }
    }

    /// Returns the restorable volumes that are missing or incomplete.
    fn trash_that_is_lost(&self, state: &State) -> Vec<String> {
        let near = POOLS[0].1;
        let lost = self.proofs.intersection(&self.bins).filter(|id| {
            let data = own(state, near, id).or_else(|| in_trash(state, near, id));
            !data.is_some_and(|data| self.is_own(state, id, data))
        });
        let lost = lost.map(|id| format!("{id} is restorable and lost"));
        let half = (0..=u8::MAX).map(id).filter(|id| {
            let dir = in_trash_at_all(state, near, id);
            let data = in_trash(state, near, id);
            dir.is_some() && !data.is_some_and(|data| self.is_own(state, id, data))
        });
        lost.chain(half.map(|id| format!("{id} is half in the trash"))).collect()
    }

    /// Returns the imported data that is neither at its old nor at its new path, also without its
    /// claim.
    fn data_that_is_nowhere(&self, state: &State) -> Vec<String> {
        let Some(left) = state.places.get(Path::new(LEFT)) else { return Vec::new() };
        if state.disk.find(*left, OsStr::new(OLD)).is_some() {
            return Vec::new();
        }
        let near = POOLS[0].1;
        let there =
            |id: &&VolumeId| own(state, near, id).is_some_and(|d| self.is_own(state, id, d));
        if self.proofs.iter().any(|id| there(&id)) {
            return Vec::new();
        }
        vec!["the data of another provisioner is lost".to_owned()]
    }

    fn objects_that_should_be_gone(&self) -> Vec<String> {
        let lingers = |id: &VolumeId| {
            let volume = &self.cluster.volumes[id];
            let of = volume.claim.as_ref().and_then(|claim| claim.uid.as_deref());
            let of = of.and_then(|uid| VolumeId::parse(uid).ok());
            let orphan = !of.is_some_and(|of| self.cluster.claims.contains_key(&of));
            orphan && (volume.deleting || volume.policy == ReclaimPolicy::Delete)
        };
        let ids = self.cluster.volumes.keys().filter(|id| lingers(id));
        ids.map(|id| format!("the object of {id} was not deleted")).collect()
    }

    fn leaks(&self, state: &State, pool: &Path) -> Vec<String> {
        let mut problems = Vec::new();
        let root = state.places[pool];
        for (name, ino) in entries(state, root) {
            let name = name.to_str().unwrap_or("?");
            match (name, VolumeId::parse(name)) {
                (layout::STAGING | layout::TRASH | layout::GROUPS, _) => {
                    let kept = |inner| name == layout::TRASH && is_restorable(state, inner);
                    let inner = entries(state, *ino).filter(|(inner, _)| !kept(inner));
                    problems.extend(inner.map(|(inner, _)| format!("{name} has {inner:?} in it")));
                }
                (".fastrak-pool" | ".fastrak-holder" | ".fastrak-holder.new", _) => {}
                ("of-an-administrator" | "left", _) => {}
                (_, Ok(id)) if self.has_owner(state, &id, *ino) => {}
                // Data without an owner stays: an unknown claim proves nothing.
                (_, Ok(id)) if self.is_kept_data(state, &id, *ino) => {}
                (_, _) => problems.push(format!("{name} is left in {}", pool.display())),
            }
        }
        problems
    }

    /// Returns whether a directory has an owner: a claim, an object, an administrator who retained
    /// it, or a record that says Retain.
    fn has_owner(&self, state: &State, id: &VolumeId, dir: Ino) -> bool {
        let owned = self.cluster.claims.contains_key(id)
            || self.cluster.volumes.contains_key(id)
            || self.kept.contains(id);
        owned
            || (!self.witness.trashed.contains(id)
                && record(state, dir) == Some(ReclaimPolicy::Retain))
    }

    /// Returns whether it contains data that was never trashed, or that was being restored.
    fn is_kept_data(&self, state: &State, id: &VolumeId, dir: Ino) -> bool {
        let data = state.disk.find(dir, OsStr::new(layout::DATA));
        let holds = data.is_some_and(|data| entries(state, data).next().is_some());
        holds && (!self.witness.trashed.contains(id) || self.bins.contains(id))
    }

    /// Returns whether the data belongs to the tenant of this volume alone.
    fn is_own(&self, state: &State, id: &VolumeId, data: Ino) -> bool {
        match state.disk.find(data, OsStr::new(PROOF)).map(|proof| &state.disk.see(proof).node) {
            Some(Node::File(content)) => content == id.as_str().as_bytes(),
            Some(_) => false,
            None => !self.proofs.contains(id) && entries(state, data).next().is_none(),
        }
    }
}

/// Returns the data of a volume in the pool at this path.
pub(super) fn own(state: &State, pool: &str, id: &VolumeId) -> Option<Ino> {
    let root = *state.places.get(Path::new(pool))?;
    let dir = state.disk.find(root, OsStr::new(id.as_str()))?;
    record(state, dir)?;
    state.disk.find(dir, OsStr::new(layout::DATA))
}

/// Returns the entry with the volume's name in the trash of that pool.
pub(super) fn in_trash_at_all(state: &State, pool: &str, id: &VolumeId) -> Option<Ino> {
    let root = *state.places.get(Path::new(pool))?;
    let trash = state.disk.find(root, OsStr::new(layout::TRASH))?;
    state.disk.find(trash, OsStr::new(id.as_str()))
}

/// Returns the data of a restorable volume.
fn in_trash(state: &State, pool: &str, id: &VolumeId) -> Option<Ino> {
    let dir = in_trash_at_all(state, pool, id)?;
    identity(state, dir)?.trash_seconds?;
    state.disk.find(dir, OsStr::new(layout::DATA))
}

fn is_restorable(state: &State, name: &OsStr) -> bool {
    layout::volume(name).is_some_and(|id| in_trash(state, POOLS[0].1, &id).is_some())
}

/// Returns the existing volume that a claim requests.
fn requested(claim: &Claim) -> Option<VolumeId> {
    match &claim.restore_request {
        Some(Ok(RestoreRequest::Undelete(id) | RestoreRequest::Adopt(id))) => Some(id.clone()),
        _ => None,
    }
}

fn record(state: &State, dir: Ino) -> Option<ReclaimPolicy> {
    identity(state, dir).map(|identity| identity.reclaim_policy)
}

fn identity(state: &State, dir: Ino) -> Option<Identity> {
    let record = state.disk.find(dir, OsStr::new(layout::IDENTITY))?;
    let Node::File(content) = &state.disk.see(record).node else { return None };
    serde_json::from_slice::<Identity>(content).ok()
}

pub(super) fn entries(
    state: &State,
    dir: Ino,
) -> impl Iterator<Item = (&std::ffi::OsString, &Ino)> {
    state.disk.see(dir).node.entries().into_iter().flatten()
}
