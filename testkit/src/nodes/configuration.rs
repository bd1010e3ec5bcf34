//! What the programs of a node are told in files.
//!
//! Pure: from paths and addresses to texts.

use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::json;

/// The image of which every pod's first container is made.
pub(crate) const PAUSE: &str = "testbed.local/pause:1";

/// The runtime's socket, as a node sees it.
pub(crate) const RUNTIME_SOCKET: &str = "/run/containerd/containerd.sock";

/// What the texts are made from.
#[derive(Debug)]
pub(crate) struct NodeSetting<'a> {
    pub(crate) address: Ipv4Addr,
    pub(crate) pods: &'a str,
    pub(crate) cni_plugins: &'a Path,
    /// The node's folder with keys and settings.
    pub(crate) settings: &'a Path,
    pub(crate) authority: &'a Path,
    /// The control group under which all of the node's are made.
    pub(crate) cgroup: &'a str,
}

impl NodeSetting<'_> {
    /// containerd's, in TOML.
    pub(crate) fn containerd(&self) -> String {
        let (plugins, networks) = (self.cni_plugins.display(), self.settings.join("cni"));
        format!(
            r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{RUNTIME_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
# Without the right to lower a score, runc dies trying.
restrict_oom_score_adj = true
# A profile would be loaded into the machine's kernel and stay there.
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".containerd]
# Works on every file system, an overlay too.
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{}"
"#,
            networks.display()
        )
    }

    /// The pods' network. Point to point and not a bridge: what two pods of a node send each other
    /// over a Service must pass the node's own rules on the way back too.
    pub(crate) fn network(&self) -> String {
        let range = json!([[{ "subnet": self.pods }]]);
        let ipam =
            json!({ "type": "host-local", "ranges": range, "routes": [{ "dst": "0.0.0.0/0" }] });
        json!({
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [{ "type": "ptp", "ipMasq": false, "ipam": ipam }],
        })
        .to_string()
    }

    /// The kubelet's, in JSON, which is YAML too.
    pub(crate) fn kubelet(&self) -> String {
        let file = |name: &str| self.settings.join(name).display().to_string();
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": { "enabled": false },
                "webhook": { "enabled": true },
                "x509": { "clientCAFile": self.authority },
            },
            "authorization": { "mode": "Webhook" },
            "address": self.address.to_string(),
            "tlsCertFile": file("kubelet.crt"),
            "tlsPrivateKeyFile": file("kubelet.key"),
            "containerRuntimeEndpoint": format!("unix://{RUNTIME_SOCKET}"),
            "resolvConf": file("resolv.conf"),
            // Both kinds of control groups, all under one by whose name they are found again. A
            // root of its own counts only together with groups for each kind of pod.
            "failCgroupV1": false,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.cgroup,
            "cgroupsPerQOS": true,
            "enforceNodeAllocatable": [],
            "failSwapOn": false,
            "makeIPTablesUtilChains": false,
            // Whether the machine's disk is nearly full is no business of the test bed.
            "evictionHard": { "memory.available": "50Mi", "nodefs.available": "1%" },
            "imageGCHighThresholdPercent": 100,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::NodeSetting;
    use std::path::Path;

    #[test]
    fn json_configurations_are_valid_json() {
        let setting = NodeSetting {
            address: [10, 214, 0, 10].into(),
            pods: "10.244.0.0/24",
            cni_plugins: Path::new("/plugins"),
            settings: Path::new("/settings"),
            authority: Path::new("/ca.crt"),
            cgroup: "/group",
        };
        let kubelet: serde_json::Value = serde_json::from_str(&setting.kubelet()).expect("parses");
        assert_eq!(kubelet["address"], "10.214.0.10");
        assert_eq!(kubelet["authentication"]["x509"]["clientCAFile"], "/ca.crt");
        let network: serde_json::Value = serde_json::from_str(&setting.network()).expect("parses");
        assert_eq!(network["plugins"][0]["ipam"]["ranges"][0][0]["subnet"], "10.244.0.0/24");
        assert!(setting.containerd().contains("bin_dir = \"/plugins\""));
    }
}
