mod concurrent_changes;
mod hostile_contents;
mod race;
mod subvolumes;

use super::*;
use crate::host::Kernel;
use rustix::fs::{CWD, Mode, mkfifoat};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("trash/volume/data")).unwrap();
        std::fs::create_dir(folder.path().join("precious")).unwrap();
        std::fs::write(folder.path().join("precious/file"), "keep").unwrap();
        Self { folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("trash/volume/data")
    }

    fn precious(&self) -> PathBuf {
        self.folder.path().join("precious")
    }

    fn trash(&self) -> Dir {
        Dir::open_at(&Kernel, &self.folder.path().join("trash")).unwrap()
    }

    /// Steps until nothing is left to do. Returns the number of steps and the last result.
    fn remove(&self, budget: impl Into<Budget> + Copy) -> (usize, Progress) {
        let trash = self.trash();
        let mut removal = Removal::new(OsStr::new("volume"), SubvolumeRecords::NotNeeded);
        for steps in 1..100_000 {
            match removal.step(&trash, budget.into()) {
                Progress::More => {}
                last => return (steps, last),
            }
        }
        panic!("it never ends");
    }

    fn assert_all_gone_and_precious_kept(&self) {
        assert_eq!(self.trash().names(10).unwrap(), Vec::<OsString>::new());
        self.assert_precious_kept();
    }

    fn assert_precious_kept(&self) {
        assert_eq!(std::fs::read_to_string(self.precious().join("file")).unwrap(), "keep");
    }
}

#[test]
fn every_kind_of_entry_is_removed_and_nothing_outside() {
    let scene = Scene::new();
    let data = scene.data();
    symlink("/", data.join("root")).unwrap();
    symlink(scene.precious(), data.join("precious")).unwrap();
    symlink("nowhere", data.join("dangling")).unwrap();
    mkfifoat(CWD, data.join("pipe"), Mode::from_raw_mode(0o600)).unwrap();
    let _listener = UnixListener::bind(data.join("socket")).unwrap();
    std::fs::hard_link(scene.precious().join("file"), data.join("hard link")).unwrap();
    std::fs::write(data.join(OsStr::from_bytes(b"\xff\xc0\n\t")), "").unwrap();
    std::fs::write(data.join(".moved-0"), "in the way").unwrap();
    std::fs::create_dir(data.join("x".repeat(255))).unwrap();
    std::fs::write(data.join("x".repeat(255)).join("y".repeat(255)), "").unwrap();
    let closed = data.join("closed");
    std::fs::create_dir_all(closed.join("inner/most")).unwrap();
    std::fs::write(scene.folder.path().join("trash/volume/volume.json"), "{}").unwrap();
    assert_eq!(scene.remove(Budget::UNLIMITED), (1, Progress::Removed));
    scene.assert_all_gone_and_precious_kept();
}

#[test]
fn a_deep_tree_needs_few_descriptors_and_no_stack() {
    let scene = Scene::new();
    // Deeper than the longest path that the kernel accepts, and than the descriptor limit.
    let mut dir = Dir::open_at(&Kernel, &scene.data()).unwrap();
    for _ in 0..10_000 {
        dir = dir.make(OsStr::new("d"), 0o700).unwrap();
    }
    drop(dir);
    let (trash, mut removal) =
        (scene.trash(), Removal::new(OsStr::new("volume"), SubvolumeRecords::NotNeeded));
    let mut deepest = 0;
    while removal.step(&trash, Budget::from(100)) == Progress::More {
        deepest = deepest.max(removal.levels.len());
    }
    assert_eq!(deepest, MAX_DEPTH);
    assert_eq!(removal.removed(), 10_000 + 2);
    scene.assert_all_gone_and_precious_kept();
}

#[test]
fn small_steps_remove_the_same_as_a_large_one() {
    let scene = Scene::new();
    for outer in 0..10 {
        for inner in 0..10 {
            let folder = scene.data().join(format!("{outer}/{inner}/leaf"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("file"), "").unwrap();
        }
    }
    let (steps, last) = scene.remove(7);
    assert_eq!(last, Progress::Removed);
    assert!(steps > 40, "{steps}");
    scene.assert_all_gone_and_precious_kept();
}

#[test]
fn a_large_directory_is_read_once_and_not_for_each_step() {
    let scene = Scene::new();
    for number in 0..3_000 {
        std::fs::write(scene.data().join(format!("a file with some name {number}")), "").unwrap();
    }
    let (trash, mut removal) =
        (scene.trash(), Removal::new(OsStr::new("volume"), SubvolumeRecords::NotNeeded));
    let (mut readings, mut most, mut left) = (0, 0, 0);
    while removal.step(&trash, Budget::from(10)) == Progress::More {
        let names = removal.levels.iter().map(|level| level.names().len()).sum();
        readings += usize::from(names > left);
        left = names;
        most = most.max(names);
    }
    // Batches of some hundred names, read once each: not once for each of the 300 steps.
    assert!(most < 500 && readings < 60, "{most} {readings}");
    assert_eq!(removal.removed(), 3_000 + 2);
    scene.assert_all_gone_and_precious_kept();
}

#[test]
fn a_missing_tree_counts_as_removed() {
    let scene = Scene::new();
    assert_eq!(remove(&scene.trash(), OsStr::new("other"), SubvolumeRecords::NotNeeded), Ok(()));
}

#[test]
fn a_symlink_in_place_of_a_volume_is_removed_without_its_target() {
    let scene = Scene::new();
    let trash = scene.folder.path().join("trash");
    std::fs::remove_dir_all(trash.join("volume")).unwrap();
    symlink(scene.precious(), trash.join("volume")).unwrap();
    assert_eq!(scene.remove(Budget::UNLIMITED), (1, Progress::Removed));
    scene.assert_all_gone_and_precious_kept();
}

#[test]
fn an_obstacle_is_reported_and_the_rest_is_removed() {
    // A directory without permissions blocks every user but root.
    let scene = Scene::new();
    let closed = scene.data().join("closed");
    std::fs::create_dir_all(closed.join("inner")).unwrap();
    std::fs::write(scene.data().join("other"), "").unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    let (_, last) = scene.remove(Budget::UNLIMITED);
    if rustix::process::geteuid().is_root() {
        assert_eq!(last, Progress::Removed);
        return scene.assert_all_gone_and_precious_kept();
    }
    assert_eq!(last, Progress::Blocked(Obstacle { path: closed.clone(), errno: Errno::ACCESS }));
    assert!(!scene.data().join("other").exists());
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(scene.remove(Budget::UNLIMITED).1, Progress::Removed);
}
