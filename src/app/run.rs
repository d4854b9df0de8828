//! Running and stopping.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};

use super::App;
use super::handshakes;
use super::listeners::Listeners;
use super::notify::Notifier;
use super::thread::Thread;
use crate::admin;
use crate::admin::health::Phase;
use crate::config::Drain;
use crate::listen::accept::{Acceptor, Handover, TlsListener};
use crate::net::unix_socket::SocketFile;
use crate::proxy::Proxy;
use crate::proxy::drain::DrainSignal;

impl App {
    /// Serves until SIGTERM, SIGINT or the admin port says stop, then drains. A second signal ends at
    /// once. `on_serving` is called when clients are served, and signals are heeded.
    pub async fn run(mut self, on_serving: impl FnOnce()) -> io::Result<()> {
        let stop = Stop::try_new(self.shown.drain.clone())?;
        let hangup = signal(SignalKind::hangup())?;
        let audit = self.audit.clone();
        let (listener, tls) = (self.admin.0.try_clone()?, self.admin.1.clone());
        tokio::spawn(admin::run(TcpListener::from_std(listener)?, tls, self.shown.clone()));
        let (handovers, stopped) = self.start()?;

        let (notifier, drain) = (Notifier::from_environment(), self.reloader.drain());
        self.phase.send_replace(Phase::Serving);
        notifier.ready();
        on_serving();
        tokio::spawn(notifier.clone().follow(self.shown.health.clone()));
        // To the end: names move and certificates are renewed while calls finish.
        tokio::spawn(self.reloader.run(hangup, notifier.clone()));
        let files = self.listeners.files;
        let stopping =
            Stopping { stop, stopped, handovers, files, phase: self.phase, signal: self.drain_signal };
        let outcome = stopping
            .run(|| {
                notifier.stopping();
                drain.borrow().clone()
            })
            .await;
        audit.close(AUDIT_LIMIT);
        outcome
    }

    /// The threads, and what tells that one of them has ended.
    fn start(&mut self) -> io::Result<(Vec<mpsc::Sender<Handover>>, mpsc::Receiver<()>)> {
        let Listeners { plain, tcp, tls, files: _, capacity } = &mut self.listeners;
        let (running, stopped) = mpsc::channel(1);
        let mut handovers = Vec::new();
        // What clients share lives on one thread, for those of the others too.
        let (open_sender, open) = watch::channel(());
        for (index, proxy) in std::mem::take(&mut self.proxies).into_iter().enumerate() {
            let (handover, parked) = mpsc::channel(HANDOVER_QUEUE);
            handovers.push(handover);
            let thread = Thread {
                acceptor: Acceptor::new(
                    proxy.clone(),
                    capacity.clone(),
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
                heartbeat: self.heartbeats.of(index),
                follow: Box::pin(follow(proxy, (index == 0).then(|| open_sender.clone()))),
            };
            thread.start(index, running.clone())?;
        }
        drop((running, open_sender));
        plain.clear();
        tcp.clear();
        let tls = tls.drain(..).map(|(listener, entrance, server, terms)| TlsListener {
            listener,
            server,
            entrance,
            terms,
            capacity: capacity.clone(),
            metrics: self.listen_metrics.clone(),
            drain: self.drain.clone(),
        });
        handshakes::start(tls.collect(), &handovers)?;
        Ok((handovers, stopped))
    }
}

/// From serving to the end.
struct Stopping {
    stop: Stop,
    /// Told when a thread of the data path has ended.
    stopped: mpsc::Receiver<()>,
    handovers: Vec<mpsc::Sender<Handover>>,
    files: Vec<SocketFile>,
    phase: watch::Sender<Phase>,
    signal: DrainSignal,
}

impl Stopping {
    /// `begin` says how, when the time has come.
    async fn run(self, begin: impl FnOnce() -> Drain) -> io::Result<()> {
        let Self { mut stop, mut stopped, handovers, files, phase, signal } = self;
        let thread_ended = || Err(io::Error::other("a thread of the data path has ended"));
        let mut joins = tokio::select! {
            asker = stop.asked() => asker == Asker::Admin,
            _ = stopped.recv() => return thread_ended(),
        };
        let Drain { delay, timeout, stream_jitter } = begin();
        phase.send_replace(Phase::Stopping);
        signal.announce();
        if !delay.is_zero() {
            tracing::info!(?delay, "about to stop: /readyz says so");
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = stop.insisted(&mut joins) => {
                    tracing::warn!("stopped: a second signal came");
                    return Ok(());
                }
                _ = stopped.recv() => return thread_ended(),
            }
        }
        tracing::info!(?timeout, "stopping: calls under way may finish");
        // While they are still ours: whoever starts next takes a socket without a listener for a stale one.
        drop(files);
        // The threads stop waiting for TLS connections when the last sender is gone.
        drop(handovers);
        signal.begin(stream_jitter);
        tokio::select! {
            () = async { while stopped.recv().await.is_some() {} } => {
                tracing::info!("stopped: every connection has ended");
            }
            () = tokio::time::sleep(timeout) => tracing::warn!("stopped: connections were cut at the limit"),
            () = stop.insisted(&mut joins) => tracing::warn!("stopped: a second signal came"),
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    Admin,
    Signal,
}

/// Who can end the process.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
    admin: Arc<Notify>,
}

impl Stop {
    fn try_new(admin: Arc<Notify>) -> io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, admin })
    }

    async fn asked(&mut self) -> Asker {
        let admin = self.admin.clone();
        tokio::select! {
            () = self.signalled() => Asker::Signal,
            () = admin.notified() => Asker::Admin,
        }
    }

    /// Ends with the second signal; where the admin port has begun, the first one only `joins`.
    async fn insisted(&mut self, joins: &mut bool) {
        if *joins {
            self.signalled().await;
            *joins = false;
        }
        self.signalled().await;
    }

    async fn signalled(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
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

/// For the last lines of the audit log, where a disk is slow; a pipe that nobody reads gets no longer.
const AUDIT_LIMIT: Duration = Duration::from_secs(1);

/// TLS connections that wait for their thread; more wait in their handshake tasks.
const HANDOVER_QUEUE: usize = 64;
