//! The process: arguments, and what they ask for.

use std::env;
use std::process::ExitCode;

use etcdlet::app::{check, serve};
use etcdlet::cli::drop_in::DropIn;
use etcdlet::cli::pflag::Exit;
use etcdlet::cli::{Cli, Command, Run, gateway, grpc_proxy};
use etcdlet::config::{ConfigErrors, Source};

fn main() -> ExitCode {
    let outcome = match Cli::read(env::args_os().collect()) {
        Command::CheckConfig(run) => check_config(*run),
        Command::Run(run) => serve(source(*run), None),
        Command::GrpcProxy(raw) => return drop_in(grpc_proxy::read(&raw.into_texts())),
        Command::Gateway(raw) => return drop_in(gateway::read(&raw.into_texts())),
        Command::Probe(probe) => probe.run().map_err(Into::into),
        Command::Version => {
            println!("etcdlet {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    exit_code(outcome)
}

fn drop_in(read: Result<DropIn, Exit>) -> ExitCode {
    match read {
        Ok(drop_in) => exit_code(serve(drop_in.source.clone(), Some(&drop_in))),
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

fn check_config(run: Run) -> Result<(), Error> {
    let source = source(run);
    let found = check::check(&source.read()?).map_err(ConfigErrors)?;
    let name =
        source.file().map_or_else(|| "the configuration".to_owned(), |file| file.display().to_string());
    println!("{name}: ok");
    for line in found {
        println!("{line}");
    }
    Ok(())
}

fn source(run: Run) -> Source {
    let (file, overrides) = run.into_parts();
    Source::new(file, overrides)
}

type Error = Box<dyn std::error::Error + Send + Sync>;
