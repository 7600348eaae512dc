//! Signals to this process.

use std::io;
use std::thread;

use signal_hook::consts::SIGTERM;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::{Signals, SignalsInfo};

/// Calls `on_sigterm` from another thread for every SIGTERM, with the sender's pid if the kernel provides it
/// (sigaction(2), `si_pid`).
///
/// # Errors
/// Fails if the handler cannot be installed or the thread cannot be started.
pub fn watch_sigterm(mut on_sigterm: impl FnMut(Option<i32>) + Send + 'static) -> io::Result<()> {
    let mut signals = SignalsInfo::<WithOrigin>::new([SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for origin in &mut signals {
            on_sigterm(origin.process.map(|process| process.pid));
        }
    })?;
    Ok(())
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
