//! The Leases that a speaker reads and writes. Every write names the version that was read.

pub mod heartbeat;

use crate::frame::Mac;
use fastrak_api::assignment::{self, Assignment, AssignmentError, State, lease_name};
use fastrak_api::frontend::{self, Conflict, FrontendAssignment};
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_runtime::clock;
use fastrak_runtime::superseded::is_superseded;
use fastrak_runtime::watch::{Read, Watch};
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch as Operations, PatchOperation, TestOperation};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::Value;
use std::time::Duration;

/// The timeout of a request. A failover takes less than three seconds, and a later response is of no use.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The number of Leases in a page of a list. A Lease takes about 10 KiB of memory while it is read.
const PAGE: u32 = 100;

/// The resource of Leases.
const LEASES: &str = "leases";

/// The Leases of addresses.
#[derive(Clone)]
pub struct Leases {
    client: Client,
    api: Api<Lease>,
    node: NodeName,
}

/// A request that has failed.
#[derive(Debug, thiserror::Error)]
pub enum LeasesError {
    /// The assignments could not be listed.
    #[error("the assignments could not be listed")]
    List(#[source] kube::Error),
    /// The list has no version.
    #[error("the list of assignments has no version")]
    NoVersion,
    /// The response to a write is not an assignment.
    #[error("the written Lease is not an assignment")]
    Read(#[source] AssignmentError),
    /// The API server did not respond.
    #[error("the API server did not respond within {TIMEOUT:?}")]
    TimedOut,
    /// A heartbeat could not be read.
    #[error("the heartbeat of node {node} could not be read")]
    ReadHeartbeat {
        /// The node.
        node: NodeName,
        /// The cause.
        #[source]
        source: kube::Error,
    },
    /// The heartbeat could not be written.
    #[error("the heartbeat could not be written")]
    Beat(#[source] kube::Error),
    /// The heartbeat has the MAC address of this speaker, and could not be renewed.
    #[error(
        "the heartbeat of this node has another holder, or was changed at the same time; if this \
         repeats, delete the Lease node.<name of the node> in namespace fastrak-addresses"
    )]
    NotRenewed,
    /// An assignment could not be written.
    #[error("the assignment could not be written")]
    Write(#[source] kube::Error),
}

/// The assignments at one version of the API server's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The version.
    pub version: u64,
    /// All assignments.
    pub assignments: Vec<Assignment>,
}

/// A change of an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The holder answers for the address.
    Accept,
    /// The holder has found the address in use.
    Refuse(Mac),
    /// The standby becomes the holder.
    TakeOver,
    /// The holder makes the standby the holder.
    HandOver,
}

impl Leases {
    /// Returns the Leases of addresses, for the speaker of `node`.
    #[must_use]
    pub fn new(client: Client, node: NodeName) -> Self {
        let api = Api::namespaced(client.clone(), names::ADDRESS_NAMESPACE);
        Self { client, api, node }
    }

    /// Returns the watch of the Leases of all assignments.
    #[must_use]
    pub fn watch(&self) -> Watch<Lease> {
        let read = |text: &str| serde_json::from_str(text);
        let watch = Watch::namespaced::<Lease>(self.client.clone(), names::ADDRESS_NAMESPACE, read);
        watch.labels(&assignment::selector())
    }

    /// Returns the watch of the Leases of the node's frontends.
    #[must_use]
    pub fn watch_frontends<T: Send + 'static>(&self, read: Read<T>) -> Watch<T> {
        let watch = Watch::namespaced::<Lease>(self.client.clone(), names::ADDRESS_NAMESPACE, read);
        watch.labels(&frontend::selector(&self.node.key()))
    }

    /// Writes whether the node serves a frontend, unless its Lease has changed since it was read.
    pub async fn answer(
        &self,
        assignment: &FrontendAssignment,
        state: State,
        conflict: Option<Conflict>,
    ) -> Result<(), LeasesError> {
        let conflict = conflict.map_or("", Conflict::as_str);
        let operations = vec![
            only_version(assignment.version),
            annotate(names::FRONTEND_CONFLICT, conflict),
            set_state(state),
        ];
        let patch = Patch::<()>::Json(Operations(operations));
        let name = assignment.frontend.lease_name();
        match limited(self.api.patch(&name, &params(), &patch)).await? {
            Err(error) if !is_superseded(&error) => Err(LeasesError::Write(error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Lists the current assignments. A list without a version is never served from a cache, and all
    /// of its pages have one version.
    pub async fn list(&self) -> Result<Listed, LeasesError> {
        let selector = assignment::selector();
        let mut params = ListParams::default().labels(&selector).limit(PAGE);
        let mut assignments = Vec::new();
        loop {
            let page = limited(self.api.list(&params)).await?.map_err(LeasesError::List)?;
            assignments.extend(page.items.iter().filter_map(|lease| Assignment::read(lease).ok()));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => {
                    let version = assignment::version(page.metadata.resource_version.as_deref());
                    let version = version.ok_or(LeasesError::NoVersion)?;
                    return Ok(Listed { version, assignments });
                }
            }
        }
    }

    /// Writes a change. Returns the assignment as it is then, or `None` if it has changed since it was
    /// read.
    pub async fn write(
        &self,
        assignment: &Assignment,
        change: Change,
    ) -> Result<Option<Assignment>, LeasesError> {
        let patch = json_patch(assignment, change, &self.node, &MicroTime(clock::now()));
        let name = lease_name(assignment.address);
        match limited(self.api.patch(&name, &params(), &Patch::<()>::Json(patch))).await? {
            Ok(lease) => Assignment::read(&lease).map(Some).map_err(LeasesError::Read),
            Err(error) if is_superseded(&error) => Ok(None),
            Err(error) => Err(LeasesError::Write(error)),
        }
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(names::SPEAKER.to_owned()), ..PatchParams::default() }
}

async fn limited<T>(request: impl Future<Output = T>) -> Result<T, LeasesError> {
    tokio::time::timeout(TIMEOUT, request).await.map_err(|_| LeasesError::TimedOut)
}

/// Returns a JSON Patch that applies only to the version that was read.
fn json_patch(
    assignment: &Assignment,
    change: Change,
    node: &NodeName,
    now: &MicroTime,
) -> Operations {
    let test = only_version(assignment.version);
    let operations = match change {
        Change::Accept => vec![set_state(State::Accepted)],
        Change::Refuse(mac) => {
            vec![annotate(names::ADDRESS_CONFLICT, mac.to_string()), set_state(State::Refused)]
        }
        Change::TakeOver => set_holder(node, &assignment.holder, now),
        // Without a standby no other node can become the holder, and the patch changes nothing.
        Change::HandOver => match &assignment.standby {
            Some(standby) => set_holder(standby, &assignment.holder, now),
            None => Vec::new(),
        },
    };
    Operations([vec![test], operations].concat())
}

/// Returns the operation that applies a patch to one version only.
fn only_version(version: u64) -> PatchOperation {
    let path = PointerBuf::from_tokens(["metadata", "resourceVersion"]);
    PatchOperation::Test(TestOperation { path, value: version.to_string().into() })
}

/// The former holder is the standby until the leader names another: it may be back soon, and the new
/// holder may fail.
fn set_holder(holder: &NodeName, former: &NodeName, now: &MicroTime) -> Vec<PatchOperation> {
    vec![
        add(["spec", "holderIdentity"], holder.as_str()),
        add(["spec", "acquireTime"], serde_json::to_value(now).unwrap_or_default()),
        annotate(names::STANDBY, former.as_str()),
    ]
}

fn set_state(state: State) -> PatchOperation {
    annotate(names::ADDRESS_STATE, state.as_str())
}

fn annotate(key: &str, value: impl Into<Value>) -> PatchOperation {
    add(["metadata", "annotations", key], value)
}

fn add<const N: usize>(path: [&str; N], value: impl Into<Value>) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: PointerBuf::from_tokens(path), value: value.into() })
}
