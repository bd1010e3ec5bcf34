//! The ports of nodes that pods have by `hostPort`.

use super::service::Key;
use fastrak_api::balancer::{Port, Protocol};
use fastrak_api::node::NodeName;
use serde::Deserialize;

/// The host ports of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPorts {
    pub(super) node: NodeName,
    pub(super) ports: Vec<(Protocol, u16)>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pod {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Container {
    ports: Option<Vec<ContainerPort>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerPort {
    host_port: Option<i32>,
    protocol: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: String,
}

/// Parses a pod and its key. Returns nothing if it has no host port of a node.
pub(super) fn read(text: &str) -> Result<(Key, Option<HostPorts>), serde_json::Error> {
    let Pod { metadata, spec, status } = serde_json::from_str(text)?;
    let key = (metadata.namespace, metadata.name);
    let has_exited = matches!(status.phase.as_str(), "Succeeded" | "Failed");
    let containers = spec.containers.into_iter().chain(spec.init_containers).flatten();
    let ports = containers.flat_map(|container| container.ports.unwrap_or_default());
    let ports: Vec<_> = ports.filter_map(|port| host_port(&port)).collect();
    let node = NodeName::parse(&spec.node_name).ok();
    let node = node.filter(|_| !has_exited && !ports.is_empty());
    Ok((key, node.map(|node| HostPorts { node, ports })))
}

fn host_port(port: &ContainerPort) -> Option<(Protocol, u16)> {
    let number = u16::try_from(port.host_port?).ok().filter(|number| *number > 0)?;
    let port = Port { port: None, protocol: port.protocol.as_deref().map(Into::into) };
    Some((port.protocol(), number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod() -> Value {
        json!({
            "metadata": {"namespace": "web", "name": "ingress"},
            "spec": {
                "nodeName": "node-a",
                "containers": [
                    {"ports": [{"containerPort": 8080, "hostPort": 80}, {"containerPort": 9}]},
                    {"ports": [{"hostPort": 53, "protocol": "UDP", "hostIP": "192.0.2.1"}]},
                    {},
                ],
            },
            "status": {"phase": "Running"},
        })
    }

    #[test]
    fn the_host_ports_of_a_running_pod_are_read() {
        let (key, ports) = read(&pod().to_string()).unwrap();
        assert_eq!(key, ("web".to_owned(), "ingress".to_owned()));
        let ports = ports.unwrap();
        assert_eq!(ports.node.as_str(), "node-a");
        assert_eq!(ports.ports, [(Protocol::Tcp, 80), (Protocol::Udp, 53)]);
    }

    #[test]
    fn a_pod_that_has_exited_or_has_no_node_or_no_host_port_has_none() {
        for (at, value) in [
            ("/status/phase", json!("Succeeded")),
            ("/spec/nodeName", json!("")),
            ("/spec/containers", json!([{"ports": [{"containerPort": 80}]}])),
            ("/spec/containers", Value::Null),
        ] {
            let mut pod = pod();
            *pod.pointer_mut(at).unwrap() = value;
            assert_eq!(read(&pod.to_string()).unwrap().1, None, "{at}");
        }
    }
}
