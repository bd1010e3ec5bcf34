//! Watches our webhook configuration and reports differences from the shipped one: a metric for
//! each field, and a log line for each change. Every replica does so.

use super::metrics::DriftMetrics;
use super::plan::{Drift, Installation, drift};
use super::shipped::{ShippedError, hooks};
use fastrak_api::names;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::watch::Watch;
use futures::StreamExt as _;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use kube::Client;
use kube::runtime::watcher::Event;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::pin;

/// The task that watches the webhook configuration.
pub(crate) struct ConfigurationWatch {
    configuration: Watch<Vec<MutatingWebhook>>,
    wanted: Vec<MutatingWebhook>,
    installation: Installation,
    metrics: DriftMetrics,
}

impl ConfigurationWatch {
    pub(crate) fn new(
        client: Client,
        installation: Installation,
        metrics: DriftMetrics,
    ) -> Result<Self, ShippedError> {
        let wanted = hooks(&installation)?;
        let configuration = Watch::all::<MutatingWebhookConfiguration>(client, read);
        let configuration = configuration.named(names::WEBHOOK_CONFIGURATION);
        Ok(Self { configuration, wanted, installation, metrics })
    }

    /// Watches until shutdown is requested.
    pub(crate) async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut events = pin!(self.configuration.clone().events());
        let (mut reported, mut listed) = (BTreeSet::new(), None);
        loop {
            let event = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                Some(event) = events.next() => event,
            };
            match event {
                Event::Init => listed = None,
                Event::InitApply(found) => listed = Some(found),
                Event::InitDone => self.report(&mut reported, &listed.take().unwrap_or_default()),
                Event::Apply(found) => self.report(&mut reported, &found),
                Event::Delete(_) => self.report(&mut reported, &[]),
            }
        }
    }

    /// Compares the webhooks with the shipped ones, and reports the differences.
    fn report(&self, reported: &mut BTreeSet<Drift>, found: &[MutatingWebhook]) {
        let drift = drift(&self.wanted, found, &self.installation);
        let drift: BTreeSet<_> = drift.into_iter().collect();
        self.metrics.show(&drift);
        for Drift { hook, field, found, wanted } in drift.difference(reported) {
            let field = field.as_str();
            tracing::warn!(
                hook,
                field,
                found,
                wanted,
                "the webhook configuration differs from the shipped one; apply the manifests again \
                 unless this is intended"
            );
        }
        for Drift { hook, field, .. } in reported.difference(&drift) {
            let field = field.as_str();
            tracing::info!(hook, field, "found the webhook configuration as shipped again");
        }
        *reported = drift;
    }
}

fn read(text: &str) -> Result<Vec<MutatingWebhook>, serde_json::Error> {
    let configuration: MutatingWebhookConfiguration = serde_json::from_str(text)?;
    Ok(configuration.webhooks.unwrap_or_default())
}
