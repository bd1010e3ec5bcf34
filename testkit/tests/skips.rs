//! What happens to a test that cannot run here: a laptop skips it, loudly; CI fails it.

use fastrak_testkit::or_skip;
use fastrak_testkit::process::Invocation;

#[test]
#[ignore = "not a test: the others start it in a process of its own"]
fn lacks_something() {
    let () = or_skip!(Err::<(), _>("the machine has no flux capacitor"));
    panic!("it goes on although something is missing");
}

fn lacks_something_with_ci(ci: &str) -> anyhow::Result<String> {
    let own = Invocation::new(std::env::current_exe()?).env("CI", ci);
    let words = ["--ignored", "--exact", "--nocapture", "lacks_something"];
    own.args(words).run_blocking().map(|output| output.stderr)
}

#[test]
fn on_a_laptop_it_is_skipped_and_says_why() {
    let said = lacks_something_with_ci("").expect("it passes");
    assert!(said.contains("SKIPPED: the machine has no flux capacitor"), "{said}");
}

#[test]
fn in_ci_it_fails_and_says_why() {
    let error = lacks_something_with_ci("true").expect_err("it fails").to_string();
    assert!(error.contains("cannot be skipped with CI=true"), "{error}");
    assert!(error.contains("flux capacitor"), "{error}");
}
