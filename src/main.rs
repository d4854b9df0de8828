//! The process: arguments, configuration, logs, then the [`App`] until it stops.

use std::process::ExitCode;

use clap::Parser;
use etcdlet::app::{App, Start, check};
use etcdlet::cli::{Cli, Command, Run};
use etcdlet::config::{ConfigErrors, Source};
use etcdlet::net::nofile;
use etcdlet::telemetry::log;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command() {
        Command::CheckConfig(run) => check_config(*run),
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
    let start = Start::read(source(run))?;
    let levels = log::install(start.config.log)?;
    let open_files = nofile::raise();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?open_files, "starting");
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let app = App::build(start, levels, control.handle())?;
    let ended = control.block_on(app.run());
    // Not joined: a thread whose connections were cut at the limit would wait for them, and one that reads
    // a file for its disk.
    control.shutdown_background();
    Ok(ended?)
}

fn check_config(run: Run) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let source = source(run);
    let found = check::check(&source.read()?).map_err(ConfigErrors)?;
    let name = source.file.map_or_else(|| "the configuration".to_owned(), |file| file.display().to_string());
    println!("{name}: ok");
    for line in found {
        println!("{line}");
    }
    Ok(())
}

fn source(run: Run) -> Source {
    let (file, overrides) = run.into_parts();
    Source { file, overrides }
}
