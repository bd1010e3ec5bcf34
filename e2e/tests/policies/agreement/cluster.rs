//! A control plane on which an object can go four ways: through the webhook, through the policies,
//! through both, and through neither. Each way has namespaces, selected by a label.
//!
//! Both have the failure policy Fail, so that an error of an expression or of the webhook is
//! visible.

use anyhow::{Context as _, Result, ensure};
use fastrak_admission::policies::{self, Policy};
use fastrak_api::balancer::Decision;
use fastrak_api::names;
use fastrak_e2e::install::{Task, webhook_config};
use fastrak_testkit::objects::{node, service, storage_class};
use fastrak_testkit::webhook_configuration::strict_manifest;
use fastrak_testkit::{
    ControlPlane, Identity, Options, apply_manifests, assets, eventually, fake_node, fake_node_from,
};
use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding,
    MutatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The label of a namespace with the way of its objects.
const WAY: &str = "test/way";

/// Two nodes, and one with a name too long for a label.
pub(crate) const NODES: [&str; 3] = ["node-a", "node-b", LONG];
/// A name too long for a label.
pub(crate) const LONG: &str =
    "node-with-a-name-that-is-far-too-long-for-any-label.rack-17.example.com";
/// A class of fastrak whose topology allows one node.
pub(crate) const ONE_NODE: &str = "one-node";
/// A class of fastrak that binds immediately.
pub(crate) const AT_ONCE: &str = "at-once";
/// A class of fastrak that the policies do not name.
pub(crate) const UNNAMED: &str = "unnamed";
/// A class of another provisioner.
pub(crate) const FOREIGN: &str = "foreign";

/// The way of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Bare,
    Webhook,
    Policies,
    Both,
}

impl Way {
    pub(crate) const ALL: [Self; 4] = [Self::Bare, Self::Webhook, Self::Policies, Self::Both];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Webhook => "webhook",
            Self::Policies => "policies",
            Self::Both => "both",
        }
    }
}

/// The settings of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    Plain,
    OptedOut,
    /// The balancer of its Services is none.
    Mute,
    /// The balancer of its Services is not served.
    Odd,
    /// It has its own default class.
    Classy,
}

impl Space {
    pub(crate) const ALL: [Self; 5] =
        [Self::Plain, Self::OptedOut, Self::Mute, Self::Odd, Self::Classy];

    pub(crate) fn of(self, way: Way) -> String {
        let kind = match self {
            Self::Plain => "plain",
            Self::OptedOut => "opted-out",
            Self::Mute => "mute",
            Self::Odd => "odd",
            Self::Classy => "classy",
        };
        format!("{}-{kind}", way.as_str())
    }

    fn object(self, way: Way) -> Result<Namespace> {
        let (labels, annotations) = match self {
            Self::Plain => (json!({}), json!({})),
            Self::OptedOut => (json!({names::ADMISSION: names::ADMISSION_DISABLED}), json!({})),
            Self::Mute => (json!({}), json!({names::BALANCER: "none"})),
            Self::Odd => (json!({}), json!({names::BALANCER: "node-ip"})),
            Self::Classy => (json!({}), json!({names::NAMESPACE_CLASS: names::CLASS_RETAIN})),
        };
        let mut metadata =
            json!({"name": self.of(way), "labels": labels, "annotations": annotations});
        metadata["labels"][WAY] = json!(way.as_str());
        Ok(serde_json::from_value(json!({"metadata": metadata}))?)
    }
}

/// A control plane with the manifests and the namespaces, without webhook and policies.
pub(crate) struct TestCluster {
    pub(crate) plane: ControlPlane,
    pub(crate) client: Client,
    identity: Identity,
}

/// A running webhook.
pub(crate) struct Running {
    admin: SocketAddr,
    task: Task,
}

impl Running {
    /// Returns the number of objects that it has changed.
    pub(crate) fn patches(&self) -> Result<u64> {
        let mut stream = TcpStream::connect(self.admin)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let counts = answer.lines().filter(|line| {
            line.starts_with("fastrak_webhook_reviews_total") && line.contains("\"patched\"")
        });
        let counts = counts.filter_map(|line| line.rsplit(' ').next());
        counts.map(|count| count.parse::<u64>().context("a count")).sum()
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.task.stop().await
    }
}

impl TestCluster {
    pub(crate) async fn start() -> Result<Self> {
        let plane = ControlPlane::start(Options::api_only()).await?;
        let client = plane.client().await?;
        apply_manifests(&plane, &assets::repository().join("deploy/base")).await?;
        // Without a marked class the API server's own plugin sets none.
        let unmark = "storageclass.kubernetes.io/is-default-class-";
        plane.kubectl(&["annotate", "storageclass", names::CLASS_DEFAULT, unmark]).await?;
        let params = PostParams::default();
        let mut one = storage_class(ONE_NODE, names::PROVISIONER).build();
        one.allowed_topologies = Some(serde_json::from_value(json!([{
            "matchLabelExpressions": [{"key": "kubernetes.io/hostname", "values": ["node-a"]}],
        }]))?);
        let classes: Api<StorageClass> = Api::all(client.clone());
        for class in [
            one,
            storage_class(AT_ONCE, names::PROVISIONER).immediate().build(),
            storage_class(UNNAMED, names::PROVISIONER).build(),
            storage_class(FOREIGN, "example.com/other").build(),
        ] {
            classes.create(&params, &class).await?;
        }
        for name in NODES {
            if name == LONG {
                fake_node_from(&client, node(name).label("kubernetes.io/hostname", "long")).await?;
            } else {
                fake_node(&client, name).await?;
            }
        }
        let spaces: Api<Namespace> = Api::all(client.clone());
        for way in Way::ALL {
            for space in Space::ALL {
                spaces.create(&params, &space.object(way)?).await?;
            }
        }
        let identity = Identity::of(&plane, names::NAMESPACE, names::WEBHOOK).await?;
        // Nothing is reviewed before `enforce`.
        plane
            .kubectl(&["delete", "mutatingwebhookconfiguration", names::WEBHOOK_CONFIGURATION])
            .await?;
        Ok(Self { plane, client, identity })
    }

    /// Activates webhook and policies and waits until both are active.
    pub(crate) async fn enforce(&self, flags: &[&str]) -> Result<Running> {
        // No repair changes an object between two comparisons.
        let flags = [&["--repair-delay=86400"], flags].concat();
        let config = webhook_config(&self.identity, &flags)?;
        let settings = config.decide.settings();
        let wanted = Decision::Served(settings.balancer);
        let classes =
            [names::CLASS_DEFAULT, names::CLASS_RETAIN, ONE_NODE, AT_ONCE].map(str::to_owned);
        for policy in policies::policies(&classes, settings, &config.installation.namespace)? {
            self.apply(policy).await?;
        }
        let task = Task::webhook(config).await?;
        let addresses = task.addresses()?;
        self.configure(addresses.reviews).await?;
        for way in [Way::Webhook, Way::Policies] {
            self.is_active(way, wanted).await?;
        }
        Ok(Running { admin: addresses.admin, task })
    }

    async fn apply(&self, policy: Policy) -> Result<()> {
        let Policy { mut policy, mut binding } = policy;
        let name = policy.metadata.name.clone().context("a policy has a name")?;
        policy.spec.as_mut().context("spec")?.failure_policy = Some("Fail".to_owned());
        binding.spec.as_mut().context("spec")?.match_resources = Some(MatchResources {
            namespace_selector: Some(only([Way::Policies, Way::Both])),
            ..MatchResources::default()
        });
        let params = PatchParams::apply("test").force();
        let policies: Api<MutatingAdmissionPolicy> = Api::all(self.client.clone());
        policies.patch(&name, &params, &Patch::Apply(&policy)).await?;
        let bindings: Api<MutatingAdmissionPolicyBinding> = Api::all(self.client.clone());
        bindings.patch(&name, &params, &Patch::Apply(&binding)).await?;
        Ok(())
    }

    /// Creates the webhook configuration for the namespaces whose objects the webhook reviews.
    async fn configure(&self, address: SocketAddr) -> Result<()> {
        let mut configuration = strict_manifest(address)?;
        let hooks = configuration.webhooks.get_or_insert_default();
        hooks.retain(|hook| hook.name != names::PROBE_HOOK);
        for hook in hooks {
            hook.timeout_seconds = Some(20);
            let selector = hook.namespace_selector.get_or_insert_default();
            let ours = only([Way::Webhook, Way::Both]).match_expressions.unwrap_or_default();
            selector.match_expressions.get_or_insert_default().extend(ours);
        }
        let api: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let params = PatchParams::apply("test").force();
        api.patch(names::WEBHOOK_CONFIGURATION, &params, &Patch::Apply(&configuration)).await?;
        Ok(())
    }

    /// Waits until a way is active.
    async fn is_active(&self, way: Way, wanted: Decision) -> Result<()> {
        let space = Space::Plain.of(way);
        let services: Api<Service> = Api::namespaced(self.client.clone(), &space);
        let probe = service("probe").load_balancer().port(80).build(&space);
        let params = PostParams { dry_run: true, ..PostParams::default() };
        eventually(SOON, format!("{} is active", way.as_str()), || async {
            let answer = services.create(&params, &probe).await?;
            let annotations = answer.metadata.annotations.unwrap_or_default();
            let decision = annotations.get(names::BALANCER_DECISION);
            ensure!(decision == Some(&wanted.to_string()), "not yet: {decision:?}");
            Ok(())
        })
        .await?;
        // Claims have their own policy, and the webhook watches nodes.
        let claims: Api<kube::api::DynamicObject> =
            Api::namespaced_with(self.client.clone(), &space, &super::claims::resource());
        eventually(SOON, format!("{} is active for claims", way.as_str()), || async {
            for name in NODES {
                let probe = super::claims::pinned_to(name);
                let probe = serde_json::from_value(probe)?;
                let answer = claims.create(&params, &probe).await?;
                let labels = answer.metadata.labels.unwrap_or_default();
                let longer = way == Way::Policies && name == LONG;
                ensure!(longer || labels.contains_key(names::NODE), "not yet");
            }
            Ok(())
        })
        .await
    }
}

fn only(ways: [Way; 2]) -> LabelSelector {
    let among = LabelSelectorRequirement {
        key: WAY.to_owned(),
        operator: "In".to_owned(),
        values: Some(ways.map(|way| way.as_str().to_owned()).into()),
    };
    LabelSelector { match_expressions: Some(vec![among]), match_labels: None }
}

/// Returns the object without the fields that the API server generates.
pub(crate) fn without_generated(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        let own = ["uid", "creationTimestamp", "managedFields", "resourceVersion", "generation"];
        for key in own.into_iter().chain(["namespace"]) {
            metadata.remove(key);
        }
    }
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.remove("clusterIPs");
        if spec.get("clusterIP").is_some_and(|address| address != "None") {
            spec.remove("clusterIP");
        }
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            port.as_object_mut().map(|port| port.remove("nodePort"));
        }
    }
    object
}
