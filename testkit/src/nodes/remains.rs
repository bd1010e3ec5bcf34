//! What a cluster can leave on the machine that its namespaces do not take along, found by the
//! cluster's name: its end of the link, control groups, loop devices, mounts.
//!
//! It touches nothing that does not bear the name, and reports nothing: what is not there, or not
//! ours to remove, is not an error.

use std::path::Path;

use super::cgroups;
use super::network::machine_end;
use crate::process::Invocation;

/// Clears away what is left of the cluster with this id and folder.
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
    // What was mounted last may lie on what was mounted before.
    own.reverse();
    for point in own {
        drop(Invocation::new("umount").args(["--lazy", point]).run_blocking());
    }
}
