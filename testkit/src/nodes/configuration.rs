//! The configuration files of a node's programs. Pure.

use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::json;

/// The image of every pod's sandbox container.
pub(crate) const PAUSE: &str = "testbed.local/pause:1";

/// The runtime's socket, as a node sees it.
pub(crate) const RUNTIME_SOCKET: &str = "/run/containerd/containerd.sock";

/// The values in the configurations.
#[derive(Debug)]
pub(crate) struct NodeSetting<'a> {
    pub(crate) address: Ipv4Addr,
    pub(crate) pods: &'a str,
    pub(crate) cni_plugins: &'a Path,
    /// The directory of the node's keys and configurations.
    pub(crate) settings: &'a Path,
    pub(crate) ca: &'a Path,
    /// The parent of the node's control groups.
    pub(crate) cgroup: &'a str,
}

impl NodeSetting<'_> {
    /// Returns the configuration of containerd, in TOML.
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
# Without the right to lower a score, runc fails.
restrict_oom_score_adj = true
# A profile would stay in the machine's kernel.
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

    /// Returns the configuration of the pod network. It is point to point and not a bridge, because
    /// replies between two pods of a node over a Service must pass the node's rules too.
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

    /// Returns the configuration of the kubelet, in JSON, which is valid YAML.
    pub(crate) fn kubelet(&self) -> String {
        let file = |name: &str| self.settings.join(name).display().to_string();
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": { "enabled": false },
                "webhook": { "enabled": true },
                "x509": { "clientCAFile": self.ca },
            },
            "authorization": { "mode": "Webhook" },
            "address": self.address.to_string(),
            "tlsCertFile": file("kubelet.crt"),
            "tlsPrivateKeyFile": file("kubelet.key"),
            "containerRuntimeEndpoint": format!("unix://{RUNTIME_SOCKET}"),
            "resolvConf": file("resolv.conf"),
            // Both versions of control groups, all below one that is found by its name. A cgroup
            // root is only respected with a group per QoS class.
            "failCgroupV1": false,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.cgroup,
            "cgroupsPerQOS": true,
            "enforceNodeAllocatable": [],
            "failSwapOn": false,
            "makeIPTablesUtilChains": false,
            // A nearly full disk of the machine must not evict pods.
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
            ca: Path::new("/ca.crt"),
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
