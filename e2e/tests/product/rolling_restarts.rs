//! No call fails or lacks its patch while both replicas of the webhook restart repeatedly and their
//! CA changes. `make bench AREA=admission` runs a larger plan.

use anyhow::{Result, ensure};
use fastrak_e2e::bench::admission::rolling_restarts::{Plan, run};
use fastrak_e2e::install::Binaries;
use fastrak_testkit::assets::Assets;
use fastrak_testkit::or_skip;

#[tokio::test(flavor = "multi_thread")]
async fn no_call_fails_while_replicas_restart_and_cas_change() -> Result<()> {
    let _turn = crate::turn().await;
    or_skip!(Assets::find().await, Ok(()));
    let plan = Plan::small();
    let report = run(&Binaries::built()?.webhook, &plan).await?;
    for (way, tally) in
        [("through the API server", &report.through_api), ("directly", &report.direct)]
    {
        let failures = &tally.failures;
        ensure!(tally.failed() == 0, "{way}, {} of {}: {failures:#?}", tally.failed(), tally.calls);
        ensure!(tally.unpatched == 0, "{way}: {} without a patch", tally.unpatched);
    }
    let calls = (report.through_api.calls, report.direct.calls);
    ensure!(calls.0 >= plan.through_api && calls.1 >= plan.direct, "{calls:?}");
    ensure!(report.restarts >= plan.restarts, "{} restarts", report.restarts);
    ensure!(report.rotations >= plan.rotations, "{} new CAs", report.rotations);
    Ok(())
}
