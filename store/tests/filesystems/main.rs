//! Real filesystems: the project quotas of XFS and ext4, and what is left on each filesystem after
//! a power cut (`cuts/`).
//!
//! The kernel of this machine may lack both, and its power cannot be cut. The checks therefore run
//! in a user-mode Linux (`testkit/src/uml.rs`), whose first process is this program. Each check
//! prints one line to the console, and the test expects every line.
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

/// The timeout of all checks, which take about ten seconds, on this machine and in the guest.
const DEADLINE: Duration = Duration::from_secs(240);
const DEADLINE_INSIDE: Duration = Duration::from_secs(200);

/// Returns the arguments that make this program run one test as the first process of a guest.
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
    assert!(missing.is_empty(), "not printed once each: {missing:#?}\n{console}");
    assert!(!console.contains("FAILED"), "{console}");
}

#[test]
#[ignore = "not a test: it runs as the first process of a guest"]
fn as_first_process() {
    let inside = Inside::begin(DEADLINE_INSIDE).unwrap();
    // The line that names this test is not at its end yet.
    println!();
    // The console is the only place for an error.
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

/// Returns an error that shows both values unless they are equal.
fn same<T: PartialEq + Debug>(what: &str, found: &T, wanted: &T) -> Result<()> {
    anyhow::ensure!(found == wanted, "{what}: {found:?}, not {wanted:?}");
    Ok(())
}
