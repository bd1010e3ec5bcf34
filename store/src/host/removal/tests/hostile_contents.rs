//! Contents that tenants leave and that resist removal, removed with the rights of the agent's pod.

use super::*;
use fastrak_testkit::environment::missing;
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount};
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities, set_capabilities};
use std::fs::{File, Permissions, create_dir_all, set_permissions, write};
use std::os::unix::fs::chown;
use std::path::Path;

/// The capabilities that `deploy/base/agent.yaml` gives the agent.
const OF_THE_AGENT: CapabilitySet = CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::FOWNER);

/// Reduces the rights of this thread to these. Returns whether that was possible.
fn with_only(rights: CapabilitySet) -> bool {
    let mut sets = capabilities(None).unwrap();
    if !sets.permitted.contains(rights) {
        return false;
    }
    sets.effective = rights;
    set_capabilities(None, sets).is_ok()
}

/// Sets inode flags as `chattr` does. Returns whether the machine allows it.
fn mark(path: &Path, marks: IFlags) -> bool {
    let file = File::open(path).unwrap();
    ioctl_getflags(&file).is_ok_and(|flags| ioctl_setflags(&file, flags | marks).is_ok())
}

fn unmark(path: &Path) {
    let file = File::open(path).unwrap();
    let flags = ioctl_getflags(&file).unwrap();
    ioctl_setflags(&file, flags - (IFlags::IMMUTABLE | IFlags::APPEND)).unwrap();
}

/// Creates immutable and append-only files and directories among ordinary ones. Returns the
/// protected paths, or `None` if flags cannot be set.
fn marked(scene: &Scene) -> Option<[PathBuf; 4]> {
    let data = scene.data();
    create_dir_all(data.join("folder/inner/most")).unwrap();
    create_dir_all(data.join("log")).unwrap();
    for file in ["locked", "growing", "other", "folder/file", "folder/inner/most/file", "log/x"] {
        write(data.join(file), "").unwrap();
    }
    let marked = ["locked", "growing", "folder", "log"].map(|name| data.join(name));
    let marks = [IFlags::IMMUTABLE, IFlags::APPEND, IFlags::IMMUTABLE, IFlags::APPEND];
    let all = marked.iter().zip(marks).all(|(path, marks)| mark(path, marks));
    all.then_some(marked)
}

#[test]
fn immutable_and_append_only_entries_are_reported_and_the_rest_is_removed() {
    let scene = Scene::new();
    let (Some(marked), true) = (marked(&scene), with_only(OF_THE_AGENT)) else {
        return drop(missing("only root can mark files, where the filesystem has marks"));
    };
    let (_, last) = scene.remove(Budget::UNLIMITED);
    let Progress::Blocked(obstacle) = last else { panic!("{last:?}") };
    assert_eq!(obstacle.errno, Errno::PERM);
    assert!(obstacle.path.starts_with(scene.data()), "{obstacle}");
    assert!(
        obstacle.to_string().ends_with("immutable or append-only: chattr -R -ia)"),
        "{obstacle}"
    );
    assert!(!scene.data().join("other").exists());
    // Entries of an immutable directory stay, but entries of its subdirectories are removed.
    assert!(scene.data().join("folder/file").exists());
    assert!(!scene.data().join("folder/inner/most").exists());
    assert!(with_only(CapabilitySet::DAC_OVERRIDE | CapabilitySet::LINUX_IMMUTABLE));
    marked.iter().for_each(|path| unmark(path));
    assert!(with_only(OF_THE_AGENT));
    assert_eq!(scene.remove(Budget::UNLIMITED).1, Progress::Removed);
    scene.assert_all_gone_and_precious_kept();
}

#[test]
fn with_cap_linux_immutable_protected_files_are_removed() {
    let scene = Scene::new();
    let rights = OF_THE_AGENT | CapabilitySet::LINUX_IMMUTABLE;
    let (Some(_), true) = (marked(&scene), with_only(rights)) else {
        return drop(missing("only root can mark files, where the filesystem has marks"));
    };
    assert_eq!(scene.remove(Budget::UNLIMITED).1, Progress::Removed);
    scene.assert_all_gone_and_precious_kept();
}

#[test]
fn closed_and_sticky_directories_are_no_obstacle() {
    let scene = Scene::new();
    let closed = scene.data().join("closed");
    let sticky = scene.data().join("sticky");
    create_dir_all(closed.join("inner/most")).unwrap();
    create_dir_all(sticky.join("of another")).unwrap();
    write(sticky.join("file"), "").unwrap();
    let owned = [(closed.join("inner"), 1001), (closed.clone(), 1000), (sticky.join("file"), 1002)];
    let more = [(sticky.join("of another"), 1003), (sticky.clone(), 1000)];
    let given = owned.iter().chain(&more).all(|(path, id)| chown(path, Some(*id), None).is_ok());
    set_permissions(closed.join("inner"), Permissions::from_mode(0o000)).unwrap();
    set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    set_permissions(&sticky, Permissions::from_mode(0o1777)).unwrap();
    if !given || !with_only(OF_THE_AGENT) {
        set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
        return drop(missing("only root can give files to others"));
    }
    assert_eq!(scene.remove(Budget::UNLIMITED).1, Progress::Removed);
    scene.assert_all_gone_and_precious_kept();
}

/// Gives this thread a private mount namespace. Returns whether that was possible.
fn unshare_mounts() -> bool {
    // SAFETY: only the mounts and the working directory become private to this thread. Its descriptors
    // stay those of the process.
    #[expect(unsafe_code, reason = "a mount namespace for one thread")]
    let unshared = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) };
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    unshared.is_ok() && mount_change("/", private).is_ok()
}

#[test]
fn a_mount_in_a_volume_is_reported_and_never_entered() {
    let scene = Scene::new();
    if !unshare_mounts() {
        return drop(missing("only root can mount"));
    }
    let points = ["folder", "deep/inner"].map(|name| scene.data().join(name));
    points.iter().for_each(|point| create_dir_all(point).unwrap());
    points.iter().for_each(|point| mount_bind(scene.precious(), point).unwrap());
    let file = scene.data().join("file");
    write(&file, "").unwrap();
    mount_bind(scene.precious().join("file"), &file).unwrap();
    write(scene.data().join("other"), "").unwrap();
    let (_, last) = scene.remove(Budget::UNLIMITED);
    let Progress::Blocked(obstacle) = last else { panic!("{last:?}") };
    assert_eq!(obstacle.errno, Errno::BUSY);
    assert!(
        obstacle.to_string().ends_with("(a filesystem is mounted on it: umount)"),
        "{obstacle}"
    );
    assert!(!scene.data().join("other").exists());
    scene.assert_precious_kept();
    for point in points.iter().chain([&file]) {
        unmount(point, UnmountFlags::empty()).unwrap();
    }
    assert_eq!(scene.remove(Budget::UNLIMITED).1, Progress::Removed);
    scene.assert_all_gone_and_precious_kept();
}

#[test]
fn a_mount_that_appears_before_opening_is_not_entered() {
    let scene = Scene::new();
    if !unshare_mounts() {
        return drop(missing("only root can mount"));
    }
    // Not empty, so its removal fails with and without the mount.
    let point = scene.data().join("folder");
    create_dir_all(point.join("inner")).unwrap();
    mount_bind(scene.precious(), &point).unwrap();
    let opened =
        Dir::open_at(&Kernel, &scene.data()).unwrap().open_same_mount(OsStr::new("folder"));
    assert_eq!(opened.unwrap_err(), Errno::XDEV);
    unmount(&point, UnmountFlags::empty()).unwrap();
}

#[test]
fn flags_of_a_mount_over_a_protected_file_stay() {
    let scene = Scene::new();
    let (file, precious) = (scene.data().join("file"), scene.precious().join("file"));
    write(&file, "").unwrap();
    if !mark(&file, IFlags::IMMUTABLE) || !mark(&precious, IFlags::IMMUTABLE) || !unshare_mounts() {
        return drop(missing("only root can mark files and mount"));
    }
    mount_bind(&precious, &file).unwrap();
    let (_, last) = scene.remove(Budget::UNLIMITED);
    let is_marked = ioctl_getflags(File::open(&precious).unwrap()).unwrap();
    unmount(&file, UnmountFlags::empty()).unwrap();
    unmark(&precious);
    assert!(matches!(last, Progress::Blocked(_)), "{last:?}");
    assert!(is_marked.contains(IFlags::IMMUTABLE));
    scene.assert_precious_kept();
    assert_eq!(scene.remove(Budget::UNLIMITED).1, Progress::Removed);
    scene.assert_all_gone_and_precious_kept();
}
