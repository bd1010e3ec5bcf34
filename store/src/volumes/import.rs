//! Taking the data of another provisioner's volume over, by a rename: nothing is copied.
//!
//! It does not decide whose data that is. The rename into a volume that is being made is its last step
//! but one, and all before it is on the disk by then: so the data is always in its old place, in its
//! new one, or in a half-made volume that says so, which nobody removes and whoever finds it brings to
//! its end.

use crate::host::{Dir, HostError, Kind, dirs, files, machine};
use crate::pools::OpenPool;
use crate::volumes::records::identity::{self, Record};
use crate::volumes::{Made, Store, VolumeError, layout, look, made, trash};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, VolumeId};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Data that is to be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// What is recorded of the volume.
    pub identity: Identity,
    /// The pools that it may be in.
    pub pools: Vec<PoolName>,
    /// The folder that the data is in, which is configured.
    pub from: PathBuf,
    /// The name of the data there.
    pub name: OsString,
    /// The object by which it was known.
    pub volume: String,
}

/// Says that a volume's data was another's: its name is that of the other's object.
pub const IMPORTED: &str = "imported-from";

impl Store {
    /// Whether the claim's volume is there and holds imported data. What an earlier try has begun is
    /// brought to its end.
    pub fn imported(&self, id: &VolumeId) -> Result<Option<Made>, VolumeError> {
        for pool in self.pools.open_all().flatten() {
            let staging = pool.dir.open_if_there(OsStr::new(layout::STAGING));
            if let Some(staging) = staging.map_err(VolumeError::Look)? {
                finish(&pool.dir, &staging, OsStr::new(id.as_str())).map_err(VolumeError::Make)?;
            }
            let Some(record) = look(&pool, id).map_err(VolumeError::Look)? else { continue };
            let taken = |why: &str| VolumeError::Taken {
                path: pool.dir.path().join(id.as_str()),
                why: why.to_owned(),
            };
            let Record::Proven(identity) = record else {
                return Err(taken("it is not proven to be it"));
            };
            let dir = pool.dir.open(OsStr::new(id.as_str())).map_err(VolumeError::Look)?;
            if dir.kind_of(OsStr::new(IMPORTED)).map_err(VolumeError::Look)? != Some(Kind::File) {
                return Err(taken("it was made empty before"));
            }
            pool.dir.sync().map_err(VolumeError::Make)?;
            return Ok(Some(made(&pool, id, identity.limit)));
        }
        Ok(None)
    }

    /// Takes the data over.
    pub fn import(&self, import: &Import) -> Result<Made, VolumeError> {
        let id = &import.identity.volume;
        let source =
            Dir::open_at(self.pools.machine(), &import.from).map_err(VolumeError::Import)?;
        let pool = self.beside(&source, &import.pools)?;
        self.book_written(&pool, &import.identity)?;
        self.making().insert(OsString::from(id.as_str()));
        let done = take_over(&pool.dir, &source, import);
        self.making().remove(OsStr::new(id.as_str()));
        done.map_err(VolumeError::Import)?;
        Ok(made(&pool, id, import.identity.limit))
    }

    /// The first of these pools to which data can be renamed.
    fn beside(&self, source: &Dir, pools: &[PoolName]) -> Result<OpenPool<'_>, VolumeError> {
        let device = |dir: &Dir| machine::filesystem(dir).map(|filesystem| filesystem.device);
        let wanted = device(source).map_err(VolumeError::Import)?;
        for name in pools {
            let pool = self.pools.open(name).map_err(VolumeError::Pool)?;
            if device(&pool.dir).map_err(VolumeError::Import)? == wanted {
                return Ok(pool);
            }
        }
        Err(VolumeError::Elsewhere(source.path().to_owned()))
    }
}

fn take_over(pool: &Dir, source: &Dir, import: &Import) -> Result<(), HostError> {
    let name = OsStr::new(import.identity.volume.as_str());
    let staging = pool.open_or_make(OsStr::new(layout::STAGING))?;
    if finish(pool, &staging, name)? {
        return Ok(());
    }
    trash::remove_now(pool, &staging, name)?;
    let dir = staging.make(name, dirs::PRIVATE)?;
    dir.tag(layout::TAG, import.identity.volume.as_str())?;
    files::create(&dir, OsStr::new(IMPORTED), import.volume.as_bytes())?;
    identity::create(&dir, &import.identity)?;
    // All the way up, before the data comes: it must not be in a folder that a power cut takes away.
    dir.sync()?;
    staging.sync()?;
    pool.sync()?;
    source.rename(&import.name, &dir, OsStr::new(layout::DATA))?;
    dir.sync()?;
    source.sync()?;
    finish(pool, &staging, name)?;
    Ok(())
}

/// Moves a half-made volume to its place if it has another's data in it; whether it had.
pub(super) fn finish(pool: &Dir, staging: &Dir, name: &OsStr) -> Result<bool, HostError> {
    if staging.kind_of(name)? != Some(Kind::Directory) {
        return Ok(false);
    }
    let dir = staging.open(name)?;
    let has = |name: &str| Ok(dir.kind_of(OsStr::new(name))?.is_some());
    if !has(IMPORTED)? || !has(layout::DATA)? {
        return Ok(false);
    }
    // The try that has put it there may have been cut off before this.
    dir.sync()?;
    staging.rename(name, pool, name)?;
    staging.sync()?;
    pool.sync()?;
    Ok(true)
}
