//! Tells that the Secret or the registration has changed, or may have. What it has changed to is
//! not told: a watch may be late, and who decides by it would decide by what was.

use fastrak_api::names;
use futures::future::ready;
use futures::stream::{Stream, StreamExt as _, select};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, watcher};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// The two objects. Of the Secret only what it is called is sent, not the keys.
pub struct Watched {
    secrets: Api<PartialObjectMeta<Secret>>,
    configurations: Api<PartialObjectMeta<MutatingWebhookConfiguration>>,
}

impl Watched {
    /// Those of a webhook in this namespace.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        let secrets = Api::namespaced(client.clone(), namespace);
        Self { secrets, configurations: Api::all(client) }
    }

    /// Comes whenever one of the two has changed. It never ends; while the API server does not
    /// answer it is tried again and again, ever more slowly.
    pub fn changes(self) -> impl Stream<Item = ()> {
        select(
            one(self.secrets, names::WEBHOOK_SECRET),
            one(self.configurations, names::WEBHOOK_CONFIGURATION),
        )
    }
}

/// One object by its name: RBAC ties `list` and `watch` to a name only where the request has this
/// very selector.
fn one<K>(api: Api<K>, name: &'static str) -> impl Stream<Item = ()>
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let only = Config::default().fields(&format!("metadata.name={name}"));
    watcher(api, only).default_backoff().filter_map(move |event| {
        let event = event.inspect_err(|error| {
            tracing::warn!(name, error = %error, "watch interrupted; trying again");
        });
        ready(event.ok().map(drop))
    })
}
