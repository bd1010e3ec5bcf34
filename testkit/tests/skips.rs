//! A test that lacks a part of the test bed is skipped on a laptop and fails in CI. A test whose
//! preparation fails for another reason fails everywhere.

use fastrak_testkit::environment::Missing;
use fastrak_testkit::process::Invocation;
use fastrak_testkit::{Component, ControlPlane, Options, assets::Assets, or_skip};

#[test]
#[ignore = "not a test: the others start it in a process of its own"]
fn lacks_something() {
    let () = or_skip!(Err::<(), _>(Missing::new("the machine has no flux capacitor")));
    panic!("it continues although something is missing");
}

#[tokio::test]
#[ignore = "not a test: the others start it in a process of its own"]
async fn control_plane_fails_to_start() {
    let flag = "--no-such-flag";
    let options = Options::api_only().flag(Component::ApiServer, flag);
    drop(or_skip!(ControlPlane::start(options).await));
    panic!("an API server started with {flag}");
}

/// Returns the standard error of one of the tests above, or the error if it fails.
fn run(test: &str, ci: &str) -> anyhow::Result<String> {
    let own = Invocation::new(std::env::current_exe()?).env("CI", ci);
    let words = ["--ignored", "--exact", "--nocapture", test];
    own.args(words).run_blocking().map(|output| output.stderr)
}

#[test]
fn a_missing_part_skips_a_test_on_a_laptop_and_the_reason_is_printed() {
    let printed = run("lacks_something", "").expect("the test passes");
    assert!(printed.contains("SKIPPED: the machine has no flux capacitor"), "{printed}");
}

#[test]
fn a_missing_part_fails_a_test_in_ci_and_the_reason_is_printed() {
    let error = run("lacks_something", "true").expect_err("the test fails").to_string();
    assert!(error.contains("cannot be skipped with CI=true"), "{error}");
    assert!(error.contains("flux capacitor"), "{error}");
}

#[tokio::test]
async fn a_control_plane_that_does_not_start_fails_a_test_on_a_laptop_too() {
    or_skip!(Assets::find().await);
    let error = run("control_plane_fails_to_start", "").expect_err("the test fails").to_string();
    assert!(!error.contains("SKIPPED"), "{error}");
    assert!(error.contains("unknown flag: --no-such-flag"), "{error}");
}
