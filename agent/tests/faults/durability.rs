//! Tests of the disk model: unsynced changes can be lost, synced ones cannot.

use crate::disk::{Cut, Disk, Ino, Node, ROOT};
use std::collections::BTreeMap;
use std::ffi::OsStr;

fn directory(disk: &mut Disk, dir: Ino, name: &str) -> Ino {
    disk.make(dir, OsStr::new(name), Node::Directory(BTreeMap::new()), 0o700)
}

fn file(disk: &mut Disk, dir: Ino, name: &str) -> Ino {
    disk.make(dir, OsStr::new(name), Node::File(b"content".to_vec()), 0o600)
}

fn there(disk: &Disk, dir: Ino, name: &str) -> bool {
    disk.find(dir, OsStr::new(name)).is_some()
}

fn content(disk: &Disk, ino: Ino) -> &[u8] {
    match &disk.see(ino).node {
        Node::File(content) => content,
        Node::Directory(_) | Node::Symlink => panic!("it is no file"),
    }
}

#[test]
fn unsynced_changes_are_lost() {
    let mut disk = Disk::new();
    let synced = file(&mut disk, ROOT, "synced");
    disk.sync(synced);
    disk.sync(ROOT);
    let nameless = file(&mut disk, ROOT, "nameless");
    disk.sync(nameless);
    let hollow = file(&mut disk, ROOT, "hollow");
    disk.sync(ROOT);
    file(&mut disk, ROOT, "new");
    disk.chmod(synced, 0o777);
    disk.cut(Cut::Nothing);
    assert!(there(&disk, ROOT, "synced") && there(&disk, ROOT, "nameless"));
    assert!(there(&disk, ROOT, "hollow") && !there(&disk, ROOT, "new"));
    assert_eq!(content(&disk, synced), b"content");
    assert_eq!(content(&disk, hollow), b"", "its content was not synced");
    assert_eq!(disk.see(synced).mode, 0o600);
}

#[test]
fn an_unsynced_name_of_a_synced_file_is_lost() {
    let mut disk = Disk::new();
    let dir = directory(&mut disk, ROOT, "dir");
    let inner = file(&mut disk, dir, "file");
    disk.sync(inner);
    disk.sync(dir);
    disk.cut(Cut::Nothing);
    assert!(!there(&disk, ROOT, "dir"));
}

#[test]
fn a_rename_is_atomic() {
    for cut in (0..64).map(Cut::Some).chain([Cut::Nothing, Cut::Everything]) {
        let mut disk = Disk::new();
        let (from, to) = (directory(&mut disk, ROOT, "from"), directory(&mut disk, ROOT, "to"));
        directory(&mut disk, from, "x");
        disk.settle();
        disk.rename((from, OsStr::new("x")), (to, OsStr::new("y")));
        disk.cut(cut);
        assert_ne!(there(&disk, from, "x"), there(&disk, to, "y"), "{cut:?}");
    }
}

#[test]
fn a_sync_of_either_directory_writes_a_rename_and_its_dependencies() {
    for which in 0..2 {
        let mut disk = Disk::new();
        let dirs = [directory(&mut disk, ROOT, "from"), directory(&mut disk, ROOT, "to")];
        disk.settle();
        directory(&mut disk, dirs[0], "x");
        disk.rename((dirs[0], OsStr::new("x")), (dirs[1], OsStr::new("y")));
        disk.sync(dirs[which]);
        disk.cut(Cut::Nothing);
        assert!(there(&disk, dirs[1], "y") && !there(&disk, dirs[0], "x"));
    }
}

#[test]
fn some_cut_keeps_a_later_change_and_loses_an_earlier_one() {
    let reordered = (0..64).any(|seed| {
        let mut disk = Disk::new();
        file(&mut disk, ROOT, "earlier");
        file(&mut disk, ROOT, "later");
        disk.cut(Cut::Some(seed));
        there(&disk, ROOT, "later") && !there(&disk, ROOT, "earlier")
    });
    assert!(reordered);
}

#[test]
fn no_cut_keeps_a_change_without_its_dependencies() {
    for seed in 0..256 {
        let mut disk = Disk::new();
        let dir = directory(&mut disk, ROOT, "dir");
        file(&mut disk, dir, "file");
        disk.settle();
        disk.remove(dir, OsStr::new("file"));
        disk.remove(ROOT, OsStr::new("dir"));
        directory(&mut disk, ROOT, "dir");
        disk.cut(Cut::Some(seed));
        if disk.find(ROOT, OsStr::new("dir")) != Some(dir) {
            let left = disk.worst()[dir].node.entries().map(BTreeMap::len);
            assert_eq!(left, Some(0), "seed {seed}: removed before it was empty");
        }
    }
}

#[test]
fn some_cut_leaves_a_partly_written_file() {
    let lengths: std::collections::BTreeSet<_> = (0..64)
        .map(|seed| {
            let mut disk = Disk::new();
            let ino = file(&mut disk, ROOT, "file");
            disk.sync(ROOT);
            disk.cut(Cut::Some(seed));
            content(&disk, ino).to_vec()
        })
        .collect();
    let wanted = [vec![], vec![0; 7], b"con".to_vec(), b"content".to_vec()];
    assert_eq!(lengths, wanted.into());
}

#[test]
fn the_next_sync_does_not_write_the_data_of_a_failed_one() {
    let mut disk = Disk::new();
    let ino = file(&mut disk, ROOT, "file");
    disk.sync(ROOT);
    disk.fail_sync(ino);
    disk.sync(ino);
    assert_eq!(content(&disk, ino), b"content", "as processes see it");
    disk.cut(Cut::Nothing);
    assert_eq!(content(&disk, ino), b"");
}
