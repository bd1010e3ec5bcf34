//! The API server, with a correct clock, trusts the certificates that a webhook makes with a clock
//! that is a day off.

use crate::continuous_client::{ContinuousClient, Excused};
use crate::publishes_its_certificate::Seen;
use crate::test_cluster::{SOON, TestCluster};
use anyhow::{Result, ensure};
use fastrak_api::names;
use fastrak_testkit::webhook_configuration::fail_closed;
use fastrak_testkit::{Options, eventually, or_skip};

const DAY: i64 = 86_400;
const FLAGS: [&str; 1] = ["--bundle-settle=1s"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_forward_and_a_day_back_no_call_fails() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let seen = Seen::by(&cluster);
    let config = cluster.config(&FLAGS)?;
    let clock = config.rotation.clock.clone();
    let webhook = cluster.run_as(config).await?;
    cluster.register(webhook.address).await?;
    webhook.is_ready().await?;
    fail_closed(&cluster.client).await?;
    cluster.is_asked().await?;
    let caller =
        ContinuousClient::direct(&cluster, vec![webhook.address], Excused::Nothing).await?;
    let caller = caller.and_through_the_api_server(&cluster);
    let first = seen.stored(names::SECRET_CA_KEY).await?;

    clock.step(DAY);
    // The next check finds nothing to do. The repair of the Secret shows that it took place.
    let empty = serde_json::json!([{"op": "add", "path": "/data/own", "value": ""}]);
    let empty = kube::api::Patch::Json::<()>(serde_json::from_value(empty)?);
    seen.secrets.patch(names::WEBHOOK_SECRET, &Default::default(), &empty).await?;
    seen.is_published().await?;
    ensure!(seen.stored(names::SECRET_CA_KEY).await? == first);

    // A day behind: the certificates are not valid yet and are replaced.
    clock.step(-2 * DAY);
    eventually(SOON, "another CA signs", || async {
        ensure!(seen.stored(names::SECRET_CA_KEY).await? != first, "still the first");
        Ok(())
    })
    .await?;
    let second = seen.stored(names::SECRET_CA_KEY).await?;
    seen.is_published().await?;
    clock.step(DAY);
    cluster.is_asked().await?;
    ensure!(seen.stored(names::SECRET_CA_KEY).await? == second, "those certificates are kept");
    caller.finish().await?;
    webhook.stop().await
}

#[tokio::test]
async fn certificates_from_a_clock_that_was_ahead_are_replaced() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let config = cluster.config(&FLAGS)?;
    let clock = config.rotation.clock.clone();
    clock.step(DAY);
    let webhook = cluster.run_as(config).await?;
    cluster.register(webhook.address).await?;
    // It is ready by its own clock. For the API server its certificate is not valid yet.
    webhook.is_ready().await?;
    clock.step(-DAY);
    cluster.is_asked().await?;
    webhook.stop().await
}
