//! Structured logs on standard error.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex};

use tracing::Level;
use tracing_subscriber::{EnvFilter, reload};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub level: Level,
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Text,
}

/// The level that is logged at, which can change at any time. Cheap to clone.
#[derive(Clone)]
pub struct Levels {
    current: Arc<Mutex<Level>>,
    install: Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>,
}

impl Levels {
    pub fn current(&self) -> Level {
        *self.current.lock().expect("nobody panics while holding the level")
    }

    pub fn set(&self, level: Level) {
        let mut current = self.current.lock().expect("nobody panics while holding the level");
        // An error means that the subscriber is gone, and with it the process.
        if *current != level && (self.install)(filter(level)).is_ok() {
            *current = level;
            drop(current);
            tracing::info!(level = name(level), "log level changed");
        }
    }
}

/// Installs the subscriber of the process. Fails when there is one already.
pub fn install(config: Config) -> Result<Levels, Box<dyn std::error::Error + Send + Sync>> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(config.level))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let current = Arc::new(Mutex::new(config.level));
    match config.format {
        Format::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.try_init()?;
            Ok(Levels { current, install: Arc::new(move |filter| handle.reload(filter)) })
        }
        Format::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            builder.try_init()?;
            Ok(Levels { current, install: Arc::new(move |filter| handle.reload(filter)) })
        }
    }
}

/// The level of this name. An error says which there are.
pub fn level(name: &str) -> Result<Level, String> {
    match name {
        "error" => Ok(Level::ERROR),
        "warn" => Ok(Level::WARN),
        "info" => Ok(Level::INFO),
        "debug" => Ok(Level::DEBUG),
        other => Err(format!("expected error, warn, info or debug, found {other:?}")),
    }
}

pub fn name(level: Level) -> String {
    level.as_str().to_lowercase()
}

fn filter(level: Level) -> EnvFilter {
    // The libraries below speak of every frame at debug.
    EnvFilter::new(format!("warn,etcdlet={}", name(level)))
}
