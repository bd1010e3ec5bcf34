//! Removes what a killed cluster leaves outside its namespaces: network link, control groups, loop
//! devices and mounts with the cluster's name. Errors are ignored, because they may belong to
//! another user or be removed already.

use std::path::Path;

use super::cgroups;
use super::network::machine_end;
use crate::process::Invocation;

/// Removes what is left of the cluster with this id and directory.
pub(crate) fn clear(id: &str, state: &Path) {
    remove_link(id);
    cgroups::remove(id);
    detach_loop_devices(state);
    unmount(state);
}

fn remove_link(id: &str) {
    let end = machine_end(id);
    if Path::new("/sys/class/net").join(&end).exists() {
        drop(Invocation::new("ip").args(["link", "delete", &end]).run_blocking());
    }
}

fn detach_loop_devices(state: &Path) {
    let devices = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    for device in devices.map(|entry| entry.path()) {
        let file = std::fs::read_to_string(device.join("loop/backing_file")).unwrap_or_default();
        if let Some(name) = device.file_name()
            && Path::new(file.trim_end()).starts_with(state)
        {
            let path = Path::new("/dev").join(name).display().to_string();
            drop(Invocation::new("losetup").args(["--detach", &path]).run_blocking());
        }
    }
}

fn unmount(state: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let mut own: Vec<&str> = points.filter(|point| Path::new(point).starts_with(state)).collect();
    // Later mounts may be on earlier ones.
    own.reverse();
    for point in own {
        drop(Invocation::new("umount").args(["--lazy", point]).run_blocking());
    }
}
