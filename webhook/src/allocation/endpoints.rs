//! The nodes that run ready pods of Services. Traffic to a Service with
//! `externalTrafficPolicy: Local` reaches only pods on the node that receives it.

use super::service::Key;
use fastrak_api::names::kubernetes;
use fastrak_api::node::NodeName;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The nodes of the ready endpoints of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoints {
    pub(super) service: Key,
    pub(super) nodes: BTreeSet<NodeName>,
}

/// The nodes that run ready pods of each Service.
pub(super) type EndpointNodes<'a> = BTreeMap<&'a Key, BTreeSet<&'a NodeName>>;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Slice {
    metadata: Metadata,
    endpoints: Option<Vec<Endpoint>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    namespace: String,
    name: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Endpoint {
    node_name: Option<String>,
    conditions: Conditions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
}

/// Parses an EndpointSlice and its key. Returns nothing if it has no ready endpoint on a node.
pub(super) fn read(text: &str) -> Result<(Key, Option<Endpoints>), serde_json::Error> {
    let Slice { metadata, endpoints } = serde_json::from_str(text)?;
    let Metadata { namespace, name, labels } = metadata;
    let service = labels.and_then(|mut labels| labels.remove(kubernetes::SERVICE_NAME));
    // The API defines that an unknown condition counts as ready.
    let is_ready = |endpoint: &Endpoint| endpoint.conditions.ready.unwrap_or(true);
    let ready = endpoints.into_iter().flatten().filter(is_ready);
    let nodes = ready.filter_map(|endpoint| NodeName::parse(&endpoint.node_name?).ok());
    let nodes: BTreeSet<_> = nodes.collect();
    let service = service.filter(|_| !nodes.is_empty());
    let endpoints =
        service.map(|service| Endpoints { service: (namespace.clone(), service), nodes });
    Ok(((namespace, name), endpoints))
}

/// Merges the EndpointSlices of each Service.
pub(super) fn by_service(slices: &BTreeMap<Key, Endpoints>) -> EndpointNodes<'_> {
    let mut nodes = EndpointNodes::new();
    for slice in slices.values() {
        nodes.entry(&slice.service).or_default().extend(&slice.nodes);
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn slice(name: &str, endpoints: &Value) -> (Key, Option<Endpoints>) {
        let text = json!({
            "metadata": {
                "namespace": "shop", "name": name, "labels": {kubernetes::SERVICE_NAME: "web"},
            },
            "addressType": "IPv4", "endpoints": endpoints,
        });
        read(&text.to_string()).unwrap()
    }

    fn nodes(endpoints: &Value) -> Vec<String> {
        let (_, read) = slice("web-1", endpoints);
        read.into_iter().flat_map(|read| read.nodes).map(|node| node.to_string()).collect()
    }

    #[test]
    fn ready_endpoints_count_with_their_nodes() {
        let ready = json!([
            {"nodeName": "b", "conditions": {"ready": true}}, {"nodeName": "a"},
            {"nodeName": "a", "conditions": {}},
        ]);
        assert_eq!(nodes(&ready), ["a", "b"]);
        for none in [
            json!([{"nodeName": "a", "conditions": {"ready": false, "serving": true}}]),
            json!([{"conditions": {"ready": true}}, {"nodeName": "not a node"}]),
            json!([]),
            json!(null),
        ] {
            assert_eq!(slice("web-1", &none).1, None, "{none}");
        }
        assert_eq!(read(r#"{"endpoints": [{"nodeName": "a"}]}"#).unwrap().1, None, "no Service");
    }

    #[test]
    fn the_slices_of_a_service_are_merged() {
        let slices = [("web-1", "a"), ("web-2", "b")].map(|(name, node)| {
            let (key, slice) = slice(name, &json!([{"nodeName": node}]));
            (key, slice.unwrap())
        });
        let slices = BTreeMap::from(slices);
        let key = ("shop".to_owned(), "web".to_owned());
        let (a, b) = (NodeName::parse("a").unwrap(), NodeName::parse("b").unwrap());
        assert_eq!(by_service(&slices), [(&key, [&a, &b].into())].into());
    }
}
