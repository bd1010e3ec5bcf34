//! Tenants who still have their folders open, and move them about while those are removed.

use super::*;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Each kind of attack is made at least so often.
const TURNS: u32 = 10_000;

/// It goes on until so much of what it left was removed meanwhile: on a busy machine one of the two may
/// be away for long.
const REMOVED: u64 = 1_000;
const DEADLINE: Duration = Duration::from_secs(300);

/// What one turn of an attacker does. The remover may be quicker at any point, so nothing of it needs
/// to succeed.
type Turn = fn(data: &Path, precious: &Path, turn: u32);

/// Removes the volume again and again while `turn` is made on it by another thread.
fn under(turn: Turn) {
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
        let mut removal = Removal::new(OsStr::new("volume"), Notes::Needless);
        while !is_over() {
            removal.step(&trash, Budget::from(7));
            removed.store(removal.removed(), Ordering::Relaxed);
        }
    });
    scene.assert_precious_kept();
    assert_eq!(scene.remove(Budget::UNLIMITED).1, Progress::Gone);
    scene.assert_all_gone_and_precious_kept();
}

/// Leaves a link to what is precious. By the way there, since NO_XDEV alone refuses any other.
fn lure(precious: &Path, at: &Path) {
    let up = at.strip_prefix(precious.parent().unwrap()).unwrap().components().count() - 1;
    drop(symlink(Path::new(&"../".repeat(up)).join("precious"), at));
}

#[test]
fn a_folder_that_is_swapped_for_a_link_leads_nowhere() {
    under(|data, precious, _| {
        let (at, away) = (data.join("swapped"), data.join("away"));
        drop(std::fs::create_dir_all(at.join("content")));
        drop(std::fs::rename(&at, &away));
        lure(precious, &at);
        drop(std::fs::remove_file(&at));
        drop(std::fs::rename(&away, &at));
    });
}

#[test]
fn a_folder_and_a_link_that_change_places_at_once_lead_nowhere() {
    use rustix::fs::{RenameFlags, renameat_with};
    under(|data, precious, _| {
        let (at, link) = (data.join("at"), data.join("link"));
        // Not emptied by one removal, so that it is opened.
        drop(std::fs::create_dir_all(at.join("1/2/3/4")));
        lure(precious, &link);
        // What lies between the remover's look at a name and its opening is short, and so is this.
        for _ in 0..50 {
            let _exchanged = renameat_with(CWD, &at, CWD, &link, RenameFlags::EXCHANGE);
        }
    });
}

#[test]
fn folders_that_are_moved_up_and_down_lead_nowhere() {
    under(|data, precious, number| {
        let deep = data.join("a/b/c/d");
        drop(std::fs::create_dir_all(deep.join("e/f")));
        lure(precious, &deep.join("link"));
        match number % 3 {
            // What is open three levels down is at the top, and the other way round.
            0 => drop(std::fs::rename(&deep, data.join("up"))),
            1 => drop(std::fs::rename(data.join("up"), data.join("a/b/down"))),
            _ => drop(std::fs::rename(data.join("a/b"), data.join("a-b"))),
        }
    });
}

#[test]
fn a_volumes_own_root_that_is_moved_and_replaced_leads_nowhere() {
    under(|data, precious, _| {
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
