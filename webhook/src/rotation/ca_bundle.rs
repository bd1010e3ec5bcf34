//! `caBundle` in the webhook configuration: read, published by server-side apply under a field
//! manager of its own, so that a client that applies the rest of the configuration neither sees nor
//! loses it. It makes no configuration.

use super::state::Id;
use fastrak_api::names;
use fastrak_certs::Bundle;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use std::collections::BTreeSet;

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
}

/// Reads the configuration: from the API server itself, not from a watch, which may be late.
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
    /// Returns whether every webhook of ours has exactly this bundle.
    #[must_use]
    pub fn has(&self, bundle: &str) -> bool {
        self.hooks.iter().all(|(_, found)| found == bundle.as_bytes())
    }

    /// Whom every webhook of ours trusts.
    #[must_use]
    pub fn trusted(&self) -> BTreeSet<Id> {
        let each = self.bundles().map(|bundle| bundle.iter().map(|pem| Id::of(&pem)).collect());
        each.reduce(|one: BTreeSet<_>, other| &one & &other).unwrap_or_default()
    }

    /// Whom any webhook of ours trusts.
    #[must_use]
    pub fn found(&self) -> Bundle {
        let all: String = self.bundles().map(|bundle| bundle.to_pem()).collect();
        Bundle::salvage(&all)
    }

    /// The text that each webhook of ours has.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.hooks.iter().map(|(_, found)| String::from_utf8_lossy(found).into_owned())
    }

    /// Publishes a bundle; false where another changed the configuration first. It is a change to
    /// this very version: a replica that looks at an older Secret never takes back what a newer
    /// one has published.
    pub async fn publish(
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
        // Forced: a bundle that somebody else put there would keep the API server from us.
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
