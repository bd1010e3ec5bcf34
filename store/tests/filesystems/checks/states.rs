//! What a filesystem is seen to do with projects, mounted in every way that there is.

use super::store;
use crate::same;
use crate::scene::{Filesystem, MIB, Scene, fill};
use anyhow::{Context as _, Result, ensure};
use fastrak_store::host::quota::{Limits, QuotaUnavailable, Support, project};
use fastrak_testkit::uml::inside::Inside;
use rustix::fd::AsFd as _;
use std::fs::File;

/// Projects are counted, and limits are not enforced.
const COUNTED: Support = Support::None(QuotaUnavailable::ProjectsOff);
/// Projects are not counted.
const OFF: Support = Support::None(QuotaUnavailable::Unsupported);

pub(super) fn is_seen_to_enforce(scene: &Scene) -> Result<()> {
    let state = project::support(scene.root()?.as_fd(), true)?;
    same("its state", &state, &Support::Projects)
}

pub(super) fn xfs_without_option(inside: &Inside) -> Result<()> {
    mounted_as(inside, ('a', "xfs", ""), OFF)
}

pub(super) fn xfs_only_counting(inside: &Inside) -> Result<()> {
    mounted_as(inside, ('a', "xfs", "pqnoenforce"), COUNTED)
}

pub(super) fn ext4_without_option(inside: &Inside) -> Result<()> {
    mounted_as(inside, ('b', "ext4", ""), COUNTED)
}

pub(super) fn ext4_without_feature(inside: &Inside) -> Result<()> {
    mounted_as(inside, ('c', "ext4", ""), OFF)
}

pub(super) fn memory(inside: &Inside) -> Result<()> {
    let path = inside.directory("memory")?;
    let folder = File::open(&path)?;
    same("its state", &project::support(folder.as_fd(), false)?, &OFF)?;
    store::says_what_is_lacking(&path, "no quotas that the agent can set")
}

/// Mounts a disk so, and says what it is seen to do. Where it does nothing, it must say no.
fn mounted_as(
    inside: &Inside,
    (letter, kind, options): (char, &str, &str),
    wanted: Support,
) -> Result<()> {
    let point = inside.mount(letter, kind, options)?;
    let outcome = (|| {
        let root = File::open(&point)?;
        same("its state", &project::support(root.as_fd(), false)?, &wanted)?;
        let limited = project::limit(root.as_fd(), 7, Limits::bytes(MIB));
        ensure!(wanted != OFF || limited.is_err(), "a limit was accepted");
        if limited.is_ok() {
            project::limit(root.as_fd(), 7, Limits::NONE)?;
        }
        store::says_what_is_lacking(&point, "mount it with prjquota")
    })();
    inside.unmount(&point)?;
    outcome
}

pub(super) fn xfs_mounted_again(inside: &Inside) -> Result<()> {
    mounted_again(inside, Filesystem::Xfs)
}

pub(super) fn ext4_mounted_again(inside: &Inside) -> Result<()> {
    mounted_again(inside, Filesystem::Ext4)
}

fn mounted_again(inside: &Inside, on: Filesystem) -> Result<()> {
    let mut scene = Scene::new(on, inside.mount(on.letter(), on.kind(), "prjquota")?);
    // Beyond the numbers of all other checks.
    let number = 0x7FFF_FFF0;
    scene.from(number);
    let volume = scene.volume(8 * MIB)?;
    let mut file = volume.file("kept")?;
    fill(&mut file, 3 * MIB);
    file.sync_all()?;
    // XFS reserves more than a file needs while it is open.
    drop(file);
    let (project, before) = (volume.project, volume.usage()?);
    ensure!(before.used >= 3 * MIB && before.limit == Some(8 * MIB), "{before:?}");
    drop(volume);
    inside.unmount(&scene.root)?;

    let root = inside.mount(on.letter(), on.kind(), "prjquota").context("mount it again")?;
    let dir = File::open(&root)?;
    let after = project::usage(dir.as_fd(), project)?;
    let listed = project::next_used(dir.as_fd(), number)?;
    drop(dir);
    inside.unmount(&root)?;
    same("what it holds", &after, &before)?;
    same("the number in use", &listed, &Some(project))
}
