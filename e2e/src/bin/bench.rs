//! The program behind `make bench`.

use clap::Parser;
use std::process::ExitCode;

/// Measures what fastrak claims.
#[derive(Debug, Parser)]
struct Args {
    #[command(flatten)]
    wanted: fastrak_e2e::bench::Wanted,
}

#[tokio::main]
async fn main() -> ExitCode {
    fastrak_e2e::bench::run(Args::parse().wanted).await
}
