//! Waits for conditions with a deadline.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_millis(200);

/// The result of a check: success, or a description of the current state.
pub trait Check {
    /// The value that the wait returns.
    type Found;

    /// Returns the value, or a description of the current state.
    fn result(self) -> Result<Self::Found, String>;
}

impl<T> Check for Option<T> {
    type Found = T;

    fn result(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing yet".to_owned())
    }
}

impl Check for bool {
    type Found = ();

    fn result(self) -> Result<(), String> {
        self.then_some(()).ok_or_else(|| "not yet".to_owned())
    }
}

impl<T, E: Debug + Display> Check for Result<T, E> {
    type Found = T;

    // The alternate form of an anyhow error has its causes.
    fn result(self) -> Result<T, String> {
        self.map_err(|error| format!("{error:#}"))
    }
}

/// Checks repeatedly until the check returns `Some`, `Ok` or `true`. After the deadline, the error
/// names the condition and the result of the last check.
pub async fn eventually<L, F>(
    deadline: Duration,
    what: impl Display,
    mut check: impl FnMut() -> F,
) -> Result<L::Found>
where
    L: Check,
    F: Future<Output = L>,
{
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut last = "no check has finished".to_owned();
    loop {
        // A check that hangs must not exceed the deadline.
        let left = deadline.saturating_sub(start.elapsed());
        match tokio::time::timeout(left, check()).await.map(Check::result) {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(seen)) => last = seen,
            Err(_) => {}
        }
        if start.elapsed() >= deadline {
            bail!("{what}: not within {deadline:?}; last seen: {last}");
        }
        tokio::time::sleep(pause.min(deadline.saturating_sub(start.elapsed()))).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::eventually;
    use std::time::Duration;

    #[tokio::test]
    async fn a_condition_that_becomes_true_is_returned() {
        let mut checks = 0;
        let found = eventually(Duration::from_secs(10), "the third check", || {
            checks += 1;
            let seen = (checks == 3).then_some("here");
            std::future::ready(seen)
        });
        assert_eq!(found.await.expect("comes true"), "here");
    }

    #[tokio::test]
    async fn the_error_names_the_condition_and_the_last_state() {
        let awaited = eventually(Duration::from_millis(30), "the claim is bound", || async {
            Err::<(), _>(anyhow::anyhow!("phase Pending").context("read the claim"))
        });
        let error = awaited.await.expect_err("never").to_string();
        assert!(error.contains("the claim is bound"), "{error}");
        assert!(error.contains("read the claim: phase Pending"), "{error}");
    }

    #[tokio::test]
    async fn a_check_that_hangs_ends_at_the_deadline() {
        let awaited = eventually(Duration::from_millis(30), "an answer", || async {
            std::future::pending::<bool>().await
        });
        assert!(awaited.await.expect_err("never").to_string().contains("no check has finished"));
    }
}
