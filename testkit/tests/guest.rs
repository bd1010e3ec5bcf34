//! A guest starts, keeps its disks, cannot change this machine, and exits completely.
#![cfg(test)]

use fastrak_testkit::uml::inside::Inside;
use fastrak_testkit::uml::{Guest, Layout, console};
use fastrak_testkit::{eventually, or_skip};
use std::fs::{read_to_string, write};
use std::path::{Path, PathBuf};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);

/// Returns the arguments with which this program runs one of the tests below as a guest's first
/// process.
fn alone(name: &str) -> [&str; 5] {
    ["--ignored", "--exact", "--nocapture", "--test-threads=1", name]
}

fn own() -> PathBuf {
    std::env::current_exe().unwrap()
}

#[test]
#[ignore = "not a test: another one starts it as the first process of another Linux"]
fn writes_and_ends() {
    let inside = Inside::begin(DEADLINE).unwrap();
    let refused = write("/tmp/from-a-guest", "").unwrap_err();
    println!("\nthis machine: {refused}");
    let disk = inside.mount('a', "ext4", "").unwrap();
    let before = read_to_string(disk.join("kept")).unwrap_or_default();
    println!("on the disk: {before:?}");
    write(disk.join("kept"), "what was there before").unwrap();
    inside.unmount(&disk).unwrap();
    inside.end().unwrap();
}

#[test]
#[ignore = "not a test: another one starts it as the first process of another Linux"]
fn never_ends() {
    let inside = Inside::begin(DEADLINE).unwrap();
    let disk = inside.mount('a', "ext4", "").unwrap();
    write(disk.join("synced"), "synced").unwrap();
    std::fs::File::open(disk.join("synced")).unwrap().sync_all().unwrap();
    println!("\nit runs");
    loop {
        std::hint::black_box(read_to_string("/proc/uptime").unwrap());
    }
}

#[test]
#[ignore = "not a test: another one starts it as the first process of another Linux"]
fn reads_what_was_synced() {
    let inside = Inside::begin(DEADLINE).unwrap();
    let disk = inside.mount('a', "ext4", "").unwrap();
    println!("\nfound: {:?}", read_to_string(disk.join("synced")));
    inside.end().unwrap();
}

#[test]
#[ignore = "not a test: another one starts it as the first process of another Linux"]
fn fails() {
    panic!("as intended");
}

async fn guest() -> Guest {
    let mut guest = Guest::create().await.unwrap();
    guest.add_disk(Layout::PlainExt4, 16).await.unwrap();
    guest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_writes_to_its_disk_and_not_to_this_machine() {
    or_skip!(Guest::supported());
    let mut guest = guest().await;
    let first = guest.run(&own(), &alone("writes_and_ends"), DEADLINE).unwrap();
    assert!(first.contains("this machine: Read-only file system"), "{first}");
    assert!(first.contains("on the disk: \"\"\n"), "{first}");
    assert!(!Path::new("/tmp/from-a-guest").exists());
    let second = guest.run(&own(), &alone("writes_and_ends"), DEADLINE).unwrap();
    assert!(second.contains("on the disk: \"what was there before\"\n"), "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_of_a_failed_first_process_has_the_console() {
    or_skip!(Guest::supported());
    let error = guest().await.run(&own(), &alone("fails"), DEADLINE).unwrap_err().to_string();
    assert!(error.contains("as intended"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_guest_leaves_no_process_and_its_disk_keeps_what_was_synced() {
    or_skip!(Guest::supported());
    let mut guest = guest().await;
    let mut running = guest.start(&own(), &alone("never_ends")).unwrap();
    eventually(DEADLINE, "it runs", || {
        let alive = running.expect_running();
        let said = console(&running);
        async move { alive.map(|()| said.contains("it runs")).unwrap().then_some(()) }
    })
    .await
    .unwrap();
    assert!(guest.processes() > 2, "a kernel and its processes");
    let said = guest.cut(running).await.unwrap();
    assert!(said.contains("it runs\n") && guest.processes() == 0, "{said}");
    let said = guest.run(&own(), &alone("reads_what_was_synced"), DEADLINE).unwrap();
    assert!(said.contains("found: Ok(\"synced\")"), "{said}");
}
