//! The thread that shakes hands with clients behind TLS: a crowd of them takes it seconds of a processor,
//! for which neither calls nor probes may wait.

use std::future::pending;
use std::io;

use tokio::sync::mpsc;

use super::thread::unusable;
use crate::listen::accept::{Handover, TlsListener};

/// Goes on until the process ends: handshakes may be under way when the listeners have closed.
pub(super) fn start(listeners: Vec<TlsListener>, threads: &[mpsc::Sender<Handover>]) -> io::Result<()> {
    if listeners.is_empty() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let threads = threads.to_vec();
    let shake_hands = async move {
        for listener in listeners {
            let threads = threads.clone();
            tokio::spawn(async move {
                if let Err(error) = listener.run(threads).await {
                    unusable(&error);
                }
            });
        }
        drop(threads);
        pending::<()>().await;
    };
    std::thread::Builder::new().name("tls".to_owned()).spawn(move || runtime.block_on(shake_hands))?;
    Ok(())
}
