//! The Service of a Tunnel, as the leader reads it.

use super::plan::keeps;
use super::tunnel::Key;
use fastrak_api::balancer::{PartialService, ServiceView};
use fastrak_api::object::Mapping;

/// A Service that may have a Tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TunnelService {
    pub(super) uid: String,
    pub(super) view: ServiceView,
}

impl TunnelService {
    /// Parses a Service.
    pub(super) fn read(text: &str) -> Result<Self, serde_json::Error> {
        let service: PartialService<'_> = serde_json::from_str(text)?;
        let uid = service.metadata.as_ref().and_then(|Mapping(metadata)| metadata.uid.as_ref());
        let uid = uid.map(|uid| uid.as_str().to_owned()).unwrap_or_default();
        Ok(Self { uid, view: ServiceView::of(&service) })
    }
}

/// Parses the key of a Service, with a value if it keeps its Tunnel. Most Services of a cluster have
/// neither an address nor an annotation, and are not stored.
pub(super) fn read_keeper(text: &str) -> Result<(Key, Option<()>), serde_json::Error> {
    let TunnelService { view, .. } = TunnelService::read(text)?;
    let keeps = keeps(&view).then_some(());
    Ok(((view.namespace, view.name), keeps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_services_that_keep_their_tunnel_are_stored() {
        for (type_, is_stored) in [("LoadBalancer", true), ("ClusterIP", false)] {
            let text = json!({
                "metadata": {"namespace": "shop", "name": "web", "uid": "s1"},
                "spec": {"type": type_, "ports": [{"port": 80}]},
            });
            let (key, keeper) = read_keeper(&text.to_string()).unwrap();
            assert_eq!(key, ("shop".to_owned(), "web".to_owned()));
            assert_eq!(keeper.is_some(), is_stored, "{type_}");
            assert_eq!(TunnelService::read(&text.to_string()).unwrap().uid, "s1");
        }
    }
}
