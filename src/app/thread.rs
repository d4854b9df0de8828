//! One thread of the data path.

use std::io;
use std::net;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::listen::accept::{Acceptor, Handover};

pub(super) struct Thread {
    pub acceptor: Acceptor,
    pub plain: Vec<net::TcpListener>,
    pub parked: mpsc::Receiver<Handover>,
    /// Ends when the acceptor and all its connections are gone.
    pub open: mpsc::Receiver<()>,
    pub warm: Box<dyn FnOnce() + Send>,
}

impl Thread {
    /// Serves until a drain has ended. `_running` is dropped then.
    pub fn start(self, index: usize, running: mpsc::Sender<()>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serve = move || {
            runtime.block_on(self.serve());
            drop(running);
        };
        std::thread::Builder::new().name(format!("data-{index}")).spawn(serve)?;
        Ok(())
    }

    async fn serve(self) {
        let Self { acceptor, plain, parked, mut open, warm } = self;
        warm();
        let acceptor = std::sync::Arc::new(acceptor);
        let mut accepting = tokio::task::JoinSet::new();
        for listener in plain {
            match TcpListener::from_std(listener) {
                Ok(listener) => {
                    let acceptor = acceptor.clone();
                    accepting.spawn(async move { acceptor.run(listener).await });
                }
                Err(error) => tracing::error!(%error, "a listener cannot be used"),
            }
        }
        acceptor.run_parked(parked).await;
        drop(acceptor);
        accepting.join_all().await;
        // Nothing is ever sent: this waits for the last connection.
        open.recv().await;
    }
}
