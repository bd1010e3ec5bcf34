//! `render` prints the policies of `deploy/policies` and refuses what policies cannot do.

use anyhow::{Result, ensure};
use fastrak_testkit::process::Invocation;
use std::path::Path;

fn render(flags: &[&str]) -> Invocation {
    let program = Path::new(env!("CARGO_BIN_EXE_fastrak-webhook"));
    Invocation::new(program).args(["render", "--as=mutating-admission-policy"]).args(flags)
}

#[tokio::test]
async fn the_printed_policies_are_those_that_ship() -> Result<()> {
    let shipped = include_str!("../../../deploy/policies/policies.yaml");
    ensure!(render(&[]).run().await?.stdout == shipped, "deploy/policies is another version's");
    let other = render(&["--balancer=none", "--class=fast", "--namespace=mine"]).run().await?;
    for part in ["in ['fast']", "        - mine\n", "orValue('none')"] {
        ensure!(other.stdout.contains(part), "{part} is not in {}", other.stdout);
    }
    Ok(())
}

#[tokio::test]
async fn policies_have_no_dry_run() -> Result<()> {
    let Err(refused) = render(&["--dry-run"]).run().await else { anyhow::bail!("it printed") };
    let text = format!("{refused:#}");
    ensure!(text.contains("policies have no dry-run mode"), "{text}");
    Ok(())
}
