//! The doormat: flags in, exit code out.

#![forbid(unsafe_code)]

use clap::Parser as _;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::{log, termination};
use fastrak_webhook::config::Args;
use fastrak_webhook::run::Webhook;
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    termination::end(run(Args::parse()))
}

fn run(args: Args) -> Result<(), Box<dyn Error + Send + Sync>> {
    log::init(&args.log.filter, args.log.format)?;
    // Two threads: one that answers while the other reads a large list.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals()?;
        Webhook::bind(args.into()).await?.run(shutdown).await?;
        Ok(())
    })
}
