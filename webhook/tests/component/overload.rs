//! A review that cannot be decided in time is answered without a change.

use crate::server::{Server, Setup, request, review};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;

#[tokio::test]
async fn a_review_that_cannot_be_decided_in_time_is_allowed_with_a_warning() -> Result<()> {
    let server = Server::of(&Setup { in_flight: 0, ..Setup::new()? }).await?;
    let start = Instant::now();
    let body = review("PersistentVolumeClaim");
    let (status, text) = server.ask("POST /claims?timeout=4s", "application/json", &body).await?;
    ensure!(start.elapsed() < Duration::from_secs(4), "it took {:?}", start.elapsed());
    ensure!(status == 200, "{status}: {text}");
    let answer: serde_json::Value = serde_json::from_str(&text)?;
    let response = &answer["response"];
    assert_eq!(response["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    assert_eq!(response["allowed"], true);
    assert_eq!(response["auditAnnotations"]["reason"], "overloaded");
    let warning = response["warnings"][0].as_str().unwrap_or_default();
    ensure!(warning.contains("overloaded; fastrak retries later"), "{warning}");
    assert_eq!(server.metrics.serving.reviews_shed.get(), 1);
    assert_eq!(server.metrics.serving.reviews_in_flight.get(), 0);
    Ok(())
}

#[tokio::test]
async fn reviews_beyond_the_concurrency_limit_wait() -> Result<()> {
    let server = Server::of(&Setup { in_flight: 1, ..Setup::new()? }).await?;
    let ask = || async {
        let mut connection = server.connect(&[b"http/1.1"]).await?;
        for _ in 0..20 {
            connection.write_all(&request("POST /claims?timeout=30s")).await?;
            let text = crate::drains::answer(&mut connection).await?;
            ensure!(text.contains("empty_class"), "{text}");
        }
        Ok::<_, anyhow::Error>(())
    };
    let all = (0..16).map(|_| ask());
    futures::future::try_join_all(all).await?;
    assert_eq!(server.metrics.serving.reviews_shed.get(), 0);
    Ok(())
}
