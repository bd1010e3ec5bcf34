//! A pool on a real filesystem, and the store of an agent that has just started on it.

use anyhow::{Result, ensure};
use fastrak_api::capacity::CapacityLimits;
use fastrak_api::class::{Mode, PoolPolicy, Quota};
use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, QuotaGroup, VolumeId};
use fastrak_store::host::Kernel;
use fastrak_store::host::quota::project;
use fastrak_store::pools::{ClusterView, PoolConfig, Pools};
use fastrak_store::volumes::{ProvisionedVolume, Store, VolumeSpec, quota::projects};
use fastrak_testkit::fixtures;
use rustix::fd::AsFd as _;
use std::collections::BTreeSet;
use std::fs::{File, create_dir};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A pool and the store on it, which is as an agent that has just started has it.
pub(crate) struct Pool {
    pub(crate) path: PathBuf,
    pub(crate) store: Store,
}

impl Pool {
    /// A new pool of this name below `root`.
    pub(crate) fn new(root: &Path, name: &str) -> Result<Self> {
        let path = root.join(name);
        create_dir(&path)?;
        Self::of(path)
    }

    /// The pool at `path`, for an agent that has just started.
    pub(crate) fn of(path: PathBuf) -> Result<Self> {
        let config = PoolConfig {
            name: PoolName::default(),
            path: path.clone(),
            require_mount: false,
            limits: CapacityLimits::default(),
        };
        let pools = Pools::new(Arc::new(Kernel), NodeName::parse("node-a")?, vec![config]);
        pools.set_cluster_view(ClusterView {
            cluster: "cluster-a".to_owned(),
            ..ClusterView::default()
        });
        Ok(Self { path, store: Store::new(Arc::new(pools)) })
    }

    /// The same pool in the hands of the next agent.
    pub(crate) fn restarted(self) -> Result<Self> {
        let Self { path, store } = self;
        // Its lock goes with it.
        drop(store);
        Self::of(path)
    }

    pub(crate) fn make(&self, id: &VolumeId, bytes: u64) -> Result<(ProvisionedVolume, u32)> {
        let (made, _) = self.store.ensure(&order(id, bytes, Quota::Required))?;
        let Some(QuotaGroup::Project(number)) = made.limit else {
            anyhow::bail!("it is held by {:?}", made.limit);
        };
        ensure!(projects::PROJECT_IDS.contains(&number), "its number is {number:x}");
        Ok((made, number))
    }

    pub(crate) fn root(&self) -> Result<File> {
        Ok(File::open(&self.path)?)
    }

    pub(crate) fn in_use(&self, number: u32) -> Result<bool> {
        Ok(project::next_used(self.root()?.as_fd(), number)? == Some(number))
    }

    pub(crate) fn empty_trash(&self) -> Result<()> {
        loop {
            let states = self.store.empty_trash(512, &BTreeSet::new());
            let stuck: Vec<_> = states.iter().flat_map(|state| &state.blocked).collect();
            ensure!(stuck.is_empty(), "{stuck:?}");
            if !states.iter().any(|state| state.more) {
                return Ok(());
            }
        }
    }
}

pub(crate) fn order(id: &VolumeId, bytes: u64, quota: Quota) -> VolumeSpec {
    VolumeSpec {
        identity: Identity { bytes, ..fixtures::identity(id.clone()) },
        pools: vec![PoolName::default()],
        policy: PoolPolicy::default(),
        mode: Mode(0o777),
        quota,
    }
}

pub(crate) fn id(number: u32) -> VolumeId {
    VolumeId::parse(&format!("00000000-0000-4000-9000-0000{number:08x}")).expect("a uid")
}
