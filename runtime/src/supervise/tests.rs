use super::*;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::oneshot;

/// Longer than any test takes: whoever waits for it has failed.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

async fn until(shutdown: Shutdown) -> Result<(), Infallible> {
    shutdown.requested().await;
    Ok(())
}

async fn within_deadline<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG / 6, work).await.unwrap()
}

/// Tells when it is dropped.
struct Tells(Arc<AtomicBool>);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn tasks_that_end_when_asked_to_end_well() {
    let shutdown = Shutdown::manual();
    let mut supervisor = Supervisor::new();
    supervisor.spawn("one", until(shutdown.clone()));
    supervisor.spawn("two", until(shutdown.clone()));
    shutdown.request();
    within_deadline(supervisor.run(shutdown, LONG)).await.unwrap();
}

#[tokio::test]
async fn a_task_that_has_ended_as_asked_is_not_taken_for_one_that_ended_early() {
    // Both are true at once when the supervisor first looks; chance must not decide.
    for _ in 0..32 {
        let shutdown = Shutdown::manual();
        let mut supervisor = Supervisor::new();
        let (send, ended) = oneshot::channel();
        let asked = shutdown.clone();
        supervisor.spawn("quick", async move {
            asked.requested().await;
            send.send(()).map_err(|()| io::Error::other("nobody asks"))
        });
        shutdown.request();
        ended.await.unwrap();
        within_deadline(supervisor.run(shutdown, LONG)).await.unwrap();
    }
}

#[tokio::test]
async fn a_task_that_ends_early_ends_everything_and_is_named() {
    let shutdown = Shutdown::manual();
    let mut supervisor = Supervisor::new();
    supervisor.spawn("loyal", until(shutdown.clone()));
    supervisor.spawn("early", async { Ok::<_, Infallible>(()) });
    let error = within_deadline(supervisor.run(shutdown.clone(), LONG)).await.unwrap_err();
    assert!(matches!(error, SuperviseError::EndedEarly { name: "early" }), "{error:?}");
    assert!(shutdown.is_requested());
}

#[tokio::test]
async fn a_task_that_fails_is_named_with_its_reason() {
    let shutdown = Shutdown::manual();
    let mut supervisor = Supervisor::new();
    supervisor.spawn("loyal", until(shutdown.clone()));
    supervisor.spawn("broken", async { Err(io::Error::other("disk full")) });
    let error = within_deadline(supervisor.run(shutdown, LONG)).await.unwrap_err();
    assert_eq!(Chain(&error).to_string(), "task broken failed: disk full");
}

/// Two kinds of payload: a formatted panic carries another type than a literal one.
async fn wild(formatted: bool) -> Result<(), Infallible> {
    assert!(!formatted, "on line {}", line!());
    panic!("at once")
}

#[tokio::test]
async fn a_task_that_panics_is_named_with_its_last_words() {
    for (formatted, words) in [(false, "at once"), (true, "on line ")] {
        let shutdown = Shutdown::manual();
        let mut supervisor = Supervisor::new();
        supervisor.spawn("loyal", until(shutdown.clone()));
        supervisor.spawn("wild", wild(formatted));
        let error = within_deadline(supervisor.run(shutdown, LONG)).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("task wild panicked: {words}")), "{error}");
    }
}

#[tokio::test]
async fn a_task_that_ignores_the_request_is_cut_off_after_the_grace() {
    let shutdown = Shutdown::manual();
    let gone = Arc::new(AtomicBool::new(false));
    let tells = Tells(Arc::clone(&gone));
    let mut supervisor = Supervisor::new();
    supervisor.spawn("deaf", async move {
        let _tells = tells;
        pending::<Result<(), Infallible>>().await
    });
    shutdown.request();
    within_deadline(supervisor.run(shutdown, SHORT)).await.unwrap();
    assert!(gone.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_failure_while_ending_is_not_lost() {
    let shutdown = Shutdown::manual();
    let mut supervisor = Supervisor::new();
    let asked = shutdown.clone();
    supervisor.spawn("saver", async move {
        asked.requested().await;
        Err(io::Error::other("could not save"))
    });
    shutdown.request();
    let error = within_deadline(supervisor.run(shutdown, LONG)).await.unwrap_err();
    assert!(matches!(error, SuperviseError::Failed { name: "saver", .. }), "{error:?}");
}

#[tokio::test]
async fn a_companion_outlives_every_worker_and_is_not_waited_for() {
    let shutdown = Shutdown::manual();
    let gone = Arc::new(AtomicBool::new(false));
    let tells = Tells(Arc::clone(&gone));
    let mut supervisor = Supervisor::new();
    supervisor.spawn_companion("answers", async move {
        let _tells = tells;
        pending::<Result<(), Infallible>>().await
    });
    let (asked, gone_then) = (shutdown.clone(), Arc::clone(&gone));
    let (send, seen) = oneshot::channel();
    supervisor.spawn("worker", async move {
        asked.requested().await;
        tokio::task::yield_now().await;
        send.send(gone_then.load(Ordering::SeqCst)).map_err(|_| io::Error::other("nobody asks"))
    });
    shutdown.request();
    within_deadline(supervisor.run(shutdown, LONG)).await.unwrap();
    assert!(!seen.await.unwrap(), "the companion was gone before the worker had ended");
    assert!(gone.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_companion_that_ends_early_ends_everything_too() {
    let shutdown = Shutdown::manual();
    let mut supervisor = Supervisor::new();
    supervisor.spawn("loyal", until(shutdown.clone()));
    supervisor.spawn_companion("answers", async { Ok::<_, Infallible>(()) });
    let error = within_deadline(supervisor.run(shutdown, LONG)).await.unwrap_err();
    assert!(matches!(error, SuperviseError::EndedEarly { name: "answers" }), "{error:?}");
}

#[tokio::test]
async fn a_supervisor_that_is_dropped_takes_its_tasks_along() {
    let gone = Arc::new(AtomicBool::new(false));
    let tells = Tells(Arc::clone(&gone));
    let mut supervisor = Supervisor::new();
    let (send, started) = oneshot::channel();
    supervisor.spawn("left", async move {
        let _tells = tells;
        send.send(()).map_err(|()| io::Error::other("nobody asks"))?;
        pending::<Result<(), io::Error>>().await
    });
    started.await.unwrap();
    drop(supervisor);
    within_deadline(async {
        while !gone.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
