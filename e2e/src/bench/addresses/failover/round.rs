//! One failover: the failure, the time until the new holder answers, and the repair.

use super::capture::{Capture, answers_after_takeover};
use super::scene::Scene;
use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_speaker::frame::Mac;
use fastrak_testkit::{Node, eventually};
use rustix::process::{Pid, Signal, kill_process};
use std::time::{Duration, Instant};

/// The time between two connections of a client that waits for an answer.
const RETRY: Duration = Duration::from_millis(50);
/// The time between two connections during a drain.
const DRAIN_INTERVAL: Duration = Duration::from_millis(20);

/// The timeout until a deleted speaker is replaced.
const SOON: Duration = Duration::from_secs(90);

/// A failure of the holder.
#[derive(Clone, Copy, Debug)]
pub(super) enum Failure {
    /// The node is unplugged.
    NodeLost,
    /// The speaker is stopped by SIGSTOP. Its node still forwards packets.
    SpeakerStopped,
}

/// The failovers of one cluster.
pub(super) struct Rounds<'a> {
    scene: &'a Scene,
    capture: Capture,
    two_answers: usize,
}

/// The new connections during a drain.
pub(super) struct Drained {
    pub(super) tried: usize,
    pub(super) lost: usize,
}

impl<'a> Rounds<'a> {
    pub(super) fn new(scene: &'a Scene) -> Result<Self> {
        let capture = Capture::start(&scene.cluster, scene.address)?;
        Ok(Self { scene, capture, two_answers: 0 })
    }

    /// Returns how often a former holder has answered after the announcement of the new one.
    pub(super) fn two_answers(&self) -> usize {
        self.two_answers
    }

    /// Makes the holder fail. Returns how long the address did not answer.
    pub(super) async fn fail(&mut self, failure: Failure, number: usize) -> Result<Duration> {
        let scene = self.scene;
        let holder = scene.holder(None).await?;
        tokio::time::sleep(phase(number)).await;
        let mut connections = scene.connections(RETRY).await?;
        let former = self.capture.next().await?;
        let start = Instant::now();
        self.begin(failure, holder).await?;
        let answered = connections.first_answer(Instant::now()).await?;
        drop(connections);
        self.end(failure, holder).await?;
        scene.holder(Some(holder)).await?;
        self.count(former)?;
        Ok(answered - start)
    }

    /// Restarts the speaker of the holder, while a client opens connections.
    pub(super) async fn drain(&mut self) -> Result<Drained> {
        let scene = self.scene;
        let holder = scene.holder(None).await?;
        let connections = scene.connections(DRAIN_INTERVAL).await?;
        let former = self.capture.next().await?;
        let before = holder.pids(names::SPEAKER);
        scene.delete_speaker(holder).await?;
        eventually(SOON, "the speaker runs again", || {
            let pids = holder.pids(names::SPEAKER);
            std::future::ready(!pids.is_empty() && pids.iter().all(|pid| !before.contains(pid)))
        })
        .await?;
        scene.holder(Some(holder)).await?;
        let all = connections.finish().await;
        self.count(former)?;
        let lost = all.iter().filter(|connection| connection.answered.is_none()).count();
        Ok(Drained { tried: all.len(), lost })
    }

    async fn begin(&self, failure: Failure, holder: &Node) -> Result<()> {
        match failure {
            Failure::NodeLost => self.scene.cluster.plug(holder, false).await,
            Failure::SpeakerStopped => {
                signal(holder, Signal::STOP)?;
                self.scene.forget_neighbor().await
            }
        }
    }

    async fn end(&self, failure: Failure, holder: &Node) -> Result<()> {
        match failure {
            Failure::NodeLost => self.scene.cluster.plug(holder, true).await,
            Failure::SpeakerStopped => signal(holder, Signal::CONT),
        }
    }

    fn count(&mut self, former: Mac) -> Result<()> {
        let seen = self.capture.take()?;
        let answers = answers_after_takeover(&seen, former);
        self.two_answers += answers.context("the new holder was not announced")?;
        Ok(())
    }
}

/// Returns the delay before a failure. It spreads the failures over the phases of heartbeats, which
/// are a second apart, and of the standby's probes.
fn phase(number: usize) -> Duration {
    let millis = number.wrapping_mul(618) % 1000;
    Duration::from_millis(millis.try_into().unwrap_or_default())
}

/// Sends a signal to the speaker of a node.
fn signal(node: &Node, signal: Signal) -> Result<()> {
    let pids = node.pids(names::SPEAKER);
    ensure!(!pids.is_empty(), "{} runs no speaker", node.name());
    for pid in pids {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, signal).context("signal a speaker")?;
    }
    Ok(())
}
