//! Signals to this process.

use std::io;
use std::thread;

use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithOrigin;
use tokio::net::UnixStream;

/// Receives SIGTERM.
#[derive(Debug)]
pub struct Sigterm(SignalDelivery<UnixStream, WithOrigin>);

impl Sigterm {
    /// Installs the handler, which stays installed.
    ///
    /// # Errors
    /// Fails if the handler cannot be installed.
    pub fn install() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        Ok(Self(SignalDelivery::with_pipe(read, write.into_std()?, WithOrigin::default(), [SIGTERM])?))
    }

    /// Waits for the next signals. Returns the sender's pid of each, if the kernel provides it (sigaction(2), `si_pid`).
    ///
    /// # Errors
    /// Fails if the socket on which the handler reports cannot be awaited.
    pub async fn receive(&mut self) -> io::Result<Vec<Option<i32>>> {
        let socket = self.0.get_read();
        socket.readable().await?;
        // This also makes the next wait a real one. The handler has noted the signal before it wrote.
        let _ = socket.try_read(&mut [0; 64]);
        Ok(self.0.pending().map(|origin| origin.process.map(|process| process.pid)).collect())
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
