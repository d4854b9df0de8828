//! The process from its configuration to its end.

use std::error::Error;

use super::build::{App, Start};
use crate::cli::drop_in::DropIn;
use crate::config::Source;
use crate::net::nofile;
use crate::telemetry::log;

/// Returns when all is over. `stand_in` has lines to tell, where etcdlet stands in for a proxy of etcd's.
pub fn serve(source: Source, stand_in: Option<&DropIn>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let start = Start::read(source)?;
    let levels = log::install(start.config.log)?;
    let open_files = nofile::raise();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?open_files, "starting");
    if let Some(stand_in) = stand_in {
        stand_in.tell_idle_flags();
    }
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let app = App::build(start, levels, control.handle())?;
    let ended = control.block_on(app.run(|| {
        if let Some(stand_in) = stand_in {
            stand_in.tell_ready();
        }
    }));
    // Not joined: a thread whose connections were cut at the limit would wait for them, and one that reads
    // a file for its disk.
    control.shutdown_background();
    Ok(ended?)
}
