//! The moment at which a claim becomes Bound.

use anyhow::{Context, Result};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt as _};
use std::future::ready;
use std::pin::{Pin, pin};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A watch of claims that is opened before the measurement.
pub(crate) struct Bound {
    events: Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<PersistentVolumeClaim>>> + Send>>,
}

impl Bound {
    /// Opens the watch for the claims of a namespace.
    pub(crate) async fn watch(client: &Client, namespace: &str) -> Result<Self> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
        let listed = claims.list(&ListParams::default()).await.context("list claims")?;
        let version = listed.metadata.resource_version.unwrap_or_default();
        let events =
            claims.watch(&WatchParams::default(), &version).await.context("watch claims")?;
        Ok(Self { events: events.boxed() })
    }

    /// Waits until the claim of this name is Bound.
    pub(crate) async fn wait_for(&mut self, name: &str) -> Result<()> {
        let what = format!("{name} is Bound");
        self.wait_until(&what, |claim| claim.name_any() == name && is_bound(claim)).await
    }

    /// Waits until a claim meets a condition.
    pub(crate) async fn wait_until(
        &mut self,
        what: &str,
        is_wanted: impl Fn(&PersistentVolumeClaim) -> bool,
    ) -> Result<()> {
        let is_wanted = |event: &WatchEvent<PersistentVolumeClaim>| match event {
            WatchEvent::Modified(claim) => is_wanted(claim),
            _ => false,
        };
        let wanted = self.events.by_ref().try_filter(|event| ready(is_wanted(event)));
        let mut wanted = pin!(wanted);
        let seen = async {
            let first = wanted.try_next().await.context("watch claims")?;
            first.map(drop).with_context(|| format!("the watch ended before {what}"))
        };
        tokio::time::timeout(TIMEOUT, seen).await.with_context(|| format!("never: {what}"))?
    }
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    phase == Some("Bound")
}
