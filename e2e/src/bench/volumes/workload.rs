//! Creates volumes in a directory as the agent does, and bare directories to compare with.

use anyhow::{Context, Result, ensure};
use clap::Parser as _;
use fastrak_agent::config::{Args, Config};
use fastrak_api::class::{Mode, PoolPolicy, Quota};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, QuotaGroup, VolumeId};
use fastrak_store::host::quota::{self, Limits};
use fastrak_store::host::{Dir, Kernel, dirs, files};
use fastrak_store::pools::{ClusterView, Pools};
use fastrak_store::volumes::{Store, VolumeSpec};
use fastrak_testkit::fixtures;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NODE: &str = "bench-node";
const BYTES: u64 = 1 << 20;
/// The size of a volume's record.
const RECORD: usize = 400;

/// Volumes and directories on one filesystem.
pub(super) struct Workload {
    store: Store,
    bare: PathBuf,
    staging: PathBuf,
    made: u32,
}

impl Workload {
    /// Prepares a directory, which may have been used before.
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let (pool, bare) = (directory.join("pool"), directory.join("bare"));
        let staging = bare.join(".staging");
        for path in [&pool, &staging] {
            std::fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
        }
        // The bench must not depend on how full the disk is.
        let pool = format!("--pool=default={},reserve=0%", pool.display());
        let args = Args::try_parse_from(["fastrak-agent", "--node", NODE, &pool]);
        let config = Config::try_from(args.context("name a pool")?).context("name a pool")?;
        let pools = Pools::new(Arc::new(Kernel), config.node, config.pools);
        pools.set_cluster_view(ClusterView { cluster: NODE.to_owned(), ..ClusterView::default() });
        Ok(Self { store: Store::new(Arc::new(pools)), bare, staging, made: 0 })
    }

    /// Creates a volume as the agent does. Returns its quota.
    pub(super) fn volume(&mut self) -> Result<Option<QuotaGroup>> {
        let spec = self.spec()?;
        let (made, is_new) = self.store.ensure(&spec).context("make a volume")?;
        ensure!(is_new, "{} was there", spec.identity.volume);
        Ok(made.limit)
    }

    /// Creates and syncs a directory in staging and moves it to its place.
    pub(super) fn directory(&mut self) -> Result<()> {
        self.made += 1;
        let name = self.made.to_string();
        let (aside, place) = (self.staging.join(&name), self.bare.join(&name));
        std::fs::create_dir(&aside).context("make a directory")?;
        let dir = File::open(&aside).context("open a directory")?;
        dir.sync_all().context("sync a directory")?;
        std::fs::rename(&aside, &place).context("move a directory")
    }

    /// Creates a directory and syncs the move too.
    pub(super) fn lasting_directory(&mut self) -> Result<()> {
        self.directory()?;
        let parent = File::open(&self.bare).context("open a directory")?;
        parent.sync_all().context("sync a directory")
    }

    /// Creates the parts of a volume with only the system calls that survive a power cut: without
    /// checks of pools, free space or existing files, and without a rollback.
    pub(super) fn minimal(&mut self, limit: Option<QuotaGroup>) -> Result<()> {
        self.made += 1;
        let name = format!("least-{}", self.made);
        let name = OsStr::new(&name);
        let open = |path: &Path| Dir::open_at(&Kernel, path).context("open a directory");
        let (staging, place) = (open(&self.staging)?, open(&self.bare)?);
        let dir = staging.make(name, dirs::PRIVATE)?;
        let data = OsStr::new("data");
        let data = if limit == Some(QuotaGroup::Subvolume) {
            let data = quota::make_subvolume(&dir, data, Mode::default().0)?;
            quota::limit(&data, QuotaGroup::Subvolume, Limits::bytes(BYTES))?;
            data
        } else {
            dir.make(data, Mode::default().0)?
        };
        files::create(&dir, OsStr::new("record"), &[b'x'; RECORD])?;
        data.sync()?;
        dir.sync()?;
        staging.rename(name, &place, name)?;
        place.sync().context("sync a directory")
    }

    fn spec(&mut self) -> Result<VolumeSpec> {
        self.made += 1;
        let id = format!("{:08x}-0000-4000-8000-000000000000", self.made);
        let identity = Identity {
            claim: format!("claim-{}", self.made),
            node: NODE.to_owned(),
            bytes: BYTES,
            claim_created: Some(0),
            ..fixtures::identity(VolumeId::parse(&id).context("name a volume")?)
        };
        Ok(VolumeSpec {
            identity,
            pools: vec![PoolName::default()],
            policy: PoolPolicy::default(),
            mode: Mode::default(),
            quota: Quota::Preferred,
        })
    }
}
