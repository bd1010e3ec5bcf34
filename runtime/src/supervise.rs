//! The tasks that a process is made of, by name. It does not restart any: one
//! that ends before its time has broken a promise, and the process that it was
//! part of is started afresh by whoever runs it.

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

/// How long tasks that were cut off get to run their destructors.
const CUT_OFF: Duration = Duration::from_secs(1);

/// The tasks of a process. Dropped without [`Supervisor::run`], it takes them along.
#[derive(Debug, Default)]
pub struct Supervisor {
    tasks: JoinSet<Result<(), BoxError>>,
    known: HashMap<Id, Task>,
}

/// Why a process had to end.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// A task returned although nobody had asked it to.
    #[error("task {name} ended before it was asked to")]
    EndedEarly {
        /// The task.
        name: &'static str,
    },
    /// A task gave up.
    #[error("task {name} failed")]
    Failed {
        /// The task.
        name: &'static str,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// A task panicked.
    #[error("task {name} panicked: {message}")]
    Panicked {
        /// The task.
        name: &'static str,
        /// What it said.
        message: String,
    },
}

#[derive(Debug, Clone, Copy)]
struct Task {
    name: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Worker,
    Companion,
}

impl Supervisor {
    /// No tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a worker: it runs until shutdown is requested and then ends by itself.
    pub fn spawn<E>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: Into<BoxError>,
    {
        self.start(Task { name, kind: Kind::Worker }, work);
    }

    /// Starts a companion: it runs as long as any worker does and is then cut
    /// off. For what should still answer while the others finish their work.
    pub fn spawn_companion<E>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: Into<BoxError>,
    {
        self.start(Task { name, kind: Kind::Companion }, work);
    }

    /// Runs until shutdown is requested, or requests it when a task ends by
    /// itself; then gives the workers `grace` to end. The error is the first that
    /// happened, also when it happened while ending.
    pub async fn run(mut self, shutdown: Shutdown, grace: Duration) -> Result<(), SuperviseError> {
        let broken = tokio::select! {
            // A task that ends because it was asked to must not look like one
            // that ended early, so the request is looked at first.
            biased;
            () = shutdown.requested() => None,
            Some((task, outcome)) = self.next() => {
                Some(outcome.err().unwrap_or(SuperviseError::EndedEarly { name: task.name }))
            }
        };
        if let Some(error) = &broken {
            // Only the headline: whoever gets the error logs its causes, but the
            // others may take a while to end and somebody is watching.
            tracing::warn!(%error, "ending the other tasks");
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

    /// The next task to end; none when there are none.
    async fn next(&mut self) -> Option<(Task, Result<(), SuperviseError>)> {
        let joined = self.tasks.join_next_with_id().await?;
        let id = match &joined {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let task = self.known.remove(&id)?;
        Some((task, outcome(task.name, joined.map(|(_, result)| result))))
    }

    /// Waits for the workers to end, for `grace` at most; returns the first failure.
    async fn drain(&mut self, grace: Duration) -> Option<SuperviseError> {
        let mut first = None;
        let mut limit = std::pin::pin!(tokio::time::sleep(grace));
        while self.names(Kind::Worker).next().is_some() {
            let Some(result) = self.next_within(limit.as_mut()).await else {
                let names: Vec<_> = self.names(Kind::Worker).collect();
                tracing::warn!(tasks = ?names, ?grace, "tasks did not end in time: cutting them off");
                break;
            };
            if let Err(error) = result {
                tracing::warn!(error = %Chain(&error), "while ending");
                first = first.or(Some(error));
            }
        }
        self.cut_off().await;
        first
    }

    async fn next_within(&mut self, limit: Pin<&mut Sleep>) -> Option<Result<(), SuperviseError>> {
        tokio::select! {
            ended = self.next() => ended.map(|(_, result)| result),
            () = limit => None,
        }
    }

    /// Aborts what is left, and does not wait for a task that never yields.
    async fn cut_off(&mut self) {
        self.tasks.abort_all();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(CUT_OFF, all).await.is_err() {
            tracing::warn!("a task that blocks its thread could not be cut off");
        }
    }

    fn names(&self, kind: Kind) -> impl Iterator<Item = &'static str> {
        self.known.values().filter(move |task| task.kind == kind).map(|task| task.name)
    }
}

fn outcome(
    name: &'static str,
    joined: Result<Result<(), BoxError>, JoinError>,
) -> Result<(), SuperviseError> {
    match joined {
        Ok(Ok(())) => Ok(()),
        Ok(Err(source)) => Err(SuperviseError::Failed { name, source }),
        Err(error) => match error.try_into_panic() {
            Ok(payload) => Err(SuperviseError::Panicked { name, message: words(payload.as_ref()) }),
            Err(_) => Err(SuperviseError::EndedEarly { name }),
        },
    }
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&'static str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(not a text)").to_owned()
}

#[cfg(test)]
mod tests;
