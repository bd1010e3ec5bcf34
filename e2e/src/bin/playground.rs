//! The program behind `make demo` and `make cluster`.

use clap::Parser;
use std::process::ExitCode;

/// A real Kubernetes on this machine with fastrak.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: fastrak_e2e::playground::Command,
}

#[tokio::main]
async fn main() -> ExitCode {
    fastrak_e2e::playground::run(Args::parse().command).await
}
