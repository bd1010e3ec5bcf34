//! `make demo`, `make cluster` and `make cluster-down` work as README describes.

use anyhow::{Context, Result, ensure};
use fastrak_testkit::process::{Invocation, Process};
use fastrak_testkit::{Cluster, assets::Assets, eventually, or_skip};
use std::time::{Duration, Instant};

const PLAYGROUND: &str = env!("CARGO_BIN_EXE_playground");
/// A cluster starts in two minutes on a busy machine, and then fastrak is rolled out.
const SOON: Duration = Duration::from_secs(600);

/// Returns an invocation with its own folder for the file of the running cluster, so that a cluster
/// in use is not affected.
fn playground(args: &[&str], folder: &tempfile::TempDir) -> Invocation {
    Invocation::new(PLAYGROUND)
        .args(args)
        .env("TMPDIR", folder.path().display().to_string())
        .timeout(Duration::from_secs(900))
}

#[tokio::test]
async fn the_demo_succeeds_and_a_cluster_runs_until_it_is_stopped() -> Result<()> {
    let _turn = crate::turn().await;
    or_skip!(Cluster::supported(), Ok(()));
    let folder = tempfile::tempdir().context("make a folder")?;
    let output = playground(&["demo"], &folder).run().await?.stdout;
    let last = output.lines().last().unwrap_or_default();
    assert!(last.starts_with("demo: ok"), "{output}");
    assert!(output.contains("In the pool of node-"), "{output}");
    assert!(output.contains("$ GET http://10.214.0.208:80/hello"), "{output}");

    let log = folder.path().join("cluster.log");
    let cluster = playground(&["cluster", "--nodes", "1"], &folder);
    let mut cluster = Process::start("cluster", &cluster, &log)?;
    let kubeconfig = eventually(SOON, "the line that points kubectl to it", || async {
        let text = std::fs::read_to_string(&log)?;
        let line = text.lines().find_map(|line| line.strip_prefix("export KUBECONFIG="));
        line.map(str::to_owned).context(text.clone())
    })
    .await?;
    let kubectl = Assets::find().await?.program("kubectl");
    let get = ["get", "daemonsets", "-A", "-o", "name", "--kubeconfig", &kubeconfig];
    let found = Invocation::new(kubectl).args(get).run().await?.stdout;
    assert_eq!(found.trim(), "daemonset.apps/fastrak-agent\ndaemonset.apps/fastrak-speaker");

    let output = playground(&["down"], &folder).run().await?.stdout;
    assert!(output.lines().last().unwrap_or_default().starts_with("cluster-down: ok"), "{output}");
    let stopped = Instant::now();
    let status = loop {
        if let Some(status) = cluster.exited()? {
            break status;
        }
        ensure!(stopped.elapsed() < SOON, "it still runs: {}", cluster.log_tail(15));
        tokio::task::yield_now().await;
    };
    ensure!(status.success(), "{status}: {}", cluster.log_tail(15));
    assert!(!std::path::Path::new(&kubeconfig).exists(), "the kubeconfig is left");
    let output = playground(&["down"], &folder).run().await?.stdout;
    assert!(output.contains("No cluster is running."), "{output}");
    Ok(())
}

#[tokio::test]
async fn without_real_nodes_the_demo_says_so_and_shows_the_rest() -> Result<()> {
    let _turn = crate::turn().await;
    let folder = tempfile::tempdir().context("make a folder")?;
    let output = playground(&["demo", "--without-nodes"], &folder).run().await?.stdout;
    let last = output.lines().last().unwrap_or_default();
    assert!(last.starts_with("demo: ok"), "{output}");
    assert!(output.contains("(left out: nothing runs pods here"), "{output}");
    Ok(())
}
