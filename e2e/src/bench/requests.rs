//! Counts fastrak's requests in the life of one claim and on an idle cluster, from the audit log of
//! the API server, and its connections.

use super::Figure;
use super::bound::Bound;
use super::resources::connections;
use crate::audit::{AuditLog, Request};
use crate::install::{Binaries, Processes};
use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_testkit::objects::claim;
use fastrak_testkit::{ControlPlane, Options, eventually};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use std::collections::BTreeMap;
use std::time::Duration;

const NODE: &str = "bench-node";
const NAMESPACE: &str = "default";
const CLAIMS: usize = 50;
/// The time until first lists, the certificates and the first probe are done.
const SETTLE: Duration = Duration::from_secs(20);
/// Whole minutes, so that requests once a minute are counted exactly.
const IDLE: Duration = Duration::from_secs(180);
const GONE: Duration = Duration::from_secs(60);

/// Measures everything on a new control plane.
pub(super) async fn measure(area: &'static str, binaries: &Binaries) -> Result<Vec<Figure>> {
    let plane = ControlPlane::start(Options::full().audited()).await?;
    let client = plane.client().await?;
    fastrak_testkit::fake_node(&client, NODE).await?;
    let processes = Processes::install(&plane, binaries, &[NODE]).await?;
    tokio::time::sleep(SETTLE).await;

    let log = AuditLog::from_now(&plane.audit_log())?;
    tokio::time::sleep(IDLE).await;
    let idle = Count::of(&log.requests()?, IDLE.as_secs_f64() / 60.0);
    // The first claim after a start also makes the agent list the nodes with its hostname label.
    lives(&client, 1).await?;
    let log = AuditLog::from_now(&plane.audit_log())?;
    lives(&client, CLAIMS).await?;
    let lives = Count::of(&log.requests()?, CLAIMS as f64);

    let mut figures = Vec::new();
    let each = "requests per claim's life";
    figures.extend(lives.figures(area, names::AGENT, each, Some(5.0)));
    figures.extend(lives.figures(area, names::WEBHOOK, each, None));
    let each = "idle requests per minute";
    figures.extend(idle.figures(area, names::AGENT, each, Some(1.0)));
    figures.extend(idle.figures(area, names::WEBHOOK, each, Some(2.0)));
    let port = plane.url().rsplit(':').next().and_then(|port| port.parse().ok());
    let port = port.context("the API server's URL has no port")?;
    for (name, pid) in
        [(names::AGENT, processes.agent_pid(0)?), (names::WEBHOOK, processes.webhook_pid()?)]
    {
        let name = format!("{name}: connections to the API server");
        figures.push(Figure::plain(area, &name, connections(pid, port)? as f64, ""));
    }
    Ok(figures)
}

/// Creates, binds and deletes claims one after the other, and waits until no volume is left.
async fn lives(client: &Client, claims_in_all: usize) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), NAMESPACE);
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let mut bound = Bound::watch(client, NAMESPACE).await?;
    for round in 0..claims_in_all {
        let name = format!("life-{round}");
        let claim = claim(&name).class(names::CLASS_DEFAULT).build(NAMESPACE);
        claims.create(&PostParams::default(), &claim).await.context("create a claim")?;
        bound.wait_for(&name).await?;
        claims.delete(&name, &DeleteParams::default()).await.context("delete a claim")?;
    }
    eventually(GONE, "no volume is left", || async {
        let left = volumes.list(&ListParams::default()).await?.items.len();
        ensure!(left == 0, "{left} are left");
        Ok(())
    })
    .await
}

/// Requests by account, verb and resource, in a number of units of time or work.
struct Count {
    requests: BTreeMap<(String, String), u32>,
    units: f64,
}

impl Count {
    /// Counts all requests except watches, Leases and the probe.
    fn of(requests: &[Request], units: f64) -> Self {
        let mut counts = BTreeMap::new();
        for request in requests.iter().filter(|request| is_counted(request)) {
            let what = format!("{} {}", request.verb, request.resource);
            *counts.entry((request.account.clone(), what)).or_default() += 1;
        }
        Self { requests: counts, units }
    }

    /// Returns the sum for an account and its parts.
    fn figures(
        &self,
        area: &'static str,
        account: &str,
        each: &str,
        limit: Option<f64>,
    ) -> Vec<Figure> {
        let parts: Vec<_> = self.requests.iter().filter(|((of, _), _)| of == account).collect();
        let per_unit = |count: u32| f64::from(count) / self.units;
        let sum = per_unit(parts.iter().map(|(_, count)| **count).sum());
        let name = format!("{account}: {each}");
        let sum = match limit {
            Some(limit) => Figure::at_most(area, &name, sum, "", limit),
            None => Figure::plain(area, &name, sum, ""),
        };
        let part = |((_, what), count): &(&(String, String), &u32)| {
            Figure::plain(area, &format!("  {what}"), per_unit(**count), "")
        };
        std::iter::once(sum).chain(parts.iter().map(part)).collect()
    }
}

fn is_counted(request: &Request) -> bool {
    let is_probe = request.namespace.as_deref() == Some(names::PROBE_NAMESPACE);
    request.verb != "watch" && request.resource != "leases" && !is_probe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(account: &str, verb: &str, resource: &str) -> Request {
        Request {
            account: account.to_owned(),
            namespace: None,
            group: String::new(),
            resource: resource.to_owned(),
            name: None,
            verb: verb.to_owned(),
            is_allowed: true,
        }
    }

    #[test]
    fn watches_leases_and_the_probe_do_not_count() {
        let probe = Request {
            namespace: Some(names::PROBE_NAMESPACE.to_owned()),
            ..request("a", "create", "persistentvolumeclaims")
        };
        let requests = [
            request("a", "watch", "nodes"),
            request("a", "update", "leases"),
            probe,
            request("a", "get", "nodes"),
            request("a", "get", "nodes"),
            request("b", "get", "nodes"),
        ];
        let count = Count::of(&requests, 4.0);
        let figures = count.figures("main", "a", "requests", Some(0.4));
        let found: Vec<_> = figures.iter().map(|figure| (figure.value, figure.met)).collect();
        assert_eq!(found, [(0.5, false), (0.5, true)]);
    }
}
