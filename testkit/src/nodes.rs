//! A whole cluster on one machine: a control plane and nodes that run pods, in their own Linux
//! namespaces, with one network link to the machine for clients and kubectl.
//!
//! It needs root and a few programs; [`Cluster::supported`] checks them. It does not install
//! fastrak, and pods have no DNS.

mod cgroups;
mod configuration;
mod images;
mod network;
mod node;
mod proxy;
pub(crate) mod remains;
pub(crate) mod sandbox;
mod supported;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::{Api, Client};

pub use self::network::{BRIDGE, FREE_ADDRESSES};
pub use self::node::{Node, NodeProgram};
pub use self::proxy::ProxyMode;

use self::sandbox::{Compartment, Sandbox};
use self::supported::Host;
use crate::control_plane::{Component, ControlPlane, KUBERNETES_SERVICE, Options, Place};
use crate::environment::{self, Missing};
use crate::eventually::eventually;
use crate::image::Image;
use crate::lan::Network;
use crate::process::{Invocation, Output, Process};
use crate::state::{StateFolder, turn};

/// The start timeout, which exceeds the longest start seen on a loaded machine with two cores.
const READY: Duration = Duration::from_secs(120);

/// The maximum number of nodes, for which addresses and names are planned.
const MAX_NODES: u8 = 20;

/// The options of a cluster.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The number of nodes, from 1 to 20.
    pub nodes: u8,
    /// Additional flags of the control plane's programs.
    pub flags: Vec<(Component, String)>,
    /// Images to load on every node in addition to busybox.
    pub images: Vec<Image>,
    /// The mode of kube-proxy, or `None` for the first that works on this machine.
    pub proxy_mode: Option<ProxyMode>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { nodes: 2, flags: Vec::new(), images: Vec::new(), proxy_mode: None }
    }
}

/// A running cluster. Dropping it stops it and cleans up. If its process is killed, the next start
/// removes the remaining files and names.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    proxy: Option<Process>,
    plane: ControlPlane,
    sandbox: Sandbox,
    archives: AtomicUsize,
    state: Arc<StateFolder>,
}

/// A host on the nodes' network that is no node: a client of Services from outside of the cluster.
#[derive(Debug)]
pub struct Outsider {
    compartment: Compartment,
}

impl Outsider {
    /// Gets a page by HTTP, and returns its body. It waits a second for the connection.
    pub async fn get(&self, address: SocketAddr, path: &str) -> Result<String> {
        self.network()?.get(address, path).await
    }

    /// Returns its network, for a thread to enter.
    pub fn network(&self) -> Result<Network> {
        Network::of(self.compartment.pid())
    }

    /// Runs a program of the machine in its network.
    pub async fn run(&self, words: &[&str]) -> Result<Output> {
        self.compartment.network_run(words).await
    }
}

impl Cluster {
    /// Returns an error that says what this machine lacks to run a cluster, if it lacks anything.
    pub fn supported() -> Result<(), Missing> {
        supported::host().map(drop)
    }

    /// Starts a cluster and waits until all nodes are Ready.
    pub async fn start(options: ClusterOptions) -> Result<Self> {
        Self::launch(options).await.inspect_err(|_| environment::note_failure())
    }

    /// Returns the control plane, with its clients, kubectl and identities.
    #[must_use]
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// Creates a client of the administrator. It must be used on the runtime that creates it.
    pub async fn client(&self) -> Result<Client> {
        self.plane.client().await
    }

    /// Runs kubectl as the administrator. Returns its standard output.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.plane.kubectl(args).await
    }

    /// Returns the node with this index, from 0.
    ///
    /// # Panics
    /// If there is no such node.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "an index that the test itself has chosen")]
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// Returns all nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Runs a program of the machine in the network of the API server, from which Services, pods
    /// and nodes are reachable.
    pub async fn run(&self, words: &[&str]) -> Result<Output> {
        Invocation::of(words)?.through(&self.sandbox.prefix()).run().await
    }

    /// Returns the network of the API server, which contains [`BRIDGE`], for a thread to enter.
    pub fn network(&self) -> Result<Network> {
        Network::of(self.sandbox.pid())
    }

    /// Adds a host to the nodes' network. There can be one.
    pub async fn outsider(&self) -> Result<Outsider> {
        let compartment = self.sandbox.compartment("outsider", &self.state.logs()).await?;
        network::connect_outsider(&self.sandbox, &compartment).await?;
        Ok(Outsider { compartment })
    }

    /// Takes the cable of a node out, or puts it in again.
    pub async fn plug(&self, node: &Node, is_plugged: bool) -> Result<()> {
        let state = if is_plugged { "up" } else { "down" };
        let words = ["ip", "link", "set", &node.link(), state];
        self.sandbox.network_run(&words).await.map(drop)
    }

    /// Imports an image on every node. Pods that use it must not have the pull policy Always.
    pub async fn load_image(&self, image: &Image) -> Result<()> {
        let directory = self.state.subdirectory("images")?;
        let number = self.archives.fetch_add(1, Ordering::Relaxed);
        let archive = directory.join(format!("{number}.tar"));
        image.write(&archive)?;
        let imports = self.nodes.iter().map(|node| node.import(&archive));
        try_join_all(imports).await?;
        std::fs::remove_file(&archive).context("remove an imported archive")
    }

    /// Returns the directory of the logs.
    #[must_use]
    pub fn logs_dir(&self) -> PathBuf {
        self.state.logs()
    }

    /// Returns the unique id of the cluster, which is part of every name that it uses on the
    /// machine.
    #[must_use]
    pub fn id(&self) -> &str {
        self.state.id()
    }

    async fn launch(options: ClusterOptions) -> Result<Self> {
        ensure!((1..=MAX_NODES).contains(&options.nodes), "1 to {MAX_NODES} nodes");
        let mut host = supported::host()?;
        if let Some(mode) = options.proxy_mode {
            host.proxy_mode = mode.supported()?;
        }
        let state = Arc::new(StateFolder::create().await?);
        let sandbox = Sandbox::create(&state.logs()).await?;
        let uplink = {
            let _turn = turn().await?;
            network::connect(&sandbox, state.id()).await?
        };
        let place = Place {
            prefix: sandbox.prefix(),
            address: uplink.cluster(),
            names: vec![KUBERNETES_SERVICE.to_owned()],
        };
        let numbers = 0..options.nodes;
        let prepare = numbers.map(|number| Node::prepare(&sandbox, &host, &state, number));
        let plane = ControlPlane::start_in(state.clone(), plane_options(&options, place));
        let (plane, nodes) = futures::future::try_join(plane, try_join_all(prepare)).await?;
        let archives = AtomicUsize::new(0);
        let mut this = Self { nodes, proxy: None, plane, sandbox, archives, state };
        this.finish(&host, &options.images).await?;
        Ok(this)
    }

    async fn finish(&mut self, host: &Host, images: &[Image]) -> Result<()> {
        self.load_image(&images::standard(&host.busybox).await?).await?;
        for image in images {
            self.load_image(image).await?;
        }
        for node in &mut self.nodes {
            node.join(&self.plane, host)?;
        }
        self.start_proxy(host)?;
        self.await_nodes().await
    }

    // The API server's namespace needs one too, because it calls webhooks by Service address.
    fn start_proxy(&mut self, host: &Host) -> Result<()> {
        let first = self.nodes.first().context("there is a node")?;
        let call = proxy::call(&self.plane, host, first.name())?.through(&self.sandbox.prefix());
        let log = self.state.logs().join("kube-proxy.log");
        self.proxy = Some(Process::start("kube-proxy", &call, &log)?);
        Ok(())
    }

    async fn await_nodes(&self) -> Result<()> {
        let objects: Api<NodeObject> = Api::all(self.client().await?);
        for node in &self.nodes {
            await_node(&objects, node).await?;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.sandbox.end();
        remains::clear(self.state.id(), self.state.path());
    }
}

fn plane_options(options: &ClusterOptions, place: Place) -> Options {
    let plane = Options::full().real_nodes().at(place);
    options.flags.iter().fold(plane, |plane, (component, flag)| plane.flag(*component, flag))
}

async fn await_node(objects: &Api<NodeObject>, node: &Node) -> Result<()> {
    eventually(READY, format!("{} is ready", node.name()), || async {
        if let Err(ended) = node.expect_running() {
            return Ok(Err(ended));
        }
        is_usable(&objects.get(node.name()).await?).map(Ok)
    })
    .await?
}

// The taint is removed a moment after the condition is set. Until then no pod is scheduled here.
fn is_usable(node: &NodeObject) -> Result<()> {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
    let ready = ready.context("it has no condition Ready")?;
    ensure!(ready.status == "True", "{}", ready.message.as_deref().unwrap_or_default());
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    ensure!(taints.count() == 0, "it is tainted");
    Ok(())
}
