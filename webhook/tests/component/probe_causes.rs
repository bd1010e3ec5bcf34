//! Why the API server does not get our answer is told by a probe: each cause is brought about on a real
//! API server.

use crate::test_cluster::{SOON, TestCluster};
use crate::tls_impersonation::{Impostor, Papers, Says, answer};
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrak_api::names;
use fastrak_testkit::assets::Assets;
use fastrak_testkit::{Options, eventually, or_skip};
use fastrak_webhook::probe::cause::Cause;
use fastrak_webhook::probe::controller::ask;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A control plane, and who the webhook is there.
struct Bed {
    cluster: TestCluster,
    us: Client,
}

impl Bed {
    async fn start() -> Result<Self> {
        let cluster = TestCluster::start(Options::api_only()).await?;
        let us = cluster.us().await?;
        Ok(Self { cluster, us })
    }

    fn configurations(&self) -> Api<MutatingWebhookConfiguration> {
        Api::all(self.cluster.client.clone())
    }

    /// Waits until a probe fails for this cause; what the API server said.
    async fn fails(&self, cause: Cause) -> Result<String> {
        eventually(SOON, format!("a probe fails: {}", cause.as_str()), || async {
            let failure = ask(&self.us).await.err().context("it succeeds")?;
            ensure!(failure.cause == cause, "{:?}: {failure}", failure.cause);
            Ok(failure.detail)
        })
        .await
    }

    async fn succeeds(&self) -> Result<()> {
        eventually(SOON, "a probe succeeds", || ask(&self.us)).await
    }

    /// Has the probe's webhook lead to an address.
    async fn lead_to(&self, address: impl std::fmt::Display, authority: &str) -> Result<()> {
        let api = self.configurations();
        let hooks = api.get(names::WEBHOOK_CONFIGURATION).await?.webhooks.unwrap_or_default();
        let at = hooks.iter().position(|hook| hook.name == names::PROBE_HOOK);
        let config = json!({
            "url": format!("https://{address}/claims"),
            "caBundle": STANDARD.encode(authority),
        });
        let path = format!("/webhooks/{}/clientConfig", at.context("no probe hook")?);
        self.change(json!([{"op": "replace", "path": path, "value": config}])).await
    }

    async fn change(&self, operations: Value) -> Result<()> {
        let patch = Patch::Json::<()>(serde_json::from_value(operations)?);
        let api = self.configurations();
        api.patch(names::WEBHOOK_CONFIGURATION, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Registers another's webhook for claims.
    async fn other(&self, impostor: &Impostor, policy: &str) -> Result<()> {
        let other = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            // It comes after ours: they are called in the order of their names.
            "metadata": {"name": "zz-other"},
            "webhooks": [{
                "name": "guard.example.com",
                "clientConfig": {
                    "url": format!("https://{}/guard", impostor.address),
                    "caBundle": STANDARD.encode(&impostor.authority),
                },
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                    "resources": ["persistentvolumeclaims"],
                }],
                "failurePolicy": policy,
                "timeoutSeconds": 1,
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }],
        });
        let other = serde_json::from_value(other)?;
        self.configurations().create(&PostParams::default(), &other).await?;
        Ok(())
    }

    async fn no_other(&self) -> Result<()> {
        self.configurations().delete("zz-other", &DeleteParams::default()).await?;
        Ok(())
    }
}

fn patched(review: &Value, operation: &str, value: &str) -> (u16, Value) {
    let key = format!("/metadata/annotations/{}", names::PROBE.replace('/', "~1"));
    let mut operations = vec![json!({"op": operation, "path": key, "value": value})];
    if operation == "add" {
        operations.insert(0, json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    let patch = STANDARD.encode(json!(operations).to_string());
    answer(review, json!({"allowed": true, "patchType": "JSONPatch", "patch": patch}))
}

const SEEN: Says = |review| patched(review, "add", names::PROBE_SEEN);

#[tokio::test]
async fn what_lies_between_the_api_server_and_us_is_told_apart() -> Result<()> {
    or_skip!(Assets::find().await, Ok(()));
    let bed = Bed::start().await?;
    let services: Api<Service> = bed.cluster.api(names::NAMESPACE);
    services.delete(names::WEBHOOK, &DeleteParams::default()).await?;
    bed.fails(Cause::Dns).await?;

    let nobody = TcpListener::bind("127.0.0.1:0").await?;
    let closed = nobody.local_addr()?;
    drop(nobody);
    bed.lead_to(closed, "").await?;
    bed.fails(Cause::Refused).await?;

    // Its backlog takes connections, and nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    bed.lead_to(silent.local_addr()?, "").await?;
    bed.fails(Cause::Timeout).await?;

    let good = Impostor::start(Papers::good(), SEEN).await?;
    let other = Impostor::start(Papers::good(), SEEN).await?;
    bed.lead_to(good.address, &other.authority).await?;
    bed.fails(Cause::Untrusted).await?;
    bed.lead_to(good.address, &good.authority).await?;
    bed.succeeds().await?;

    let expired = Impostor::start(Papers::expired(), SEEN).await?;
    bed.lead_to(expired.address, &expired.authority).await?;
    bed.fails(Cause::Expired).await?;

    for name in ["elsewhere.example", "127.0.0.2"] {
        let papers = Papers { name, ..Papers::good() };
        let named = Impostor::start(papers, SEEN).await?;
        bed.lead_to(named.address, &named.authority).await?;
        let told = bed.fails(Cause::WrongName).await?;
        ensure!(told.contains("127.0.0.1"), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_none_is_told() -> Result<()> {
    or_skip!(Assets::find().await, Ok(()));
    let bed = Bed::start().await?;
    let answers: [Says; 5] = [
        |_| (500, json!("broken")),
        |_| (404, json!("not here")),
        |_| (200, json!({"hello": "world"})),
        |review| answer(review, json!({"allowed": true, "patchType": "JSONPatch"})),
        |review| answer(review, json!({"allowed": false})),
    ];
    for says in answers {
        let impostor = Impostor::start(Papers::good(), says).await?;
        bed.lead_to(impostor.address, &impostor.authority).await?;
        bed.fails(Cause::BadAnswer).await?;
        // So that the next is not mistaken for this one.
        let good = Impostor::start(Papers::good(), SEEN).await?;
        bed.lead_to(good.address, &good.authority).await?;
        bed.succeeds().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_others_do_to_the_probe_is_told() -> Result<()> {
    or_skip!(Assets::find().await, Ok(()));
    let bed = Bed::start().await?;
    let good = Impostor::start(Papers::good(), SEEN).await?;
    bed.lead_to(good.address, &good.authority).await?;
    bed.succeeds().await?;

    let denying: Says = |review| {
        answer(
            review,
            json!({"allowed": false, "status": {"code": 403, "message": "no claims here"}}),
        )
    };
    let broken: Says = |_| (500, json!("broken"));
    for says in [denying, broken] {
        let guard = Impostor::start(Papers::good(), says).await?;
        bed.other(&guard, "Fail").await?;
        let told = bed.fails(Cause::OtherAdmission).await?;
        ensure!(told.contains("guard.example.com"), "{told}");
        bed.no_other().await?;
        bed.succeeds().await?;
    }
    let rewriting =
        Impostor::start(Papers::good(), |review| patched(review, "replace", "x")).await?;
    bed.other(&rewriting, "Ignore").await?;
    bed.fails(Cause::Altered).await?;
    bed.no_other().await?;

    bed.change(json!([{"op": "remove", "path": "/webhooks/2"}])).await?;
    bed.fails(Cause::Unregistered).await?;

    let bindings: Api<RoleBinding> = bed.cluster.api(names::PROBE_NAMESPACE);
    bindings.delete(names::PROBE_NAMESPACE, &DeleteParams::default()).await?;
    bed.fails(Cause::NotSetUp).await?;

    bed.cluster.plane.stop_component(fastrak_testkit::Component::ApiServer)?;
    bed.fails(Cause::ApiServer).await.map(drop)
}
