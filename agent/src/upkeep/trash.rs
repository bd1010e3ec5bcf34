//! Looks through the trash and empties it, in short steps with pauses between, so that it is not in the
//! way of pods that use the same disk.
//!
//! Nothing waits for it: a volume is gone for the cluster when it is in the trash. What can be had back
//! stays for its time, unless the room is needed: then some are evicted, as `volumes/plan.rs` decides, and
//! an event says so.

use crate::context::Context;
use crate::metrics::OfPool;
use crate::upkeep::blocked::{self, BlockedEntries};
use fastrak_api::capacity::Shortage;
use fastrak_api::claim::Claim;
use fastrak_api::pool::PoolName;
use fastrak_api::reason::EventReason;
use fastrak_api::size::Bytes;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_store::host::removal::Budget;
use fastrak_store::volumes::trash::review::{PurgedVolume, TrashReview};
use fastrak_store::volumes::{Store, VolumeError};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a step works before it rests: nobody waits longer for what it holds.
const WORK: Duration = Duration::from_millis(5);
/// How much longer than it worked it rests. What counts is the time and not the number of files, since
/// one disk removes a hundred while another removes one; and a disk that has others to serve takes
/// longer for the same, and is left alone for longer.
const REST: u32 = 4;
/// The trash is looked through again after this time: for what could not be removed, and to count the
/// time of what can be had back.
const INTERVAL: Duration = Duration::from_secs(60);
/// A start lets volumes find their data in the trash, where a kill may have left it, before that is
/// emptied.
const AT_FIRST: Duration = Duration::from_secs(2);

/// How the trash is emptied, and what is remembered between the steps of that.
#[derive(Debug)]
pub struct Emptying {
    percent: u8,
    budget: Budget,
    blocked: BlockedEntries,
    is_due: bool,
    sorted: Option<Instant>,
}

/// Empties the trash at intervals, and when woken, until shutdown is requested. What can be had back may
/// take `percent` of a pool.
pub async fn run(context: Arc<Context>, percent: u8, shutdown: Shutdown) -> Result<(), Infallible> {
    let mut wait = AT_FIRST;
    let mut emptying = Emptying::new(percent, WORK.into());
    loop {
        let is_due = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            () = tokio::time::sleep(wait) => true,
            () = context.trash.notified(), if wait != AT_FIRST => false,
        };
        wait = INTERVAL;
        emptying.begin(is_due);
        while let Some(worked) = emptying.step(&context).await {
            tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(worked.saturating_mul(REST)) => {}
            }
        }
    }
}

impl Emptying {
    /// Returns one that has done nothing yet. What can be had back may take `percent` of a pool, and a
    /// step may do as much as `budget` allows.
    #[must_use]
    pub fn new(percent: u8, budget: Budget) -> Self {
        Self { percent, budget, blocked: BlockedEntries::default(), is_due: false, sorted: None }
    }

    /// Begins to empty the trash. `is_due` says whether it is to be looked through as well.
    pub fn begin(&mut self, is_due: bool) {
        self.is_due = is_due;
        self.sorted = None;
    }

    /// Removes a little. Returns how long that took, or `None` if there is no more to remove.
    pub async fn step(&mut self, context: &Context) -> Option<Duration> {
        let clock = &context.clock;
        // Each volume that can be had back is looked at: not for every one that cannot.
        let since = self.sorted.map(|at| clock.instant().saturating_duration_since(at));
        let is_due = self.is_due && since.is_none_or(|since| since >= INTERVAL);
        if context.store.take_unreviewed() || is_due {
            sort(context, self.percent).await;
            self.sorted = Some(clock.instant());
        }
        let worked = remove(context, self.budget, &mut self.blocked).await;
        if worked.is_none() {
            context.store.clear_pending_evictions();
        }
        worked
    }

    /// Returns whether something could not be removed and waits for its next try.
    #[must_use]
    pub fn is_waiting(&self, now: Instant) -> bool {
        self.blocked.is_waiting(now)
    }
}

/// Evicts recoverable volumes if that resolves one of the shortages of a claim in the namespace
/// `requester`. Returns whether any was evicted. Their room is free when they are removed, a little later.
pub async fn evict_for_claim(context: &Context, shortages: &[Shortage], requester: &str) -> bool {
    for (pool, bytes) in shortages.iter().filter_map(Shortage::to_remove) {
        match evict_trash(context, pool, (bytes, requester)).await {
            Ok(false) => {}
            Ok(true) => return true,
            Err(error) => {
                tracing::warn!(%pool, error = %Chain(&error), "trash could not give way");
            }
        }
    }
    false
}

async fn evict_trash(
    context: &Context,
    pool: &PoolName,
    (bytes, requester): (u64, &str),
) -> Result<bool, VolumeError> {
    // More must not be given up before it is seen what the last was good for.
    if context.store.has_pending_evictions() {
        return Ok(true);
    }
    let (name, now, requester) =
        (pool.clone(), context.clock.now().as_second(), requester.to_owned());
    let work = move |store: &Store| store.evict_trash(&name, (bytes, &requester), now);
    let lost = context.on_disk(work).await?;
    lost.iter().for_each(|lost| tell(context, pool, lost));
    context.trash.notify_one();
    Ok(!lost.is_empty())
}

async fn sort(context: &Context, percent: u8) {
    let now = context.clock.now().as_second();
    match context.on_disk(move |store| Ok(store.review_trash(percent, now))).await {
        Ok(pools) => pools.iter().for_each(|sorted| report(context, sorted)),
        Err(error) => tracing::warn!(error = %Chain(&error), "could not look through the trash"),
    }
}

fn report(context: &Context, sorted: &TrashReview) {
    let pool = &sorted.pool;
    let bytes = usize::try_from(sorted.bytes).unwrap_or(usize::MAX);
    context.metrics.set(OfPool::TrashBytes, pool, bytes);
    context.metrics.set(OfPool::Unreadable, pool, sorted.unreadable);
    for lost in &sorted.expired {
        tracing::info!(%pool, volume = %lost.id, "time in the trash is over");
    }
    sorted.evicted.iter().for_each(|lost| tell(context, pool, lost));
}

/// The claim is gone, and so is the volume: an event is all by which its user can learn of it.
fn tell(context: &Context, pool: &PoolName, lost: &PurgedVolume) {
    let PurgedVolume { id, owner, bytes } = lost;
    tracing::warn!(%pool, volume = %id, namespace = owner.namespace, claim = owner.claim, "trash gives way");
    if owner.namespace.is_empty() {
        return;
    }
    let claim = Claim {
        namespace: owner.namespace.clone(),
        name: owner.claim.clone(),
        uid: Some(owner.uid.clone()),
        ..Claim::default()
    };
    let size = Bytes(*bytes);
    let text = format!(
        "volume {name} of {size} can not be had back any more: pool {pool} of node {node} needed the room",
        name = id.volume_name(),
        node = context.node
    );
    context.events.on_claim(&claim, EventReason::TrashEvicted, text);
}

/// Removes a little. How long that took; `None` where there is no more to remove.
async fn remove(
    context: &Context,
    budget: Budget,
    blocked: &mut BlockedEntries,
) -> Option<Duration> {
    let skipped = blocked.skipped(context.clock.instant());
    let work = move |store: &Store| {
        let start = Instant::now();
        let states = store.empty_trash(budget, &skipped);
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
        if state.removed > 0 && !state.more {
            context.wake_waiting();
        }
        if !state.more {
            // Now all of them have been tried.
            context.metrics.set(OfPool::Blocked, &state.pool, state.skipped);
        }
        for (name, obstacle) in state.blocked {
            let entry = name.to_string_lossy();
            tracing::warn!(pool = %state.pool, %entry, why = %obstacle, "trash cannot be removed now");
            let text = blocked::text(&state.pool, &context.node, &obstacle);
            if blocked.note(name, obstacle, context.clock.instant()) {
                context.events.on_node(&context.node, EventReason::TrashRemovalBlocked, text);
            }
        }
    }
    more.then_some(worked)
}
