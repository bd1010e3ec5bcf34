//! The heartbeat of a node: its own speaker writes it, and the standbys of its addresses read it.

use super::{LEASES, Leases, LeasesError, add, limited, params};
use fastrak_api::assignment::heartbeat_name;
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_runtime::clock;
use fastrak_runtime::not_found::is_not_found;
use fastrak_runtime::superseded::is_superseded;
use json_patch::jsonptr::PointerBuf;
use json_patch::{Patch as Operations, PatchOperation, TestOperation};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, Patch, PostParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A heartbeat, as its Lease shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The version of the Lease.
    pub version: String,
    /// The MAC address of the speaker that writes it.
    pub mac: Option<String>,
}

impl Leases {
    /// Returns the heartbeat of `node`, or `None` if it has none.
    pub async fn heartbeat(&self, node: &NodeName) -> Result<Option<Heartbeat>, LeasesError> {
        let name = heartbeat_name(node);
        let found = limited(self.api.get_metadata_opt(&name)).await?;
        let found =
            found.map_err(|source| LeasesError::ReadHeartbeat { node: node.clone(), source })?;
        Ok(found.map(|lease| Heartbeat {
            version: lease.metadata.resource_version.unwrap_or_default(),
            mac: lease
                .metadata
                .annotations
                .and_then(|mut annotations| annotations.remove(names::HEARTBEAT_MAC)),
        }))
    }

    /// Returns the heartbeat of this speaker's node.
    pub async fn own_heartbeat(&self) -> Result<Option<Heartbeat>, LeasesError> {
        self.heartbeat(&self.node).await
    }

    /// Renews the heartbeat of this node with `mac`, if the speaker with the MAC address `before` has
    /// written it, or creates it. Returns whether it has.
    pub async fn beat(&self, before: &str, mac: &str) -> Result<bool, LeasesError> {
        let test = test(["metadata", "annotations", names::HEARTBEAT_MAC], before);
        let name = heartbeat_name(&self.node);
        match self.renew(&name, test, mac).await? {
            Err(error) if is_not_found(&error, LEASES, &name) => self.create(name, mac).await,
            renewed => conditional(renewed),
        }
    }

    /// Takes the heartbeat of this node over from a speaker that has stopped. Returns whether it was
    /// unchanged.
    pub async fn adopt(&self, found: &Heartbeat, mac: &str) -> Result<bool, LeasesError> {
        let test = test(["metadata", "resourceVersion"], &found.version);
        conditional(self.renew(&heartbeat_name(&self.node), test, mac).await?)
    }

    async fn renew(
        &self,
        name: &str,
        first: PatchOperation,
        mac: &str,
    ) -> Result<kube::Result<Lease>, LeasesError> {
        let now = serde_json::to_value(MicroTime(clock::now())).unwrap_or_default();
        let operations = vec![
            first,
            test(["spec", "holderIdentity"], self.node.as_str()),
            add(["metadata", "annotations"], json!({ names::HEARTBEAT_MAC: mac })),
            add(["spec", "renewTime"], now),
        ];
        let patch = Patch::<()>::Json(Operations(operations));
        limited(self.api.patch(name, &params(), &patch)).await
    }

    async fn create(&self, name: String, mac: &str) -> Result<bool, LeasesError> {
        let annotations = BTreeMap::from([(names::HEARTBEAT_MAC.to_owned(), mac.to_owned())]);
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(name),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.node.to_string()),
                renew_time: Some(MicroTime(clock::now())),
                ..LeaseSpec::default()
            }),
        };
        let params = PostParams { field_manager: Some(names::SPEAKER.to_owned()), dry_run: false };
        conditional(limited(self.api.create(&params, &lease)).await?)
    }
}

/// Returns `false` if another speaker has written the heartbeat.
fn conditional(written: kube::Result<Lease>) -> Result<bool, LeasesError> {
    match written {
        Ok(_) => Ok(true),
        Err(error) if is_superseded(&error) => Ok(false),
        Err(error) => Err(LeasesError::Beat(error)),
    }
}

fn test<const N: usize>(path: [&str; N], value: &str) -> PatchOperation {
    let path = PointerBuf::from_tokens(path);
    PatchOperation::Test(TestOperation { path, value: Value::from(value) })
}
