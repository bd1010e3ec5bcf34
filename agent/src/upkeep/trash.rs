//! Reviews and empties the trash in short steps with pauses, so that pods on the same disk are not
//! slowed down.
//!
//! Nothing waits for it: for the cluster, a volume in the trash is gone. Restorable volumes stay
//! for their retention unless their space is needed: then some are evicted, and an event reports
//! it.

use crate::context::Context;
use crate::eviction;
use crate::upkeep::blocked::{self, BlockedEntries};
use crate::upkeep::unless;
use fastrak_api::reason::EventReason;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_store::host::removal::Budget;
use fastrak_store::volumes::Store;
use fastrak_store::volumes::trash::review::TrashReview;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The working time of a step.
const STEP_DURATION: Duration = Duration::from_millis(5);
/// The pause after a step, as a multiple of its duration. Time counts and not the number of files:
/// one disk removes a hundred files while another removes one, and a busy disk is left alone for
/// longer.
const PAUSE_FACTOR: u32 = 4;
/// The interval of reviews: to retry blocked removals, and to count the retention.
const INTERVAL: Duration = Duration::from_secs(60);
/// The delay after a start. Claims may find their data in the trash, where a kill may have left it.
const START_DELAY: Duration = Duration::from_secs(2);

/// The settings and the state of the removal.
#[derive(Debug)]
pub struct TrashRemover {
    percent: u8,
    budget: Budget,
    blocked: BlockedEntries,
    is_due: bool,
    reviewed: Option<Instant>,
}

/// Empties the trash at intervals, and when woken, until shutdown is requested. Restorable volumes
/// may hold `percent` of a pool.
pub(crate) async fn run(
    context: Arc<Context>,
    percent: u8,
    shutdown: Shutdown,
) -> Result<(), Infallible> {
    let mut wait = START_DELAY;
    let mut remover = TrashRemover::new(percent, STEP_DURATION.into());
    loop {
        let is_due = tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            () = tokio::time::sleep(wait) => true,
            () = context.trash.notified(), if wait != START_DELAY => false,
        };
        wait = INTERVAL;
        remover.begin(is_due);
        while let Some(worked) = remover.step(&context).await {
            let pause = tokio::time::sleep(worked.saturating_mul(PAUSE_FACTOR));
            if unless(&shutdown, pause).await.is_none() {
                return Ok(());
            }
        }
    }
}

impl TrashRemover {
    /// Creates the initial state. Restorable volumes may hold `percent` of a pool, and a step may
    /// do as much as `budget` allows.
    #[must_use]
    pub fn new(percent: u8, budget: Budget) -> Self {
        Self { percent, budget, blocked: BlockedEntries::default(), is_due: false, reviewed: None }
    }

    /// Starts a round. `is_due` says whether to review the trash too.
    pub fn begin(&mut self, is_due: bool) {
        self.is_due = is_due;
        self.reviewed = None;
    }

    /// Removes a little. Returns how long that took, or `None` if there is no more to remove.
    pub async fn step(&mut self, context: &Context) -> Option<Duration> {
        let clock = &context.clock;
        // A review reads every restorable volume, so it is not repeated for each step.
        let since = self.reviewed.map(|at| clock.instant().saturating_duration_since(at));
        let is_due = self.is_due && since.is_none_or(|since| since >= INTERVAL);
        if context.store.take_unreviewed() || is_due {
            review(context, self.percent).await;
            self.reviewed = Some(clock.instant());
        }
        let worked = remove(context, self.budget, &mut self.blocked).await;
        if worked.is_none() {
            context.store.clear_pending_evictions();
        }
        worked
    }

    /// Returns whether a blocked entry waits for its retry.
    #[must_use]
    pub fn is_waiting(&self, now: Instant) -> bool {
        self.blocked.is_waiting(now)
    }
}

async fn review(context: &Context, percent: u8) {
    let now = context.clock.now().as_second();
    match context.on_disk(move |store| Ok(store.review_trash(percent, now))).await {
        Ok(pools) => pools.iter().for_each(|reviewed| report(context, reviewed)),
        Err(error) => tracing::warn!(error = %Chain(&error), "could not review the trash"),
    }
}

fn report(context: &Context, reviewed: &TrashReview) {
    let pool = &reviewed.pool;
    context.metrics.pools.trash_bytes.set(pool, reviewed.bytes);
    context.metrics.pools.unreadable.set(pool, reviewed.unreadable);
    for volume in &reviewed.expired {
        tracing::info!(%pool, volume = %volume.id, "expired a volume in the trash");
    }
    reviewed.evicted.iter().for_each(|volume| eviction::report(context, pool, volume));
}

/// Removes a little. Returns how long that took, or `None` if nothing is left to remove.
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
    let done = context.on_disk(work).await.inspect_err(|error| {
        tracing::warn!(error = %Chain(error), "could not empty the trash");
    });
    let (states, worked) = done.ok()?;
    let mut more = false;
    for state in states {
        more |= state.more;
        context.metrics.pools.trash.set(&state.pool, state.entries);
        context.metrics.removed(&state.pool, state.removed);
        if state.removed > 0 && !state.more {
            context.wake_waiting();
        }
        if !state.more {
            // All entries were attempted.
            context.metrics.pools.blocked.set(&state.pool, state.skipped);
        }
        for (name, obstacle) in state.blocked {
            let entry = name.to_string_lossy();
            tracing::warn!(pool = %state.pool, %entry, why = %obstacle, "could not remove an entry of the trash");
            let text = blocked::text(&state.pool, &context.node, &obstacle);
            if blocked.record(name, obstacle, context.clock.instant()) {
                context.events.write(&context.node, EventReason::TrashRemovalBlocked, text);
            }
        }
    }
    more.then_some(worked)
}
