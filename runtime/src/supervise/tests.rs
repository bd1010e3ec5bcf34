use super::*;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::oneshot;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

async fn until(shutdown: Shutdown) -> Result<(), Infallible> {
    shutdown.requested().await;
    Ok(())
}

async fn within_deadline<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG / 6, work).await.unwrap()
}

/// Records that it was dropped.
struct OnDrop(Arc<AtomicBool>);

impl Drop for OnDrop {
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
    // Both hold when the supervisor first polls; the result must not be random.
    for _ in 0..32 {
        let shutdown = Shutdown::manual();
        let mut supervisor = Supervisor::new();
        let (send, ended) = oneshot::channel();
        let request = shutdown.clone();
        supervisor.spawn("quick", async move {
            request.requested().await;
            send.send(()).map_err(|()| io::Error::other("the receiver was dropped"))
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
    supervisor.spawn("waits", until(shutdown.clone()));
    supervisor.spawn("early", async { Ok::<_, Infallible>(()) });
    let error = within_deadline(supervisor.run(shutdown.clone(), LONG)).await.unwrap_err();
    assert!(matches!(error, SuperviseError::EndedEarly("early")), "{error:?}");
    assert!(shutdown.is_requested());
}

#[tokio::test]
async fn a_failed_task_is_named_with_its_error() {
    let shutdown = Shutdown::manual();
    let mut supervisor = Supervisor::new();
    supervisor.spawn("waits", until(shutdown.clone()));
    supervisor.spawn("broken", async { Err(io::Error::other("disk full")) });
    let error = within_deadline(supervisor.run(shutdown, LONG)).await.unwrap_err();
    assert_eq!(Chain(&error).to_string(), "task broken failed: disk full");
}

/// Two kinds of payload: a formatted panic carries another type than a literal one.
async fn panics(formatted: bool) -> Result<(), Infallible> {
    assert!(!formatted, "on line {}", line!());
    panic!("at once")
}

#[tokio::test]
async fn a_panicked_task_is_named_with_its_message() {
    for (formatted, message) in [(false, "at once"), (true, "on line ")] {
        let shutdown = Shutdown::manual();
        let mut supervisor = Supervisor::new();
        supervisor.spawn("waits", until(shutdown.clone()));
        supervisor.spawn("panics", panics(formatted));
        let error = within_deadline(supervisor.run(shutdown, LONG)).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("task panics panicked: {message}")), "{error}");
    }
}

#[tokio::test]
async fn a_task_that_ignores_the_request_is_aborted_after_the_grace_period() {
    let shutdown = Shutdown::manual();
    let dropped = Arc::new(AtomicBool::new(false));
    let on_drop = OnDrop(Arc::clone(&dropped));
    let mut supervisor = Supervisor::new();
    supervisor.spawn("ignores", async move {
        let _on_drop = on_drop;
        pending::<Result<(), Infallible>>().await
    });
    shutdown.request();
    within_deadline(supervisor.run(shutdown, SHORT)).await.unwrap();
    assert!(dropped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_failure_during_shutdown_is_returned() {
    let shutdown = Shutdown::manual();
    let mut supervisor = Supervisor::new();
    let request = shutdown.clone();
    supervisor.spawn("saves", async move {
        request.requested().await;
        Err(io::Error::other("could not save"))
    });
    shutdown.request();
    let error = within_deadline(supervisor.run(shutdown, LONG)).await.unwrap_err();
    assert!(matches!(error, SuperviseError::Failed("saves", _)), "{error:?}");
}

#[tokio::test]
async fn a_companion_is_aborted_after_the_last_worker() {
    let shutdown = Shutdown::manual();
    let dropped = Arc::new(AtomicBool::new(false));
    let on_drop = OnDrop(Arc::clone(&dropped));
    let mut supervisor = Supervisor::new();
    supervisor.spawn_companion("companion", async move {
        let _on_drop = on_drop;
        pending::<Result<(), Infallible>>().await
    });
    let (request, dropped_then) = (shutdown.clone(), Arc::clone(&dropped));
    let (send, seen) = oneshot::channel();
    supervisor.spawn("worker", async move {
        request.requested().await;
        tokio::task::yield_now().await;
        send.send(dropped_then.load(Ordering::SeqCst))
            .map_err(|_| io::Error::other("the receiver was dropped"))
    });
    shutdown.request();
    within_deadline(supervisor.run(shutdown, LONG)).await.unwrap();
    assert!(!seen.await.unwrap(), "the companion was aborted before the worker had returned");
    assert!(dropped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn an_early_return_of_a_companion_shuts_down() {
    let shutdown = Shutdown::manual();
    let mut supervisor = Supervisor::new();
    supervisor.spawn("waits", until(shutdown.clone()));
    supervisor.spawn_companion("companion", async { Ok::<_, Infallible>(()) });
    let error = within_deadline(supervisor.run(shutdown, LONG)).await.unwrap_err();
    assert!(matches!(error, SuperviseError::EndedEarly("companion")), "{error:?}");
}

#[tokio::test]
async fn dropping_a_supervisor_aborts_its_tasks() {
    let dropped = Arc::new(AtomicBool::new(false));
    let on_drop = OnDrop(Arc::clone(&dropped));
    let mut supervisor = Supervisor::new();
    let (send, started) = oneshot::channel();
    supervisor.spawn("pending", async move {
        let _on_drop = on_drop;
        send.send(()).map_err(|()| io::Error::other("the receiver was dropped"))?;
        pending::<Result<(), io::Error>>().await
    });
    started.await.unwrap();
    drop(supervisor);
    within_deadline(async {
        while !dropped.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
