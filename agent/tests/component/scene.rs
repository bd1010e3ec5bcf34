//! The setup of the tests: the control plane, and for each test a node and an agent with a pool.

use anyhow::{Context, Result, bail, ensure};
use fastrak_agent::config::{Args, Config};
use fastrak_api::names::{self, kubernetes};
use fastrak_runtime::shutdown::Shutdown;
use fastrak_testkit::assets::repository;
use fastrak_testkit::objects::{self, storage_class};
use fastrak_testkit::process::{Invocation, Process};
use fastrak_testkit::{
    ControlPlane, Identity, Options, apply_manifests, eventually, fake_node_from, shared,
};
use k8s_openapi::api::core::v1::{
    Event, Node, ObjectReference, PersistentVolume, PersistentVolumeClaim,
};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

/// A deadline that is longer than any operation takes on a loaded machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A cluster with one node for this test and a directory for its pools.
pub(crate) struct Scene {
    pub(crate) client: Client,
    pub(crate) node: String,
    pub(crate) folder: tempfile::TempDir,
    identity: Identity,
}

/// An agent in this process. It is stopped on drop.
pub(crate) struct Agent {
    shutdown: Shutdown,
    task: Option<JoinHandle<Result<(), fastrak_agent::RunError>>>,
}

static NODES: AtomicU32 = AtomicU32::new(0);
static INSTALLED: OnceCell<()> = OnceCell::const_new();

impl Scene {
    /// Creates a scene whose node has a hostname label that differs from its name.
    pub(crate) async fn new() -> Result<Self> {
        let plane = shared(Options::with_controllers()).await?;
        INSTALLED.get_or_try_init(|| install(plane)).await?;
        Self::on(plane).await
    }

    /// Creates a scene on a control plane without controllers: only the test binds claims.
    pub(crate) async fn without_controllers(plane: &ControlPlane) -> Result<Self> {
        install(plane).await?;
        Self::on(plane).await
    }

    async fn on(plane: &ControlPlane) -> Result<Self> {
        let node = format!("node-{}", NODES.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().context("a folder for pools")?;
        std::fs::create_dir(folder.path().join("pool")).context("a pool")?;
        Self::of(plane, node, folder).await
    }

    async fn of(plane: &ControlPlane, node: String, folder: tempfile::TempDir) -> Result<Self> {
        let client = plane.client().await?;
        let hostname = format!("host-of-{node}");
        let object = objects::node(&node).label(kubernetes::HOSTNAME, hostname);
        fake_node_from(&client, object).await?;
        let identity = Identity::on_node(plane, names::NAMESPACE, names::AGENT, &node).await?;
        policies_in_force(plane, &identity, &node).await?;
        Ok(Self { client, node, folder, identity })
    }

    /// Moves the node with its disk to another cluster.
    pub(crate) async fn moved_to(self, plane: &ControlPlane) -> Result<Self> {
        install(plane).await?;
        let Self { node, folder, .. } = self;
        Self::of(plane, node, folder).await
    }

    /// Returns the directory of the default pool.
    pub(crate) fn pool(&self) -> PathBuf {
        self.folder.path().join("pool")
    }

    /// Returns the flags of an agent for this node, with short intervals.
    pub(crate) fn flags(&self) -> Vec<String> {
        vec![
            format!("--node={}", self.node),
            // The disk of the test machine may be nearly full.
            format!("--pool=default={},reserve=0%", self.pool().display()),
            format!("--kubeconfig={}", self.identity.kubeconfig_path().display()),
            "--admin-addr=127.0.0.1:0".to_owned(),
            "--orphan-grace=1s".to_owned(),
            "--orphan-scan=2s".to_owned(),
        ]
    }

    /// Starts an agent in this process.
    pub(crate) fn agent(&self) -> Result<Agent> {
        self.agent_with(&[])
    }

    /// Starts an agent with more flags.
    pub(crate) fn agent_with(&self, more: &[&str]) -> Result<Agent> {
        // `--pool` can be repeated; of any other flag the last one counts.
        let key = |flag: &str| flag.split_once('=').map(|(key, _)| key.to_owned());
        let note = |flag: &String| more.iter().any(|other| key(other) == key(flag));
        let mut flags = self.flags();
        flags.retain(|flag| flag.starts_with("--pool=") || !note(flag));
        flags.extend(more.iter().map(|&flag| flag.to_owned()));
        let words = std::iter::once("fastrak-agent".to_owned()).chain(flags);
        let config = Config::try_from(<Args as clap::Parser>::try_parse_from(words)?)?;
        let shutdown = Shutdown::manual();
        let run = fastrak_agent::run(config, shutdown.clone());
        Ok(Agent { shutdown, task: Some(tokio::spawn(printing_its_error(run))) })
    }

    /// Starts the real program, with `prefix` as the command that runs it.
    pub(crate) fn program(&self, prefix: &[&str]) -> Result<Process> {
        let program = Invocation::new(env!("CARGO_BIN_EXE_fastrak-agent"));
        let log = self.folder.path().join("agent.log");
        Process::start("agent", &program.args(self.flags()).through(prefix), &log)
    }

    /// Returns a claim that is pinned to this scene's node, as by the webhook.
    pub(crate) fn claim(&self, name: &str) -> objects::Claim {
        objects::claim(name)
            .class(names::CLASS_DEFAULT)
            .annotate(names::NODE, &self.node)
            .annotate(kubernetes::SELECTED_NODE, &self.node)
            .label(names::NODE, &self.node)
    }

    pub(crate) async fn create(
        &self,
        namespace: &str,
        claim: objects::Claim,
    ) -> Result<PersistentVolumeClaim> {
        let (claims, claim) = (self.claims(namespace), claim.build(namespace));
        claims.create(&PostParams::default(), &claim).await.context("create a claim")
    }

    /// Creates a class of this scene. Returns its name.
    pub(crate) async fn class(&self, name: &str, parameters: &[(&str, &str)]) -> Result<String> {
        let name = format!("{name}-{}", self.node);
        let mut class = storage_class(&name, names::PROVISIONER).expandable();
        for (key, value) in parameters {
            class = class.parameter(key, value);
        }
        let classes: Api<StorageClass> = Api::all(self.client.clone());
        classes.create(&PostParams::default(), &class.build()).await.context("create a class")?;
        Ok(name)
    }

    pub(crate) fn claims(&self, namespace: &str) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(crate) fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
    }

    /// Waits until the claim is bound. Returns its volume.
    pub(crate) async fn bound(&self, claim: &PersistentVolumeClaim) -> Result<PersistentVolume> {
        let claims = self.claims(&claim.namespace().unwrap_or_default());
        let name = claim.name_any();
        let volume = eventually(DEADLINE, format!("claim {name} is bound"), || async {
            let claim = claims.get(&name).await?;
            let phase = claim.status.and_then(|status| status.phase).unwrap_or_default();
            ensure!(phase == "Bound", "phase {phase:?}");
            claim.spec.and_then(|spec| spec.volume_name).context("it names its volume")
        })
        .await?;
        self.volumes().get(&volume).await.context("read the volume")
    }

    pub(crate) async fn delete(&self, claim: &PersistentVolumeClaim) -> Result<()> {
        let claims = self.claims(&claim.namespace().unwrap_or_default());
        let deleted = claims.delete(&claim.name_any(), &DeleteParams::default()).await;
        deleted.context("delete a claim")?;
        Ok(())
    }

    /// Waits until the volume's object is gone.
    pub(crate) async fn gone(&self, volume: &str) -> Result<()> {
        eventually(DEADLINE, format!("{volume} is gone"), || async {
            match self.volumes().get_opt(volume).await? {
                None => Ok(()),
                Some(volume) => bail!("{:?} {:?}", volume.status, volume.metadata.finalizers),
            }
        })
        .await
    }

    pub(crate) async fn patch_volume(&self, name: &str, patch: serde_json::Value) -> Result<()> {
        let patched =
            self.volumes().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.context("patch a volume")?;
        Ok(())
    }

    pub(crate) async fn patch_claim(
        &self,
        claim: &PersistentVolumeClaim,
        patch: serde_json::Value,
    ) -> Result<()> {
        let claims = self.claims(&claim.namespace().unwrap_or_default());
        let params = PatchParams::default();
        claims
            .patch(&claim.name_any(), &params, &Patch::Merge(patch))
            .await
            .context("patch a claim")?;
        Ok(())
    }

    /// Waits until the volume has this phase.
    pub(crate) async fn phase(&self, volume: &str, wanted: &str) -> Result<()> {
        eventually(DEADLINE, format!("{volume} is {wanted}"), || async {
            let phase = self.volumes().get(volume).await?.status.and_then(|status| status.phase);
            ensure!(phase.as_deref() == Some(wanted), "{phase:?}");
            Ok(())
        })
        .await
    }

    /// Creates the directory of a volume in the pool, as a kill could have left it.
    pub(crate) fn plant(&self, uid: &str, policy: &str, claim: (&str, &str)) -> Result<()> {
        let identity = json!({
            "format": 1, "volume": uid, "namespace": claim.0, "claim": claim.1,
            "class": names::CLASS_DEFAULT, "node": self.node, "reclaimPolicy": policy, "bytes": 1,
        });
        // Before the first start the pool has no marker, and it needs one.
        let marker = self.pool().join(".fastrak-pool");
        if !marker.exists() {
            std::fs::write(marker, "").context("create the marker of the pool")?;
        }
        // Moved into place at once, because a scan may run at any moment.
        let aside = self.folder.path().join(uid);
        std::fs::create_dir_all(aside.join("data")).context("plant a directory")?;
        std::fs::write(aside.join("volume.json"), identity.to_string())
            .context("plant a record")?;
        std::fs::rename(aside, self.pool().join(uid)).context("plant a volume")
    }

    /// Creates a directory in the pool whose claim does not exist. Returns its name.
    pub(crate) fn plant_orphan(&self, policy: &str) -> Result<String> {
        let uid = self.random_uid()?;
        self.plant(&uid, policy, ("default", "gone"))?;
        Ok(uid)
    }

    /// Returns a UID that no object has.
    pub(crate) fn random_uid(&self) -> Result<String> {
        fastrak_store::host::machine::random_uuid(&fastrak_store::host::Kernel)
            .context("a random uid")
    }

    /// Waits for an event on the object of this name. Returns its message.
    pub(crate) async fn event(&self, namespace: &str, on: &str, reason: &str) -> Result<String> {
        self.event_with(namespace, on, reason, "").await
    }

    /// Waits for an event whose message contains `text`. An object can get several with one reason, as
    /// the cause changes. Returns the message.
    pub(crate) async fn event_with(
        &self,
        namespace: &str,
        on: &str,
        reason: &str,
        text: &str,
    ) -> Result<String> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        eventually(DEADLINE, format!("{reason} on {on} with {text:?}"), || async {
            let all = events.list(&ListParams::default()).await?;
            let found = all.items.iter().find(|event| {
                event.involved_object.name.as_deref() == Some(on)
                    && event.reason.as_deref() == Some(reason)
                    && event.message.as_deref().unwrap_or_default().contains(text)
            });
            let seen = || all.items.iter().map(|e| e.message.clone()).collect::<Vec<_>>();
            let found = found.with_context(|| format!("{:?}", seen()))?;
            anyhow::Ok(found.message.clone().unwrap_or_default())
        })
        .await
    }

    /// Annotates the node, as an administrator does.
    pub(crate) async fn annotate_node(&self, key: &str, value: &str) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let patch = serde_json::json!({ "metadata": { "annotations": { key: value } } });
        let patch = Patch::Merge(patch);
        nodes.patch(&self.node, &PatchParams::default(), &patch).await.context("annotate")?;
        Ok(())
    }

    /// Waits until the node has no such annotation.
    pub(crate) async fn no_annotation(&self, key: &str) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        eventually(DEADLINE, format!("the node does not have {key}"), || async {
            let node = nodes.get(&self.node).await?;
            ensure!(!node.annotations().contains_key(key), "{:?}", node.annotations());
            Ok(())
        })
        .await
    }

    /// Returns the directories in the pool that have names of volumes.
    pub(crate) fn directories(&self) -> Vec<String> {
        directories(&self.pool())
    }

    /// Waits until the pool has no directories of volumes, and the trash and the staging directory
    /// are empty.
    pub(crate) async fn empty(&self) -> Result<()> {
        self.only(&[]).await
    }

    /// Waits until the pool has exactly the directories of these volumes, and the trash and the
    /// staging directory are empty.
    pub(crate) async fn only(&self, wanted: &[&str]) -> Result<()> {
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        eventually(DEADLINE, format!("the pool has only {wanted:?}"), || async {
            let left = [self.pool(), self.pool().join(".trash"), self.pool().join(".staging")];
            let mut left: Vec<_> = left.iter().flat_map(|path| directories(path)).collect();
            left.sort_unstable();
            ensure!(left == wanted, "{left:?}");
            Ok(())
        })
        .await
    }
}

impl Agent {
    /// Stops the agent as a signal does, and waits until it has stopped.
    pub(crate) async fn end(mut self) -> Result<()> {
        self.shutdown.request();
        match self.task.take() {
            Some(task) => Ok(task.await??),
            None => Ok(()),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

/// Runs an agent and prints its error: otherwise a test would only time out.
#[expect(clippy::print_stderr, reason = "it is what the test shows when it fails")]
async fn printing_its_error(
    run: impl Future<Output = Result<(), fastrak_agent::RunError>>,
) -> Result<(), fastrak_agent::RunError> {
    let outcome = run.await;
    if let Err(error) = &outcome {
        eprintln!("the agent has stopped: {}", fastrak_runtime::chain::Chain(error));
    }
    outcome
}

/// Returns the path in the PersistentVolume.
pub(crate) fn path_of(volume: &PersistentVolume) -> PathBuf {
    let local = volume.spec.as_ref().and_then(|spec| spec.local.as_ref());
    PathBuf::from(local.map(|local| local.path.clone()).unwrap_or_default())
}

fn directories(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// Applies what the agent needs from `deploy/base`: namespace, RBAC, classes, and the policies with
/// the pools and hostnames of the scenes.
async fn install(plane: &ControlPlane) -> Result<()> {
    let files = [
        "namespace.yaml",
        "rbac-agent.yaml",
        "storageclasses.yaml",
        "policy-agent-nodes.yaml",
        "policy-agent-claims.yaml",
        "policy-agent-volumes.yaml",
    ];
    for file in files {
        apply_manifests(plane, &repository().join("deploy/base").join(file)).await?;
    }
    // Each scene has directories of its own, whose names are not known in advance.
    let pools =
        "[object.spec.local.path.replace('/' + object.metadata.name.substring(4) + '/data', '')]";
    let hostname = "'host-of-' + variables.node";
    let changes = [(0, "pools", pools), (2, "hostname", hostname)].map(|(at, name, expression)| {
        let path = |key: &str| format!("/spec/variables/{at}/{key}");
        [
            json!({ "op": "test", "path": path("name"), "value": name }),
            json!({ "op": "replace", "path": path("expression"), "value": expression }),
        ]
    });
    let patch = json!(changes.concat()).to_string();
    let policy = ["validatingadmissionpolicy", names::AGENT_VOLUMES_POLICY];
    plane.kubectl(&[&["patch", "--type=json", "-p", &patch], &policy[..]].concat()).await?;
    Ok(())
}

/// Waits until the API server enforces the policies, which is a moment after their creation.
async fn policies_in_force(plane: &ControlPlane, agent: &Identity, node: &str) -> Result<()> {
    let loose = Identity::of(plane, names::NAMESPACE, names::AGENT).await?.client().await?;
    let (loose, agent) = (Api::all(loose), Api::all(agent.client().await?));
    let uid = "00000000-0000-4000-8000-000000000000";
    let hostname = format!("host-of-{node}");
    let path = format!("/pool/{uid}/data");
    let claim = ObjectReference {
        kind: Some("PersistentVolumeClaim".to_owned()),
        namespace: Some("default".to_owned()),
        name: Some("none".to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    };
    let name = format!("{}{uid}", names::VOLUME_NAME_PREFIX);
    let mut volume = objects::local_volume(&name, names::CLASS_DEFAULT, &hostname, &path)
        .annotate(names::NODE, node)
        .annotate(kubernetes::PROVISIONED_BY, names::PROVISIONER)
        .label(names::NODE, node)
        .with_spec(|spec| spec.claim_ref = Some(claim))
        .build();
    volume.metadata.finalizers = Some(vec![names::VOLUME_FINALIZER.to_owned()]);
    let trial = PostParams { dry_run: true, ..PostParams::default() };
    eventually(DEADLINE, "the policies are in force", || async {
        ensure!(loose.create(&trial, &volume).await.is_err(), "a loose token makes volumes");
        agent.create(&trial, &volume).await.context("the agent makes volumes")
    })
    .await?;
    Ok(())
}
