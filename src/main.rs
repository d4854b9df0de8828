//! The process: arguments, configuration, logs, then the [`App`] until it stops.

use std::process::ExitCode;

use clap::Parser;
use etcdlet::app::App;
use etcdlet::cli::{Cli, Command, Run};
use etcdlet::config;
use etcdlet::net::nofile;
use etcdlet::telemetry::log;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command() {
        Command::Run(run) => serve(*run),
        Command::Probe(probe) => probe.run().map_err(Into::into),
        Command::Version => {
            println!("etcdlet {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Before the logs are set up, and for people: one line an error.
            for line in error.to_string().lines() {
                #[expect(clippy::print_stderr, reason = "errors of the start are for the terminal")]
                {
                    eprintln!("etcdlet: {line}");
                }
            }
            ExitCode::FAILURE
        }
    }
}

fn serve(run: Run) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (file, overrides) = run.into_parts();
    let config = config::load(file.as_deref(), &overrides)?;
    log::install(config.log)?;
    let open_files = nofile::raise();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?open_files, "starting");
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let app = App::build(config, control.handle())?;
    control.block_on(app.run())?;
    // Not joined: a thread whose connections were cut at the limit would wait for them.
    control.shutdown_background();
    Ok(())
}
