//! What belongs to which volume, and who can change that.

use crate::same;
use crate::scene::{MIB, Scene, TENANT, as_tenant, fill, refusal};
use anyhow::{Context as _, Result, ensure};
use fastrak_store::host::quota::project;
use fastrak_testkit::process::Invocation;
use rustix::fd::AsFd as _;
use rustix::io::Errno;
use std::fs::{File, create_dir, create_dir_all, hard_link, read_dir, rename};
use std::path::Path;

fn project_at(path: &Path) -> Result<u32> {
    Ok(project::project_of(File::open(path)?.as_fd())?)
}

pub(super) fn follows_its_directory(scene: &Scene) -> Result<()> {
    let volume = scene.volume(8 * MIB)?;
    same("a root's project", &project_at(&scene.root)?, &0)?;
    same("its own", &project_at(&volume.path)?, &volume.project)?;
    let deep = volume.path.join("a/b/c");
    as_tenant(|| {
        create_dir_all(&deep)?;
        File::create(deep.join("file"))?;
        Ok(())
    })?;
    for path in ["a", "a/b", "a/b/c", "a/b/c/file"] {
        same(path, &project_at(&volume.path.join(path))?, &volume.project)?;
    }
    // What is made beside it is not its, and a directory that passes nothing on passes nothing on.
    let plain = scene.root.join("plain");
    create_dir(&plain)?;
    project::set_project(File::open(&plain)?.as_fd(), volume.project, false)?;
    File::create(plain.join("file"))?;
    same("of one that passes it on", &project_at(&plain.join("file"))?, &0)?;
    project::set_project(File::open(&plain)?.as_fd(), 0, false)?;
    Ok(())
}

pub(super) fn other_marks_stay(scene: &Scene) -> Result<()> {
    let path = scene.root.join("marked");
    create_dir(&path)?;
    let shown = path.display().to_string();
    Invocation::new("chattr").args(["+dA", &shown]).run_blocking()?;
    let dir = File::open(&path)?;
    project::set_project(dir.as_fd(), scene.number(), true)?;
    let marks = || -> Result<String> {
        let said = Invocation::new("lsattr").args(["-d", &shown]).run_blocking()?.stdout;
        Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
    };
    let with = marks()?;
    ensure!(['d', 'A', 'P'].iter().all(|mark| with.contains(*mark)), "{with}");
    project::set_project(dir.as_fd(), 0, false)?;
    let without = marks()?;
    ensure!(['d', 'A'].iter().all(|mark| without.contains(*mark)), "{without}");
    ensure!(!without.contains('P'), "{without}");
    Ok(())
}

pub(super) fn nothing_comes_from_another(scene: &Scene) -> Result<()> {
    let (from, to) = (scene.volume(8 * MIB)?, scene.volume(8 * MIB)?);
    from.file("file")?;
    as_tenant(|| {
        let (old, new) = (from.path.join("file"), to.path.join("file"));
        same("a rename", &refusal(rename(&old, &new)), &Some(Errno::XDEV))?;
        same("a link", &refusal(hard_link(&old, &new)), &Some(Errno::XDEV))?;
        rename(&old, from.path.join("other")).context("within one volume it is moved")
    })?;
    ensure!(read_dir(&to.path)?.next().is_none(), "something came over");
    Ok(())
}

pub(super) fn a_volume_moves_whole(scene: &Scene) -> Result<()> {
    // As the agent does it: a directory of the agent's own, in it the data, which is the project.
    let staging = scene.root.join(".staging");
    create_dir_all(staging.join("uid"))?;
    let volume = scene.volume(8 * MIB)?;
    let data = staging.join("uid/data");
    rename(&volume.path, &data).context("into a directory of no project")?;
    let mut file = File::create(data.join("file"))?;
    fill(&mut file, MIB);
    file.sync_all()?;
    let before = volume.usage()?;
    rename(staging.join("uid"), scene.root.join("uid")).context("to its place")?;
    rename(scene.root.join("uid"), staging.join("trash")).context("into the trash")?;
    same("what it holds", &volume.usage()?, &before)?;
    same("its project", &project_at(&staging.join("trash/data"))?, &volume.project)
}

/// What `docs/storage.md` says of it: the kernel lets the owner of a file choose its project, and
/// so leave his limit behind, or fill another's, unless he is in a user namespace.
pub(super) fn who_can_leave(scene: &Scene) -> Result<()> {
    let (volume, other) = (scene.volume(8 * MIB)?, scene.volume(8 * MIB)?);
    let mut file = volume.file("file")?;
    fill(&mut file, 2 * MIB);
    file.sync_all()?;
    drop(file);
    let path = volume.path.join("file");
    let user = format!("--reuid={TENANT}");
    let group = format!("--regid={TENANT}");
    let tenant = ["setpriv", &user, &group, "--clear-groups"];
    let shown = path.display().to_string();
    let give = |project: u32| Invocation::new("chattr").args(["-p", &project.to_string(), &shown]);

    let within = give(0).through(&["unshare", "--user", "--map-root-user"]).through(&tenant);
    let refused = within.run_blocking().err().context("he left from a user namespace")?;
    let refused = format!("{refused:#}");
    ensure!(refused.contains("Invalid argument") || refused.contains("not permitted"), "{refused}");
    same("still in", &project_at(&path)?, &volume.project)?;

    give(other.project).through(&tenant).run_blocking().context("outside of one")?;
    ensure!(other.usage()?.used >= 2 * MIB && volume.usage()?.used < MIB, "it is not charged");
    give(0).through(&tenant).run_blocking().context("outside of one")?;
    same("out", &project_at(&path)?, &0)
}
