//! Imports the data of another provisioner's volume by a rename, without copying.
//!
//! The caller decides whose data it is. The rename into a staged volume is the last step but one,
//! and everything before it is on the disk by then. The data is therefore always in its old place,
//! in its new place, or in a staged volume with a marker, which is never removed and is completed
//! by the next attempt or survey.

use crate::host::{Dir, HostError, Kind, dirs, files, machine};
use crate::pools::OpenPool;
use crate::volumes::records::identity::{self, Record};
use crate::volumes::{ProvisionedVolume, Store, VolumeError, layout, made, read_record, trash};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, VolumeId};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Data to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The record of the new volume.
    pub identity: Identity,
    /// The pools in which it may be.
    pub pools: Vec<PoolName>,
    /// The configured directory that contains the data.
    pub from: PathBuf,
    /// The name of the data in that directory.
    pub name: OsString,
    /// The name of the PersistentVolume of the other provisioner.
    pub volume: String,
}

/// The file that marks imported data and contains the name of the original PersistentVolume.
pub(crate) const IMPORTED: &str = "imported-from";

impl Store {
    /// Returns the volume of the claim if it exists with imported data. Completes an interrupted
    /// import.
    pub fn imported(&self, id: &VolumeId) -> Result<Option<ProvisionedVolume>, VolumeError> {
        for pool in self.pools.open_all().flatten() {
            let staging = pool.dir.open_if_exists(layout::STAGING);
            if let Some(staging) = staging.map_err(VolumeError::Read)? {
                finish(&pool.dir, &staging, OsStr::new(id.as_str()))
                    .map_err(VolumeError::Create)?;
            }
            let Some(record) = read_record(&pool, id).map_err(VolumeError::Read)? else { continue };
            let taken = |why: &str| VolumeError::Occupied {
                path: pool.dir.path().join(id.as_str()),
                why: why.to_owned(),
            };
            let Record::Verified(identity) = record else {
                return Err(taken("its record is not valid"));
            };
            let dir = pool.dir.open(id.as_str()).map_err(VolumeError::Read)?;
            if dir.kind_of(IMPORTED).map_err(VolumeError::Read)? != Some(Kind::File) {
                return Err(taken("it was created as an empty volume"));
            }
            pool.dir.sync().map_err(VolumeError::Create)?;
            return Ok(Some(made(&pool, id, identity.limit)));
        }
        Ok(None)
    }

    /// Imports the data.
    pub fn import(&self, import: &Import) -> Result<ProvisionedVolume, VolumeError> {
        let id = &import.identity.volume;
        let source =
            Dir::open_at(self.pools.machine(), &import.from).map_err(VolumeError::Import)?;
        let pool = self.pool_on_same_filesystem(&source, &import.pools)?;
        self.grant_written(&pool, &import.identity)?;
        self.creating.lock().insert(OsString::from(id.as_str()));
        let done = move_data(&pool.dir, &source, import);
        self.creating.lock().remove(OsStr::new(id.as_str()));
        done.map_err(VolumeError::Import)?;
        Ok(made(&pool, id, import.identity.limit))
    }

    /// Returns the first of these pools on the same filesystem as `source`.
    fn pool_on_same_filesystem(
        &self,
        source: &Dir,
        pools: &[PoolName],
    ) -> Result<OpenPool<'_>, VolumeError> {
        let device = |dir: &Dir| machine::filesystem(dir).map(|filesystem| filesystem.device);
        let wanted = device(source).map_err(VolumeError::Import)?;
        for name in pools {
            let pool = self.pools.open(name).map_err(VolumeError::Pool)?;
            if device(&pool.dir).map_err(VolumeError::Import)? == wanted {
                return Ok(pool);
            }
        }
        Err(VolumeError::OtherFilesystem(source.path().to_owned()))
    }
}

fn move_data(pool: &Dir, source: &Dir, import: &Import) -> Result<(), HostError> {
    let name = OsStr::new(import.identity.volume.as_str());
    let staging = pool.open_or_make(layout::STAGING)?;
    if finish(pool, &staging, name)? {
        return Ok(());
    }
    trash::remove_now(pool, &staging, name)?;
    let dir = staging.make(name, dirs::PRIVATE)?;
    dir.set_xattr(layout::TAG, import.identity.volume.as_str())?;
    files::create(&dir, IMPORTED, import.volume.as_bytes())?;
    identity::create(&dir, &import.identity)?;
    // The directories are on the disk before the data enters them: a power failure must not remove
    // them.
    dir.sync()?;
    staging.sync()?;
    pool.sync()?;
    source.rename(&import.name, &dir, layout::DATA)?;
    dir.sync()?;
    source.sync()?;
    finish(pool, &staging, name)?;
    Ok(())
}

/// Moves a staged volume with imported data to its path. Returns whether there was one.
pub(super) fn finish(pool: &Dir, staging: &Dir, name: &OsStr) -> Result<bool, HostError> {
    if staging.kind_of(name)? != Some(Kind::Directory) {
        return Ok(false);
    }
    let dir = staging.open(name)?;
    let has = |name: &str| Ok(dir.kind_of(name)?.is_some());
    if !has(IMPORTED)? || !has(layout::DATA)? {
        return Ok(false);
    }
    // The attempt that moved the data may have been interrupted before this.
    dir.sync()?;
    staging.rename(name, pool, name)?;
    staging.sync()?;
    pool.sync()?;
    Ok(true)
}
