//! Empties the trash, in short steps with pauses between, so that it is not in the way of pods that
//! use the same disk.
//!
//! Nothing waits for it: a volume is gone for the cluster when it is in the trash.

use crate::context::Context;
use crate::metrics::OfPool;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

/// How many things are removed before a pause.
const BUDGET: usize = 512;
const PAUSE: Duration = Duration::from_millis(5);
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
        while step(&context, &mut stuck).await {
            tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

/// Removes a little; whether there is more to remove.
async fn step(context: &Context, stuck: &mut BTreeSet<OsString>) -> bool {
    let skipped = stuck.clone();
    let states = match context.on_disk(move |store| Ok(store.empty_trash(BUDGET, &skipped))).await {
        Ok(states) => states,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "could not empty the trash");
            return false;
        }
    };
    let mut more = false;
    for state in states {
        more |= state.more;
        context.metrics.set(OfPool::Trash, &state.pool, state.entries);
        for (name, why) in state.stuck {
            let entry = name.to_string_lossy();
            tracing::warn!(pool = %state.pool, %entry, why, "trash cannot be removed now");
            stuck.insert(name);
        }
    }
    more
}
