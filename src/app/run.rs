//! Running and stopping.

use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::App;
use super::listeners::Listeners;
use super::thread::Thread;
use crate::admin;
use crate::listen::accept::{Acceptor, TlsListener};
use crate::proxy::Audit;

impl App {
    /// Serves until SIGTERM or SIGINT, then drains. A second signal ends at once.
    pub async fn run(self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let audit = self.audit;
        reopen_at_hangup(audit.clone())?;
        let (drain_signal, timeout) = (self.drain_signal, self.drain_config.timeout);
        tokio::spawn(admin::run(TcpListener::from_std(self.admin)?, self.shown));

        let Listeners { plain, tcp, tls, files, limits } = self.listeners;
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
                    limits.capacity.clone(),
                    self.drain.clone(),
                    self.listen_metrics.clone(),
                    open_sender.clone(),
                ),
                plain: plain
                    .iter()
                    .map(|(socket, entrance, terms)| {
                        Ok((socket.try_clone()?, entrance.clone(), terms.clone()))
                    })
                    .collect::<io::Result<_>>()?,
                tcp: tcp
                    .iter()
                    .map(|(socket, entrance)| Ok((socket.try_clone()?, entrance.clone())))
                    .collect::<io::Result<_>>()?,
                parked,
                open: open.clone(),
                follow: Box::pin(async move { proxy.follow().await }),
            };
            thread.start(index, running.clone())?;
        }
        drop((running, open_sender, plain, tcp));
        for (socket, entrance, server, terms) in tls {
            let listener = TlsListener {
                listener: socket.attach()?,
                server,
                entrance,
                terms,
                capacity: limits.capacity.clone(),
                metrics: self.listen_metrics.clone(),
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
        // While they are still ours: whoever starts next takes a socket without a listener for a stale one.
        drop(files);
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
        audit.close(AUDIT_LIMIT);
        Ok(())
    }
}

/// The file of the log may have been moved.
fn reopen_at_hangup(audit: Audit) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            audit.reopen();
        }
    });
    Ok(())
}

/// For the last lines of the audit log, where a disk is slow; a pipe that nobody reads gets no longer.
const AUDIT_LIMIT: Duration = Duration::from_secs(1);

/// TLS connections that wait for their thread; more wait in their handshake tasks.
const HANDOVER_QUEUE: usize = 64;
