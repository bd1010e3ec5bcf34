//! The probe reports why the API server does not get the webhook's answer. Each cause is produced
//! on a real API server.

use crate::test_cluster::{SOON, TestCluster};
use crate::tls_impersonation::{FakeCertificate, FakeServer, Respond, answer};
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrak_api::names;
use fastrak_testkit::{Options, eventually, or_skip};
use fastrak_webhook::probe::cause::Cause;
use fastrak_webhook::probe::controller::probe;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A control plane, and a client of the webhook's ServiceAccount.
struct ProbeTest {
    cluster: TestCluster,
    us: Client,
}

impl ProbeTest {
    async fn start() -> Result<Self> {
        let cluster = TestCluster::start(Options::api_only()).await?;
        let us = cluster.us().await?;
        Ok(Self { cluster, us })
    }

    fn configurations(&self) -> Api<MutatingWebhookConfiguration> {
        Api::all(self.cluster.client.clone())
    }

    /// Waits until a probe fails for this cause. Returns the message of the API server.
    async fn fails(&self, cause: Cause) -> Result<String> {
        eventually(SOON, format!("a probe fails: {}", cause.as_str()), || async {
            let failure = probe(&self.us).await.err().context("it succeeds")?;
            ensure!(failure.cause == cause, "{:?}: {failure}", failure.cause);
            Ok(failure.detail)
        })
        .await
    }

    async fn succeeds(&self) -> Result<()> {
        eventually(SOON, "a probe succeeds", || probe(&self.us)).await
    }

    /// Sets the address and the CA of the probe's webhook.
    async fn set_address(&self, address: impl std::fmt::Display, ca: &str) -> Result<()> {
        let api = self.configurations();
        let hooks = api.get(names::WEBHOOK_CONFIGURATION).await?.webhooks.unwrap_or_default();
        let at = hooks.iter().position(|hook| hook.name == names::PROBE_HOOK);
        let config = json!({
            "url": format!("https://{address}/claims"),
            "caBundle": STANDARD.encode(ca),
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

    /// Creates a webhook configuration of another product for claims.
    async fn create_other(&self, fake_server: &FakeServer, policy: &str) -> Result<()> {
        let other = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            // It comes after ours: they are called in the order of their names.
            "metadata": {"name": "zz-other"},
            "webhooks": [{
                "name": "guard.example.com",
                "clientConfig": {
                    "url": format!("https://{}/guard", fake_server.address),
                    "caBundle": STANDARD.encode(&fake_server.ca),
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

    async fn delete_other(&self) -> Result<()> {
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

const SEEN: Respond = |review| patched(review, "add", names::PROBE_ANSWERED);

#[tokio::test]
async fn failures_between_the_api_server_and_the_webhook_are_distinguished() -> Result<()> {
    let test = or_skip!(ProbeTest::start().await, Ok(()));
    let services: Api<Service> = test.cluster.api(names::NAMESPACE);
    services.delete(names::WEBHOOK, &DeleteParams::default()).await?;
    test.fails(Cause::Dns).await?;

    let nobody = TcpListener::bind("127.0.0.1:0").await?;
    let closed = nobody.local_addr()?;
    drop(nobody);
    test.set_address(closed, "").await?;
    test.fails(Cause::Refused).await?;

    // The kernel accepts connections in the backlog, and no program answers.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    test.set_address(silent.local_addr()?, "").await?;
    test.fails(Cause::Timeout).await?;

    let good = FakeServer::start(FakeCertificate::good(), SEEN).await?;
    let other = FakeServer::start(FakeCertificate::good(), SEEN).await?;
    test.set_address(good.address, &other.ca).await?;
    test.fails(Cause::Untrusted).await?;
    test.set_address(good.address, &good.ca).await?;
    test.succeeds().await?;

    let expired = FakeServer::start(FakeCertificate::expired(), SEEN).await?;
    test.set_address(expired.address, &expired.ca).await?;
    test.fails(Cause::Expired).await?;

    for name in ["elsewhere.example", "127.0.0.2"] {
        let certificate = FakeCertificate { name, ..FakeCertificate::good() };
        let named = FakeServer::start(certificate, SEEN).await?;
        test.set_address(named.address, &named.ca).await?;
        let printed = test.fails(Cause::WrongName).await?;
        ensure!(printed.contains("127.0.0.1"), "{printed}");
    }
    Ok(())
}

#[tokio::test]
async fn an_invalid_answer_is_reported() -> Result<()> {
    let test = or_skip!(ProbeTest::start().await, Ok(()));
    let answers: [Respond; 5] = [
        |_| (500, json!("broken")),
        |_| (404, json!("not here")),
        |_| (200, json!({"hello": "world"})),
        |review| answer(review, json!({"allowed": true, "patchType": "JSONPatch"})),
        |review| answer(review, json!({"allowed": false})),
    ];
    for says in answers {
        let fake_server = FakeServer::start(FakeCertificate::good(), says).await?;
        test.set_address(fake_server.address, &fake_server.ca).await?;
        test.fails(Cause::BadAnswer).await?;
        // A success in between separates this failure from the next.
        let good = FakeServer::start(FakeCertificate::good(), SEEN).await?;
        test.set_address(good.address, &good.ca).await?;
        test.succeeds().await?;
    }
    Ok(())
}

#[tokio::test]
async fn interference_by_other_webhooks_is_reported() -> Result<()> {
    let test = or_skip!(ProbeTest::start().await, Ok(()));
    let good = FakeServer::start(FakeCertificate::good(), SEEN).await?;
    test.set_address(good.address, &good.ca).await?;
    test.succeeds().await?;

    let denying: Respond = |review| {
        answer(
            review,
            json!({"allowed": false, "status": {"code": 403, "message": "no claims here"}}),
        )
    };
    let broken: Respond = |_| (500, json!("broken"));
    for says in [denying, broken] {
        let guard = FakeServer::start(FakeCertificate::good(), says).await?;
        test.create_other(&guard, "Fail").await?;
        let printed = test.fails(Cause::OtherAdmission).await?;
        ensure!(printed.contains("guard.example.com"), "{printed}");
        test.delete_other().await?;
        test.succeeds().await?;
    }
    let rewriting =
        FakeServer::start(FakeCertificate::good(), |review| patched(review, "replace", "x"))
            .await?;
    test.create_other(&rewriting, "Ignore").await?;
    test.fails(Cause::Altered).await?;
    test.delete_other().await?;

    test.change(json!([{"op": "remove", "path": "/webhooks/2"}])).await?;
    test.fails(Cause::NotCalled).await?;

    let bindings: Api<RoleBinding> = test.cluster.api(names::PROBE_NAMESPACE);
    bindings.delete(names::PROBE_NAMESPACE, &DeleteParams::default()).await?;
    test.fails(Cause::NotSetUp).await?;

    test.cluster.plane.stop_component(fastrak_testkit::Component::ApiServer)?;
    test.fails(Cause::ApiServer).await.map(drop)
}
