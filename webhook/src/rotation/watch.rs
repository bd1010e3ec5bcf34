//! Tells that the Secret or the registration has changed, or may have. What it has changed to is
//! not reported: a watch may be late, and who decides by it would decide by what was.

use fastrak_api::names;
use fastrak_runtime::watch::Watch;
use futures::StreamExt as _;
use futures::stream::{Stream, select};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;

/// The two objects. Of the Secret only what it is called is sent, not the keys.
pub struct Watched {
    secret: Watch<()>,
    configuration: Watch<()>,
}

impl Watched {
    /// Those of a webhook in this namespace.
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

    /// Comes whenever one of the two has changed. It never ends; while the API server does not
    /// answer it is tried again and again, ever more slowly.
    pub fn changes(self) -> impl Stream<Item = ()> {
        select(self.secret.events(), self.configuration.events()).map(drop)
    }
}
