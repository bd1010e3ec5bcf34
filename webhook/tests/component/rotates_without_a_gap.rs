//! No call fails during ten rotations of the CA.

use crate::continuous_client::{Balance, ContinuousClient, Excused};
use crate::publishes_its_certificate::Seen;
use crate::test_cluster::TestCluster;
use anyhow::{Result, ensure};
use fastrak_api::names;
use fastrak_certs::Bundle;
use fastrak_testkit::webhook_configuration::fail_closed;
use fastrak_testkit::{Options, eventually, or_skip};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

/// A CA is replaced after eight of its twelve seconds, and its successor signs about a second
/// later. A certificate is replaced after four.
pub(crate) const SHORT: [&str; 3] =
    ["--ca-lifetime=12s", "--certificate-lifetime=6s", "--bundle-settle=1s"];

const ROTATIONS: usize = 10;

/// The timeout of ten rotations, which take a minute and a half.
const TIMEOUT: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_ten_rotations_of_the_ca_no_call_fails() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let seen = Seen::by(&cluster);
    let (one, other) = tokio::try_join!(cluster.run(&SHORT), cluster.run(&SHORT))?;
    let balance = Balance::start(vec![one.address, other.address]).await?;
    cluster.register(balance.address).await?;
    fail_closed(&cluster.client).await?;
    tokio::try_join!(one.is_ready(), other.is_ready())?;
    cluster.is_asked().await?;

    let caller =
        ContinuousClient::direct(&cluster, vec![one.address, other.address], Excused::Nothing)
            .await?;
    let caller = caller.and_through_the_api_server(&cluster);
    let (signed, longest) = (Mutex::new(BTreeSet::new()), Mutex::new(0));
    let waited = eventually(TIMEOUT, "ten rotations", || async {
        let text = seen.stored(names::SECRET_CA_CERT).await?;
        let bundle = Bundle::parse(std::str::from_utf8(&text)?)?;
        let mut signed = signed.lock().unwrap();
        signed.extend(bundle.iter().next());
        let mut longest = longest.lock().unwrap();
        *longest = (*longest).max(bundle.len());
        ensure!(signed.len() > ROTATIONS, "{} CAs", signed.len());
        Ok(())
    })
    .await;
    let calls = caller.finish().await?;
    waited?;
    ensure!(calls.iter().all(|calls| *calls > 100), "only {calls:?} calls");
    let longest = longest.into_inner()?;
    ensure!((2..=4).contains(&longest), "a bundle of {longest}");
    for webhook in [&one, &other] {
        let metrics = webhook.metrics().await?;
        ensure!(!metrics.contains("rotation_failures_total{"), "{metrics}");
    }
    one.stop().await?;
    other.stop().await
}
