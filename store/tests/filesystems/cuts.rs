//! The power fails, again and again, while the store makes, grows, removes and brings back volumes
//! on real XFS, ext4 and btrfs; after each cut, what it has answered is still true.
//!
//! The other Linux is killed, as a whole, at a moment of chance: all that its filesystems had not
//! written is gone then, and what they had written is there, in the order in which they wrote it. A
//! disk that loses or turns round what it was given is another matter (`agent/tests/faults/`).
//!
//! What the store has answered is what the guest has said on its console (`inside.rs`).

mod inside;
mod story;

use crate::alone;
use fastrak_testkit::process::Process;
use fastrak_testkit::uml::{Guest, Layout, console};
use fastrak_testkit::{eventually, or_skip};
use std::path::Path;
use std::time::Duration;
use story::Story;

/// How often the power fails.
const CUTS: u64 = 10;
/// How many answers make a test: a guest that gets little of the processor needs further cuts.
const ANSWERS: usize = 100;
/// How long a start may take, with all of the recovery, and the work before a cut.
const DEADLINE: Duration = Duration::from_secs(100);

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_has_answered_outlives_a_power_cut() {
    or_skip!(Guest::supported());
    let mut guest = Guest::create().await.unwrap();
    for layout in [Layout::Xfs, Layout::Ext4, Layout::Btrfs] {
        guest.add_disk(layout, 512).await.unwrap();
    }
    let own = std::env::current_exe().unwrap();
    let (mut story, mut chance) = (Story::default(), std::process::id().wrapping_mul(0x9E37_79B9));
    let mut cuts = 0;
    while cuts < CUTS || (story.answers() <= ANSWERS && cuts < 10 * CUTS) {
        let said = cut(&mut guest, &own, &mut chance).await;
        let problems = story.read(&said);
        assert!(problems.is_empty(), "{problems:#?} after\n{said}");
        cuts += 1;
    }
    let last = alone("cuts::inside::looks_and_removes_all");
    let said = tokio::task::block_in_place(|| guest.run(&own, &last, DEADLINE)).unwrap();
    let problems = story.read(&said);
    assert!(problems.is_empty(), "{problems:#?} after\n{said}");
    assert!(story.ended().is_empty(), "{:#?} after\n{said}", story.ended());
    println!("{story}");
    assert!(story.answers() > ANSWERS, "there was little to lose: {story}");
}

/// Starts the guest and lets its power fail at a moment of chance in its work; what it has said.
async fn cut(guest: &mut Guest, own: &Path, chance: &mut u32) -> String {
    let mut running = guest.start(own, &alone("cuts::inside::works_until_the_end")).unwrap();
    works(&mut running).await;
    // xorshift: enough to spread the moments.
    *chance ^= *chance << 13;
    *chance ^= *chance >> 17;
    *chance ^= *chance << 5;
    // Not a wait for something to have happened, but the very moment that is tested.
    tokio::time::sleep(Duration::from_millis(u64::from(*chance % 800))).await;
    guest.cut(running).await.unwrap()
}

/// Waits until the work has begun on every filesystem.
async fn works(running: &mut Process) {
    let look = || {
        let alive = running.expect_running();
        let said = console(running);
        let begun = inside::DISKS.iter().all(|disk| said.contains(&format!("fact {disk} made ")));
        async move { alive.map(|()| begun.then_some(())).unwrap() }
    };
    eventually(DEADLINE, "work on every filesystem", look).await.unwrap();
}
