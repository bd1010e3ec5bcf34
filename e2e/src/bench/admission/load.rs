//! Load on one server, from a separate thread on one processor.
//!
//! Either each connection calls again as soon as it is answered, which measures the throughput. Or
//! calls are due at a fixed rate and are timed from that moment, so that a pause of the server
//! counts for every call that was due in it.
//!
//! A failed call fails the measurement.

use super::connection::{Connection, Target};
use super::review::Review;
use crate::bench::resources::{cpu_time, own_cpu_time};
use anyhow::{Context, Result, ensure};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

/// Connections at a time.
pub(crate) const CONNECTIONS: usize = 32;

/// A load.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// The server to call.
    pub(crate) target: Target,
    /// The server's process.
    pub(crate) pid: u32,
    /// Whether each answer must have a patch.
    pub(crate) patched: bool,
    /// Calls per second; as many as the server answers if absent.
    pub(crate) rate: Option<f64>,
    /// The time before the measurement.
    pub(crate) warm_up: Duration,
    /// The measured time.
    pub(crate) time: Duration,
}

/// The results.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Answers per second.
    pub(crate) per_second: f64,
    /// The median response time, in milliseconds.
    pub p50: f64,
    /// The 99th percentile of the response time.
    pub p99: f64,
    /// The server's processor time of one call, in microseconds. It hardly depends on how busy the
    /// machine is.
    pub(crate) server_time: f64,
    /// The server's share of one processor, in percent.
    pub(crate) server_busy: f64,
    /// The load's own share.
    pub(crate) loader_busy: f64,
}

/// The measured time.
#[derive(Clone, Copy, Debug)]
struct Window {
    start: Instant,
    end: Instant,
}

/// The time at which a call was due, and the time from then to its answer.
struct Call {
    due: Instant,
    took: Duration,
}

impl Load {
    /// Runs the load on this processor.
    pub(crate) async fn run(self, processor: usize) -> Result<Measured> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        // A new thread, because the affinity of a thread of a pool would stay.
        let thread = std::thread::Builder::new().name("load".to_owned());
        let body = move || drop(reply.send(self.on(processor)));
        drop(thread.spawn(body).context("start a thread")?);
        answer.await.context("the load's thread ended")?
    }

    fn on(self, processor: usize) -> Result<Measured> {
        let mut only = CpuSet::new();
        only.set(processor);
        sched_setaffinity(None, &only).context("set the processor")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("start a runtime")?.block_on(self.measure())
    }

    async fn measure(self) -> Result<Measured> {
        let mut open = Vec::new();
        for _ in 0..CONNECTIONS {
            open.push(Connection::open(&self.target).await?);
        }
        let start = Instant::now() + self.warm_up;
        let window = Window { start, end: start + self.time };
        let mut callers = JoinSet::new();
        match self.rate {
            None => {
                for (at, connection) in open.into_iter().enumerate() {
                    callers.spawn(Caller::new(connection, at, self.patched).at_once(window));
                }
            }
            Some(rate) => {
                let (sender, due) = unbounded_channel();
                let due = Arc::new(Mutex::new(due));
                for (at, connection) in open.into_iter().enumerate() {
                    let caller = Caller::new(connection, at, self.patched);
                    callers.spawn(caller.when_due(Arc::clone(&due)));
                }
                drop(tokio::spawn(pace(sender, rate, self.warm_up, window)));
            }
        }
        let (server, own) = busy(self.pid, window).await?;
        let mut calls = Vec::new();
        while let Some(caller) = callers.join_next().await {
            let taken = caller.context("a caller ended")?.context("a call failed")?;
            calls.extend(taken.into_iter().filter(|call| window.has(call.due)));
        }
        let per_second = calls.len() as f64 / self.time.as_secs_f64();
        Ok(Measured {
            per_second,
            server_time: server * 1e6 / per_second,
            p50: percentile(&mut calls, 0.5),
            p99: percentile(&mut calls, 0.99),
            server_busy: server * 100.0,
            loader_busy: own * 100.0,
        })
    }
}

impl Window {
    fn has(self, at: Instant) -> bool {
        (self.start..self.end).contains(&at)
    }
}

/// One connection and its review.
struct Caller {
    connection: Connection,
    review: Review,
    number: u64,
    patched: bool,
}

impl Caller {
    fn new(connection: Connection, at: usize, patched: bool) -> Self {
        let number = (at as u64) << 32;
        Self { connection, review: Review::of_a_claim(), number, patched }
    }

    async fn at_once(mut self, window: Window) -> Result<Vec<Call>> {
        let mut calls = Vec::new();
        loop {
            let due = Instant::now();
            if due >= window.end {
                return Ok(calls);
            }
            calls.push(self.call(due).await?);
        }
    }

    async fn when_due(
        mut self,
        queue: Arc<Mutex<UnboundedReceiver<Instant>>>,
    ) -> Result<Vec<Call>> {
        let mut calls = Vec::new();
        loop {
            let next = queue.lock().await.recv().await;
            let Some(due) = next else { return Ok(calls) };
            calls.push(self.call(due).await?);
        }
    }

    async fn call(&mut self, due: Instant) -> Result<Call> {
        self.number += 1;
        let answer = self.connection.call(&mut self.review, self.number).await?;
        ensure!(answer.patched == self.patched, "patched: {}", answer.patched);
        Ok(Call { due, took: due.elapsed() })
    }
}

/// Sends the due time of each call. It yields instead of sleeping, because many calls are due
/// within the resolution of timers, a millisecond.
async fn pace(queue: UnboundedSender<Instant>, rate: f64, warm_up: Duration, window: Window) {
    let (begin, gap) = (window.start - warm_up, Duration::from_secs_f64(1.0 / rate));
    let mut due = begin;
    while due < window.end {
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
        if queue.send(due).is_err() {
            return;
        }
        due += gap;
    }
}

/// Returns the shares of a processor that the server and this thread take in the window.
async fn busy(pid: u32, window: Window) -> Result<(f64, f64)> {
    tokio::time::sleep_until(window.start.into()).await;
    let (since, server, own) = (Instant::now(), cpu_time(pid)?, own_cpu_time()?);
    tokio::time::sleep_until(window.end.into()).await;
    let share = |after: Duration, before: Duration| {
        (after - before).as_secs_f64() / since.elapsed().as_secs_f64()
    };
    Ok((share(cpu_time(pid)?, server), share(own_cpu_time()?, own)))
}

fn percentile(calls: &mut [Call], part: f64) -> f64 {
    let at = (calls.len() as f64 * part) as usize;
    if at >= calls.len() {
        return f64::NAN;
    }
    let (_, call, _) = calls.select_nth_unstable_by_key(at, |call| call.took);
    call.took.as_secs_f64() * 1e3
}
