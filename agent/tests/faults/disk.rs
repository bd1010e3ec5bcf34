//! A disk that loses unsynced changes: a tree of files as processes see it, and the tree that a
//! power cut would leave.
//!
//! It injects no errors and knows no paths: `machine.rs` does. It guarantees only what fsync(2)
//! guarantees and what filesystems with a journal add:
//!
//! - The content, permissions and attributes of a file are on the disk when the file has been
//!   synced; before, the file may have the old content, the new content, a part of it, or zeroes.
//! - A created, removed or renamed entry is on the disk when its directory has been synced:
//!   "Calling fsync() does not necessarily ensure that the entry in the directory containing the
//!   file has also reached disk. For that an explicit fsync() on a file descriptor for the
//!   directory is also needed" (fsync(2)). A sync of the file itself does not write its entry,
//!   although ext4 and XFS do that.
//! - A rename is atomic, also between two directories, and a sync of either directory writes it.
//!   Every filesystem with a journal does so.
//! - Any subset of the unsynced changes may be on the disk, because some filesystems reorder
//!   changes of directories (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014,
//!   found that for btrfs). A change that depends on a lost one is lost too: a later change of the
//!   same name or of the same file's location, and the removal of a directory before that of its
//!   contents.
//! - Subvolumes of btrfs are created and removed by whole transactions: every earlier change of an
//!   entry of the filesystem is then on the disk too. The quota group of a subvolume is created
//!   with it and removed in a transaction; so are changes in a directory that is never synced.
//! - A failed sync may drop its data, and the next one then succeeds without writing it, as Linux
//!   does for the content of files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

/// The number of a file or directory. Numbers are not reused.
pub(crate) type Ino = usize;

/// The kind of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Directory(BTreeMap<OsString, Ino>),
    File(Vec<u8>),
    Symlink,
}

/// A file with its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inode {
    pub(crate) node: Node,
    pub(crate) mode: u32,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
}

/// All files at one moment.
pub(crate) type Tree = Vec<Inode>;

/// One change that may not have reached the disk.
#[derive(Clone, Debug)]
enum Change {
    Link { dir: Ino, name: OsString, ino: Ino },
    Unlink { dir: Ino, name: OsString, ino: Ino },
    Move { from: Ino, name: OsString, to: Ino, new: OsString, ino: Ino },
    Mode { ino: Ino, mode: u32 },
    Xattr { ino: Ino, key: String, value: Vec<u8> },
    // Dropped: its sync has failed, and no later sync writes it.
    Content { ino: Ino, content: Vec<u8>, dropped: bool },
}

/// Which unsynced changes survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// None.
    Nothing,
    /// All.
    Everything,
    /// Some.
    Some(u64),
}

/// The disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    now: Tree,
    safe: Tree,
    // The parent of each directory, as processes see it.
    parents: Vec<Ino>,
    pending: Vec<Change>,
    order: WriteOrder,
    changes: u64,
}

/// The constraints on the order in which changes reach the disk.
#[derive(Clone, Debug, Default)]
struct WriteOrder {
    subvolumes: BTreeSet<Ino>,
    // The directories that are never synced, on a filesystem with transactions.
    folders: BTreeSet<Ino>,
    // The filesystem of each file, which never changes.
    places: Vec<Ino>,
}

/// The extended attributes that mark a subvolume and its quota group.
const GROUP: &str = "group";
const THERE: &[u8] = b"there";

/// The root directory.
pub(crate) const ROOT: Ino = 0;

impl Node {
    pub(crate) fn entries(&self) -> Option<&BTreeMap<OsString, Ino>> {
        match self {
            Self::Directory(entries) => Some(entries),
            Self::File(_) | Self::Symlink => None,
        }
    }
}

impl Change {
    /// Returns whether a sync of `ino` writes it.
    fn is_of(&self, file: Ino) -> bool {
        match self {
            Self::Link { dir, .. } | Self::Unlink { dir, .. } => *dir == file,
            Self::Move { from, to, .. } => *from == file || *to == file,
            Self::Content { dropped: true, .. } => false,
            Self::Mode { ino, .. } | Self::Xattr { ino, .. } | Self::Content { ino, .. } => {
                *ino == file
            }
        }
    }

    /// Returns the entries that it changes, and the file under them.
    fn places(&self) -> ([Option<(Ino, &OsStr)>; 2], Ino) {
        match self {
            Self::Link { dir, name, ino } | Self::Unlink { dir, name, ino } => {
                ([Some((*dir, name)), None], *ino)
            }
            Self::Move { from, name, to, new, ino } => {
                ([Some((*from, name)), Some((*to, new))], *ino)
            }
            Self::Mode { ino, .. } | Self::Xattr { ino, .. } | Self::Content { ino, .. } => {
                ([None, None], *ino)
            }
        }
    }

    /// Returns whether it can be on the disk only with `earlier`.
    fn needs(&self, earlier: &Self, order: &WriteOrder) -> bool {
        if order.depends_on(self, earlier) {
            return true;
        }
        let (mine, ino) = self.places();
        let (theirs, other) = earlier.places();
        if mine[0].is_none() || theirs[0].is_none() {
            // Permissions and content do not wait for a name; the last of several counts.
            let same = std::mem::discriminant(self) == std::mem::discriminant(earlier);
            return same && ino == other;
        }
        let same_name = mine.iter().flatten().any(|place| theirs.contains(&Some(*place)));
        let empties = matches!(self, Self::Unlink { .. }) && earlier.is_of(ino);
        same_name || ino == other || empties
    }

    fn apply(&self, tree: &mut Tree) {
        match self {
            Self::Link { dir, name, ino } => {
                link(tree, *dir, name, *ino);
                // A subvolume is created with its group.
                tree[*ino]
                    .xattrs
                    .entry(GROUP.to_owned())
                    .and_modify(|group| *group = THERE.to_vec());
            }
            Self::Unlink { dir, name, .. } => unlink(tree, *dir, name),
            Self::Move { from, name, to, new, ino } => {
                unlink(tree, *from, name);
                link(tree, *to, new, *ino);
            }
            Self::Mode { ino, mode } => tree[*ino].mode = *mode,
            Self::Xattr { ino, key, value } => {
                tree[*ino].xattrs.insert(key.clone(), value.clone());
            }
            Self::Content { ino, content, .. } => tree[*ino].node = Node::File(content.clone()),
        }
    }
}

impl Disk {
    /// Creates an empty disk with a root directory.
    pub(crate) fn new() -> Self {
        let root = Inode::of(Node::Directory(BTreeMap::new()), 0o755);
        Self {
            now: vec![root.clone()],
            safe: vec![root],
            parents: vec![ROOT],
            pending: Vec::new(),
            order: WriteOrder { places: vec![ROOT], ..WriteOrder::default() },
            changes: 0,
        }
    }

    /// Marks a directory that is never synced, on a filesystem with transactions.
    pub(crate) fn leave_to_transactions(&mut self, folder: Ino) {
        self.order.folders.insert(folder);
    }

    /// Creates a subvolume with a quota group.
    pub(crate) fn make_subvolume(&mut self, dir: Ino, name: &OsStr, mode: u32) {
        let ino = self.now.len();
        self.order.subvolumes.insert(ino);
        for tree in [&mut self.safe, &mut self.now] {
            let mut made = Inode::of(Node::Directory(BTreeMap::new()), mode);
            made.xattrs.insert(GROUP.to_owned(), Vec::new());
            tree.push(made);
        }
        self.record_filesystem(dir, ino);
        self.change(Change::Link { dir, name: name.to_owned(), ino });
    }

    /// Returns whether this is a subvolume.
    pub(crate) fn is_subvolume(&self, ino: Ino) -> bool {
        self.order.subvolumes.contains(&ino)
    }

    /// Returns whether it contains other subvolumes.
    pub(crate) fn has_subvolumes_in(&self, dir: Ino) -> bool {
        let entries = self.now[dir].node.entries().into_iter().flatten();
        entries.into_iter().any(|(_, ino)| self.is_subvolume(*ino) || self.has_subvolumes_in(*ino))
    }

    /// Returns whether this subvolume has a group.
    pub(crate) fn has_group(&self, ino: Ino) -> bool {
        self.is_subvolume(ino) && self.now[ino].xattrs[GROUP] == THERE
    }

    /// Removes the group of a subvolume.
    pub(crate) fn remove_group(&mut self, ino: Ino) {
        self.set_xattr(ino, GROUP, b"");
    }

    /// Returns whether a path leads to this file.
    pub(crate) fn is_linked(&self, ino: Ino) -> bool {
        ino == ROOT
            || self.now[self.parents[ino]]
                .node
                .entries()
                .is_some_and(|entries| entries.values().any(|at| *at == ino))
                && self.is_linked(self.parents[ino])
    }

    /// Returns all subvolumes that ever existed.
    pub(crate) fn subvolumes(&self) -> impl Iterator<Item = Ino> + '_ {
        self.order.subvolumes.iter().copied()
    }

    /// Returns a file as processes see it.
    pub(crate) fn see(&self, ino: Ino) -> &Inode {
        &self.now[ino]
    }

    /// Returns the file `name` in `dir`, as processes see it.
    pub(crate) fn find(&self, dir: Ino, name: &OsStr) -> Option<Ino> {
        self.now[dir].node.entries()?.get(name).copied()
    }

    /// Returns the path of a directory, as processes see it.
    pub(crate) fn path(&self, dir: Ino) -> Vec<OsString> {
        let (mut path, mut at) = (Vec::new(), dir);
        while at != ROOT {
            path.push(self.name(at));
            at = self.parents[at];
        }
        path.reverse();
        path
    }

    /// Returns the directory of a file, as processes see it.
    pub(crate) fn parent(&self, ino: Ino) -> Ino {
        self.parents[ino]
    }

    /// Returns the name of a file in its directory.
    pub(crate) fn name(&self, ino: Ino) -> OsString {
        let mut entries = self.now[self.parents[ino]].node.entries().into_iter().flatten();
        let name = entries.find(|(_, at)| **at == ino).map(|(name, _)| name.clone());
        name.unwrap_or_else(|| OsString::from("(removed)"))
    }

    /// Creates a file or directory.
    pub(crate) fn make(&mut self, dir: Ino, name: &OsStr, node: Node, mode: u32) -> Ino {
        let ino = self.now.len();
        let blank = match &node {
            Node::File(_) => Node::File(Vec::new()),
            other => other.clone(),
        };
        // Unreachable on the disk until its entry is written.
        self.safe.push(Inode::of(blank.clone(), mode));
        self.now.push(Inode::of(blank, mode));
        self.record_filesystem(dir, ino);
        self.change(Change::Link { dir, name: name.to_owned(), ino });
        if let Node::File(content) = node
            && !content.is_empty()
        {
            self.write(ino, content);
        }
        ino
    }

    pub(crate) fn remove(&mut self, dir: Ino, name: &OsStr) {
        if let Some(ino) = self.find(dir, name) {
            self.change(Change::Unlink { dir, name: name.to_owned(), ino });
        }
    }

    /// Removes the contents of a directory, innermost first.
    pub(crate) fn empty(&mut self, dir: Ino) {
        let entries = self.now[dir].node.entries().cloned().unwrap_or_default();
        for (name, ino) in entries {
            self.empty(ino);
            self.remove(dir, &name);
        }
    }

    pub(crate) fn rename(&mut self, (from, name): (Ino, &OsStr), (to, new): (Ino, &OsStr)) {
        if let Some(ino) = self.find(from, name) {
            self.parents[ino] = to;
            let (name, new) = (name.to_owned(), new.to_owned());
            self.change(Change::Move { from, name, to, new, ino });
        }
    }

    pub(crate) fn write(&mut self, ino: Ino, content: Vec<u8>) {
        self.change(Change::Content { ino, content, dropped: false });
    }

    pub(crate) fn chmod(&mut self, ino: Ino, mode: u32) {
        self.change(Change::Mode { ino, mode });
    }

    pub(crate) fn set_xattr(&mut self, ino: Ino, key: &str, value: &[u8]) {
        self.change(Change::Xattr { ino, key: key.to_owned(), value: value.to_vec() });
    }

    /// Writes the changes of this file or directory, and all that they depend on.
    pub(crate) fn sync(&mut self, ino: Ino) {
        let mut written: Vec<_> = self.pending.iter().map(|change| change.is_of(ino)).collect();
        for (at, later) in self.pending.iter().enumerate().rev() {
            if written[at] {
                let needed = |earlier: &Change| later.needs(earlier, &self.order);
                let earlier = self.pending[..at].iter().zip(&mut written);
                earlier.for_each(|(earlier, written)| *written |= needed(earlier));
            }
        }
        self.keep(|at| written[at]);
    }

    /// Fails a sync: the written data may never reach the disk.
    pub(crate) fn fail_sync(&mut self, file: Ino) {
        for change in &mut self.pending {
            if let Change::Content { ino, dropped, .. } = change {
                *dropped |= *ino == file;
            }
        }
    }

    /// Writes all changes, as a kernel does after some seconds.
    pub(crate) fn settle(&mut self) {
        self.keep(|_| true);
    }

    /// Cuts the power.
    pub(crate) fn cut(&mut self, cut: Cut) {
        let mut random = match cut {
            Cut::Nothing | Cut::Everything => Random::new(0),
            Cut::Some(seed) => Random::new(seed),
        };
        let mut lost: Vec<Change> = Vec::new();
        let pending = std::mem::take(&mut self.pending);
        for change in pending {
            let chosen = match cut {
                Cut::Nothing => false,
                Cut::Everything => true,
                Cut::Some(_) => random.one_in(2),
            };
            if !chosen || lost.iter().any(|earlier| change.needs(earlier, &self.order)) {
                lost.push(change);
                continue;
            }
            match change {
                Change::Content { ino, content, dropped } => {
                    let content = torn(content, cut, &mut random);
                    Change::Content { ino, content, dropped }.apply(&mut self.safe);
                }
                other => other.apply(&mut self.safe),
            }
        }
        self.now.clone_from(&self.safe);
        self.find_parents();
    }

    /// Returns the tree that a power cut would leave now if no unsynced change survived it.
    pub(crate) fn worst(&self) -> &Tree {
        &self.safe
    }

    /// Returns the number of changes.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Records the filesystem of a new file. Each directory below the root is one.
    fn record_filesystem(&mut self, dir: Ino, ino: Ino) {
        self.parents.push(dir);
        self.order.places.push(if dir == ROOT { ino } else { self.order.places[dir] });
    }

    fn change(&mut self, change: Change) {
        self.changes += 1;
        change.apply(&mut self.now);
        self.pending.push(change);
    }

    /// Writes the pending changes that `choose` picks.
    fn keep(&mut self, choose: impl Fn(usize) -> bool) {
        let pending = std::mem::take(&mut self.pending);
        for (at, change) in pending.into_iter().enumerate() {
            match choose(at) {
                true => change.apply(&mut self.safe),
                false => self.pending.push(change),
            }
        }
    }

    fn find_parents(&mut self) {
        for (dir, inode) in self.now.iter().enumerate() {
            for ino in inode.node.entries().into_iter().flat_map(BTreeMap::values) {
                self.parents[*ino] = dir;
            }
        }
    }
}

impl WriteOrder {
    /// Returns whether `later` can be on the disk only with `earlier`, although they concern
    /// different files.
    fn depends_on(&self, later: &Change, earlier: &Change) -> bool {
        let with_transaction = |change: &Change| match change {
            Change::Link { dir, ino, .. } | Change::Unlink { dir, ino, .. } => {
                self.folders.contains(dir) || self.subvolumes.contains(ino)
            }
            Change::Xattr { key, .. } => key == GROUP,
            _ => false,
        };
        let place = |change: &Change| self.places[change.places().1];
        // A moved file needs the directory that it was moved to.
        if let (Change::Move { to, .. }, Change::Link { ino, .. }) = (later, earlier)
            && to == ino
            && self.subvolumes.iter().any(|subvolume| self.places[*subvolume] == place(later))
        {
            return true;
        }
        with_transaction(later)
            && place(later) == place(earlier)
            && (with_transaction(earlier) || earlier.places().0[0].is_some())
    }
}

impl Inode {
    fn of(node: Node, mode: u32) -> Self {
        Self { node, mode, xattrs: BTreeMap::new() }
    }
}

/// Returns what a power cut leaves of a file's unsynced content.
fn torn(content: Vec<u8>, cut: Cut, random: &mut Random) -> Vec<u8> {
    if cut == Cut::Everything {
        return content;
    }
    match random.below(3) {
        0 => content,
        1 => content[..content.len() / 2].to_vec(),
        _ => vec![0; content.len()],
    }
}

fn link(tree: &mut Tree, dir: Ino, name: &OsStr, ino: Ino) {
    if let Node::Directory(entries) = &mut tree[dir].node {
        entries.insert(name.to_owned(), ino);
    }
}

fn unlink(tree: &mut Tree, dir: Ino, name: &OsStr) {
    if let Node::Directory(entries) = &mut tree[dir].node {
        entries.remove(name);
    }
}

/// Reproducible random numbers (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}
