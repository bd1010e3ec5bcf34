//! Empties the trash, in short steps with pauses between, so that it is not in the way of pods that
//! use the same disk.
//!
//! Nothing waits for it: a volume is gone for the cluster when it is in the trash.

use crate::context::Context;
use crate::metrics::OfPool;
use crate::volumes::Store;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a step works before it rests: nobody waits longer for what it holds.
const WORK: Duration = Duration::from_millis(5);
/// How much longer than it worked it rests. What counts is the time and not the number of files, since
/// one disk removes a hundred while another removes one; and a disk that has others to serve takes
/// longer for the same, and is left alone for longer.
const REST: u32 = 4;
/// However long one file has taken.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// What could not be removed is tried again after this time.
const INTERVAL: Duration = Duration::from_secs(60);
/// A start lets volumes find their data in the trash, where a kill may have left it, before that is
/// emptied.
const AT_FIRST: Duration = Duration::from_secs(2);

/// Empties the trash at intervals, and when woken, until shutdown is requested.
pub async fn run(context: Arc<Context>, shutdown: Shutdown) -> Result<(), Infallible> {
    let mut wait = AT_FIRST;
    let mut stuck = BTreeSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            () = tokio::time::sleep(wait) => stuck.clear(),
            () = context.trash.notified(), if wait != AT_FIRST => {}
        }
        wait = INTERVAL;
        while let Some(worked) = step(&context, &mut stuck).await {
            tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep((worked * REST).min(LONGEST_REST)) => {}
            }
        }
    }
}

/// Removes a little. How long that took; `None` where there is no more to remove.
async fn step(context: &Context, stuck: &mut BTreeSet<OsString>) -> Option<Duration> {
    let skipped = stuck.clone();
    let work = move |store: &Store| {
        let start = Instant::now();
        let states = store.empty_trash(WORK, &skipped);
        Ok((states, start.elapsed()))
    };
    let (states, worked) = match context.on_disk(work).await {
        Ok(done) => done,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "could not empty the trash");
            return None;
        }
    };
    let mut more = false;
    for state in states {
        more |= state.more;
        context.metrics.set(OfPool::Trash, &state.pool, state.entries);
        context.metrics.removed(&state.pool, state.removed);
        if !state.more {
            // Now all of them have been tried.
            context.metrics.set(OfPool::Stuck, &state.pool, state.skipped);
        }
        for (name, why) in state.stuck {
            let entry = name.to_string_lossy();
            tracing::warn!(pool = %state.pool, %entry, why, "trash cannot be removed now");
            stuck.insert(name);
        }
    }
    more.then_some(worked)
}
