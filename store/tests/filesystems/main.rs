//! Real filesystems: what `host/quota/project.rs` asks of XFS and ext4 and what those do to a tenant
//! then, and what is left on each filesystem when the power fails (`cuts/`).
//!
//! This machine's own kernel may have neither, and its power is not ours to cut: so all of it runs in
//! another one (user-mode Linux, `testkit/src/uml.rs`), whose first process is this very program again.
//! Each check says a line of its own to the console, and the test here wants every one of them.
#![cfg(test)]

mod checks;
mod cuts;
mod pool;
mod scene;

use anyhow::{Context as _, Result};
use checks::{CHECKS, OTHERS};
use fastrak_testkit::or_skip;
use fastrak_testkit::uml::inside::Inside;
use fastrak_testkit::uml::{Guest, Layout};
use scene::{Filesystem, Scene};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// How long all of it may take, of which some ten seconds are needed. Inside it is less.
const DEADLINE: Duration = Duration::from_secs(240);
const DEADLINE_INSIDE: Duration = Duration::from_secs(200);

/// The arguments with which this program does one thing as the first process of a guest.
fn alone(name: &str) -> [&str; 5] {
    ["--ignored", "--exact", "--nocapture", "--test-threads=1", name]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_check_holds_on_xfs_and_on_ext4() {
    or_skip!(Guest::supported());
    let mut guest = Guest::create().await.unwrap();
    let disks =
        [(Layout::Xfs, 512), (Layout::Ext4, 256), (Layout::PlainExt4, 32), (Layout::Btrfs, 256)];
    for (layout, mib) in disks {
        guest.add_disk(layout, mib).await.unwrap();
    }
    let own = std::env::current_exe().unwrap();
    let args = alone("as_first_process");
    let console = tokio::task::block_in_place(|| guest.run(&own, &args, DEADLINE)).unwrap();

    let on_each = CHECKS.iter().map(|(name, _)| name);
    let expected = Filesystem::ALL
        .iter()
        .flat_map(|on| on_each.clone().map(move |name| format!("ok {on} {name}")));
    let expected: Vec<_> =
        expected.chain(OTHERS.iter().map(|(name, _)| format!("ok guest {name}"))).collect();
    let count = |line: &str| console.lines().filter(|said| *said == line).count();
    let missing: Vec<_> = expected.iter().filter(|line| count(line) != 1).collect();
    assert!(missing.is_empty(), "not said once each: {missing:#?}\n{console}");
    assert!(!console.contains("FAILED"), "{console}");
}

#[test]
#[ignore = "not a test: the other one starts it as the first process of another Linux"]
fn as_first_process() {
    let inside = Inside::begin(DEADLINE_INSIDE).unwrap();
    // The line that names this test is not at its end yet.
    println!();
    // Nobody is there to hear of an error but whoever reads the console.
    if let Err(error) = run_checks(&inside) {
        println!("FAILED to run the checks: {error:#}");
    }
    inside.end().unwrap();
}

fn run_checks(inside: &Inside) -> Result<()> {
    for module in ["fs/quota/quota_tree", "fs/quota/quota_v2"] {
        inside.load(module)?;
    }
    for on in Filesystem::ALL {
        let root = inside.mount(on.letter(), on.kind(), "prjquota").context("mount a disk")?;
        let scene = Scene::new(on, root);
        for (name, check) in CHECKS {
            say(on, name, || check(&scene));
        }
        inside.unmount(&scene.root)?;
    }
    for (name, check) in OTHERS {
        say("guest", name, || check(inside));
    }
    Ok(())
}

fn say(on: impl std::fmt::Display, name: &str, check: impl FnOnce() -> Result<()>) {
    match catch_unwind(AssertUnwindSafe(check)) {
        Ok(Ok(())) => println!("ok {on} {name}"),
        Ok(Err(error)) => println!("FAILED {on} {name}: {error:#}"),
        Err(_) => println!("FAILED {on} {name}: it panicked"),
    }
}

/// Nothing where both are the same; else what they are.
fn same<T: PartialEq + Debug>(what: &str, found: &T, wanted: &T) -> Result<()> {
    anyhow::ensure!(found == wanted, "{what}: {found:?}, not {wanted:?}");
    Ok(())
}
