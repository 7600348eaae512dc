//! Signals to this process.

use std::io;
use std::thread;

use nix::sys::signal::{SigSet, Signal};
pub use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};
use tokio::net::UnixStream;

/// The highest number of a signal that is no real-time signal.
const LAST_STANDARD_SIGNAL: i32 = 31;

/// A signal that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its number.
    pub signal: i32,
    /// The sender's pid, if the kernel provides it (sigaction(2), `si_pid`).
    pub sender: Option<i32>,
    /// Whether the kernel has sent it, e.g. because of Ctrl-C in the terminal.
    pub from_kernel: bool,
}

/// Receives signals on the event loop.
#[derive(Debug)]
pub struct Arrivals {
    delivery: SignalDelivery<UnixStream, WithOrigin>,
    /// The signals that must arrive even if they were blocked when this process started.
    required: SigSet,
}

impl Arrivals {
    /// Installs the handlers, which stay installed. Needs the runtime. A C library may reserve some real-time signals for
    /// itself: of the `others`, these are left out.
    ///
    /// # Errors
    /// Fails if a handler cannot be installed.
    pub fn install(required: &[i32], others: &[i32]) -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let delivery = SignalDelivery::with_pipe(read, write.into_std()?, WithOrigin::default(), required)?;
        for signal in others {
            match delivery.handle().add_signal(*signal) {
                Err(error) if *signal <= LAST_STANDARD_SIGNAL => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        let required = required.iter().filter_map(|signal| Signal::try_from(*signal).ok()).collect();
        Ok(Self { delivery, required })
    }

    /// Waits for the next signals. It unblocks the required signals, so processes that are started before the first call
    /// inherit the signal mask with which this process started.
    ///
    /// # Errors
    /// Fails if the socket on which the handlers report cannot be awaited.
    pub async fn receive(&mut self) -> io::Result<Vec<Arrival>> {
        let _ = std::mem::replace(&mut self.required, SigSet::empty()).thread_unblock();
        let socket = self.delivery.get_read();
        socket.readable().await?;
        // This also makes the next wait a real one. A handler has noted its signal before it wrote.
        let _ = socket.try_read(&mut [0; 64]);
        let arrival = |origin: Origin| Arrival {
            signal: origin.signal,
            sender: origin.process.map(|process| process.pid),
            from_kernel: origin.cause == Cause::Kernel,
        };
        Ok(self.delivery.pending().map(arrival).collect())
    }
}

/// Calls `on_signal` from another thread for each of these signals.
///
/// # Errors
/// Fails if the handlers cannot be installed or the thread cannot be started.
pub fn watch_signals<const N: usize>(
    signals: [i32; N],
    mut on_signal: impl FnMut(i32) + Send + 'static,
) -> io::Result<()> {
    let mut signals = Signals::new(signals)?;
    thread::Builder::new().name("signals".into()).spawn(move || signals.forever().for_each(&mut on_signal))?;
    Ok(())
}
