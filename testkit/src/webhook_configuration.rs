//! The webhook configuration of `deploy/base` with a URL instead of the Service, because a control
//! plane without nodes routes no Service.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use fastrak_api::names;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::assets::repository;

/// The failure policy that turns a failed call into an error of the request.
const FAIL: &str = "Fail";

/// Reads the configuration from its manifest, and sets the URLs of `address` and the failure policy
/// Fail. With Ignore, a call that fails would go unnoticed.
pub fn strict_manifest(address: SocketAddr) -> Result<MutatingWebhookConfiguration> {
    let path = repository().join("deploy/base/mutatingwebhookconfiguration.yaml");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut configuration: MutatingWebhookConfiguration =
        serde_saphyr::from_str(&text).context("parse the webhook configuration")?;
    for hook in configuration.webhooks.iter_mut().flatten() {
        hook.client_config.service = None;
        hook.client_config.url = Some(url(&hook.name, address)?);
        hook.failure_policy = Some(FAIL.to_owned());
    }
    Ok(configuration)
}

/// Sets the URLs of `address` in the applied configuration, as an administrator does who runs the
/// webhook outside of the cluster. The CA bundle stays.
pub async fn set_urls(client: &Client, address: SocketAddr) -> Result<()> {
    let mut patch = Vec::new();
    for (at, hook) in applied(client).await?.webhooks.unwrap_or_default().iter().enumerate() {
        let config = format!("/webhooks/{at}/clientConfig");
        if hook.client_config.service.is_some() {
            patch.push(json!({ "op": "remove", "path": format!("{config}/service") }));
        }
        let url = url(&hook.name, address)?;
        patch.push(json!({ "op": "add", "path": format!("{config}/url"), "value": url }));
    }
    change(client, patch).await.context("set the URLs of the webhook configuration")
}

/// Sets the failure policy Fail in the applied configuration, so that a failed call is an error of
/// the request.
pub async fn fail_closed(client: &Client) -> Result<()> {
    let count = applied(client).await?.webhooks.unwrap_or_default().len();
    let path = |at: usize| format!("/webhooks/{at}/failurePolicy");
    let patch = (0..count).map(|at| json!({ "op": "replace", "path": path(at), "value": FAIL }));
    change(client, patch.collect()).await.context("set the failure policy")
}

fn url(hook: &str, address: SocketAddr) -> Result<String> {
    let path = match hook {
        names::CLAIMS_HOOK | names::PROBE_HOOK => names::CLAIMS_PATH,
        names::SERVICES_HOOK => names::SERVICES_PATH,
        other => bail!("unknown webhook {other}"),
    };
    Ok(format!("https://{address}{path}"))
}

async fn applied(client: &Client) -> Result<MutatingWebhookConfiguration> {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let applied = configurations.get(names::WEBHOOK_CONFIGURATION).await;
    applied.context("read the webhook configuration")
}

async fn change(client: &Client, patch: Vec<Value>) -> Result<()> {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let patch = Patch::<()>::Json(serde_json::from_value(Value::Array(patch))?);
    let params = PatchParams::default();
    configurations.patch(names::WEBHOOK_CONFIGURATION, &params, &patch).await?;
    Ok(())
}
