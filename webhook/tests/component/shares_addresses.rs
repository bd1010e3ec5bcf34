//! Services of one namespace share an address, and no other Service or Lease takes one.

use crate::addresses::{Addresses, FLAGS};
use crate::test_cluster::SOON;
use anyhow::{Result, ensure};
use fastrak_api::names;
use fastrak_testkit::eventually;
use fastrak_testkit::objects::service;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

#[tokio::test]
async fn services_share_an_address_until_the_last_one_is_gone() -> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    addresses.pool("lan", &["192.0.2.40/30"]).await?;
    let webhook = addresses.cluster.webhook(&FLAGS).await?;
    for (name, port) in [("web", 80), ("tls", 443), ("clash", 443)] {
        let mut object = service(name).load_balancer().port(port).build("default");
        let key = (names::SHARED_ADDRESS.to_owned(), "front".to_owned());
        object.metadata.annotations = Some([key].into());
        addresses.services().create(&PostParams::default(), &object).await?;
        addresses.has(name, &[if name == "clash" { "192.0.2.41" } else { "192.0.2.40" }]).await?;
    }
    addresses.leases(&["192.0.2.40", "192.0.2.41"]).await?;
    addresses.services().delete("web", &DeleteParams::default()).await?;
    let leases: Api<Lease> = addresses.cluster.api(names::ADDRESS_NAMESPACE);
    eventually(SOON, "the Lease names the other Service", || async {
        let lease = leases.get("192.0.2.40").await?;
        ensure!(lease.annotations()[names::SERVICE_NAME] == "tls", "{:?}", lease.annotations());
        Ok(())
    })
    .await?;
    addresses.has("tls", &["192.0.2.40"]).await?;
    addresses.services().delete("tls", &DeleteParams::default()).await?;
    addresses.leases(&["192.0.2.41"]).await?;
    webhook.stop().await
}

#[tokio::test]
async fn forged_leases_and_requests_of_other_namespaces_take_no_address() -> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    addresses.pool("lan", &["192.0.2.40/30"]).await?;
    let leases: Api<Lease> = addresses.cluster.api(names::ADDRESS_NAMESPACE);
    let foreign: Lease = serde_json::from_value(json!({
        "metadata": {"name": "192.0.2.40"}, "spec": {"holderIdentity": "me"},
    }))?;
    leases.create(&PostParams::default(), &foreign).await?;
    let webhook = addresses.cluster.webhook(&FLAGS).await?;
    let web = addresses.create("web").await?;
    addresses.has("web", &["192.0.2.41"]).await?;

    // A second address for the same Service is released.
    let forged: Lease = serde_json::from_value(json!({
        "metadata": {
            "name": "192.0.2.42", "labels": {names::ADDRESS: names::ADDRESS_ENABLED},
            "annotations": {
                names::ADDRESS_STATE: "accepted", names::SERVICE_NAMESPACE: "default",
                names::SERVICE_NAME: "web", names::SERVICE_UID: web.metadata.uid,
            },
        },
        "spec": {"holderIdentity": "node-a"},
    }))?;
    leases.create(&PostParams::default(), &forged).await?;
    addresses.leases(&["192.0.2.40", "192.0.2.41"]).await?;
    addresses.has("web", &["192.0.2.41"]).await?;

    let other = "garden";
    let namespaces: Api<Namespace> = Api::all(addresses.cluster.client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": other}}))?;
    namespaces.create(&PostParams::default(), &namespace).await?;
    let mut wish = service("wish").load_balancer().port(81).build(other);
    let key = (names::SHARED_ADDRESS.to_owned(), "front".to_owned());
    let request = (names::LOAD_BALANCER_IPS.to_owned(), "192.0.2.41".to_owned());
    wish.metadata.annotations = Some([key, request].into());
    let services: Api<Service> = addresses.cluster.api(other);
    services.create(&PostParams::default(), &wish).await?;
    let text = "the requested address 192.0.2.41 belongs to another Service";
    addresses.cluster.has_event_in(other, "AddressNotAssigned", "wish", text).await?;
    webhook.stop().await
}
