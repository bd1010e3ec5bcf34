//! A control plane with `deploy/base`, `deploy/addresses` and `deploy/inlets`, two nodes, and a client
//! with every kind of token.

use anyhow::{Result, bail, ensure};
use fastrak_api::names;
use fastrak_e2e::install::overlay;
use fastrak_e2e::install::policies::agent_volume;
use fastrak_testkit::inlets::install_crd;
use fastrak_testkit::{
    ControlPlane, Identity, Options, apply_manifests, eventually, fake_node, objects, shared,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Service};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::OnceCell;

const SOON: Duration = Duration::from_secs(60);
/// The nodes.
pub(crate) const A: &str = "node-a";
pub(crate) const B: &str = "node-b";
/// A node whose name is longer than a label.
pub(crate) const LONG: &str =
    "a-node-with-a-long-name.in-a-region-with-a-long-name.of-a-provider-with-one.example";

static IDENTITIES: OnceCell<Identities> = OnceCell::const_new();
static COUNT: AtomicU32 = AtomicU32::new(1);

/// The identities.
struct Identities {
    plane: &'static ControlPlane,
    a: Identity,
    b: Identity,
    loose: Identity,
    webhook: Identity,
    speakers: [Identity; 4],
}

/// Clients of all identities.
pub(crate) struct Clients {
    /// The administrator.
    pub(crate) admin: Client,
    /// The agent of [`A`].
    pub(crate) a: Client,
    /// The agent of [`B`].
    pub(crate) b: Client,
    /// The account of the agents, with a token that is bound to no pod.
    pub(crate) loose: Client,
    /// The webhook.
    pub(crate) webhook: Client,
    /// The speakers of [`A`], [`B`] and [`LONG`], and their account with a token that is bound to no
    /// pod.
    pub(crate) speakers: [Client; 4],
}

/// Creates the clients on the runtime of this test.
pub(crate) async fn clients() -> Result<Clients> {
    let plane = shared(Options::api_only()).await?;
    let all = IDENTITIES.get_or_try_init(|| install(plane)).await?;
    Ok(Clients {
        admin: all.plane.client().await?,
        a: all.a.client().await?,
        b: all.b.client().await?,
        loose: all.loose.client().await?,
        webhook: all.webhook.client().await?,
        speakers: speakers(&all.speakers).await?,
    })
}

async fn speakers([a, b, long, loose]: &[Identity; 4]) -> Result<[Client; 4]> {
    Ok([a.client().await?, b.client().await?, long.client().await?, loose.client().await?])
}

async fn install(plane: &'static ControlPlane) -> Result<Identities> {
    apply_manifests(plane, &overlay(plane, &["addresses", "inlets"])?).await?;
    install_crd(&plane.client().await?).await?;
    // No webhook runs here, and the API server must not wait for one.
    plane
        .kubectl(&["delete", "mutatingwebhookconfiguration", names::WEBHOOK_CONFIGURATION])
        .await?;
    let client = plane.client().await?;
    for node in [A, B] {
        fake_node(&client, node).await?;
    }
    let a = Identity::on_node(plane, names::NAMESPACE, names::AGENT, A).await?;
    let b = Identity::on_node(plane, names::NAMESPACE, names::AGENT, B).await?;
    let loose = Identity::of(plane, names::NAMESPACE, names::AGENT).await?;
    let webhook = Identity::of(plane, names::NAMESPACE, names::WEBHOOK).await?;
    let speakers = [
        Identity::on_node(plane, names::NAMESPACE, names::SPEAKER, A).await?,
        Identity::on_node(plane, names::NAMESPACE, names::SPEAKER, B).await?,
        Identity::on_node(plane, names::NAMESPACE, names::SPEAKER, LONG).await?,
        Identity::of(plane, names::NAMESPACE, names::SPEAKER).await?,
    ];
    let all = Identities { plane, a, b, loose, webhook, speakers };
    await_policies(&client, &all).await?;
    Ok(all)
}

/// Waits until every policy is active: the API server uses new ones after a moment.
async fn await_policies(admin: &Client, all: &Identities) -> Result<()> {
    let (loose, webhook) = (all.loose.client().await?, all.webhook.client().await?);
    claim(admin, "probe", A).await?;
    service(admin, "probe").await?;
    let [.., loose_speaker] = speakers(&all.speakers).await?;
    eventually(SOON, "the policies are active", || async {
        let volume = volumes(&loose).create(&dry_run(), &volume(A, &uid())).await;
        refused(volume)?;
        let status = json!({ "status": { "capacity": { "storage": "1Gi" } } });
        refused(patch_status(&claims(&loose), "probe", status).await)?;
        refused(patch_status(&nodes(&loose), A, json!({ "status": { "phase": "x" } })).await)?;
        let label = json!({ "metadata": { "labels": { "seen": "true" } } });
        refused(patch(&claims(&webhook), "probe", label.clone()).await)?;
        refused(patch(&services(&webhook), "probe", label).await)?;
        for name in ["192.0.2.1", "node.node-a"] {
            let lease = lease_json(name, "node-a", None);
            refused(leases(&loose_speaker).create(&dry_run(), &lease_of(lease)).await)?;
        }
        anyhow::Ok(())
    })
    .await?;
    Ok(())
}

pub(crate) fn leases(client: &Client) -> Api<Lease> {
    Api::namespaced(client.clone(), names::ADDRESS_NAMESPACE)
}

/// Returns a Lease as JSON: an assignment if it has a standby, else a heartbeat.
pub(crate) fn lease_json(name: &str, holder: &str, standby: Option<&str>) -> Value {
    let mut lease = json!({ "metadata": { "name": name }, "spec": { "holderIdentity": holder } });
    if let Some(standby) = standby {
        lease["metadata"]["labels"] = json!({ names::ADDRESS: names::ADDRESS_ENABLED });
        lease["metadata"]["annotations"] =
            json!({ names::STANDBY: standby, names::ADDRESS_STATE: "proposed" });
    }
    lease
}

pub(crate) fn lease_of(lease: Value) -> Lease {
    serde_json::from_value(lease).expect("a Lease")
}

pub(crate) fn volumes(client: &Client) -> Api<PersistentVolume> {
    Api::all(client.clone())
}

pub(crate) fn nodes(client: &Client) -> Api<Node> {
    Api::all(client.clone())
}

pub(crate) fn claims(client: &Client) -> Api<PersistentVolumeClaim> {
    Api::namespaced(client.clone(), "default")
}

pub(crate) fn services(client: &Client) -> Api<Service> {
    Api::namespaced(client.clone(), "default")
}

/// Creates a claim that is pinned to a node.
pub(crate) async fn claim(admin: &Client, name: &str, node: &str) -> Result<()> {
    let claim = objects::claim(name).class(names::CLASS_DEFAULT).annotate(names::NODE, node);
    claims(admin).create(&PostParams::default(), &claim.build("default")).await?;
    Ok(())
}

pub(crate) async fn service(admin: &Client, name: &str) -> Result<()> {
    let service = objects::service(name).load_balancer().port(80).build("default");
    services(admin).create(&PostParams::default(), &service).await?;
    Ok(())
}

/// Returns a unique uid.
pub(crate) fn uid() -> String {
    format!("00000000-0000-4000-8000-{:012}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Returns the volume that the agent of a node creates, as JSON.
pub(crate) fn volume_json(node: &str, uid: &str) -> Value {
    agent_volume(node, uid, Path::new("/var/lib/fastrak"))
}

/// Returns the volume that the agent of a node creates.
pub(crate) fn volume(node: &str, uid: &str) -> PersistentVolume {
    serde_json::from_value(volume_json(node, uid)).expect("a PersistentVolume")
}

/// Creates the volume of a node's agent. Returns its name.
pub(crate) async fn made(agent: &Client, node: &str) -> Result<String> {
    let uid = uid();
    volumes(agent).create(&PostParams::default(), &volume(node, &uid)).await?;
    Ok(format!("pvc-{uid}"))
}

pub(crate) fn dry_run() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

/// Deletes a volume. Its finalizers keep the object.
pub(crate) async fn delete(client: &Client, name: &str) -> kube::Result<()> {
    volumes(client).delete(name, &DeleteParams::default()).await.map(drop)
}

pub(crate) async fn patch<K>(api: &Api<K>, name: &str, patch: Value) -> kube::Result<K>
where
    K: Clone + serde::de::DeserializeOwned + Debug,
{
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await
}

pub(crate) async fn patch_status<K>(api: &Api<K>, name: &str, patch: Value) -> kube::Result<K>
where
    K: Clone + serde::de::DeserializeOwned + Debug,
{
    api.patch_status(name, &PatchParams::default(), &Patch::Strategic(patch)).await
}

/// Applies a JSON Patch to the status.
pub(crate) async fn json_patch_status<K>(api: &Api<K>, name: &str, patch: Value) -> kube::Result<K>
where
    K: Clone + serde::de::DeserializeOwned + Debug,
{
    let patch = serde_json::from_value(patch).expect("a JSON Patch");
    api.patch_status(name, &PatchParams::default(), &Patch::<()>::Json(patch)).await
}

/// Fails unless a policy refused the request.
pub(crate) fn refused<T: Debug>(outcome: kube::Result<T>) -> Result<()> {
    refused_for(outcome, "").map(drop)
}

/// Fails unless a policy refused the request with a message that contains `why`. It must be a 403
/// with reason Forbidden, because a failed test of a JSON Patch is a 422.
pub(crate) fn refused_for<T: Debug>(outcome: kube::Result<T>, why: &str) -> Result<()> {
    let status = match outcome {
        Err(kube::Error::Api(status)) => status,
        other => bail!("not refused: {other:?}"),
    };
    ensure!((status.code, status.reason.as_str()) == (403, "Forbidden"), "{status:?}");
    ensure!(status.message.contains("denied request: "), "not by a policy: {status:?}");
    ensure!(status.message.contains(why), "{:?} does not say {why:?}", status.message);
    let causes = status.details.as_ref().map(|details| details.causes.len());
    ensure!(causes.is_some_and(|causes| causes > 0), "{status:?}");
    Ok(())
}

/// Fails unless RBAC refused the request.
pub(crate) fn has_no_right<T: Debug>(outcome: kube::Result<T>) -> Result<()> {
    match outcome {
        Err(kube::Error::Api(status)) if status.code == 403 => {
            ensure!(status.message.contains(" cannot "), "by a policy: {status:?}");
            Ok(())
        }
        other => bail!("not refused: {other:?}"),
    }
}
