//! Sends the probes and reports their results: a gauge, a count by cause, a line in the log for
//! each change, and a remark beside this replica's readiness. It does not know whether this replica
//! leads: its caller does.

use super::metrics::ProbeMetrics;
use super::plan::{Failure, Heard, Standing, Tell, judge};
use crate::duration::duration;
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

/// How soon after a failure is asked again.
const AGAIN: Duration = Duration::from_secs(5);
/// How often is looked whether this replica is ready. Before it is, whom the API server reaches is
/// another, or nobody, and neither is news.
const STARTING: Duration = Duration::from_millis(200);

/// The flags of probes.
#[derive(Clone, Debug, clap::Args)]
pub struct ProbeArgs {
    /// How often the API server is asked whether it reaches the webhook, in seconds; 0: never.
    #[arg(long, env = "FASTRAK_PROBE_INTERVAL", default_value = "60", value_name = "SECONDS", value_parser = duration)]
    pub probe_interval: Duration,
}

/// What sends the probes.
pub struct Probe {
    /// How to reach the API server.
    pub client: Client,
    /// How often.
    pub interval: Duration,
    /// Whether this replica can answer at all.
    pub readiness: Readiness,
    /// What is measured.
    pub metrics: ProbeMetrics,
}

impl Probe {
    /// Probes until it is dropped.
    pub async fn run(&self) {
        let mut standing = Standing::default();
        let status = ProbeStatus { metrics: &self.metrics, remark: self.readiness.remark("probe") };
        loop {
            if !self.readiness.is_ready() {
                tokio::time::sleep(STARTING).await;
                continue;
            }
            let outcome = ask(&self.client).await;
            let (next, tell) = standing.after(outcome.as_ref().map(drop).map_err(|it| it.cause));
            standing = next;
            status.report(tell, standing, &outcome);
            let pause = if outcome.is_ok() { self.interval } else { self.interval.min(AGAIN) };
            tokio::time::sleep(pause).await;
        }
    }
}

/// Where probes are reported. A replica that no longer leads withdraws its report.
struct ProbeStatus<'a> {
    metrics: &'a ProbeMetrics,
    remark: Remark,
}

impl ProbeStatus<'_> {
    fn report(&self, tell: Tell, standing: Standing, outcome: &Result<(), Failure>) {
        if let Some(reached) = standing.is_reached() {
            self.metrics.show(reached);
        }
        if let Err(Failure { cause, detail }) = outcome {
            self.metrics.count_failure(*cause);
            tracing::debug!(cause = cause.as_str(), detail, "a probe failed");
        }
        match (tell, outcome) {
            (Tell::Failing(cause), Err(Failure { detail, .. })) => {
                let (advice, cause) = (cause.advice(), cause.as_str());
                tracing::error!(cause, detail, "the API server does not get our answers: {advice}");
                self.remark.set(format!("{cause}: {advice} ({detail})"));
            }
            (Tell::Recovered, _) => {
                tracing::info!("the API server gets our answers again");
                self.remark.clear();
            }
            (Tell::Failing(_) | Tell::Nothing, _) => {}
        }
    }
}

impl Drop for ProbeStatus<'_> {
    fn drop(&mut self) {
        self.metrics.success.clear();
        self.remark.clear();
    }
}

/// Asks once.
pub async fn ask(client: &Client) -> Result<(), Failure> {
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), names::PROBE_NAMESPACE);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let heard = match claims.create(&params, &claim()).await {
        Ok(claim) => {
            Heard::Admitted(claim.metadata.annotations.unwrap_or_default().remove(names::PROBE))
        }
        Err(kube::Error::Api(status)) => Heard::Refused(status.code, status.message.clone()),
        Err(error) => Heard::Nothing(Chain(&error).to_string()),
    };
    judge(&heard)
}

/// The claim that is asked for. It wants no class, so that no webhook but the probe's own looks at it
/// for us, and no plugin gives it one.
fn claim() -> PersistentVolumeClaim {
    let label = (names::PROBE.to_owned(), names::PROBE_ASKS.to_owned());
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
