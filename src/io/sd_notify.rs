//! Messages to the service manager (`sd_notify(3)`): a datagram to the socket that `NOTIFY_SOCKET` names.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// How often it expects to hear that this process is alive; `None` if it does not.
    pub watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The service manager that has started this process; `None` if there is none.
    ///
    /// # Errors
    /// Fails if its address is invalid, or if there is no free descriptor.
    pub fn from_environment() -> io::Result<Option<Self>> {
        let Some(address) = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else { return Ok(None) };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let watchdog = watchdog(env::var("WATCHDOG_USEC").ok(), env::var("WATCHDOG_PID").ok(), std::process::id());
        Ok(Some(Self { socket, address: parse_address(&address)?, watchdog }))
    }

    /// Sends these lines.
    ///
    /// # Errors
    /// Fails if the manager does not read them.
    pub fn send(&self, lines: &[String]) -> io::Result<()> {
        self.socket.send_to_addr(lines.join("\n").as_bytes(), &self.address).map(drop)
    }
}

/// Parses a path, or a name in the abstract namespace after `@`.
fn parse_address(address: &OsStr) -> io::Result<SocketAddr> {
    match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(address),
    }
}

/// The watchdog's time, unless it is meant for another process.
fn watchdog(time: Option<String>, pid: Option<String>, own_pid: u32) -> Option<Duration> {
    let is_ours = pid.is_none_or(|pid| pid == own_pid.to_string());
    let micros = time?.parse().ok().filter(|micros| *micros > 0 && is_ours)?;
    Some(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchdog_of_another_process_is_ignored() {
        let time = |time: &str, pid: Option<&str>| watchdog(Some(time.to_owned()), pid.map(str::to_owned), 7);
        assert_eq!(time("2000000", None), Some(Duration::from_secs(2)));
        assert_eq!(time("2000000", Some("7")), Some(Duration::from_secs(2)));
        assert_eq!(time("2000000", Some("8")), None);
        assert_eq!([time("0", None), time("soon", None), watchdog(None, None, 7)], [None; 3]);
    }

    #[test]
    fn address_is_a_path_or_an_abstract_name() {
        assert_eq!(parse_address(OsStr::new("/run/notify")).unwrap().as_pathname().unwrap(), "/run/notify");
        assert_eq!(parse_address(OsStr::new("@notify")).unwrap().as_abstract_name(), Some(&b"notify"[..]));
    }
}
