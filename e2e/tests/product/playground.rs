//! `make demo`, `make cluster` and `make cluster-down` do what README says of them.

use anyhow::{Context, Result, ensure};
use fastrak_testkit::process::{Invocation, Process};
use fastrak_testkit::{Cluster, assets::Assets, eventually, or_skip};
use std::time::{Duration, Instant};

const PLAYGROUND: &str = env!("CARGO_BIN_EXE_playground");
const SOON: Duration = Duration::from_secs(120);

/// A folder of its own for what says that a cluster runs: one that somebody uses is left alone.
fn playground(args: &[&str], folder: &tempfile::TempDir) -> Invocation {
    Invocation::new(PLAYGROUND)
        .args(args)
        .env("TMPDIR", folder.path().display().to_string())
        .timeout(Duration::from_secs(240))
}

#[tokio::test]
async fn the_demo_plays_to_its_end_and_a_cluster_runs_until_it_is_ended() -> Result<()> {
    let _turn = crate::turn().await;
    or_skip!(Cluster::supported(), Ok(()));
    let folder = tempfile::tempdir().context("make a folder")?;
    let told = playground(&["demo"], &folder).run().await?.stdout;
    let last = told.lines().last().unwrap_or_default();
    assert!(last.starts_with("demo: ok"), "{told}");
    assert!(told.contains("In the pool of node-"), "{told}");

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
    assert_eq!(found.trim(), "daemonset.apps/fastrak-agent");

    let told = playground(&["down"], &folder).run().await?.stdout;
    assert!(told.lines().last().unwrap_or_default().starts_with("cluster-down: ok"), "{told}");
    let asked = Instant::now();
    let status = loop {
        if let Some(status) = cluster.exited()? {
            break status;
        }
        ensure!(asked.elapsed() < SOON, "it has not ended: {}", cluster.log_tail(15));
        tokio::task::yield_now().await;
    };
    ensure!(status.success(), "{status}: {}", cluster.log_tail(15));
    assert!(!std::path::Path::new(&kubeconfig).exists(), "nothing of it is left");
    let told = playground(&["down"], &folder).run().await?.stdout;
    assert!(told.contains("No cluster is running."), "{told}");
    Ok(())
}

#[tokio::test]
async fn where_nothing_can_run_pods_the_demo_says_so_and_shows_the_rest() -> Result<()> {
    let _turn = crate::turn().await;
    let folder = tempfile::tempdir().context("make a folder")?;
    let told = playground(&["demo", "--without-nodes"], &folder).run().await?.stdout;
    let last = told.lines().last().unwrap_or_default();
    assert!(last.starts_with("demo: ok"), "{told}");
    assert!(told.contains("(left out: nothing runs pods here"), "{told}");
    Ok(())
}
