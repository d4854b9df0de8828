//! Structured logs on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub level: tracing::Level,
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Text,
}

/// Installs the subscriber of the process. Fails when there is one already.
pub fn install(config: Config) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // The libraries below speak of every frame at debug.
    let filter = format!("warn,etcdlet={}", config.level.as_str().to_lowercase());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match config.format {
        Format::Json => subscriber.json().flatten_event(true).try_init(),
        Format::Text => subscriber.try_init(),
    }
}
