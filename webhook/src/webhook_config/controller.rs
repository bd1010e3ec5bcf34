//! Watches our webhook configuration, and reports what differs: a gauge for each part, and
//! a line in the log for each change. Every replica does so for itself.

use super::plan::{Drift, Field, Installation, drift};
use super::shipped::{ShippedError, hooks};
use crate::config::Config;
use crate::metrics::{DriftLabel, Metrics};
use fastrak_api::names;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::watch::Watch;
use futures::StreamExt as _;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use kube::Client;
use kube::runtime::watcher::Event;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

/// The task that watches the registration.
pub struct RegistrationWatch {
    configuration: Watch<Vec<MutatingWebhook>>,
    wanted: Vec<MutatingWebhook>,
    us: Installation,
    metrics: Arc<Metrics>,
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    webhooks: Option<Vec<MutatingWebhook>>,
}

impl RegistrationWatch {
    /// The task.
    pub fn new(
        client: Client,
        config: &Config,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ShippedError> {
        let us = config.us();
        let wanted = hooks(&us)?;
        let configuration = Watch::all::<MutatingWebhookConfiguration>(client, read);
        let configuration = configuration.named(names::WEBHOOK_CONFIGURATION);
        Ok(Self { configuration, wanted, us, metrics })
    }

    /// Watches until shutdown is requested. An API server that does not answer says nothing of the
    /// registration.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut events = pin!(self.configuration.clone().events());
        let (mut told, mut listed) = (BTreeSet::new(), None);
        loop {
            let event = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                Some(event) = events.next() => event,
            };
            match event {
                Event::Init => listed = None,
                Event::InitApply(found) => listed = Some(found),
                Event::InitDone => self.look(&mut told, &listed.take().unwrap_or_default()),
                Event::Apply(found) => self.look(&mut told, &found),
                Event::Delete(_) => self.look(&mut told, &[]),
            }
        }
    }

    /// Tells what is not as it should be of the webhooks that were found.
    fn look(&self, told: &mut BTreeSet<Drift>, found: &[MutatingWebhook]) {
        let drift: BTreeSet<_> = drift(&self.wanted, found, &self.us).into_iter().collect();
        for field in Field::ALL {
            let drifted = drift.iter().any(|drift| drift.field == *field);
            let label = DriftLabel { field: *field };
            self.metrics.registration_drift.get_or_create(&label).set(i64::from(drifted));
        }
        for new in drift.difference(told) {
            let configuration = names::WEBHOOK_CONFIGURATION;
            tracing::warn!(
                configuration,
                "the registration is not as it was shipped: {new}; apply the manifests again, \
                 unless this is on purpose"
            );
        }
        for old in told.difference(&drift) {
            tracing::info!(
                hook = old.hook,
                field = old.field.as_str(),
                "the registration is as it should be again"
            );
        }
        *told = drift;
    }
}

fn read(text: &str) -> Result<Vec<MutatingWebhook>, serde_json::Error> {
    let configuration: Configuration = serde_json::from_str(text)?;
    Ok(configuration.webhooks.unwrap_or_default())
}
