use super::{Invocation, Process};
use rustix::process::Signal;
use std::time::Duration;

fn shell(script: &str) -> Invocation {
    Invocation::new("sh").args(["-c", script])
}

fn alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

#[tokio::test]
async fn output_of_a_command_is_returned() {
    let output = shell("cat; echo oops >&2").stdin("hello").run().await.expect("runs");
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("hello", "oops\n"));
}

#[test]
fn the_error_of_a_command_has_its_arguments_and_output() {
    let error = shell("echo broken >&2; exit 7").run_blocking().expect_err("fails").to_string();
    assert!(error.contains("sh -c echo broken"), "{error}");
    assert!(error.contains("exit status: 7") && error.contains("broken"), "{error}");
}

#[test]
fn a_command_that_takes_too_long_is_killed() {
    let slow = shell("echo started >&2; exec sleep 60").timeout(Duration::from_secs(2));
    let error = slow.run_blocking().expect_err("is killed").to_string();
    assert!(error.contains("still running") && error.contains("started"), "{error}");
}

#[test]
fn variables_that_redirect_programs_are_not_inherited() {
    let output = Invocation::new("env").env("KEPT", "1").run_blocking().expect("runs").stdout;
    assert!(output.contains("KEPT=1"));
    assert!(!output.contains("KUBECONFIG=") && !output.contains("HTTPS_PROXY="), "{output}");
}

#[test]
fn a_prefix_comes_before_the_program() {
    let wrapped = shell("echo $0 $1").args(["zero", "one"]).through(&["env", "A=b"]);
    assert_eq!(wrapped.to_string(), "env A=b sh -c echo $0 $1 zero one");
    assert_eq!(wrapped.run_blocking().expect("runs").stdout, "zero one\n");
}

#[test]
fn a_dropped_process_is_killed() {
    let directory = tempfile::tempdir().expect("directory");
    let process = Process::start("sleeper", &shell("exec sleep 60"), &directory.path().join("log"));
    let process = process.expect("starts");
    let pid = process.pid();
    assert!(alive(pid));
    drop(process);
    assert!(!alive(pid));
}

#[test]
fn a_process_outlives_the_thread_that_started_it() {
    let directory = tempfile::tempdir().expect("directory");
    let log = directory.path().join("log");
    let start = move || Process::start("sleeper", &shell("exec sleep 60"), &log);
    let mut process = std::thread::spawn(start).join().expect("joins").expect("starts");
    process.expect_running().expect("it runs after the end of its thread");
}

#[test]
fn a_process_can_end_gracefully() {
    let directory = tempfile::tempdir().expect("directory");
    let log = directory.path().join("log");
    let script = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let mut process = Process::start("polite", &shell(script), &log).expect("starts");
    let ready = super::poll(std::time::Instant::now() + Duration::from_secs(10), || {
        Ok(process.log_tail(1).contains("ready").then_some(()))
    });
    ready.expect("reads").expect("got ready");
    let status = process.terminate(Duration::from_secs(10)).expect("ends");
    assert_eq!((status.code(), process.log_tail(1).as_str()), (Some(3), "bye"));
    process.signal(Signal::TERM).expect("a signal after the exit is not an error");
    assert!(process.expect_running().expect_err("ended").to_string().contains("bye"));
}
