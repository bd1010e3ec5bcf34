//! A namespace for one test. It is deleted after the test without waiting for its controllers to
//! empty it.

use std::panic::{AssertUnwindSafe, resume_unwind};

use anyhow::{Context, Result};
use futures::FutureExt;
use k8s_openapi::api::core::v1::{
    Event, Namespace, PersistentVolume, PersistentVolumeClaim, Pod, ServiceAccount,
};
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};

use crate::environment::{note_failure, say};

/// Runs a test in a new namespace, then deletes the namespace. If the test fails, prints its
/// content first.
pub async fn with_namespace<T>(
    client: &Client,
    test: impl AsyncFnOnce(String) -> Result<T>,
) -> Result<T> {
    let name = create(client).await?;
    // The assertion holds because the state of a panicking test is only read and deleted here.
    let outcome = AssertUnwindSafe(test(name.clone())).catch_unwind().await;
    if !matches!(outcome, Ok(Ok(_))) {
        note_failure();
        say(&describe(client, &name).await);
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let deleted = namespaces.delete(&name, &DeleteParams::background()).await;
    match outcome {
        Err(panic) => resume_unwind(panic),
        Ok(Err(error)) => Err(error),
        Ok(Ok(value)) => deleted.context("delete a namespace").map(|_| value),
    }
}

async fn create(client: &Client) -> Result<String> {
    let metadata = ObjectMeta { generate_name: Some("test-".to_owned()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let created = namespaces.create(&PostParams::default(), &namespace).await;
    let name = created.context("create a namespace")?.name_any();
    // No pod is admitted without it. Without a controller manager it is created here.
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &name);
    let metadata = ObjectMeta { name: Some("default".to_owned()), ..ObjectMeta::default() };
    let account = ServiceAccount { metadata, ..ServiceAccount::default() };
    match accounts.create(&PostParams::default(), &account).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(name),
        outcome => outcome.context("create the default service account").map(|_| name),
    }
}

/// Describes the content of a namespace for the analysis of a failed test.
pub async fn describe(client: &Client, namespace: &str) -> String {
    let mut text = format!("--- namespace {namespace}\n");
    describe_claims(client, namespace, &mut text).await;
    describe_pods(client, namespace, &mut text).await;
    describe_volumes(client, namespace, &mut text).await;
    describe_events(client, namespace, &mut text).await;
    text
}

async fn describe_claims(client: &Client, namespace: &str, text: &mut String) {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    for claim in list(&claims).await {
        let phase = claim.status.as_ref().and_then(|status| status.phase.clone());
        let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone());
        let about = (phase.unwrap_or_default(), volume.unwrap_or_default(), claim.annotations());
        line(text, format_args!("claim {}: {about:?}", claim.name_any()));
    }
}

async fn describe_pods(client: &Client, namespace: &str, text: &mut String) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    for pod in list(&pods).await {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let status = pod.status.clone().unwrap_or_default();
        let conditions = status.conditions.into_iter().flatten();
        let unmet: Vec<_> = conditions.filter(|condition| condition.status != "True").collect();
        let about = (status.phase.unwrap_or_default(), node.unwrap_or_default(), unmet);
        line(text, format_args!("pod {}: {about:?}", pod.name_any()));
    }
}

async fn describe_volumes(client: &Client, namespace: &str, text: &mut String) {
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    for volume in list(&volumes).await {
        let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone());
        let claim = claim.unwrap_or_default();
        if claim.namespace.as_deref() == Some(namespace) {
            let phase = volume.status.as_ref().and_then(|status| status.phase.clone());
            let about = (phase.unwrap_or_default(), claim.name.unwrap_or_default());
            line(text, format_args!("volume {}: {about:?}", volume.name_any()));
        }
    }
}

async fn describe_events(client: &Client, namespace: &str, text: &mut String) {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    for event in list(&events).await {
        let about = event.involved_object;
        let on = (about.kind.unwrap_or_default(), about.name.unwrap_or_default());
        let what = (event.reason.unwrap_or_default(), event.message.unwrap_or_default());
        line(text, format_args!("event {}/{}: {}: {}", on.0, on.1, what.0, what.1));
    }
}

// Errors are ignored, because the cluster may be the cause of the failure.
async fn list<K>(api: &Api<K>) -> Vec<K>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    api.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default()
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.push_str(&format!("{what}\n"));
}
