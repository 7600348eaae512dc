//! Makes a test independent of what its parent process left to it.

use std::fs;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};

use nix::sys::signal::Signal;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Signals that `nohup`, background jobs of a shell and some CI runners leave ignored.
const OFTEN_IGNORED: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGTERM];

/// Lets children start with the default disposition of each signal, also where this process inherited it as ignored.
///
/// An ignored signal stays ignored across `exec`, and a shell cannot trap it. A caught one returns to its default at
/// `exec`. So an ignored signal gets a handler that does nothing: it has no effect here, as before. `Command` resets
/// SIGPIPE by itself.
pub fn restore_default_signals() {
    static RESTORED: Once = Once::new();
    RESTORED.call_once(|| {
        for signal in OFTEN_IGNORED.into_iter().filter(|signal| is_ignored(*signal)) {
            let unused = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal as i32, unused).expect("the signal can be caught");
        }
    });
}

fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask of ignored signals");
    let mask = u64::from_str_radix(mask.trim(), 16).expect("a mask in hexadecimal");
    mask & (1 << (signal as i32 - 1)) != 0
}

/// Raises this process's limit of open descriptors to `needed`. False if the hard limit is lower and cannot be raised.
pub fn raise_descriptor_limit(needed: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let maximum = limit.maximum.map(|maximum| maximum.max(needed));
    if limit.current.is_none_or(|current| current >= needed) {
        return true;
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).is_ok()
}
