//! Checks that this node's hostname label is unique.
//!
//! A volume's node affinity uses only that label. If another node has the same one, the scheduler
//! sends pods there too, and they never start.

use crate::cluster::ClusterError;
use crate::context::Context;

/// Returns another node with this hostname label, if there is one.
pub(super) async fn other_node(
    context: &Context,
    hostname: &str,
) -> Result<Option<String>, ClusterError> {
    let now = context.clock.instant();
    if context.own_hostname.is_known(hostname, now) {
        return Ok(None);
    }
    let nodes = context.cluster.nodes_with_hostname(hostname).await?;
    let other = nodes.into_iter().find(|name| name != context.node.as_str());
    if other.is_none() {
        context.own_hostname.remember(hostname, now);
    }
    Ok(other)
}
