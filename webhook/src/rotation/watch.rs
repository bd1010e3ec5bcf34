//! Reports that the Secret or the webhook configuration may have changed. The new content is not
//! reported: a watch may be behind, and decisions need the current objects.

use fastrak_api::names;
use fastrak_runtime::watch::Watch;
use futures::StreamExt as _;
use futures::stream::{Stream, select};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;

/// The watches of both objects. Only the metadata of the Secret is received, not the keys.
pub struct Watched {
    secret: Watch<()>,
    configuration: Watch<()>,
}

impl Watched {
    /// Returns the watches of a webhook in `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        let read = |_: &str| Ok(());
        let secret = Watch::namespaced::<Secret>(client.clone(), namespace, read);
        let configuration = Watch::all::<MutatingWebhookConfiguration>(client, read);
        Self {
            secret: secret.named(names::WEBHOOK_SECRET).metadata_only(),
            configuration: configuration.named(names::WEBHOOK_CONFIGURATION).metadata_only(),
        }
    }

    /// Returns a stream with an item for each change. It never ends. Failed watches are retried
    /// with backoff.
    pub fn changes(&self) -> impl Stream<Item = ()> + use<> {
        select(self.secret.clone().events(), self.configuration.clone().events()).map(drop)
    }
}
