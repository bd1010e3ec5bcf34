//! Carries out the steps of a plan. Every write names the version or the UID that was read.

use super::frontend_lease::{self, FrontendLease};
use super::lease::{AddressLease, Nodes, Owner, proposal};
use super::plan::{Step, forwards};
use super::service::AddressService;
use crate::live;
use fastrak_admission::patch::only_version;
use fastrak_api::address_pool::{AddressPool, AddressPoolStatus};
use fastrak_api::assignment::{Assignment, AssignmentError, State, lease_name};
use fastrak_api::frontend::{Frontend, FrontendAssignment};
use fastrak_api::names;
use fastrak_runtime::clock;
use fastrak_runtime::superseded::is_superseded;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, TestOperation};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Request;
use kube::{Api, Client, Resource as _};
use serde_json::{Value, json};
use std::net::IpAddr;

/// Writes Leases and the status of Services.
#[derive(Clone)]
pub(super) struct Writer {
    client: Client,
    leases: Api<Lease>,
}

/// What a step has changed.
#[derive(Debug)]
pub(super) enum Written {
    Lease(Box<AddressLease>),
    Released(IpAddr),
    Frontend(Box<FrontendLease>),
    ReleasedFrontend(Frontend),
    Service(Box<AddressService>),
    /// Another client changed the object first, or the Service needs the address after all.
    Superseded,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("could not create the Lease")]
    Propose(#[source] kube::Error),
    #[error("could not change the Lease")]
    Assign(#[source] kube::Error),
    #[error("could not delete the Lease")]
    Release(#[source] kube::Error),
    #[error("could not read the Service")]
    Service(#[source] kube::Error),
    #[error("could not write the status of the Service")]
    Publish(#[source] kube::Error),
    #[error("could not write the status of the AddressPool")]
    Pool(#[source] kube::Error),
    #[error("the written Lease is not an assignment")]
    Lease(#[source] AssignmentError),
    #[error("the written Lease is not a frontend")]
    Frontend(#[source] AssignmentError<Frontend>),
    #[error("could not parse the Service")]
    Parse(#[source] serde_json::Error),
}

impl Writer {
    pub(super) fn new(client: Client) -> Self {
        let leases = Api::namespaced(client.clone(), names::ADDRESS_NAMESPACE);
        Self { client, leases }
    }

    /// Carries out a step.
    pub(super) async fn write(&self, step: &Step) -> Result<Written, WriteError> {
        match step {
            Step::Propose { address: at, owner, nodes } => {
                let lease = proposal(*at, nodes, owner, clock::now());
                written(self.create(&lease).await, WriteError::Propose, address)
            }
            Step::ProposeFrontend { frontend: at, node, owner, state } => {
                let lease = frontend_lease::lease(*at, node, owner, *state, clock::now());
                written(self.create(&lease).await, WriteError::Propose, frontend)
            }
            Step::ReleaseFrontend { lease } => self.release_frontend(lease).await,
            Step::Assign { lease, nodes, is_proposal } => written(
                self.patch(lease, assignment(lease, nodes, *is_proposal)).await,
                WriteError::Assign,
                address,
            ),
            Step::Transfer { lease, owner } => written(
                self.patch(lease, transfer(lease, owner)).await,
                WriteError::Assign,
                address,
            ),
            Step::Release { lease, is_duplicate } => self.release(lease, *is_duplicate).await,
            Step::Publish { service, addresses } => self.publish(service, addresses).await,
        }
    }

    async fn create(&self, lease: &Lease) -> kube::Result<Lease> {
        let params = PostParams {
            field_manager: Some(names::MANAGER_ADDRESSES.to_owned()),
            ..PostParams::default()
        };
        self.leases.create(&params, lease).await
    }

    async fn patch(
        &self,
        lease: &AddressLease,
        operations: Vec<PatchOperation>,
    ) -> kube::Result<Lease> {
        let patch = Patch::<()>::Json(json_patch::Patch(operations));
        self.leases.patch(&lease_name(lease.address()), &manager(), &patch).await
    }

    /// Deletes a Lease if its Service does not exist or does not need the address. The watch of
    /// Services may be behind that of Leases.
    async fn release(
        &self,
        lease: &AddressLease,
        is_duplicate: bool,
    ) -> Result<Written, WriteError> {
        let live = self.live(&lease.owner).await?.filter(|_| !lease.is_refused());
        let needs = |live: &AddressService| {
            live.in_status.contains(&lease.address())
                || (!is_duplicate && live.keeps(lease.address()))
        };
        if live.as_ref().is_some_and(needs) {
            return Ok(Written::Superseded);
        }
        let Assignment { uid, version, .. } = &lease.assignment;
        let is_deleted = self.delete(&lease_name(lease.address()), uid, *version).await?;
        Ok(if is_deleted { Written::Released(lease.address()) } else { Written::Superseded })
    }

    /// Deletes the Lease of a frontend if its Service does not exist or does not forward it.
    async fn release_frontend(&self, lease: &FrontendLease) -> Result<Written, WriteError> {
        let frontend = lease.frontend();
        let live = self.live(&lease.owner).await?;
        if live.is_some_and(|live| forwards(&live, frontend)) {
            return Ok(Written::Superseded);
        }
        let FrontendAssignment { uid, version, .. } = &lease.assignment;
        let is_deleted = self.delete(&frontend.lease_name(), uid, *version).await?;
        Ok(if is_deleted { Written::ReleasedFrontend(frontend) } else { Written::Superseded })
    }

    /// Deletes a Lease. Returns false if it has changed since it was read.
    async fn delete(&self, name: &str, uid: &str, version: u64) -> Result<bool, WriteError> {
        let preconditions = Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: Some(version.to_string()),
        };
        let params = DeleteParams::default().preconditions(preconditions);
        match self.leases.delete(name, &params).await {
            Ok(_) => Ok(true),
            Err(error) if is_superseded(&error) => Ok(false),
            Err(error) => Err(WriteError::Release(error)),
        }
    }

    /// Reads the Service of a Lease, if it exists.
    async fn live(&self, owner: &Owner) -> Result<Option<AddressService>, WriteError> {
        let Owner { key: (namespace, name), uid } = owner;
        if name.is_empty() {
            return Ok(None);
        }
        let text = live::text::<Service>(&self.client, namespace, name).await;
        let Some(text) = text.map_err(WriteError::Service)? else { return Ok(None) };
        let (_, live) = AddressService::read(&text).map_err(WriteError::Parse)?;
        Ok(live.filter(|live| live.uid == *uid))
    }

    /// Writes the addresses of a Service. A patch of fields by their owner would not remove what a
    /// tenant claims to own too.
    async fn publish(
        &self,
        service: &AddressService,
        addresses: &[IpAddr],
    ) -> Result<Written, WriteError> {
        let ingress: Vec<_> =
            addresses.iter().map(|address| json!({"ip": address, "ipMode": "VIP"})).collect();
        let balancer = if ingress.is_empty() { json!({}) } else { json!({ "ingress": ingress }) };
        let path = PointerBuf::from_tokens(["status", "loadBalancer"]);
        let mut operations = unchanged(service, addresses);
        operations.push(add(path, balancer));
        let (namespace, name) = &service.key;
        let patch = Patch::<()>::Json(json_patch::Patch(operations));
        let request = Request::new(Service::url_path(&(), Some(namespace)));
        let request = request.patch_subresource("status", name, &manager(), &patch);
        let response = live::response(&self.client, request).await.map_err(WriteError::Publish)?;
        let Some(text) = response else { return Ok(Written::Superseded) };
        let service = AddressService::read(&text).map_err(WriteError::Parse)?.1;
        Ok(service.map_or(Written::Superseded, |read| Written::Service(read.into())))
    }

    /// Writes the status of a pool.
    pub(super) async fn report(
        &self,
        pool: &str,
        status: &AddressPoolStatus,
    ) -> Result<(), WriteError> {
        let pools: Api<AddressPool> = Api::all(self.client.clone());
        let body = json!({ "status": status });
        match pools.patch_status(pool, &manager(), &Patch::Merge(&body)).await {
            Err(error) if !is_superseded(&error) => Err(WriteError::Pool(error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn manager() -> PatchParams {
    PatchParams {
        field_manager: Some(names::MANAGER_ADDRESSES.to_owned()),
        ..PatchParams::default()
    }
}

fn written(
    result: Result<Lease, kube::Error>,
    failed: fn(kube::Error) -> WriteError,
    read: fn(&Lease) -> Result<Written, WriteError>,
) -> Result<Written, WriteError> {
    match result {
        Ok(lease) => read(&lease),
        Err(error) if is_superseded(&error) => Ok(Written::Superseded),
        Err(error) => Err(failed(error)),
    }
}

fn address(lease: &Lease) -> Result<Written, WriteError> {
    let lease = AddressLease::read(lease).map_err(WriteError::Lease)?;
    Ok(Written::Lease(lease.into()))
}

fn frontend(lease: &Lease) -> Result<Written, WriteError> {
    let lease = FrontendLease::read(lease).map_err(WriteError::Frontend)?;
    Ok(Written::Frontend(lease.into()))
}

fn annotation(key: &str) -> PointerBuf {
    PointerBuf::from_tokens(["metadata", "annotations", key])
}

fn add(path: PointerBuf, value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path, value })
}

/// Returns the tests that another load balancer has not written the status since it was read, and, if
/// the Service gets another address, that nobody has changed it. A tenant who changes it all the time
/// cannot prevent that it loses one.
fn unchanged(service: &AddressService, addresses: &[IpAddr]) -> Vec<PatchOperation> {
    let test = |path, value| PatchOperation::Test(TestOperation { path, value });
    let ip = |at: usize| {
        PointerBuf::from_tokens(["status", "loadBalancer", "ingress", &at.to_string(), "ip"])
    };
    let shown =
        service.in_status.iter().enumerate().map(|(at, address)| test(ip(at), json!(address)));
    let uid = test(PointerBuf::from_tokens(["metadata", "uid"]), json!(service.uid));
    let mut operations: Vec<_> = [uid].into_iter().chain(shown).collect();
    if !addresses.iter().all(|address| service.in_status.contains(address)) {
        operations.push(only_version(&service.version.to_string()));
    }
    operations
}

/// Returns the patch that names another Service.
fn transfer(lease: &AddressLease, owner: &Owner) -> Vec<PatchOperation> {
    let names = owner.annotations().map(|(key, value)| add(annotation(key), json!(value)));
    let version = only_version(&lease.assignment.version.to_string());
    [version].into_iter().chain(names).collect()
}

/// Returns the patch that chooses the nodes of an address.
fn assignment(lease: &AddressLease, nodes: &Nodes, is_proposal: bool) -> Vec<PatchOperation> {
    let mut operations = vec![only_version(&lease.assignment.version.to_string())];
    match &nodes.standby {
        Some(standby) => operations.push(add(annotation(names::STANDBY), json!(standby.as_str()))),
        None if lease.assignment.standby.is_some() => {
            let path = annotation(names::STANDBY);
            operations.push(PatchOperation::Remove(RemoveOperation { path }));
        }
        None => {}
    }
    if is_proposal {
        let spec = |key| PointerBuf::from_tokens(["spec", key]);
        let now = serde_json::to_value(MicroTime(clock::now())).unwrap_or_default();
        operations.extend([
            add(spec("holderIdentity"), json!(nodes.holder.as_str())),
            add(spec("acquireTime"), now),
            add(annotation(names::ADDRESS_STATE), json!(State::Proposed.as_str())),
        ]);
    }
    operations
}
