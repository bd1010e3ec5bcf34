//! Whether this node's hostname label is its own.
//!
//! A volume is tied to its node by that label alone. If another node has the same one, the scheduler
//! sends pods there too, and they never start.

use crate::cluster::ClusterError;
use crate::context::Context;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a label that was found to be this node's own is not looked up again. A node that gets the
/// same one afterwards has all earlier volumes tied to it as well, so that a look at every claim would
/// not prevent the mistake and would cost a request.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// The label that was last found to be this node's own, and when.
#[derive(Debug, Default)]
pub struct OwnHostname(Mutex<Option<(String, Instant)>>);

impl OwnHostname {
    fn is_known(&self, hostname: &str, now: Instant) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |at: &Instant| now.saturating_duration_since(*at) < FRESH;
        known.as_ref().is_some_and(|(known, at)| known == hostname && is_fresh(at))
    }

    fn remember(&self, hostname: &str, now: Instant) {
        let known = Some((hostname.to_owned(), now));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }
}

/// Another node that has this hostname label; `None` if there is none.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_looked_up_again_when_it_changes_and_after_some_minutes() {
        let (own, start) = (OwnHostname::default(), Instant::now());
        assert!(!own.is_known("a", start));
        own.remember("a", start);
        assert!(own.is_known("a", start) && !own.is_known("b", start));
        assert!(own.is_known("a", start + FRESH / 2) && !own.is_known("a", start + FRESH));
    }
}
