//! The program behind `make bench`.

use clap::Parser;
use std::process::ExitCode;

/// Measures what fastrak claims.
#[derive(Debug, Parser)]
struct Args {
    /// What to measure; all of it when this is left out.
    #[arg(long)]
    area: Option<fastrak_e2e::bench::Area>,
}

#[tokio::main]
async fn main() -> ExitCode {
    fastrak_e2e::bench::run(Args::parse().area).await
}
