//! Looks at our registration again and again, and tells what is not as it should be: a gauge for each
//! part, and a line in the log for each change. Every replica does so for itself.

use super::plan::{Drift, Field, Us, drift};
use super::shipped::{ShippedError, hooks};
use crate::config::Config;
use crate::metrics::{DriftLabel, Metrics};
use fastrak_api::names;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use kube::{Api, Client};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// The task that watches the registration.
pub struct RegistrationWatch {
    configurations: Api<MutatingWebhookConfiguration>,
    wanted: Vec<MutatingWebhook>,
    us: Us,
    poll: Duration,
    metrics: Arc<Metrics>,
}

impl RegistrationWatch {
    /// The task.
    pub fn new(
        client: Client,
        config: &Config,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ShippedError> {
        let (us, poll) = (config.us(), config.registration_poll);
        let wanted = hooks(&us)?;
        Ok(Self { configurations: Api::all(client), wanted, us, poll, metrics })
    }

    /// Watches until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut told = BTreeSet::new();
        loop {
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = self.look(&mut told) => {}
            }
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(self.poll) => {}
            }
        }
    }

    /// Looks once. An API server that does not answer says nothing of the registration.
    async fn look(&self, told: &mut BTreeSet<Drift>) {
        let found = match self.configurations.get_opt(names::WEBHOOK_CONFIGURATION).await {
            Ok(found) => found.and_then(|found| found.webhooks).unwrap_or_default(),
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "the registration could not be read");
                return;
            }
        };
        let drift: BTreeSet<_> = drift(&self.wanted, &found, &self.us).into_iter().collect();
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
