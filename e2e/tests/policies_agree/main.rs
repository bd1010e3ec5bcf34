//! The policies of `render` do what the webhook does, or the difference is written down: claims and
//! Services are sent through a real API server past the webhook, past the policies, past both and
//! past neither, and the four results are compared.
//!
//! What the webhook itself should do is for its own tests.
#![cfg(test)]

mod bed;
mod cases;
mod claims;
mod differences;
mod services;
#[path = "../source/mod.rs"]
mod source;

use anyhow::Result;
use bed::Bed;
use cases::{Case, run, store};
use differences::Findings;
use fastrak_testkit::assets::Assets;
use fastrak_testkit::or_skip;
use std::collections::BTreeSet;

async fn compare_services(bed: &Bed, cases: &[Case], flags: &[&str]) -> Result<()> {
    let webhook = bed.enforce(flags).await?;
    let mut findings = Findings::default();
    for (case, results) in cases.iter().zip(run(bed, &services::resource(), cases).await?) {
        findings.judge(case, &results, &[]);
    }
    assert!(findings.wrong.is_empty(), "{}", findings.wrong.join("\n"));
    assert!(findings.changed > 200, "only {} were changed at all", findings.changed);
    webhook.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_differs_between_webhook_and_policies_is_written_down() -> Result<()> {
    or_skip!(Assets::find().await, Ok(()));
    let bed = Bed::start().await?;
    let (claims, services) = (claims::all(), services::all());
    store(&bed, &claims::resource(), &claims).await?;
    store(&bed, &services::resource(), &services).await?;

    let webhook = bed.enforce(&[]).await?;
    let (known, mut findings) = (claims::differences(), Findings::default());
    for (case, results) in claims.iter().zip(run(&bed, &claims::resource(), &claims).await?) {
        findings.judge(case, &results, &known);
    }
    assert!(findings.wrong.is_empty(), "{}", findings.wrong.join("\n"));
    assert!(findings.changed > 100, "only {} were changed at all", findings.changed);
    let met: BTreeSet<_> = findings.met.into_iter().collect();
    assert_eq!(met, known.iter().map(|difference| difference.what).collect(), "each is met");
    webhook.stop().await?;

    compare_services(&bed, &services, &[]).await?;
    compare_services(&bed, &services, &["--balancer=none"]).await
}
