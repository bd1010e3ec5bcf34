//! Clients that call continuously: through the API server and directly. Each has a fixed rate,
//! continues after failures and counts its calls in a tally.

use super::super::connection::{Connection, Target};
use super::super::published_bundle::Published;
use super::super::review::{NODE, Review};
use super::Plan;
use super::tally::{Outcome, Tally};
use anyhow::{Context, Result};
use fastrak_api::names;
use fastrak_testkit::objects::claim;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Callers of each kind.
const CALLERS: usize = 8;
/// Calls on one connection. Each connection verifies the server's certificate again.
const CALLS: usize = 10;
/// The timeout of the API server for fastrak's webhooks.
const DEADLINE: Duration = Duration::from_secs(2);

/// Callers that run until they are stopped.
#[derive(Debug)]
pub(crate) struct Callers {
    shared: Arc<Shared>,
    through_api: JoinSet<Tally>,
    direct: JoinSet<Tally>,
}

/// The state that all callers share.
#[derive(Debug)]
struct Shared {
    published: Published,
    address: SocketAddr,
    enough: AtomicBool,
    through_api: AtomicUsize,
    direct: AtomicUsize,
}

impl Callers {
    /// Starts all callers.
    #[must_use]
    pub(crate) fn start(
        client: &Client,
        published: Published,
        plan: &Plan,
        address: SocketAddr,
    ) -> Self {
        let shared = Arc::new(Shared {
            published,
            address,
            enough: AtomicBool::new(false),
            through_api: AtomicUsize::new(0),
            direct: AtomicUsize::new(0),
        });
        let (mut through_api, mut direct) = (JoinSet::new(), JoinSet::new());
        for _ in 0..CALLERS {
            let claims = Api::namespaced(client.clone(), "default");
            through_api.spawn(write(claims, pace(plan, plan.through_api), Arc::clone(&shared)));
            direct.spawn(call(pace(plan, plan.direct), Arc::clone(&shared)));
        }
        Self { shared, through_api, direct }
    }

    /// Returns the number of calls until now, through the API server and directly.
    #[must_use]
    pub(crate) fn made(&self) -> (usize, usize) {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        (count(&self.shared.through_api), count(&self.shared.direct))
    }

    /// Returns the published bundle.
    #[must_use]
    pub(crate) fn published(&self) -> &Published {
        &self.shared.published
    }

    /// Stops all callers after their current call.
    pub(crate) async fn end(self) -> Result<(Tally, Tally)> {
        self.shared.enough.store(true, Ordering::Relaxed);
        Ok((joined(self.through_api).await?, joined(self.direct).await?))
    }
}

impl Shared {
    fn is_enough(&self) -> bool {
        self.enough.load(Ordering::Relaxed)
    }
}

/// Returns the time between two calls of a caller.
fn pace(plan: &Plan, calls: usize) -> Duration {
    plan.spread.mul_f64(CALLERS as f64 / calls as f64)
}

async fn joined(mut callers: JoinSet<Tally>) -> Result<Tally> {
    let mut all = Tally::default();
    while let Some(tally) = callers.join_next().await {
        all.add(tally.context("a caller ended")?);
    }
    Ok(all)
}

/// Creates claims by dry runs, which do everything but store the object.
async fn write(claims: Api<PersistentVolumeClaim>, pace: Duration, shared: Arc<Shared>) -> Tally {
    let (mut tally, mut ticks) = (Tally::default(), ticks(pace));
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    while !shared.is_enough() {
        ticks.tick().await;
        let number = shared.through_api.fetch_add(1, Ordering::Relaxed);
        let object = claim(&format!("restarts-{number}")).class(names::CLASS_DEFAULT);
        let started = Instant::now();
        let answer = claims.create(&dry, &object.build("default")).await;
        let pinned = answer.map(|claim| {
            let node = claim.annotations().get(names::NODE);
            node.is_some_and(|node| node == NODE)
        });
        tally.count(started.elapsed(), pinned.context("create a claim"));
    }
    tally
}

/// Calls the webhook directly, over one connection after the other.
async fn call(pace: Duration, shared: Arc<Shared>) -> Tally {
    let (mut tally, mut ticks) = (Tally::default(), ticks(pace));
    let (mut review, mut connection, mut left) = (Review::of_a_claim(), None, 0);
    while !shared.is_enough() {
        ticks.tick().await;
        if left == 0 || !is_usable(&mut connection).await {
            connection = None;
            left = CALLS;
        }
        let number = shared.direct.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let calling = call_once(&shared, &mut connection, &mut review, number as u64);
        let outcome = tokio::time::timeout(DEADLINE, calling).await;
        let outcome = outcome.context("no answer in time").flatten();
        left -= 1;
        if outcome.is_err() {
            left = 0;
        }
        tally.count(started.elapsed(), outcome);
    }
    tally
}

/// Makes one call on the open connection or on a new one. Closes the connection if the response
/// says so, like every HTTP client.
async fn call_once(
    shared: &Shared,
    connection: &mut Option<Connection>,
    review: &mut Review,
    number: u64,
) -> Outcome {
    let mut open = match connection.take() {
        Some(open) => open,
        None => {
            let target = Target { address: shared.address, tls: shared.published.now() };
            let open = Connection::open(&target).await?;
            shared.published.shown(open.certificate().context("no certificate was shown")?);
            open
        }
    };
    let answer = open.call(review, number).await?;
    if answer.closes {
        open.close().await;
    } else {
        *connection = Some(open);
    }
    Ok(answer.patched)
}

async fn is_usable(connection: &mut Option<Connection>) -> bool {
    match connection {
        Some(open) => open.is_open().await,
        None => false,
    }
}

fn ticks(pace: Duration) -> tokio::time::Interval {
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    ticks
}
