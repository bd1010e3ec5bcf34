//! Why a node cannot serve a port of a Service.

use crate::allocation::service::Key;
use fastrak_api::frontend::{Conflict, Frontend};
use fastrak_api::node::NodeName;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The number of nodes that a message names for one cause.
const NAMED_NODES: usize = 3;

/// Why a node cannot serve a port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::allocation) enum Cause {
    /// The port is reserved by `--node-ip-reserved-ports`.
    Reserved,
    /// A pod has it as a host port.
    Pod(Key),
    /// Another Service has it.
    Service(Key),
    /// The speaker has found it in use.
    Conflict(Conflict),
    /// The speaker has refused it without a reason that this version knows.
    Refused,
    /// No speaker is Ready.
    NoSpeaker,
    /// The speaker does not respond.
    NotAccepted,
}

impl Cause {
    /// Returns whether the port is in use outside of Services.
    pub(in crate::allocation) fn is_conflict(&self) -> bool {
        match self {
            Self::Pod(_) | Self::Conflict(_) | Self::Refused => true,
            Self::Reserved | Self::Service(_) | Self::NoSpeaker | Self::NotAccepted => false,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved => f.write_str("it is reserved (--node-ip-reserved-ports)"),
            Self::Pod((namespace, name)) => write!(f, "pod {namespace}/{name} has it as hostPort"),
            Self::Service((namespace, name)) => write!(f, "Service {namespace}/{name} has it"),
            Self::Conflict(Conflict::Listening) => f.write_str("a process listens on it"),
            Self::Conflict(Conflict::Redirected) => {
                f.write_str("connections to it are redirected to another program")
            }
            Self::Refused => f.write_str("the speaker refuses it"),
            Self::NoSpeaker => f.write_str("no speaker is Ready"),
            Self::NotAccepted => {
                f.write_str("the speaker does not respond; see the log of its pod")
            }
        }
    }
}

/// Describes which nodes cannot serve which ports, each cause once.
pub(super) fn describe(causes: &[(Frontend, NodeName, Cause)]) -> String {
    let mut nodes: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (frontend, node, cause) in causes {
        let port = format!("{}/{}", frontend.port, frontend.protocol);
        nodes.entry((port, cause)).or_default().insert(node.as_str());
    }
    let texts = nodes.into_iter().map(|((port, cause), nodes)| {
        let named: Vec<_> = nodes.iter().take(NAMED_NODES).copied().collect();
        let more = nodes.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{port} on {}{more}: {cause}", named.join(", "))
    });
    texts.collect::<Vec<_>>().join("; ")
}
