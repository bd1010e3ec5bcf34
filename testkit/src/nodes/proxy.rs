//! The invocation of kube-proxy, which each node and the API server's namespace run.

use anyhow::Result;

use super::network::POD_CIDR;
use super::supported::Host;
use crate::control_plane::ControlPlane;
use crate::process::Invocation;

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
        .arg(format!("--proxy-mode={}", host.proxy_mode))
        .arg("--metrics-bind-address=127.0.0.1:10249")
        .args(["--healthz-bind-address=127.0.0.1:10256"])
        // A namespace cannot set the limits of the machine's connection table.
        .args(["--conntrack-max-per-core=0", "--conntrack-min=0"])
        .args(["--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s"]))
}
