//! Tenants that hold their directories open and move them during the removal.

use super::*;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The minimum number of turns of each attack.
const TURNS: u32 = 10_000;

/// The minimum number of entries removed meanwhile: a busy machine may suspend either thread for
/// long.
const REMOVED: u64 = 1_000;
const DEADLINE: Duration = Duration::from_secs(300);

/// One turn of an attacker. The removal may be faster at any point, so every call may fail.
type Turn = fn(data: &Path, precious: &Path, turn: u32);

/// Removes the volume repeatedly while another thread runs `turn` on it.
fn remove_during(turn: Turn) {
    let scene = Scene::new();
    let (data, precious) = (scene.data(), scene.precious());
    let (turns, removed, start) = (AtomicU32::new(0), AtomicU64::new(0), Instant::now());
    let is_over = || {
        assert!(start.elapsed() < DEADLINE, "{removed:?} removed in {turns:?} turns");
        turns.load(Ordering::Relaxed) >= TURNS && removed.load(Ordering::Relaxed) >= REMOVED
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over() {
                drop(std::fs::create_dir_all(&data));
                turn(&data, &precious, turns.fetch_add(1, Ordering::Relaxed));
            }
        });
        let trash = scene.trash();
        let mut removal = Removal::new(OsStr::new("volume"), SubvolumeRecords::NotNeeded);
        while !is_over() {
            removal.step(&trash, Budget::from(7));
            removed.store(removal.removed(), Ordering::Relaxed);
        }
    });
    scene.assert_precious_kept();
    assert_eq!(scene.remove(Budget::UNLIMITED).1, Progress::Removed);
    scene.assert_all_gone_and_precious_kept();
}

/// Creates a link to the protected directory. The link is relative, because NO_XDEV alone rejects
/// an absolute one.
fn lure(precious: &Path, at: &Path) {
    let up = at.strip_prefix(precious.parent().unwrap()).unwrap().components().count() - 1;
    drop(symlink(Path::new(&"../".repeat(up)).join("precious"), at));
}

#[test]
fn a_directory_replaced_by_a_link_leads_nowhere() {
    remove_during(|data, precious, _| {
        let (at, away) = (data.join("swapped"), data.join("away"));
        drop(std::fs::create_dir_all(at.join("content")));
        drop(std::fs::rename(&at, &away));
        lure(precious, &at);
        drop(std::fs::remove_file(&at));
        drop(std::fs::rename(&away, &at));
    });
}

#[test]
fn a_directory_exchanged_with_a_link_leads_nowhere() {
    use rustix::fs::{RenameFlags, renameat_with};
    remove_during(|data, precious, _| {
        let (at, link) = (data.join("at"), data.join("link"));
        // Too deep to be emptied by one removal, so it is opened.
        drop(std::fs::create_dir_all(at.join("1/2/3/4")));
        lure(precious, &link);
        // The time between the look at a name and its opening is short, and so is this loop.
        for _ in 0..50 {
            let _exchanged = renameat_with(CWD, &at, CWD, &link, RenameFlags::EXCHANGE);
        }
    });
}

#[test]
fn directories_moved_up_and_down_lead_nowhere() {
    remove_during(|data, precious, number| {
        let deep = data.join("a/b/c/d");
        drop(std::fs::create_dir_all(deep.join("e/f")));
        lure(precious, &deep.join("link"));
        match number % 3 {
            // A directory that is open three levels down moves to the top, and back.
            0 => drop(std::fs::rename(&deep, data.join("up"))),
            1 => drop(std::fs::rename(data.join("up"), data.join("a/b/down"))),
            _ => drop(std::fs::rename(data.join("a/b"), data.join("a-b"))),
        }
    });
}

#[test]
fn a_moved_and_replaced_volume_root_leads_nowhere() {
    remove_during(|data, precious, _| {
        let volume = data.parent().unwrap();
        let away = volume.with_file_name("away");
        drop(std::fs::create_dir_all(data.join("content")));
        drop(std::fs::rename(data, volume.join("old")));
        lure(precious, data);
        drop(std::fs::rename(volume, &away));
        lure(precious, volume);
        drop(std::fs::remove_file(volume));
        drop(std::fs::rename(&away, volume));
        drop(std::fs::remove_file(data));
    });
}
