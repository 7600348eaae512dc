//! Makes a test independent of what its parent process left to it.

use std::fs;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};

use nix::sys::signal::Signal;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Signals that `nohup`, background jobs of a shell and some CI runners leave ignored.
const OFTEN_IGNORED: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGTERM];

/// Descriptors that the tests with many connections need.
const NEEDED_DESCRIPTORS: u64 = 4096;

/// Prepares this process for starting programs under test; every helper of this crate that starts one calls it.
pub fn prepare() {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| {
        restore_default_signals();
        raise_descriptor_limit(NEEDED_DESCRIPTORS);
    });
}

/// Lets children start with the default disposition of each signal, also where this process inherited it as ignored.
///
/// An ignored signal stays ignored across `exec`, and a shell cannot trap it. A caught one returns to its default at
/// `exec`. So an ignored signal gets a handler that does nothing: it has no effect here, as before. `Command` resets
/// SIGPIPE by itself.
fn restore_default_signals() {
    for signal in OFTEN_IGNORED.into_iter().filter(|signal| is_ignored(*signal)) {
        let unused = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal as i32, unused).expect("the signal can be caught");
    }
}

fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask of ignored signals");
    let mask = u64::from_str_radix(mask.trim(), 16).expect("a mask in hexadecimal");
    mask & (1 << (signal as i32 - 1)) != 0
}

/// Raises the limit of open descriptors, as far as this user may.
fn raise_descriptor_limit(needed: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return;
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum });
    if raised.is_err() {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// Whether this process may open this many descriptors.
pub fn may_open(descriptors: u64) -> bool {
    prepare();
    getrlimit(Resource::Nofile).current.is_none_or(|current| current >= descriptors)
}
