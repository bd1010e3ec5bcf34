//! The program `fastrak-speaker`: flags, log, run, exit code. Everything else is in the library.

use clap::Parser;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::{log, termination};
use fastrak_speaker::config::Args;
use std::error::Error;
use std::process::ExitCode;

/// One thread answers requests while the other waits for the API server's responses to be parsed.
const THREADS: usize = 2;

fn main() -> ExitCode {
    termination::end(start(Args::parse()))
}

fn start(args: Args) -> Result<(), Box<dyn Error + Send + Sync>> {
    log::init(&args.log.filter, args.log.format)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals()?;
        fastrak_speaker::run::run(args, shutdown).await.map_err(Into::into)
    })
}
