//! The process: arguments, configuration, logs, then the [`App`] until it stops.

use std::process::ExitCode;

use clap::Parser;
use etcdlet::app::App;
use etcdlet::cli::drop_in::DropIn;
use etcdlet::cli::pflag::Exit;
use etcdlet::cli::{Cli, Command, Run, gateway, grpc_proxy};
use etcdlet::config::{self, Config};
use etcdlet::net::nofile;
use etcdlet::telemetry::log;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command() {
        Command::Run(run) => self::run(*run),
        Command::GrpcProxy(raw) => return drop_in(grpc_proxy::read(&raw.into_texts())),
        Command::Gateway(raw) => return drop_in(gateway::read(&raw.into_texts())),
        Command::Version => {
            println!("etcdlet {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    exit_code(outcome)
}

fn run(run: Run) -> Result<(), Error> {
    let (file, overrides) = run.into_parts();
    serve(config::load(file.as_deref(), &overrides)?, None)
}

fn drop_in(read: Result<DropIn, Exit>) -> ExitCode {
    match read {
        Ok(drop_in) => exit_code(serve(drop_in.config.clone(), Some(&drop_in))),
        Err(exit) => exit.tell(),
    }
}

fn exit_code(outcome: Result<(), Error>) -> ExitCode {
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

/// `stand_in`: whose lines are told, where etcdlet stands in for a proxy of etcd's.
fn serve(config: Config, stand_in: Option<&DropIn>) -> Result<(), Error> {
    log::install(config.log)?;
    let open_files = nofile::raise();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?open_files, "starting");
    if let Some(stand_in) = stand_in {
        stand_in.tell_idle_flags();
    }
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let app = App::build(config, control.handle())?;
    // Every listener is bound: who connects now is served.
    if let Some(stand_in) = stand_in {
        stand_in.tell_ready();
    }
    control.block_on(app.run())?;
    // Not joined: a thread whose connections were cut at the limit would wait for them.
    control.shutdown_background();
    Ok(())
}

type Error = Box<dyn std::error::Error + Send + Sync>;
