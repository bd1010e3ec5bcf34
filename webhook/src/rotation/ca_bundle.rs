//! Reads and publishes `caBundle` in our webhook configuration. It is published by server-side
//! apply under a field manager of its own, so a client that applies the manifests does not remove
//! it. The webhook configuration is never created here.

use super::state::Id;
use fastrak_api::names;
use fastrak_certs::Bundle;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use std::collections::BTreeSet;

/// Our webhook configuration: its version, and the `caBundle` of each webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Configuration {
    version: String,
    hooks: Vec<(String, Vec<u8>)>,
}

/// Why `caBundle` could not be read or published.
#[derive(Debug, thiserror::Error)]
pub(super) enum BundleError {
    /// The webhook configuration does not exist, or has none of our webhooks.
    #[error(
        "MutatingWebhookConfiguration {name} has no webhook {} or {}: apply the manifests",
        names::CLAIMS_HOOK,
        names::SERVICES_HOOK,
        name = names::WEBHOOK_CONFIGURATION
    )]
    NoConfiguration,
    #[error("could not read MutatingWebhookConfiguration {name}", name = names::WEBHOOK_CONFIGURATION)]
    Read(#[source] kube::Error),
    #[error("could not publish the CA bundle in MutatingWebhookConfiguration {name}", name = names::WEBHOOK_CONFIGURATION)]
    Publish(#[source] kube::Error),
}

/// Reads the webhook configuration from the API server. A watch may be behind.
pub(super) async fn read(
    configurations: &Api<MutatingWebhookConfiguration>,
) -> Result<Configuration, BundleError> {
    let found = configurations.get_opt(names::WEBHOOK_CONFIGURATION).await;
    let configuration = found.map_err(BundleError::Read)?.ok_or(BundleError::NoConfiguration)?;
    let ours =
        |name: &str| [names::CLAIMS_HOOK, names::SERVICES_HOOK, names::PROBE_HOOK].contains(&name);
    let hooks = configuration.webhooks.into_iter().flatten().filter(|hook| ours(&hook.name));
    let hooks: Vec<_> =
        hooks.map(|hook| (hook.name, hook.client_config.ca_bundle.unwrap_or_default().0)).collect();
    if hooks.is_empty() {
        return Err(BundleError::NoConfiguration);
    }
    let version = configuration.metadata.resource_version.unwrap_or_default();
    Ok(Configuration { version, hooks })
}

impl Configuration {
    /// Returns whether all our webhooks have exactly this bundle.
    #[must_use]
    pub(super) fn has(&self, bundle: &str) -> bool {
        self.hooks.iter().all(|(_, found)| found == bundle.as_bytes())
    }

    /// Returns the CAs that all our webhooks trust.
    #[must_use]
    pub(super) fn trusted(&self) -> BTreeSet<Id> {
        let each = self.bundles().map(|bundle| bundle.iter().map(|pem| Id::of(&pem)).collect());
        each.reduce(|one: BTreeSet<_>, other| &one & &other).unwrap_or_default()
    }

    /// Returns the CAs that any of our webhooks trusts.
    #[must_use]
    pub(super) fn found(&self) -> Bundle {
        let all: String = self.bundles().map(|bundle| bundle.to_pem()).collect();
        Bundle::salvage(&all)
    }

    /// Returns the bundle of each of our webhooks as a text.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        self.hooks.iter().map(|(_, found)| String::from_utf8_lossy(found).into_owned())
    }

    /// Publishes a bundle. Returns false if another client changed the webhook configuration first.
    /// The change applies to this version only: a replica that has read an older Secret cannot undo
    /// what was published from a newer one.
    pub(super) async fn publish(
        &self,
        configurations: &Api<MutatingWebhookConfiguration>,
        bundle: &str,
    ) -> Result<bool, BundleError> {
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
        // Forced: with a bundle of another client, the API server would not trust this webhook.
        let params = PatchParams::apply(names::MANAGER_CA_BUNDLE).force();
        let applied =
            configurations.patch(names::WEBHOOK_CONFIGURATION, &params, &Patch::Apply(patch)).await;
        match applied {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(BundleError::Publish(error)),
        }
    }

    fn bundles(&self) -> impl Iterator<Item = Bundle> {
        self.texts().map(|text| Bundle::salvage(&text))
    }
}
