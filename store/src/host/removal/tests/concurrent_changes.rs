//! A tenant who moves directories and creates symbolic links between every two calls of the
//! removal. It runs in one thread, so every run is the same.

use super::*;
use crate::host::Kind;
use crate::host::calls::{
    Device, EntrySize, Handle, Machine, MountWatch, OnConflict, OpenMode, Statfs,
};
use crate::host::quota::{Limits, QuotaGroup, Subvolume, Support, Usage};
use rustix::fd::OwnedFd;
use rustix::fs::{
    IFlags, OFlags, RenameFlags, ResolveFlags, mkdirat, openat2, renameat_with, symlinkat,
};
use std::any::Any;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The number of volumes that are removed, each under other moves.
const SEEDS: u64 = 300;

/// The number of moves for each volume. The tenant's process ends after them.
const MOVES: u32 = 500;

/// The state of the tenant.
#[derive(Debug)]
struct Tenant {
    data: OwnedFd,
    random: u64,
    moves: u32,
    done: u32,
}

#[derive(Debug)]
struct Interfered<T: ?Sized> {
    tenant: Arc<Mutex<Tenant>>,
    inner: Box<T>,
}

impl Tenant {
    fn below(&mut self, limit: u64) -> u64 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    /// Returns a name in one of the tenant's directories, and its depth. The tenant does not follow
    /// the links: the target is out of reach for the tenant.
    fn place(&mut self) -> Option<(OwnedFd, &'static str, usize)> {
        let names = ["a", "b", "c"];
        let depth = self.below(3) as usize;
        let folder: PathBuf = (0..depth).map(|_| names[self.below(3) as usize]).collect();
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = Path::new(".").join(folder);
        let folder = openat2(&self.data, folder, flags, Mode::empty(), resolve).ok()?;
        Some((folder, names[self.below(3) as usize], depth))
    }

    fn act(&mut self) -> Option<()> {
        self.moves = self.moves.checked_sub(1)?;
        let kind = self.below(6);
        let (from, old, depth) = self.place()?;
        let done = match kind {
            0 => mkdirat(&from, old, Mode::from_raw_mode(0o700)),
            // A relative link, because NO_XDEV alone rejects an absolute one.
            1 => symlinkat(Path::new(&"../".repeat(3 + depth)).join("precious"), &from, old),
            _ => {
                let (to, new, _) = self.place()?;
                let flags = [RenameFlags::empty(), RenameFlags::EXCHANGE][usize::from(kind > 2)];
                renameat_with(&from, old, &to, new, flags)
            }
        };
        self.done += u32::from(done.is_ok());
        Some(())
    }
}

impl<T: ?Sized> Interfered<T> {
    /// Returns the wrapped object after the tenant's next move.
    fn next(&self) -> &T {
        self.tenant.lock().unwrap().act();
        &self.inner
    }

    fn with(&self, inner: Box<dyn Handle>) -> Box<dyn Handle> {
        Box::new(Interfered { tenant: Arc::clone(&self.tenant), inner })
    }
}

impl Machine for Interfered<Kernel> {
    fn open(&self, path: &Path) -> Result<Box<dyn Handle>, Errno> {
        self.next().open(path).map(|inner| self.with(inner))
    }

    fn kind_at(&self, path: &Path) -> Result<Kind, Errno> {
        self.next().kind_at(path)
    }

    fn mounts(&self) -> Result<Vec<u8>, Errno> {
        self.next().mounts()
    }

    fn watch_mounts(&self) -> Result<Box<dyn MountWatch>, Errno> {
        self.next().watch_mounts()
    }

    fn random_uuid(&self) -> Result<String, Errno> {
        self.next().random_uuid()
    }
}

/// Implements methods that only delegate.
macro_rules! delegate {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($arg: $type),*) -> Result<$answer, Errno> {
            self.next().$name($($arg),*)
        })*
    };
}

impl Handle for Interfered<dyn Handle> {
    fn open(&self, name: &OsStr, how: OpenMode) -> Result<Box<dyn Handle>, Errno> {
        self.next().open(name, how).map(|inner| self.with(inner))
    }

    fn rename(
        &self,
        name: &OsStr,
        target: &dyn Handle,
        new: &OsStr,
        there: OnConflict,
    ) -> Result<(), Errno> {
        let target = (target as &dyn Any).downcast_ref::<Self>().ok_or(Errno::XDEV)?;
        self.next().rename(name, &*target.inner, new, there)
    }

    delegate! {
        fn mkdir(name: &OsStr, mode: u32) -> ();
        fn chmod(mode: u32) -> ();
        fn set_xattr(name: &str, value: &[u8]) -> ();
        fn flags() -> IFlags;
        fn set_flags(flags: IFlags) -> ();
        fn kind() -> Kind;
        fn kind_of(name: &OsStr) -> Kind;
        fn entry_size(name: &OsStr) -> EntrySize;
        fn names(limit: usize) -> Vec<OsString>;
        fn more_names() -> Option<Vec<OsString>>;
        fn rewind() -> ();
        fn unlink(name: &OsStr) -> ();
        fn remove_empty(name: &OsStr) -> ();
        fn read(buffer: &mut [u8]) -> usize;
        fn write(bytes: &[u8]) -> usize;
        fn lock() -> ();
        fn unlock() -> ();
        fn sync() -> ();
        fn device(name: &str) -> Device;
        fn statfs() -> Statfs;
        fn support() -> Support;
        fn make_subvolume(name: &OsStr) -> ();
        fn remove_subvolume(name: &OsStr) -> ();
        fn join_project(project: u32) -> ();
        fn project_from(first: u32) -> Option<u32>;
        fn limit(group: QuotaGroup, limits: Limits) -> ();
        fn usage(group: QuotaGroup) -> Usage;
        fn is_subvolume(name: &OsStr) -> bool;
        fn make_writable() -> ();
        fn subvolume() -> Subvolume;
        fn subvolume_uuid(number: u64) -> Option<[u8; 16]>;
        fn remove_group(number: u64) -> ();
    }
}

#[test]
fn no_move_between_two_calls_leads_out_of_the_volume() {
    let mut done = 0;
    for seed in 0..SEEDS {
        let scene = Scene::new();
        for number in 0..27 {
            let name = |place: usize| ["a", "b", "c"][number / place % 3];
            let path: PathBuf = [name(9), name(3), name(1), "inner"].iter().collect();
            std::fs::create_dir_all(scene.data().join(path)).unwrap();
        }
        symlink("../../../precious", scene.data().join("link")).unwrap();
        let tenant = Arc::new(Mutex::new(Tenant {
            data: std::fs::File::open(scene.data()).unwrap().into(),
            random: seed,
            moves: MOVES,
            done: 0,
        }));
        let machine = Interfered { tenant: Arc::clone(&tenant), inner: Box::new(Kernel) };
        let trash = Dir::open_at(&machine, &scene.folder.path().join("trash")).unwrap();
        let mut removal = Removal::new(OsStr::new("volume"), SubvolumeRecords::NotNeeded);
        // The tenant may win every race while its process runs, and none after that.
        let last = (0..10).map(|_| removal.step(&trash, Budget::UNLIMITED)).last();
        assert_eq!(last, Some(Progress::Removed), "seed {seed}");
        scene.assert_all_gone_and_precious_kept();
        done += tenant.lock().unwrap().done;
    }
    assert!(done > 10_000, "{done}");
}
