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
async fn workers_that_return_after_the_request_succeed() {
    let shutdown = Shutdown::manual();
    let mut supervisor = Supervisor::new();
    supervisor.spawn("one", until(shutdown.clone()));
    supervisor.spawn("two", until(shutdown.clone()));
    shutdown.request();
    within_deadline(supervisor.run(shutdown, LONG)).await.unwrap();
}

#[tokio::test]
async fn a_task_that_returned_after_the_request_does_not_count_as_early() {
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
async fn an_early_return_shuts_down_and_names_the_task() {
    let shutdown = Shutdown::manual();
    let mut supervisor = Supervisor::new();
    supervisor.spawn("loyal", until(shutdown.clone()));
    supervisor.spawn("early", async { Ok::<_, Infallible>(()) });
    let error = within_deadline(supervisor.run(shutdown.clone(), LONG)).await.unwrap_err();
    assert!(matches!(error, SuperviseError::EndedEarly { name: "early" }), "{error:?}");
    assert!(shutdown.is_requested());
}

#[tokio::test]
async fn a_failed_task_is_named_with_its_error() {
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
async fn a_panicked_task_is_named_with_its_message() {
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
async fn a_task_that_ignores_the_request_is_aborted_after_the_grace_period() {
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
async fn a_failure_during_shutdown_is_returned() {
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
async fn a_companion_is_aborted_after_the_last_worker() {
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
async fn an_early_return_of_a_companion_shuts_down() {
    let shutdown = Shutdown::manual();
    let mut supervisor = Supervisor::new();
    supervisor.spawn("loyal", until(shutdown.clone()));
    supervisor.spawn_companion("answers", async { Ok::<_, Infallible>(()) });
    let error = within_deadline(supervisor.run(shutdown, LONG)).await.unwrap_err();
    assert!(matches!(error, SuperviseError::EndedEarly { name: "answers" }), "{error:?}");
}

#[tokio::test]
async fn dropping_a_supervisor_aborts_its_tasks() {
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
