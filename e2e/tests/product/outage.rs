//! Both programs continue after an outage of the API server.

use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_e2e::demo::pools;
use fastrak_e2e::install::{Binaries, Processes};
use fastrak_testkit::objects::claim;
use fastrak_testkit::{Component, ControlPlane, Options, eventually, fake_node, or_skip};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use std::time::Duration;

const NODE: &str = "node-a";
const SOON: Duration = Duration::from_secs(90);

async fn bound(claims: &Api<PersistentVolumeClaim>, name: &str) -> Result<()> {
    let object = claim(name).asks("1Mi").build("default");
    claims.create(&PostParams::default(), &object).await.context("create a claim")?;
    eventually(SOON, format!("{name} is Bound"), || async {
        let claim = claims.get(name).await?;
        let phase = claim.status.clone().unwrap_or_default().phase;
        ensure!(phase.as_deref() == Some("Bound"), "it is {phase:?}: {:?}", claim.annotations());
        ensure!(claim.annotations().contains_key(names::NODE), "{:?}", claim.annotations());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_served_and_removed_after_an_outage_of_the_api_server() -> Result<()> {
    let _turn = crate::turn().await;
    let plane = or_skip!(ControlPlane::start(Options::full()).await, Ok(()));
    fake_node(&plane.client().await?, NODE).await?;
    let mut processes = Processes::install(&plane, &Binaries::built()?, &[NODE]).await?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(plane.client().await?, "default");
    bound(&claims, "before").await?;

    plane.stop_component(Component::ApiServer)?;
    plane.start_component(Component::ApiServer).await?;

    bound(&claims, "after").await?;
    for name in ["before", "after"] {
        claims.delete(name, &DeleteParams::default()).await.context("delete a claim")?;
    }
    let pool = processes.pool(NODE);
    eventually(SOON, "the pool is empty", || async {
        let left = pools::volumes(&pool)?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    processes.expect_running()
}
