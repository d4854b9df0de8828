//! One thread of the data path.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::listen::accept::{Acceptor, Handover};
use crate::listen::capacity::Entrance;
use crate::net::listener::Listener;
use crate::types::client::Terms;

pub(super) struct Thread {
    pub acceptor: Acceptor,
    pub plain: Vec<(Listener, Entrance, Arc<Terms>)>,
    pub tcp: Vec<(Listener, Entrance)>,
    pub parked: mpsc::Receiver<Handover>,
    /// Ends when the acceptors of all threads and their connections are gone.
    pub open: watch::Receiver<()>,
    /// Keeps its connections to the cluster.
    pub follow: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Thread {
    /// Serves until a drain has ended. `running` is told then, and also when it ends otherwise.
    pub fn start(self, index: usize, running: mpsc::Sender<()>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ended = Ended(running);
        let serve = move || {
            runtime.block_on(self.serve());
            drop(ended);
        };
        std::thread::Builder::new().name(format!("data-{index}")).spawn(serve)?;
        Ok(())
    }

    async fn serve(self) {
        let Self { acceptor, plain, tcp, parked, mut open, follow } = self;
        tokio::spawn(follow);
        let acceptor = Arc::new(acceptor);
        let mut accepting = tokio::task::JoinSet::new();
        for (listener, entrance, terms) in plain {
            let acceptor = acceptor.clone();
            accepting.spawn(async move {
                match listener.attach() {
                    Ok(listener) => acceptor.run(listener, entrance, terms).await,
                    Err(error) => unusable(&error),
                }
            });
        }
        for (listener, entrance) in tcp {
            let acceptor = acceptor.clone();
            accepting.spawn(async move {
                match listener.attach() {
                    Ok(listener) => acceptor.run_tcp(listener, entrance).await,
                    Err(error) => unusable(&error),
                }
            });
        }
        acceptor.run_parked(parked).await;
        drop(acceptor);
        accepting.join_all().await;
        // Nothing is ever sent: this waits for the last connection.
        while open.changed().await.is_ok() {}
    }
}

fn unusable(error: &io::Error) {
    tracing::error!(%error, "a listener cannot be used");
}

/// Tells that a thread has ended, by a panic too.
struct Ended(mpsc::Sender<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        // When the queue is full, another thread has told already.
        let _told = self.0.try_send(());
    }
}
