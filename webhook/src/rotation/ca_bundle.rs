//! `caBundle` in the webhook configuration: read, published by server-side apply under a field
//! manager of its own, so that whoever applies the rest of the configuration neither sees nor
//! loses it. It makes no configuration.

use fastrak_api::names;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

/// The configuration, as far as it is ours to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    version: String,
    hooks: Vec<(String, Vec<u8>)>,
}

/// Why the API server does not trust us yet.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// There is no configuration, or none of its webhooks is ours.
    #[error(
        "MutatingWebhookConfiguration {name} has no webhook {} or {}: apply the manifests",
        names::CLAIMS_HOOK,
        names::SERVICES_HOOK,
        name = names::WEBHOOK_CONFIGURATION
    )]
    NotRegistered,
    /// The configuration cannot be read.
    #[error("could not read MutatingWebhookConfiguration {name}", name = names::WEBHOOK_CONFIGURATION)]
    Read(#[source] kube::Error),
    /// The configuration cannot be changed.
    #[error("could not publish the authority in MutatingWebhookConfiguration {name}", name = names::WEBHOOK_CONFIGURATION)]
    Publish(#[source] kube::Error),
    /// What was published is not there.
    #[error("MutatingWebhookConfiguration {name} lost the authority that was published", name = names::WEBHOOK_CONFIGURATION)]
    Lost,
}

/// Reads the configuration.
pub async fn read(
    configurations: &Api<MutatingWebhookConfiguration>,
) -> Result<Registration, BundleError> {
    let found = configurations.get_opt(names::WEBHOOK_CONFIGURATION).await;
    let configuration = found.map_err(BundleError::Read)?.ok_or(BundleError::NotRegistered)?;
    let ours =
        |name: &str| [names::CLAIMS_HOOK, names::SERVICES_HOOK, names::PROBE_HOOK].contains(&name);
    let hooks = configuration.webhooks.into_iter().flatten().filter(|hook| ours(&hook.name));
    let hooks: Vec<_> =
        hooks.map(|hook| (hook.name, hook.client_config.ca_bundle.unwrap_or_default().0)).collect();
    if hooks.is_empty() {
        return Err(BundleError::NotRegistered);
    }
    let version = configuration.metadata.resource_version.unwrap_or_default();
    Ok(Registration { version, hooks })
}

impl Registration {
    /// Whether every webhook of ours has exactly this bundle.
    #[must_use]
    pub fn has(&self, bundle: &str) -> bool {
        self.hooks.iter().all(|(_, found)| found == bundle.as_bytes())
    }

    /// Publishes a bundle. It is a change to this very version of the configuration: it fails when
    /// another replica, with a newer bundle, was first.
    pub async fn publish(
        &self,
        configurations: &Api<MutatingWebhookConfiguration>,
        bundle: &str,
    ) -> Result<(), BundleError> {
        let bundle = ByteString(bundle.as_bytes().to_vec());
        let hooks: Vec<_> = self
            .hooks
            .iter()
            .map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": bundle}}))
            .collect();
        let patch = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": names::WEBHOOK_CONFIGURATION, "resourceVersion": self.version},
            "webhooks": hooks,
        });
        // Forced: a bundle that somebody else put there would keep the API server from us.
        let params = PatchParams::apply(names::MANAGER_CA_BUNDLE).force();
        let applied =
            configurations.patch(names::WEBHOOK_CONFIGURATION, &params, &Patch::Apply(patch)).await;
        applied.map(drop).map_err(BundleError::Publish)
    }
}
