//! Compares the rights in `deploy/base` with the audit log of both programs: missing and unused
//! rights fail.

use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_e2e::audit::{AuditLog, Request};
use fastrak_e2e::install::{Task, base, policies, remove_workloads, repository, webhook_config};
use fastrak_testkit::objects::{claim, service};
use fastrak_testkit::webhook_configuration::set_urls;
use fastrak_testkit::{
    ControlPlane, Identity, Options, apply_manifests, bound_claim, eventually, fake_node, or_skip,
};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Secret, Service};
use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef, Subject};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(90);
const NODE: &str = "node-a";

/// One verb on one kind of object, as a rule grants it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    account: String,
    /// `None` means all namespaces.
    namespace: Option<String>,
    group: String,
    /// The resource, with its subresource after a slash.
    resource: String,
    /// `None` means all names.
    name: Option<String>,
    verb: String,
}

/// Returns the rights of fastrak's accounts in these files of `deploy/`.
pub(crate) fn granted(files: &[&str]) -> BTreeSet<Right> {
    let objects: Vec<Value> = files
        .iter()
        .flat_map(|file| {
            let text = std::fs::read_to_string(repository().join("deploy").join(file)).unwrap();
            serde_saphyr::from_multiple::<Value>(&text).unwrap()
        })
        .collect();
    let bindings = objects.iter().filter(|object| object["roleRef"].is_object());
    let rights = bindings.flat_map(|binding| {
        let role: RoleRef = serde_json::from_value(binding["roleRef"].clone()).unwrap();
        let subjects: Vec<Subject> = serde_json::from_value(binding["subjects"].clone()).unwrap();
        let namespace = binding["metadata"]["namespace"].as_str().map(str::to_owned);
        let role = objects.iter().find(|object| {
            let metadata = &object["metadata"];
            object["kind"] == role.kind
                && metadata["name"] == role.name
                && metadata["namespace"].as_str() == namespace.as_deref()
        });
        let rules: Vec<PolicyRule> =
            serde_json::from_value(role.unwrap()["rules"].clone()).unwrap();
        let account = subjects[0].name.clone();
        rules.into_iter().flat_map(move |rule| each(&account, namespace.as_deref(), &rule))
    });
    rights.collect()
}

fn each(account: &str, namespace: Option<&str>, rule: &PolicyRule) -> Vec<Right> {
    let names: Vec<_> = match &rule.resource_names {
        Some(names) => names.iter().cloned().map(Some).collect(),
        None => vec![None],
    };
    let mut rights = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            for (verb, name) in
                rule.verbs.iter().flat_map(|verb| names.iter().map(move |name| (verb, name)))
            {
                rights.push(Right {
                    account: account.to_owned(),
                    namespace: namespace.map(str::to_owned),
                    group: group.clone(),
                    resource: resource.clone(),
                    name: name.clone(),
                    verb: verb.clone(),
                });
            }
        }
    }
    rights
}

impl Right {
    /// Returns whether this right allows a request.
    fn covers(&self, request: &Request) -> bool {
        let fits = |own: &Option<String>, asked: &Option<String>| own.is_none() || own == asked;
        self.account == request.account
            && self.group == request.group
            && self.resource == request.resource
            && self.verb == request.verb
            && fits(&self.namespace, &request.namespace)
            && fits(&self.name, &request.name)
    }
}

/// Returns whether a right was used. This API server streams lists, so a list is a watch; an older
/// one needs the verb list.
fn is_used(right: &Right, requests: &[Request]) -> bool {
    let watch = Right { verb: "watch".to_owned(), ..right.clone() };
    let covers = |right: &Right| requests.iter().any(|request| right.covers(request));
    covers(right) || (right.verb == "list" && covers(&watch))
}

/// Fails unless the requests use every right, and no other.
pub(crate) fn compare(granted: &BTreeSet<Right>, requests: &[Request]) -> Result<()> {
    let is_granted = |request: &&Request| {
        request.is_allowed && granted.iter().any(|right| right.covers(request))
    };
    let missing: Vec<_> = requests.iter().filter(|request| !is_granted(request)).collect();
    let unused: Vec<_> = granted.iter().filter(|right| !is_used(right, requests)).collect();
    ensure!(missing.is_empty(), "used and not granted: {missing:#?}");
    ensure!(unused.is_empty(), "granted and not used: {unused:#?}");
    Ok(())
}

/// The actions of the administrator and the users.
struct Actions {
    claims: Api<PersistentVolumeClaim>,
    services: Api<Service>,
    volumes: Api<PersistentVolume>,
    secrets: Api<Secret>,
}

impl Actions {
    fn of(client: &Client) -> Self {
        Self {
            claims: Api::namespaced(client.clone(), "default"),
            services: Api::namespaced(client.clone(), "default"),
            volumes: Api::all(client.clone()),
            secrets: Api::namespaced(client.clone(), names::NAMESPACE),
        }
    }

    async fn bound(&self, name: &str) -> Result<String> {
        let claim = bound_claim(&self.claims, name, SOON).await?;
        claim.spec.and_then(|spec| spec.volume_name).context("it names its volume")
    }

    /// Creates a claim without the webhook, removes its node label, grows and deletes it.
    async fn volume_life(&self) -> Result<()> {
        let params = PatchParams::default();
        self.claims.create(&PostParams::default(), &claim("data").build("default")).await?;
        let volume = self.bound("data").await?;
        let lost = json!({ names::NODE: null });
        let lost = json!({ "metadata": { "labels": lost, "annotations": lost } });
        self.claims.patch("data", &params, &Patch::Merge(lost)).await?;
        let size = json!({ "spec": { "resources": { "requests": { "storage": "2Mi" } } } });
        self.claims.patch("data", &params, &Patch::Merge(size)).await?;
        eventually(SOON, "it has grown", || async {
            let status = self.claims.get("data").await?.status.unwrap_or_default();
            let size = status.capacity.as_ref().and_then(|capacity| capacity.get("storage"));
            ensure!(size.is_some_and(|size| size.0 == "2Mi"), "{status:?}");
            Ok(())
        })
        .await?;
        self.claims.delete("data", &DeleteParams::default()).await?;
        eventually(SOON, "its volume is gone", || async {
            ensure!(self.volumes.get_opt(&volume).await?.is_none(), "it is there");
            Ok(())
        })
        .await
    }

    async fn adoption(&self) -> Result<()> {
        let kept = claim("kept").class(names::CLASS_RETAIN).build("default");
        self.claims.create(&PostParams::default(), &kept).await?;
        let volume = self.bound("kept").await?;
        self.claims.delete("kept", &DeleteParams::default()).await?;
        eventually(SOON, "it is released", || async {
            let phase = self.volumes.get(&volume).await?.status.unwrap_or_default().phase;
            ensure!(phase.as_deref() == Some("Released"), "{phase:?}");
            Ok(())
        })
        .await?;
        let next = claim("next").class(names::CLASS_RETAIN).annotate(names::ADOPT, &volume);
        self.claims.create(&PostParams::default(), &next.build("default")).await?;
        ensure!(self.bound("next").await? == volume, "it has another volume");
        Ok(())
    }

    /// Creates a claim that is too large. Both agents record the same event.
    async fn oversized_claim(&self) -> Result<()> {
        let large = claim("large").asks("10Ti").build("default");
        self.claims.create(&PostParams::default(), &large).await?;
        Ok(())
    }

    /// Creates a Service without the webhook and removes its decision, so that it is repaired
    /// twice.
    async fn repaired_service(&self) -> Result<()> {
        let web = service("web").load_balancer().port(80).build("default");
        self.services.create(&PostParams::default(), &web).await?;
        for _ in 0..2 {
            eventually(SOON, "it is repaired", || async {
                let found = self.services.get("web").await?;
                found.annotations().get(names::BALANCER_DECISION).context("not yet").map(drop)
            })
            .await?;
            let undone =
                json!({ "metadata": { "annotations": { names::BALANCER_DECISION: null } } });
            self.services.patch("web", &PatchParams::default(), &Patch::Merge(undone)).await?;
        }
        Ok(())
    }

    async fn broken_certificates(&self) -> Result<()> {
        eventually(SOON, "there are certificates", || self.secrets.get(names::WEBHOOK_SECRET))
            .await?;
        let broken =
            json!({ "stringData": { names::SECRET_LEAF_CERT: "x", names::SECRET_CA_CERT: "x" } });
        let broken = Patch::Merge(broken);
        self.secrets.patch(names::WEBHOOK_SECRET, &PatchParams::default(), &broken).await?;
        Ok(())
    }
}

async fn installed() -> Result<ControlPlane> {
    let plane = ControlPlane::start(Options::full().audited()).await?;
    apply_manifests(&plane, &base()).await?;
    let client = plane.client().await?;
    remove_workloads(&client).await?;
    // Nothing listens there, so every object is left to repair.
    set_urls(&client, ([127, 0, 0, 1], 9).into()).await?;
    fake_node(&client, NODE).await?;
    Ok(plane)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_right_is_used_and_none_is_missing() -> Result<()> {
    let plane = or_skip!(installed().await, Ok(()));
    let pool = plane.scratch_dir("pool")?;
    policies::allow_pools(&plane, &[&pool]).await?;
    let agent = Identity::on_node(&plane, names::NAMESPACE, names::AGENT, NODE).await?;
    let webhook = Identity::of(&plane, names::NAMESPACE, names::WEBHOOK).await?;
    policies::allowed(&agent, NODE, &pool).await?;
    // Requests of this test with the agent's identity do not count.
    let log = AuditLog::from_now(&plane.audit_log())?;

    let actions = Actions::of(&plane.client().await?);
    let config = webhook_config(&webhook, &["--repair-delay=0.2", "--probe-interval=1"])?;
    let start_agent =
        || Task::agent(&agent, NODE, &pool, &["--orphan-scan=1s", "--usage-interval=1s"]);
    let running = (start_agent()?, Task::webhook(config).await?);
    actions.volume_life().await?;
    actions.adoption().await?;
    actions.repaired_service().await?;
    actions.broken_certificates().await?;
    actions.oversized_claim().await?;
    let claims: Api<k8s_openapi::api::events::v1::Event> =
        Api::namespaced(plane.client().await?, "default");
    eventually(SOON, "the claim has an event that it is too large", || async {
        let all = claims.list(&ListParams::default()).await?;
        let found = all.items.iter().any(|event| {
            event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some("large")
                && event.reason.as_deref() == Some("ProvisioningFailed")
        });
        ensure!(found, "{} events", all.items.len());
        Ok(())
    })
    .await?;
    running.0.stop().await?;
    let running = (start_agent()?, running.1);

    let granted = granted(&["base/rbac-agent.yaml", "base/rbac-webhook.yaml"]);
    eventually(SOON, "every right is used", || async { compare(&granted, &log.requests()?) })
        .await?;
    running.0.stop().await?;
    running.1.stop().await
}
