//! Sends probes and reports their results: metrics, a log line for each change, and a remark in the
//! readiness of this replica. The caller runs it only while this replica leads.

use super::metrics::ProbeMetrics;
use super::plan::{Failure, History, Report, Response, judge};
use fastrak_api::duration::parse_or_seconds;
use fastrak_api::names;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::ready::{Readiness, Remark};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::time::Duration;

/// The maximum interval after a failed probe.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// The interval at which the readiness of this replica is checked. A replica does not probe before
/// it is ready: the API server cannot reach it yet.
const READY_POLL: Duration = Duration::from_millis(200);

/// The flags of probes.
#[derive(Clone, Debug, clap::Args)]
pub struct ProbeArgs {
    /// Interval of the probes whether the API server reaches the webhook, in seconds; 0 disables
    /// them.
    #[arg(long, env = "FASTRAK_PROBE_INTERVAL", default_value = "60", value_name = "SECONDS", value_parser = parse_or_seconds)]
    pub probe_interval: Duration,
}

/// The task that probes.
pub struct Probe {
    /// The API client.
    pub client: Client,
    /// The interval.
    pub interval: Duration,
    /// The readiness of this replica.
    pub readiness: Readiness,
    /// The metrics.
    pub metrics: ProbeMetrics,
}

impl Probe {
    /// Probes until the future is dropped.
    pub async fn run(&self) {
        let mut history = History::default();
        let status = ProbeStatus { metrics: &self.metrics, remark: self.readiness.remark("probe") };
        loop {
            if !self.readiness.is_ready() {
                tokio::time::sleep(READY_POLL).await;
                continue;
            }
            let outcome = probe(&self.client).await;
            let (next, report) = history.after(outcome.as_ref().map(drop).map_err(|it| it.cause));
            history = next;
            status.report(report, history, &outcome);
            let pause =
                if outcome.is_ok() { self.interval } else { self.interval.min(RETRY_INTERVAL) };
            tokio::time::sleep(pause).await;
        }
    }
}

/// The status of the probes. It is withdrawn when this replica no longer leads.
struct ProbeStatus<'a> {
    metrics: &'a ProbeMetrics,
    remark: Remark,
}

impl ProbeStatus<'_> {
    fn report(&self, report: Report, history: History, outcome: &Result<(), Failure>) {
        if let Some(reached) = history.is_reached() {
            self.metrics.show(reached);
        }
        if let Err(Failure { cause, detail }) = outcome {
            self.metrics.count_failure(*cause);
            tracing::debug!(cause = cause.as_str(), detail, "probe failed");
        }
        match (report, outcome) {
            (Report::Failing(cause), Err(Failure { detail, .. })) => {
                let (advice, cause) = (cause.advice(), cause.as_str());
                tracing::error!(
                    cause,
                    detail,
                    advice,
                    "failed to reach the webhook through the API server"
                );
                self.remark.set(format!("{cause}: {advice} ({detail})"));
            }
            (Report::Recovered, _) => {
                tracing::info!("reached the webhook through the API server again");
                self.remark.clear();
            }
            (Report::Failing(_) | Report::Nothing, _) => {}
        }
    }
}

impl Drop for ProbeStatus<'_> {
    fn drop(&mut self) {
        self.metrics.success.clear();
        self.remark.clear();
    }
}

/// Sends a probe.
pub async fn probe(client: &Client) -> Result<(), Failure> {
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), names::PROBE_NAMESPACE);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let response = match claims.create(&params, &claim()).await {
        Ok(claim) => {
            Response::Admitted(claim.metadata.annotations.unwrap_or_default().remove(names::PROBE))
        }
        Err(kube::Error::Api(status)) => Response::Refused(status.code, status.message.clone()),
        Err(error) => Response::None(Chain(&error).to_string()),
    };
    judge(&response)
}

/// Returns the claim of a probe. Its class is empty, so only the webhook of the probe matches it,
/// and no default class is set.
fn claim() -> PersistentVolumeClaim {
    let label = (names::PROBE.to_owned(), names::PROBE_REQUESTED.to_owned());
    let size = ("storage".to_owned(), Quantity("1Mi".to_owned()));
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some("probe".to_owned()),
            labels: Some(BTreeMap::from([label])),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([size])),
                ..VolumeResourceRequirements::default()
            }),
            storage_class_name: Some(String::new()),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}
