//! The running operator: watches, a queue, and the writes of the real one.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fastrak_api::names::inlets;
use fastrak_api::tunnel::Tunnel;
use fastrak_runtime::timer::reached;
use fastrak_runtime::watch::Watch;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{LoadBalancerIngress, Service};
use kube::api::{ApiResource, DeleteParams, DynamicObject, PostParams};
use kube::runtime::watcher::Event;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::cloud::Cloud;
use super::rules::{Scope, ServiceStep, TunnelStep, of_service, of_tunnel};

const RETRY_DELAY: Duration = Duration::from_millis(100);

/// A running operator. Dropping it stops it.
#[derive(Debug)]
pub struct Operator {
    task: JoinHandle<()>,
}

/// An object that has changed.
#[derive(Debug)]
enum Change {
    Service(String),
    Tunnel(String),
    /// A deleted Tunnel. The operator learns of its machine from the event alone.
    Deleted(Box<DynamicObject>),
}

struct Controller {
    services: Api<Service>,
    tunnels: Api<DynamicObject>,
    scope: Scope,
    cloud: Cloud,
}

impl Operator {
    /// Starts an operator of one namespace, so that tests can share a cluster. The real one serves all
    /// namespaces.
    #[must_use]
    pub fn start(client: &Client, namespace: &str, scope: Scope, cloud: &Cloud) -> Self {
        let resource = ApiResource::erase::<Tunnel>(&());
        let controller = Controller {
            services: Api::namespaced(client.clone(), namespace),
            tunnels: Api::namespaced_with(client.clone(), namespace, &resource),
            scope,
            cloud: cloud.clone(),
        };
        let services = Watch::namespaced::<Service>(client.clone(), namespace, read);
        let tunnels = Watch::namespaced::<Tunnel>(client.clone(), namespace, read);
        Self { task: tokio::spawn(controller.run(services, tunnels)) }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn read(text: &str) -> Result<DynamicObject, serde_json::Error> {
    serde_json::from_str(text)
}

impl Controller {
    async fn run(self, services: Watch<DynamicObject>, tunnels: Watch<DynamicObject>) {
        let mut services = pin!(services.events());
        let mut tunnels = pin!(tunnels.events());
        let mut queue = VecDeque::new();
        let mut due = None;
        loop {
            tokio::select! {
                Some(event) = services.next() => if let Some(object) = applied(event) {
                    queue.push_back(Change::Service(object.name_any()));
                },
                Some(event) = tunnels.next() => queue.extend(match event {
                    Event::Delete(object) => Some(Change::Deleted(object.into())),
                    event => applied(event).map(|object| Change::Tunnel(object.name_any())),
                }),
                () = reached(due) => {
                    let changes = std::mem::take(&mut queue);
                    for change in changes {
                        let handled = self.handle(&change).await;
                        // Conflicts, and a cloud that cannot be reached.
                        queue.extend(handled.is_err().then_some(change));
                    }
                    due = (!queue.is_empty()).then(|| Instant::now() + RETRY_DELAY);
                    continue;
                }
            }
            due = (!queue.is_empty()).then(Instant::now);
        }
    }

    async fn handle(&self, change: &Change) -> Result<()> {
        match change {
            Change::Service(name) => match self.services.get_opt(name).await? {
                Some(service) => self.reconcile_service(&service).await,
                None => Ok(()),
            },
            Change::Tunnel(name) => match self.tunnels.get_opt(name).await? {
                Some(tunnel) => self.reconcile_tunnel(tunnel).await,
                None => Ok(()),
            },
            Change::Deleted(tunnel) => self.delete_machine(tunnel).await,
        }
    }

    async fn reconcile_service(&self, service: &Service) -> Result<()> {
        let name = format!("{}{}", service.name_any(), inlets::TUNNEL_SUFFIX);
        let step = of_service(service, self.scope);
        let exists = self.tunnels.get_opt(&name).await?.is_some();
        match (step, exists) {
            (ServiceStep::CreateTunnel, false) => {
                let tunnel = tunnel_of(service, &name)?;
                self.tunnels.create(&writes(), &tunnel).await.context("create the Tunnel")?;
            }
            (ServiceStep::DeleteTunnel, true) => {
                let deleted = self.tunnels.delete(&name, &DeleteParams::default()).await;
                deleted.context("delete the Tunnel")?;
            }
            (ServiceStep::CreateTunnel | ServiceStep::DeleteTunnel | ServiceStep::Ignore, _) => {}
        }
        Ok(())
    }

    async fn reconcile_tunnel(&self, tunnel: DynamicObject) -> Result<()> {
        match of_tunnel(status(&tunnel, "hostStatus")) {
            TunnelStep::CreateMachine => {
                let machine = self.cloud.create().context("the cloud cannot be reached")?;
                let changes = [("hostStatus", "provisioning"), ("hostId", &machine)];
                self.write_status(tunnel, &changes).await
            }
            TunnelStep::Activate => {
                let address = Cloud::address(status(&tunnel, "hostId"));
                self.update_service(&tunnel, "", &address).await?;
                let changes = [("hostStatus", "active"), ("hostIP", &address)];
                self.write_status(tunnel, &changes).await
            }
            TunnelStep::Nothing => Ok(()),
        }
    }

    /// Deletes the machine of a deleted Tunnel, and then its address from the Service of any type. A
    /// machine whose ID was not recorded stays.
    async fn delete_machine(&self, tunnel: &DynamicObject) -> Result<()> {
        let machine = status(tunnel, "hostId");
        if machine.is_empty() {
            return Ok(());
        }
        if !self.cloud.delete(machine) {
            bail!("the cloud cannot be reached");
        }
        self.update_service(tunnel, &Cloud::address(machine), "").await
    }

    async fn write_status(
        &self,
        mut tunnel: DynamicObject,
        changes: &[(&str, &str)],
    ) -> Result<()> {
        let name = tunnel.name_any();
        let state = &mut tunnel.data["status"];
        state["generated"] = json!(true);
        state["authTokenRef"] = json!({"name": name, "namespace": tunnel.metadata.namespace});
        for (key, value) in changes {
            state[key] = json!(value);
        }
        self.tunnels.replace_status(&name, &writes(), &tunnel).await.context("the status")?;
        Ok(())
    }

    /// Replaces an address of the Service in `spec.externalIPs`, and then in its status.
    async fn update_service(&self, tunnel: &DynamicObject, old: &str, new: &str) -> Result<()> {
        let reference = &tunnel.data["spec"]["serviceRef"]["name"];
        let name = reference.as_str().context("a Tunnel names its Service")?;
        let Some(mut service) = self.services.get_opt(name).await? else { return Ok(()) };
        let addresses = service.spec.get_or_insert_default().external_ips.get_or_insert_default();
        addresses.retain(|address| address != old && address != new);
        addresses.extend((!new.is_empty()).then(|| new.to_owned()));
        let replaced = self.services.replace(name, &writes(), &service).await;
        let mut service = replaced.context("spec.externalIPs")?;
        let addresses = service.spec.clone().unwrap_or_default().external_ips.unwrap_or_default();
        let ingress = addresses
            .into_iter()
            .map(|ip| LoadBalancerIngress { ip: Some(ip), ..LoadBalancerIngress::default() });
        let status = service.status.get_or_insert_default();
        status.load_balancer.get_or_insert_default().ingress = Some(ingress.collect());
        self.services.replace_status(name, &writes(), &service).await.context("its status")?;
        Ok(())
    }
}

fn applied(event: Event<DynamicObject>) -> Option<DynamicObject> {
    match event {
        Event::Apply(object) | Event::InitApply(object) => Some(object),
        Event::Init | Event::InitDone | Event::Delete(_) => None,
    }
}

/// Returns a text of a Tunnel's status.
fn status<'a>(tunnel: &'a DynamicObject, key: &str) -> &'a str {
    tunnel.data["status"][key].as_str().unwrap_or_default()
}

fn tunnel_of(service: &Service, name: &str) -> Result<DynamicObject> {
    let reference = json!({"name": service.name_any(), "namespace": service.namespace()});
    let owner = json!({
        "apiVersion": "v1", "kind": "Service", "name": service.name_any(), "uid": service.uid(),
        "controller": true, "blockOwnerDeletion": true,
    });
    let tunnel: Value = json!({
        "apiVersion": inlets::TUNNEL_VERSION,
        "kind": "Tunnel",
        "metadata": {
            "name": name, "namespace": service.namespace(), "ownerReferences": [owner],
        },
        "spec": {"serviceRef": reference, "updateServiceIP": true},
    });
    serde_json::from_value(tunnel).context("a Tunnel")
}

fn writes() -> PostParams {
    let manager = Some(inlets::OPERATOR.to_owned());
    PostParams { field_manager: manager, ..PostParams::default() }
}
