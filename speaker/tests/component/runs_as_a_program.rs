//! The program as a process with the privileges of its pod.

use anyhow::{Context, Result, bail, ensure};
use fastrak_testkit::eventually::eventually;
use fastrak_testkit::lan::Lan;
use fastrak_testkit::or_skip;
use fastrak_testkit::process::{Invocation, Process};
use std::path::Path;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_fastrak-speaker");
const AS_IN_ITS_POD: [&str; 3] = ["setpriv", "--bounding-set", "-all,+net_raw"];
const WITHOUT_PRIVILEGES: [&str; 3] = ["setpriv", "--bounding-set", "-all"];
const SOON: Duration = Duration::from_secs(30);

/// An API server that does not answer.
const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
clusters: [{ name: none, cluster: { server: 'http://127.0.0.1:1' } }]
users: [{ name: none, user: {} }]
contexts: [{ name: none, context: { cluster: none, user: none } }]
current-context: none
";

fn speaker(folder: &Path) -> Result<Invocation> {
    let kubeconfig = folder.join("kubeconfig");
    std::fs::write(&kubeconfig, KUBECONFIG).context("write the kubeconfig")?;
    Ok(Invocation::new(Path::new(PROGRAM))
        .args(["--node=node-a", "--log-format=text", "--admin-addr=127.0.0.1:0"])
        .arg(format!("--kubeconfig={}", kubeconfig.display())))
}

#[tokio::test]
async fn with_one_capability_it_uses_the_interface_of_a_default_route_that_comes_late() -> Result<()>
{
    let lan = or_skip!(Lan::create().await, Ok(()));
    let (host, folder) = (lan.host(1).await?, tempfile::tempdir()?);
    let log = folder.path().join("speaker.log");
    let invocation = speaker(folder.path())?.through(&AS_IN_ITS_POD).through(&host.prefix());
    let mut process = Process::start("speaker", &invocation, &log)?;
    let logged = async |words: &str| {
        eventually(SOON, format!("{words:?} is logged"), || async {
            let log = std::fs::read_to_string(&log)?;
            ensure!(log.contains(words), "{log}");
            Ok(())
        })
        .await
    };
    logged("there is no default route (interfaces: lo, eth0)").await?;
    host.run("ip route add default via 192.0.2.99").await?;
    logged("using the interface interface=eth0").await?;
    let status = process.terminate(SOON)?;
    ensure!(status.success(), "{status}: {}", process.log_tail(20));
    Ok(())
}

#[tokio::test]
async fn it_reports_why_it_cannot_start() -> Result<()> {
    // Only root can drop capabilities.
    let _lan = or_skip!(Lan::create().await, Ok(()));
    let folder = tempfile::tempdir()?;
    let command = speaker(folder.path())?;
    for (command, says) in [
        (command.clone().through(&WITHOUT_PRIVILEGES), "needs the capability NET_RAW"),
        (command.arg("--interface=eth0:1"), "invalid value 'eth0:1'"),
    ] {
        let Err(error) = command.run().await else { bail!("it started") };
        ensure!(format!("{error:#}").contains(says), "{error:#}");
    }
    Ok(())
}
