//! The actions of the demo's steps: kubectl, the pools of the nodes, and the output.

use super::pools;
use crate::transcript::Transcript;
use anyhow::{Context, Result, anyhow, bail, ensure};
use fastrak_testkit::nodes::Outsider;
use fastrak_testkit::process::Invocation;
use fastrak_testkit::{ControlPlane, eventually};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The timeout of a step on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(90);

/// A cluster with fastrak, as the demo sees it.
#[derive(Debug)]
pub struct Demo<'a> {
    /// The control plane.
    pub control_plane: &'a ControlPlane,
    /// The pool of each node.
    pub pools: BTreeMap<String, PathBuf>,
    /// Whether the nodes run pods.
    pub runs_pods: bool,
    /// A host on the nodes' network that is no node, if there are real nodes.
    pub outsider: Option<&'a Outsider>,
    /// The output.
    pub transcript: &'a Transcript,
}

impl Demo<'_> {
    pub(super) fn heading(&self, text: &str) {
        self.transcript.heading(text);
    }

    pub(super) fn say(&self, text: &str) {
        self.transcript.line(text);
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "it is the last call of steps, which return results"
    )]
    pub(super) fn say_skipped(&self, why: &str) -> Result<()> {
        self.transcript.line(&format!("(left out: {why})"));
        Ok(())
    }

    pub(super) fn has_one_node(&self) -> bool {
        self.pools.len() == 1
    }

    pub(super) fn runs_pods(&self) -> bool {
        self.runs_pods
    }

    pub(super) fn pool_of(&self, node: &str) -> Result<&Path> {
        self.pools.get(node).map(PathBuf::as_path).ok_or_else(|| anyhow!("no node {node:?} here"))
    }

    /// Applies a manifest and prints kubectl's output.
    pub(super) async fn apply(&self, file: &str) -> Result<()> {
        let path = manifest(file);
        let output = self.kubectl(&["apply", "-f", &path]).await?;
        self.transcript.command(&format!("kubectl apply -f {file}"), &output);
        Ok(())
    }

    pub(super) async fn delete(&self, file: &str) -> Result<()> {
        let path = manifest(file);
        let output = self.kubectl(&["delete", "-f", &path, "--wait=false"]).await?;
        self.transcript.command(&format!("kubectl delete -f {file}"), &output);
        Ok(())
    }

    pub(super) async fn show(&self, heading: &str, args: &[&str]) -> Result<()> {
        self.heading(heading);
        self.show_only(args).await
    }

    pub(super) async fn show_only(&self, args: &[&str]) -> Result<()> {
        let output = self.kubectl(args).await?;
        self.transcript.command(&format!("kubectl {}", args.join(" ")), &output);
        Ok(())
    }

    pub(super) async fn rollout(&self, what: &str) -> Result<()> {
        let timeout = format!("--timeout={}s", TIMEOUT.as_secs());
        self.kubectl(&["rollout", "status", what, &timeout]).await.map(drop)
    }

    pub(super) async fn read(&self, kind: &str, name: &str, path: &str) -> Result<String> {
        self.kubectl(&["get", kind, name, "-o", &format!("jsonpath={{{path}}}")]).await
    }

    pub(super) async fn read_selected(
        &self,
        kind: &str,
        labels: &str,
        path: &str,
    ) -> Result<String> {
        let path = format!("jsonpath={{.items[0]{path}}}");
        self.kubectl(&["get", kind, "-l", labels, "-o", &path]).await
    }

    pub(super) async fn until(
        &self,
        what: &str,
        kind: &str,
        name: &str,
        path_is: (&str, &str),
    ) -> Result<()> {
        let (path, wanted) = path_is;
        eventually(TIMEOUT, what, || async {
            match self.read(kind, name, path).await? {
                found if found == wanted => Ok(()),
                found => bail!("{path} is {found:?}"),
            }
        })
        .await
    }

    /// Waits until a Service has this number of addresses, and returns them.
    pub(super) async fn until_addresses(&self, name: &str, count: usize) -> Result<Vec<IpAddr>> {
        eventually(TIMEOUT, format!("{name} has {count} addresses"), || async {
            let all = self.read("svc", name, ".status.loadBalancer.ingress[*].ip").await?;
            let all: Result<Vec<_>, _> = all.split_whitespace().map(str::parse).collect();
            let all = all.context("read the addresses")?;
            ensure!(all.len() == count, "{all:?}");
            Ok(all)
        })
        .await
    }

    pub(super) async fn until_none(&self, what: &str, args: &[&str]) -> Result<()> {
        eventually(TIMEOUT, what, || async {
            match self.kubectl(args).await? {
                found if found.is_empty() => Ok(()),
                found => bail!("{found}"),
            }
        })
        .await
    }

    /// Waits until a file of a volume has this content.
    pub(super) async fn until_written(
        &self,
        node: &str,
        uid: &str,
        (file, content): (&str, &str),
    ) -> Result<()> {
        let pool = self.pool_of(node)?;
        eventually(TIMEOUT, format!("file {file} of volume {uid} is written"), || async {
            let found = pools::read(pool, uid, file)?;
            ensure!(found == content, "{found:?}");
            Ok(())
        })
        .await
    }

    pub(super) async fn until_pools_are_empty(&self) -> Result<()> {
        eventually(TIMEOUT, "the pools are empty", || async {
            for (node, pool) in &self.pools {
                let found = pools::volumes(pool)?;
                ensure!(found.is_empty(), "in the pool of {node}: {found:?}");
            }
            Ok(())
        })
        .await
    }

    /// Gets a page of a Service from outside of the cluster until it begins with `text`.
    pub(super) async fn get(&self, address: SocketAddr, path: &str, text: &str) -> Result<()> {
        let outsider = self.outsider.context("there are no real nodes")?;
        let page = eventually(TIMEOUT, format!("{address}{path} answers"), || async {
            let page = outsider.get(address, path).await?;
            ensure!(page.starts_with(text), "{page:?}");
            Ok(page)
        });
        self.transcript.command(&format!("GET http://{address}{path}"), &page.await?);
        Ok(())
    }

    pub(super) async fn kubectl(&self, args: &[&str]) -> Result<String> {
        let command: Invocation = self.control_plane.kubectl_command();
        let ran = command.args(args).timeout(TIMEOUT + Duration::from_secs(10)).run().await;
        Ok(ran.with_context(|| format!("kubectl {}", args.join(" ")))?.stdout)
    }
}

fn manifest(file: &str) -> String {
    format!("{}/demo/{file}", env!("CARGO_MANIFEST_DIR"))
}
