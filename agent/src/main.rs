//! The program `fastrak-agent`: flags, log, run, exit code. Everything else is in the library.

use clap::Parser;
use fastrak_agent::config::{Args, Config};
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::{log, termination};
use std::error::Error;
use std::process::ExitCode;

/// An idle agent needs none; the disk and the API server limit a burst of claims.
const THREADS: usize = 2;
/// The threads that wait for the disk: one for each worker, and some for the upkeep.
const DISK_THREADS: usize = 8;

fn main() -> ExitCode {
    termination::end(start(Args::parse()))
}

fn start(args: Args) -> Result<(), Box<dyn Error + Send + Sync>> {
    log::init(&args.log.filter, args.log.format)?;
    let config = Config::try_from(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(DISK_THREADS)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals()?;
        fastrak_agent::run::run(config, shutdown).await.map_err(Into::into)
    })
}
