//! The phases of the engine: loading, serving, draining, exit.

use std::future;
use std::io;
use std::net::SocketAddr;
use std::process::{self, ExitCode};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::signal::unix::{Signal as Handler, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet, spawn_local};
use tokio::time::sleep;

use crate::args::{Args, OnSignal, Role};
use crate::connection;
use crate::engine::Engine;
use crate::log::Log;
use crate::metrics;
use crate::signals::{Signal, Signals};

struct Server {
    engine: Rc<Engine>,
    signals: Signals,
    /// SIGUSR1, which closes the listener without a drain.
    close_listener: Handler,
    connections: JoinSet<()>,
    /// Becomes true for the connections when the engine drains.
    stopping: watch::Sender<bool>,
    metrics: Option<JoinHandle<()>>,
}

/// Runs until a signal ends it; returns the exit code.
pub(crate) async fn run(args: Args, log: Log) -> io::Result<ExitCode> {
    let code = serve_until_exit(args, &log).await?;
    log.line(format_args!("exit code={code}"));
    Ok(ExitCode::from(code))
}

async fn serve_until_exit(args: Args, log: &Log) -> io::Result<u8> {
    let mut signals = Signals::install(args.signals.on_signal)?;
    let close_listener = signal(SignalKind::user_defined1())?;
    spawn_local(crash(signal(SignalKind::user_defined2())?));
    if let Some(signal) = load(args.loading, &mut signals, log).await {
        log.line(format_args!("{signal} received (1), still loading"));
        return Ok(args.signals.exit_code);
    }
    let listener = bind(args.listen, false)?;
    let engine = Rc::new(Engine::new(args, log.clone()));
    let metrics = serve_metrics(&engine, listener.local_addr()?)?;
    let (connections, stopping) = (JoinSet::new(), watch::Sender::new(false));
    Ok(Server { engine, signals, close_listener, connections, stopping, metrics }.run(listener).await)
}

/// Serves the metrics page, except for an API, and logs all addresses.
fn serve_metrics(engine: &Rc<Engine>, ws: SocketAddr) -> io::Result<Option<JoinHandle<()>>> {
    let pid = process::id();
    match engine.args().role {
        Role::Engine => {
            let listener = bind(engine.args().metrics, engine.args().page.share_metrics_port)?;
            engine.log(format_args!("listening ws={ws} metrics={} pid={pid}", listener.local_addr()?));
            Ok(Some(spawn_local(metrics::serve(listener, Rc::clone(engine)))))
        }
        Role::Api => {
            engine.log(format_args!("listening ws={ws} status={ws} pid={pid}"));
            Ok(None)
        }
    }
}

impl Server {
    async fn run(mut self, listener: TcpListener) -> u8 {
        let signal = self.serve(listener).await;
        match self.engine.args().signals.on_signal {
            OnSignal::Quit => self.quit(signal),
            OnSignal::Drain | OnSignal::Default | OnSignal::Ignore => self.drain(signal).await,
        }
    }

    /// Accepts streams until a signal comes; on return the listener is closed.
    async fn serve(&mut self, listener: TcpListener) -> Signal {
        let mut listener = Some(listener);
        loop {
            tokio::select! {
                signal = self.signals.next() => return signal,
                Some(()) = self.close_listener.recv() => {
                    listener = None;
                    self.engine.log(format_args!("SIGUSR1 received, listener closed, {} streams open", self.engine.open()));
                }
                accepted = accept(listener.as_ref()) => match accepted {
                    Ok(tcp) => self.admit(tcp),
                    // Most likely out of descriptors: an immediate retry would only spin.
                    Err(_) => sleep(Duration::from_millis(50)).await,
                },
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    fn admit(&mut self, tcp: TcpStream) {
        self.connections.spawn_local(connection::serve(tcp, Rc::clone(&self.engine), self.stopping.subscribe()));
    }

    fn quit(&self, signal: Signal) -> u8 {
        self.engine.log(format_args!("{signal} received (1), quitting, {} streams cut", self.engine.open()));
        self.engine.args().signals.exit_code
    }

    async fn drain(self, signal: Signal) -> u8 {
        let Self { engine, mut signals, connections, stopping, metrics, .. } = self;
        stopping.send_replace(true);
        if let Some(metrics) = metrics.filter(|_| engine.args().signals.metrics_close_on_signal) {
            close(metrics).await;
        }
        if let Some(page) = engine.args().page.page_after_signal {
            engine.set_page(page);
        }
        // The line comes last: a test that has read it relies on everything before.
        engine.log(format_args!("{signal} received (1), listener closed, {} streams open", engine.open()));
        tokio::select! {
            () = finish(connections, engine.args().signals.exit_delay) => engine.args().signals.exit_code,
            code = further_signals(&mut signals, &engine) => code,
        }
    }
}

async fn load(loading: Duration, signals: &mut Signals, log: &Log) -> Option<Signal> {
    if loading.is_zero() {
        return None;
    }
    log.line(format_args!("loading for {} pid={}", humantime::format_duration(loading), process::id()));
    tokio::select! {
        signal = signals.next() => Some(signal),
        () = sleep(loading) => None,
    }
}

/// Crashes on the signal: SIGABRT, without any cleanup.
async fn crash(mut signal: Handler) {
    if signal.recv().await.is_some() {
        process::abort();
    }
}

/// The next connection; pending forever if the listener is closed.
async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(tcp, _)| tcp),
        None => future::pending().await,
    }
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let because = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    listen(address, shared).map_err(because)
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    if shared {
        socket.set_reuseport(true)?;
    }
    socket.bind(address)?;
    socket.listen(1024)
}

/// Returns when the task has ended and its sockets are closed.
async fn close(task: JoinHandle<()>) {
    task.abort();
    let _ = task.await;
}

async fn finish(mut connections: JoinSet<()>, exit_delay: Duration) {
    while connections.join_next().await.is_some() {}
    sleep(exit_delay).await;
}

/// Returns only if a second signal ends the engine.
async fn further_signals(signals: &mut Signals, engine: &Engine) -> u8 {
    for count in 2_u32.. {
        let signal = signals.next().await;
        if engine.args().signals.second_signal_quits {
            engine.log(format_args!("{signal} received ({count}), quitting, {} streams cut", engine.open()));
            return 1;
        }
        engine.log(format_args!("{signal} received ({count}), ignored"));
    }
    future::pending().await
}
