//! Which numbers the kernel says are in use, and which one a new volume gets.

use crate::same;
use crate::scene::{MIB, Scene, until};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::volume::VolumeId;
use fastrak_store::host::quota::{Limits, Usage, project};
use fastrak_store::volumes::quota::projects;
use rustix::fd::AsFd as _;
use rustix::io::Errno;
use std::fs::remove_dir_all;

/// What there is of a number that nobody has.
const NOTHING: Usage = Usage { used: 0, inodes: Some(0), limit: None, inode_limit: None };

pub(super) fn are_listed(scene: &Scene) -> Result<()> {
    let volumes = [scene.volume(MIB)?, scene.volume(MIB)?, scene.volume(MIB)?];
    let root = scene.root()?;
    let mut from = volumes[0].project;
    for volume in &volumes {
        let next = project::next_used(root.as_fd(), from)?;
        same("the next in use", &next, &Some(volume.project))?;
        from = volume.project + 1;
    }
    same("in use after the last", &project::next_used(root.as_fd(), from)?, &None)?;
    same("after the last number of all", &project::next_used(root.as_fd(), u32::MAX)?, &None)
}

pub(super) fn asking_uses_none(scene: &Scene) -> Result<()> {
    let (root, number) = (scene.root()?, scene.number());
    same("of a new number", &project::usage(root.as_fd(), number)?, &NOTHING)?;
    same("in use", &project::next_used(root.as_fd(), number)?, &None)
}

pub(super) fn are_chosen(scene: &Scene) -> Result<()> {
    let root = scene.root()?;
    let id = VolumeId::parse("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59")?;
    let choose = || {
        let chosen = projects::choose(&id, |number| {
            Ok::<_, Errno>(project::next_used(root.as_fd(), number)? == Some(number))
        });
        chosen?.context("every number is taken")
    };
    let first = choose()?;
    project::limit(root.as_fd(), first, Limits::bytes(MIB))?;
    let second = choose()?;
    ensure!(
        second == first + 1 || first == *projects::PROJECT_IDS.end(),
        "{first:x}, then {second:x}"
    );
    project::limit(root.as_fd(), first, Limits::NONE)?;
    same("chosen when it is free again", &choose()?, &first)
}

pub(super) fn are_forgotten(scene: &Scene) -> Result<()> {
    let volume = scene.volume(4 * MIB)?;
    volume.file("file")?;
    let (root, number) = (scene.root()?, volume.project);
    drop(volume.dir);
    remove_dir_all(&volume.path)?;
    until("the last file is no longer counted", || {
        Ok(project::usage(root.as_fd(), number)?.inodes == Some(0))
    })?;
    same("with its limit", &project::next_used(root.as_fd(), number)?, &Some(number))?;
    project::limit(root.as_fd(), number, Limits::NONE)?;
    same("without", &project::next_used(root.as_fd(), number)?, &None)?;
    same("what it holds", &project::usage(root.as_fd(), number)?, &NOTHING)
}

pub(super) fn stay_with_a_file(scene: &Scene) -> Result<()> {
    let volume = scene.volume(4 * MIB)?;
    let root = scene.root()?;
    // Empty, without a limit, and of another owner than its directory: one inode is enough.
    let file = volume.file("file")?;
    project::limit(root.as_fd(), volume.project, Limits::NONE)?;
    project::set_project(volume.dir.as_fd(), 0, false)?;
    same("in use", &project::next_used(root.as_fd(), volume.project)?, &Some(volume.project))?;
    let usage = project::usage(file.as_fd(), volume.project)?;
    same("what it holds", &(usage.inodes, usage.limit), &(Some(1), None))
}
