//! The stand-in of the inlets operator keeps to the rules that the real one was observed to have.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fastrak_api::names::inlets::{MANAGE, MANAGE_LEGACY};
use fastrak_api::tunnel::Tunnel;
use fastrak_testkit::inlets::{Cloud, Operator, Scope, install_crd};
use fastrak_testkit::objects::{ServiceBuilder, service};
use fastrak_testkit::{Options, eventually, or_skip, shared, with_namespace};
use k8s_openapi::api::core::v1::Service;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);

/// A namespace with an operator.
struct Setup {
    services: Api<Service>,
    tunnels: Api<DynamicObject>,
    cloud: Cloud,
    namespace: String,
    _operator: Operator,
}

impl Setup {
    fn of(client: &Client, namespace: &str, scope: Scope) -> Self {
        let cloud = Cloud::default();
        let resource = ApiResource::erase::<Tunnel>(&());
        Self {
            services: Api::namespaced(client.clone(), namespace),
            tunnels: Api::namespaced_with(client.clone(), namespace, &resource),
            _operator: Operator::start(client, namespace, scope, &cloud),
            cloud,
            namespace: namespace.to_owned(),
        }
    }

    async fn create(&self, builder: ServiceBuilder) -> Result<()> {
        let object = builder.port(80).build(&self.namespace);
        self.services.create(&PostParams::default(), &object).await?;
        Ok(())
    }

    async fn change(&self, name: &str, patch: Value) -> Result<()> {
        self.services.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Returns the names of the Tunnels once the operator has handled all Services: it handles them in
    /// order.
    async fn tunnels(&self) -> Result<BTreeSet<String>> {
        let name =
            format!("last-{}", self.services.list(&ListParams::default()).await?.items.len());
        self.create(managed(&name)).await?;
        let last = format!("{name}-tunnel");
        eventually(SOON, "the last Service has a Tunnel", || self.tunnels.get(&last)).await?;
        let all = self.tunnels.list(&ListParams::default()).await?.items;
        let names = all.iter().map(|tunnel| tunnel.name_any().replace("-tunnel", ""));
        Ok(names.filter(|name| !name.starts_with("last-")).collect())
    }

    /// Waits until the Service has these addresses in its spec and in its status.
    async fn has(&self, name: &str, addresses: &[&str]) -> Result<()> {
        eventually(SOON, format!("{name} has {addresses:?}"), || async {
            let found = shown(&self.services.get(name).await?);
            ensure!(found == (json!(addresses), json!(addresses)), "{found:?}");
            Ok(())
        })
        .await
    }
}

/// Returns the addresses of a Service in its spec and in its status.
fn shown(service: &Service) -> (Value, Value) {
    let spec = service.spec.clone().unwrap_or_default();
    let balancer = service.status.clone().unwrap_or_default().load_balancer.unwrap_or_default();
    let ingress = balancer.ingress.unwrap_or_default().into_iter();
    let ingress: Vec<_> = ingress.filter_map(|entry| entry.ip).collect();
    (json!(spec.external_ips.unwrap_or_default()), json!(ingress))
}

fn managed(name: &str) -> ServiceBuilder {
    service(name).load_balancer().annotate(MANAGE, "1")
}

async fn with_operator(scope: Scope, test: impl AsyncFnOnce(Setup) -> Result<()>) -> Result<()> {
    let plane = or_skip!(shared(Options::api_only()).await, Ok(()));
    let client = plane.client().await?;
    install_crd(&client).await?;
    with_namespace(&client, async |namespace| test(Setup::of(&client, &namespace, scope)).await)
        .await
}

async fn creates_tunnels(scope: Scope, expected: &[&str]) -> Result<()> {
    with_operator(scope, async |setup| {
        for (name, key, value) in [
            ("one", MANAGE, "1"),
            ("true", MANAGE, "true"),
            ("zero", MANAGE, "0"),
            ("legacy-true", MANAGE_LEGACY, "true"),
            ("legacy-false", MANAGE_LEGACY, "false"),
        ] {
            setup.create(service(name).load_balancer().annotate(key, value)).await?;
        }
        setup.create(service("none").load_balancer()).await?;
        setup.create(service("class").load_balancer().class("example.com/other")).await?;
        setup.create(service("inner").annotate(MANAGE, "1")).await?;
        let expected: BTreeSet<_> = expected.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(setup.tunnels().await?, expected);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn with_annotated_only_a_service_needs_the_annotation() -> Result<()> {
    creates_tunnels(Scope::Annotated, &["one", "true"]).await
}

#[tokio::test]
async fn without_annotated_only_every_load_balancer_gets_a_tunnel_unless_it_is_excluded()
-> Result<()> {
    let expected = ["class", "legacy-false", "legacy-true", "none", "one", "true"];
    creates_tunnels(Scope::All, &expected).await
}

#[tokio::test]
async fn a_tunnel_is_controlled_by_its_service_and_gives_it_an_address() -> Result<()> {
    with_operator(Scope::Annotated, async |setup| {
        setup.create(managed("web")).await?;
        setup.has("web", &["203.0.113.1"]).await?;
        let tunnel = eventually(SOON, "the Tunnel is active", || async {
            let tunnel = setup.tunnels.get("web-tunnel").await?;
            ensure!(tunnel.data["status"]["hostStatus"] == "active", "{tunnel:?}");
            Ok(tunnel)
        })
        .await?;
        let owner = &tunnel.owner_references()[0];
        let service = setup.services.get("web").await?;
        assert_eq!((owner.kind.as_str(), owner.controller), ("Service", Some(true)));
        assert_eq!(Some(&owner.uid), service.metadata.uid.as_ref());
        let status = &tunnel.data["status"];
        assert_eq!((&status["generated"], &status["hostId"]), (&json!(true), &json!("machine-1")));
        assert_eq!(setup.cloud.machines().len(), 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_its_cloud_a_tunnel_stays_empty_and_the_service_has_no_address() -> Result<()> {
    with_operator(Scope::Annotated, async |setup| {
        setup.cloud.set_reachable(false);
        setup.create(managed("web")).await?;
        assert_eq!(setup.tunnels().await?, ["web".to_owned()].into());
        let tunnel = setup.tunnels.get("web-tunnel").await?;
        assert_eq!(tunnel.data["status"]["hostStatus"], Value::Null);
        assert_eq!(shown(&setup.services.get("web").await?), (json!([]), json!([])));
        // The operator tries again.
        setup.cloud.set_reachable(true);
        eventually(SOON, "the Service has an address", || async {
            let (_, ingress) = shown(&setup.services.get("web").await?);
            ingress.as_array().and_then(|all| all.first()).cloned().context("it has none")
        })
        .await?;
        Ok(())
    })
    .await
}

/// Makes a change after the Service has an address, and checks that it loses Tunnel, machine and
/// address.
async fn removes_the_tunnel(patch: Value) -> Result<()> {
    with_operator(Scope::Annotated, async |setup| {
        setup.create(managed("web")).await?;
        setup.has("web", &["203.0.113.1"]).await?;
        setup.change("web", patch).await?;
        setup.has("web", &[]).await?;
        assert!(setup.tunnels.get_opt("web-tunnel").await?.is_none());
        assert!(setup.cloud.machines().is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_load_balancer_that_is_excluded_loses_its_tunnel() -> Result<()> {
    removes_the_tunnel(json!({"metadata": {"annotations": {MANAGE: "0"}}})).await
}

#[tokio::test]
async fn a_load_balancer_that_loses_its_annotation_loses_its_tunnel() -> Result<()> {
    removes_the_tunnel(json!({"metadata": {"annotations": {MANAGE: null}}})).await
}

#[tokio::test]
async fn a_service_that_changes_to_another_type_keeps_its_tunnel_for_ever() -> Result<()> {
    with_operator(Scope::Annotated, async |setup| {
        setup.create(managed("web")).await?;
        setup.has("web", &["203.0.113.1"]).await?;
        for patch in [
            json!({"spec": {"type": "ClusterIP"}}),
            json!({"metadata": {"annotations": {MANAGE: "0"}}}),
            json!({"metadata": {"annotations": {MANAGE: null}}}),
        ] {
            setup.change("web", patch).await?;
            assert_eq!(setup.tunnels().await?, ["web".to_owned()].into());
        }
        // Its address in the status is dropped by the API server, the other one stays.
        let service = setup.services.get("web").await?;
        assert_eq!(shown(&service), (json!(["203.0.113.1"]), json!([])));
        // Also after a restart of the operator.
        let client = setup.services.clone().into_client();
        let again = Operator::start(&client, &setup.namespace, Scope::Annotated, &setup.cloud);
        assert_eq!(setup.tunnels().await?, ["web".to_owned()].into());
        drop(again);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deleted_tunnel_takes_its_machine_and_its_address_from_a_service_of_any_type()
-> Result<()> {
    with_operator(Scope::Annotated, async |setup| {
        setup.create(managed("web")).await?;
        setup.has("web", &["203.0.113.1"]).await?;
        setup.change("web", json!({"spec": {"type": "ClusterIP"}})).await?;
        setup.tunnels.delete("web-tunnel", &Default::default()).await?;
        setup.has("web", &[]).await?;
        assert!(setup.cloud.machines().is_empty());
        Ok(())
    })
    .await
}
