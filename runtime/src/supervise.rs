//! The named tasks of a process. A task that fails or returns early ends the process, and the
//! kubelet restarts it. Tasks are not restarted one by one.

use std::any::Any;
use std::collections::HashMap;
use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Sleep;

use crate::chain::Chain;
use crate::shutdown::Shutdown;

type BoxError = Box<dyn Error + Send + Sync>;

/// How long aborted tasks may run their destructors.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// The tasks of a process. Dropping the supervisor aborts them.
#[derive(Debug, Default)]
pub struct Supervisor {
    tasks: JoinSet<Result<(), BoxError>>,
    known: HashMap<Id, Task>,
}

/// Why a process has to exit.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// A task returned before shutdown was requested.
    #[error("task {0} returned before shutdown was requested")]
    EndedEarly(&'static str),
    /// A task returned an error.
    #[error("task {0} failed")]
    Failed(&'static str, #[source] BoxError),
    /// A task panicked.
    #[error("task {0} panicked: {1}")]
    Panicked(&'static str, String),
}

#[derive(Debug, Clone, Copy)]
struct Task {
    name: &'static str,
    is_worker: bool,
}

impl Supervisor {
    /// Returns a supervisor without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a worker, which runs until shutdown is requested and then returns.
    pub fn spawn<E>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: Into<BoxError>,
    {
        self.start(Task { name, is_worker: true }, work);
    }

    /// Starts a companion, which is aborted after all workers have returned. An HTTP server for
    /// health and metrics is one: it responds while the workers shut down.
    pub fn spawn_companion<E>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: Into<BoxError>,
    {
        self.start(Task { name, is_worker: false }, work);
    }

    /// Runs until shutdown is requested, and requests it if a task returns early. Then waits up to
    /// `grace` for the workers. Returns the first error, including errors during shutdown.
    pub async fn run(mut self, shutdown: Shutdown, grace: Duration) -> Result<(), SuperviseError> {
        let broken = tokio::select! {
            // Without this, a task that returns because of the request could count as early.
            biased;
            () = shutdown.requested() => None,
            Some((task, outcome)) = self.next() => {
                Some(outcome.err().unwrap_or(SuperviseError::EndedEarly(task.name)))
            }
        };
        if let Some(error) = &broken {
            // The caller logs the error with its causes, but only after the other tasks have
            // returned.
            tracing::warn!(%error, "stopping the other tasks");
        }
        shutdown.request();
        let late = self.drain(grace).await;
        broken.or(late).map_or(Ok(()), Err)
    }

    fn start<E>(&mut self, task: Task, work: impl Future<Output = Result<(), E>> + Send + 'static)
    where
        E: Into<BoxError>,
    {
        let handle = self.tasks.spawn(async move { work.await.map_err(Into::into) });
        self.known.insert(handle.id(), task);
    }

    /// Waits for the next task to end. Returns nothing if there is no task.
    async fn next(&mut self) -> Option<(Task, Result<(), SuperviseError>)> {
        let joined = self.tasks.join_next_with_id().await?;
        let id = match &joined {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let task = self.known.remove(&id)?;
        Some((task, outcome(task.name, joined.map(|(_, result)| result))))
    }

    /// Waits for the workers, up to `grace`. Returns the first error.
    async fn drain(&mut self, grace: Duration) -> Option<SuperviseError> {
        let mut first = None;
        let mut limit = std::pin::pin!(tokio::time::sleep(grace));
        while self.workers().next().is_some() {
            let Some(result) = self.next_within(limit.as_mut()).await else {
                let names: Vec<_> = self.workers().collect();
                tracing::warn!(tasks = ?names, ?grace, "aborting tasks that did not stop in time");
                break;
            };
            if let Err(error) = result {
                tracing::warn!(error = %Chain(&error), "task failed during shutdown");
                first = first.or(Some(error));
            }
        }
        self.abort_all().await;
        first
    }

    async fn next_within(&mut self, limit: Pin<&mut Sleep>) -> Option<Result<(), SuperviseError>> {
        tokio::select! {
            ended = self.next() => ended.map(|(_, result)| result),
            () = limit => None,
        }
    }

    /// Aborts the remaining tasks. Does not wait for a task that never yields.
    async fn abort_all(&mut self) {
        self.tasks.abort_all();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(ABORT_TIMEOUT, all).await.is_err() {
            tracing::warn!("could not abort a task that blocks its thread");
        }
    }

    fn workers(&self) -> impl Iterator<Item = &'static str> {
        self.known.values().filter(|task| task.is_worker).map(|task| task.name)
    }
}

fn outcome(
    name: &'static str,
    joined: Result<Result<(), BoxError>, JoinError>,
) -> Result<(), SuperviseError> {
    match joined {
        Ok(Ok(())) => Ok(()),
        Ok(Err(source)) => Err(SuperviseError::Failed(name, source)),
        Err(error) => match error.try_into_panic() {
            Ok(payload) => Err(SuperviseError::Panicked(name, panic_message(payload.as_ref()))),
            Err(_) => Err(SuperviseError::EndedEarly(name)),
        },
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&'static str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(not a text)").to_owned()
}

#[cfg(test)]
mod tests;
