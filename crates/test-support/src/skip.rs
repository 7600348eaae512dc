//! How a test reports that it cannot run in this environment.
//!
//! ```text
//! let Some(haproxy) = find("haproxy") else { return skip("no haproxy") };
//! ```
//!
//! The test passes and prints `skipped: no haproxy` to stderr. Where `CI` is set, it fails instead, so that a test
//! cannot vanish from CI unnoticed. `LAMEDUCK_ALLOW_SKIP` lists the reasons that are acceptable there, separated by
//! commas: `LAMEDUCK_ALLOW_SKIP='no haproxy,no nginx'`.

use std::env;
use std::io::{Write, stderr};
use std::net::{Ipv6Addr, TcpListener};
use std::thread;

use crate::environment::may_open;

/// Set by CI services.
const CI: &str = "CI";
/// Reasons for which a test may be skipped in CI, separated by commas.
const ALLOWED: &str = "LAMEDUCK_ALLOW_SKIP";

/// Reports that the current test, or a part of it, does not run. `reason` is short and constant, such as `not root`.
///
/// # Panics
/// Panics where `CI` is set and `LAMEDUCK_ALLOW_SKIP` does not list the reason.
pub fn skip(reason: &str) {
    let thread = thread::current();
    // Not `eprintln!`: the test harness would capture it, and print it only if the test fails.
    let _ = writeln!(stderr(), "skipped: {reason} ({})", thread.name().unwrap_or("unnamed thread"));
    let allowed = env::var(ALLOWED).unwrap_or_default();
    let in_ci = env::var_os(CI).is_some_and(|value| !value.is_empty() && value != "false");
    assert!(!in_ci || is_listed(&allowed, reason), "skipped in CI: {reason}; {ALLOWED} does not list it");
}

/// Whether root runs the tests; reports the skip if not.
pub fn is_root_or_skip() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip("not root");
    }
    is_root
}

/// Whether this machine has an IPv6 loopback address; reports the skip if not.
pub fn has_ipv6_or_skip() -> bool {
    let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has_ipv6 {
        skip("no IPv6");
    }
    has_ipv6
}

/// Whether this process may open this many descriptors; reports the skip if not.
pub fn may_open_or_skip(descriptors: u64) -> bool {
    let may_open = may_open(descriptors);
    if !may_open {
        skip("descriptor limit too low");
    }
    may_open
}

fn is_listed(reasons: &str, reason: &str) -> bool {
    reasons.split(',').any(|listed| listed.trim() == reason)
}

#[cfg(test)]
mod tests {
    use super::is_listed;

    #[test]
    fn listed_reason_matches_as_a_whole() {
        assert!(is_listed("no nginx, not root", "not root"));
        assert!(!is_listed("no nginx, not root", "not"));
        assert!(!is_listed("", "not root"));
    }
}
