//! The program `fastrak-webhook`.

#![forbid(unsafe_code)]

use clap::Parser as _;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::{log, termination};
use fastrak_webhook::command::{self, Defaults};
use fastrak_webhook::config::{Args, Cli};
use fastrak_webhook::run::Webhook;
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(Cli { command: Some(command), args }) => command::run(
            command,
            &Defaults { settings: args.decide.settings(), namespace: args.installation.namespace },
        ),
        Ok(Cli { command: None, args }) => termination::end(run(args)),
        Err(usage) => command::explain(&usage),
    }
}

fn run(args: Args) -> Result<(), Box<dyn Error + Send + Sync>> {
    log::init(&args.log.filter, args.log.format)?;
    // Two threads: one responds while the other reads a large list.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals()?;
        Webhook::bind(args).await?.run(shutdown).await?;
        Ok(())
    })
}
