//! Running and stopping.

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};

use super::App;
use super::thread::Thread;
use crate::admin;
use crate::listen::accept::{Acceptor, TlsListener};
use crate::proxy::Proxy;

impl App {
    /// Serves until SIGTERM or SIGINT, then drains. A second signal ends at once.
    pub async fn run(self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (drain_signal, timeout) = (self.drain_signal, self.drain_config.timeout);
        tokio::spawn(admin::run(TcpListener::from_std(self.admin)?, self.shown));

        let room = Arc::new(Semaphore::new(self.limits.connections));
        let (running, mut stopped) = mpsc::channel(1);
        let mut handovers = Vec::new();
        // What clients share lives on one thread, for those of the others too.
        let (open_sender, open) = watch::channel(());
        for (index, proxy) in self.proxies.into_iter().enumerate() {
            let (handover, parked) = mpsc::channel(HANDOVER_QUEUE);
            handovers.push(handover);
            let thread = Thread {
                acceptor: Acceptor::new(
                    proxy.clone(),
                    self.limits.clone(),
                    self.drain.clone(),
                    self.listen_metrics.clone(),
                    room.clone(),
                    open_sender.clone(),
                ),
                plain: self
                    .plain
                    .iter()
                    .map(|(listener, terms)| Ok((listener.try_clone()?, terms.clone())))
                    .collect::<io::Result<_>>()?,
                parked,
                open: open.clone(),
                follow: Box::pin(follow(proxy, (index == 0).then(|| open_sender.clone()))),
            };
            thread.start(index, running.clone())?;
        }
        drop((running, open_sender, self.plain));
        for (listener, server, terms) in self.tls {
            let listener = TlsListener {
                listener: TcpListener::from_std(listener)?,
                server,
                terms,
                handshake_timeout: self.limits.handshake_timeout,
                metrics: self.listen_metrics.clone(),
                room: room.clone(),
                drain: self.drain.clone(),
            };
            tokio::spawn(listener.run(handovers.clone()));
        }

        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = stopped.recv() => return Err(io::Error::other("a thread of the data path has ended")),
        }
        tracing::info!(?timeout, "stopping: calls under way may finish");
        // The threads stop waiting for TLS connections when the last sender is gone.
        drop(handovers);
        drain_signal.begin();
        tokio::select! {
            () = async { while stopped.recv().await.is_some() {} } => {
                tracing::info!("stopped: every connection has ended");
            }
            () = tokio::time::sleep(timeout) => tracing::warn!("stopped: connections were cut at the limit"),
            _ = terminate.recv() => tracing::warn!("stopped: a second signal came"),
            _ = interrupt.recv() => tracing::warn!("stopped: a second signal came"),
        }
        Ok(())
    }
}

/// What a thread does beside its connections. One of them is known to other proxies, and keeps the process
/// from ending before it is that no longer.
async fn follow(proxy: Arc<Proxy>, registers: Option<watch::Sender<()>>) {
    let register = async {
        if let Some(_open) = registers {
            proxy.register().await;
        }
    };
    tokio::join!(proxy.follow(), register);
}

/// TLS connections that wait for their thread; more wait in their handshake tasks.
const HANDOVER_QUEUE: usize = 64;
