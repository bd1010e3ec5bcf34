//! The modes and the invocation of kube-proxy, which each node and the API server's namespace run.

use anyhow::Result;

use super::network::POD_CIDR;
use super::supported::Host;
use crate::control_plane::ControlPlane;
use crate::environment::Missing;
use crate::process::Invocation;

/// A mode of kube-proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyMode {
    /// Rules of nftables.
    Nftables,
    /// Rules of iptables.
    Iptables,
}

impl ProxyMode {
    /// Returns the name, as flags and documents of Kubernetes write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        }
    }

    /// Returns the first mode that works on this machine.
    pub(crate) fn first_supported() -> Result<Self, Missing> {
        let none = || Missing::new("neither nft nor iptables works (see testbed/debian.sh)");
        [Self::Nftables, Self::Iptables].into_iter().find(|mode| mode.works()).ok_or_else(none)
    }

    /// Returns this mode if it works on this machine.
    pub(crate) fn supported(self) -> Result<Self, Missing> {
        let missing =
            || Missing::new(format!("{} does not work here (see testbed/debian.sh)", self.name()));
        self.works().then_some(self).ok_or_else(missing)
    }

    fn works(self) -> bool {
        let rule = match self {
            Self::Nftables => "nft add table ip trial",
            Self::Iptables => "iptables -t nat -N trial",
        };
        let trial = Invocation::new("unshare").arg("--net").args(rule.split(' '));
        trial.run_blocking().is_ok()
    }
}

/// Returns the invocation of kube-proxy for a node.
pub(crate) fn call(plane: &ControlPlane, host: &Host, node: &str) -> Result<Invocation> {
    let credentials = plane.credentials();
    let user = "system:kube-proxy";
    let pair = credentials.client(user, user)?;
    let kubeconfig = credentials.write_kubeconfig("kube-proxy", &plane.endpoint(), pair)?;
    Ok(Invocation::new(plane.assets().program("kube-proxy"))
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--hostname-override={node}"))
        .arg(format!("--cluster-cidr={POD_CIDR}"))
        .arg(format!("--proxy-mode={}", host.proxy_mode.name()))
        .arg("--metrics-bind-address=127.0.0.1:10249")
        .args(["--healthz-bind-address=127.0.0.1:10256"])
        // A namespace cannot set the limits of the machine's connection table.
        .args(["--conntrack-max-per-core=0", "--conntrack-min=0"])
        .args(["--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s"]))
}
