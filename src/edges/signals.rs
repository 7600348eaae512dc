//! SIGTERM to this process, and who sent it.

use std::io;
use std::thread;

use signal_hook::consts::SIGTERM;
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;

/// Calls `on_sigterm` from another thread for every SIGTERM, with the sender's pid where the kernel tells it
/// (sigaction(2), `si_pid`).
///
/// # Errors
/// Fails if the handler cannot be installed or no thread be started.
pub fn watch(mut on_sigterm: impl FnMut(Option<i32>) + Send + 'static) -> io::Result<()> {
    let mut signals = SignalsInfo::<WithOrigin>::new([SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for origin in &mut signals {
            on_sigterm(origin.process.map(|process| process.pid));
        }
    })?;
    Ok(())
}
