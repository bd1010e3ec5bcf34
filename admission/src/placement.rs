//! The choice of a node for a claim that cannot wait for the scheduler. It knows neither how full a
//! node is nor which pods will use the claim: claims with the same key get the same node, other
//! claims are spread evenly.

use crate::snapshot::{Availability, NodeInfo};
use fastrak_api::claim::Claim;
use fastrak_api::node::NodeName;
use sha2::{Digest, Sha256};

/// A key. Claims with the same key get the same node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The text that is hashed.
    pub text: String,
    /// True if other claims have the same key.
    pub shared: bool,
}

impl Key {
    /// Returns the key of a claim. The uid of the request distinguishes claims whose names are not
    /// generated yet.
    #[must_use]
    pub fn of(claim: &Claim, uid: &str) -> Self {
        let namespace = &claim.namespace;
        if let Some(pod) = &claim.owner_pod {
            return Self { text: format!("pod/{pod}"), shared: true };
        }
        if let Some(replica) = replica(&claim.name) {
            return Self { text: format!("replica/{namespace}/{replica}"), shared: true };
        }
        let name = match claim.name.as_str() {
            "" => format!("{}/{uid}", claim.generate_name),
            name => name.to_owned(),
        };
        Self { text: format!("claim/{namespace}/{name}"), shared: false }
    }
}

/// Returns the replica in the name of a StatefulSet's claim, `<template>-<set>-<ordinal>`. If the
/// set's name has dashes, its beginning is missing, the same for all claims of a replica.
fn replica(name: &str) -> Option<&str> {
    let (rest, ordinal) = name.rsplit_once('-')?;
    if ordinal.is_empty() || !ordinal.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (template, _) = rest.rsplit_once('-')?;
    (!template.is_empty()).then(|| &name[template.len() + 1..])
}

/// Returns the node for a key. Nodes that take all pods come before those that only some pods
/// tolerate: if every node has a taint, the pods of the cluster tolerate one. A node that takes no
/// pods now is not chosen, because it may be about to be removed.
///
/// Uses rendezvous hashing: when a node joins or leaves, only keys of that node move.
#[must_use]
pub fn choose<'a>(
    key: &Key,
    nodes: impl Iterator<Item = (&'a NodeName, &'a NodeInfo)>,
) -> Option<&'a NodeName> {
    let weigh = |(name, node): (&'a NodeName, &'a NodeInfo)| {
        (node.availability, score(&key.text, name), name)
    };
    let available = nodes.filter(|(_, node)| node.availability != Availability::Unavailable);
    available.map(weigh).max().map(|(_, _, name)| name)
}

fn score(key: &str, node: &NodeName) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(key.as_bytes());
    hasher.update([0]);
    hasher.update(node.as_str().as_bytes());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests;
