//! Creates a node: its directories, namespaces and configuration, and its programs in order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Node, NodeProgram};
use crate::control_plane::ControlPlane;
use crate::eventually::eventually;
use crate::nodes::configuration::{NodeSetting, RUNTIME_SOCKET};
use crate::nodes::network::{self, pod_range};
use crate::nodes::sandbox::Sandbox;
use crate::nodes::supported::Host;
use crate::nodes::{cgroups, proxy};
use crate::process::Invocation;
use crate::state::StateFolder;

const SOON: Duration = Duration::from_secs(30);

/// Kernel settings that a kubelet would change for the whole machine, with the values that it
/// expects. The node has files with these values mounted over them.
const TUNABLES: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// The directories of the machine that a node has its own of, and the names of its directories.
const OWN: [(&str, &str); 3] = [("lib", "/var/lib"), ("log", "/var/log"), ("run", "/run")];

impl Node {
    /// Creates a node and starts its runtime. The node is not yet part of a cluster.
    pub(crate) async fn prepare(
        sandbox: &Sandbox,
        host: &Host,
        state: &StateFolder,
        number: u8,
    ) -> Result<Self> {
        let name = name_of(number);
        let directory = state.subdirectory(Path::new("nodes").join(&name))?;
        for part in OWN.iter().map(|(part, _)| *part).chain(["settings", "tunables"]) {
            state.subdirectory(directory.join(part))?;
        }
        let compartment = sandbox.compartment(&name, &state.logs()).await?;
        network::connect_node(sandbox, &compartment, number).await?;
        let (logs, running) = (state.logs(), Mutex::default());
        let calls = BTreeMap::new();
        let mut node = Self { name, number, directory, logs, running, calls, compartment };
        let cgroup = cgroups::create(state.id(), &node.name)?;
        node.write_settings(host, state, &cgroup)?;
        node.mount().await?;
        node.start_runtime().await?;
        Ok(node)
    }

    /// Writes the node's credentials and starts its kubelet and kube-proxy.
    pub(crate) fn join(&mut self, plane: &ControlPlane, host: &Host) -> Result<()> {
        let credentials = plane.credentials();
        let user = format!("system:node:{}", self.name);
        let pair = credentials.client(&user, "system:nodes")?;
        let kubeconfig = credentials.write_kubeconfig(&self.name, &plane.endpoint(), pair)?;
        let names = [self.name.clone(), self.address().to_string()];
        let server = credentials.server(&user, &names)?;
        self.write("kubelet.crt", &server.cert_pem)?;
        self.write("kubelet.key", &server.key_pem)?;
        let kubelet = Invocation::new(plane.assets().program("kubelet"))
            .arg(format!("--config={}", self.setting("kubelet.json").display()))
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!("--hostname-override={}", self.name))
            .arg(format!("--node-ip={}", self.address()));
        self.calls.insert(NodeProgram::Kubelet, kubelet);
        self.calls.insert(NodeProgram::KubeProxy, proxy::call(plane, host, &self.name)?);
        self.start(NodeProgram::Kubelet)?;
        self.start(NodeProgram::KubeProxy)
    }

    fn write_settings(&self, host: &Host, state: &StateFolder, cgroup: &str) -> Result<()> {
        let settings = self.directory.join("settings");
        let setting = NodeSetting {
            address: self.address(),
            pods: &pod_range(self.number),
            cni_plugins: &host.cni_plugins,
            settings: &settings,
            ca: &state.path().join("pki/ca.crt"),
            cgroup,
        };
        std::fs::create_dir_all(settings.join("cni")).context("make a directory for networks")?;
        self.write("containerd.toml", &setting.containerd())?;
        self.write("kubelet.json", &setting.kubelet())?;
        self.write("cni/pods.conflist", &setting.network())?;
        // The machine's file may be in a directory that the node has its own of.
        self.write("resolv.conf", "nameserver 127.0.0.1\n")?;
        for (path, value) in TUNABLES {
            let file = self.directory.join("tunables").join(path.replace('/', "."));
            std::fs::write(&file, format!("{value}\n")).context("write a tunable")?;
        }
        Ok(())
    }

    async fn mount(&self) -> Result<()> {
        let directory = self.directory.display();
        let mut script = format!("set -e; hostname {}\n", self.name);
        for (part, place) in OWN {
            // Shared, so that later mounts of the kubelet propagate to containers. Private before
            // that, so that they do not propagate to the source directory.
            script += &format!(
                "mount --bind {directory}/{part} {place}; mount --make-private {place}; \
                 mount --make-shared {place}\n"
            );
        }
        for (path, _) in TUNABLES {
            let file = path.replace('/', ".");
            script += &format!(
                "[ ! -e /proc/sys/{path} ] || mount --bind {directory}/tunables/{file} /proc/sys/{path}\n"
            );
        }
        self.run(&["sh", "-c", &script]).await.context("mount a node's directories").map(drop)
    }

    async fn start_runtime(&mut self) -> Result<()> {
        let config = self.setting("containerd.toml").display().to_string();
        let containerd = Invocation::new("containerd").args(["--config", &config]);
        self.calls.insert(NodeProgram::Containerd, containerd);
        self.start(NodeProgram::Containerd)?;
        eventually(SOON, "the container runtime answers", || async {
            if let Err(ended) = self.expect_running() {
                return Ok(Err(ended));
            }
            self.run(&["ctr", "--address", RUNTIME_SOCKET, "version"]).await.map(|_| Ok(()))
        })
        .await?
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.setting(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    fn setting(&self, name: &str) -> PathBuf {
        self.directory.join("settings").join(name)
    }
}

/// Returns `node-a`, `node-b` and so on.
fn name_of(number: u8) -> String {
    format!("node-{}", char::from(b'a' + number))
}
