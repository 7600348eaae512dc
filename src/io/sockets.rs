//! The kernel's socket table: who is connected to the watched ports of this network namespace.
//!
//! It is asked over netlink (`sock_diag(7)`), which needs no capability, and read from `/proc/net` where a sandbox or
//! a kernel without `tcp_diag` refuses that.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, getsockname, recv, send, socket_with,
};

use lameduck_machine::socket_table::{Connection, SocketTable};
use lameduck_parsers::proc_net_tcp;
use lameduck_parsers::sockdiag::{self, DumpRequest, Family, MAX_PORTS, Progress};

/// How long the kernel may take for a piece of its answer. It makes it while it is asked, so it never should.
const PATIENCE: Duration = Duration::from_secs(1);
/// Twice what the kernel puts into one datagram (Linux, `net/netlink/af_netlink.c`: 32 KiB at most).
const BUFFER: usize = 64 * 1024;

/// Why the table is not known, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// A connection of our own to a watched port, by both of its ends: one alone may belong to others too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnConnection {
    local: SocketAddr,
    peer: SocketAddr,
}

impl OwnConnection {
    /// The connection of a socket of ours, by the addresses that it has itself (`local_addr`, `peer_addr`).
    #[must_use]
    pub fn new(local: SocketAddr, peer: SocketAddr) -> Self {
        let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self { local: plain(local), peer: plain(peer) }
    }

    /// Whether this is the socket at its other end.
    fn is_other_end(self, connection: &Connection) -> bool {
        (connection.peer, connection.local) == (self.local, self.peer)
    }
}

/// The kernel's socket table, and what is remembered of it.
#[derive(Debug)]
pub struct SocketReader {
    /// The sockets at the other end of connections of ours, as long as they are in the table.
    own: Vec<Connection>,
    open: fn() -> Result<OwnedFd, Errno>,
    proc: PathBuf,
}

impl Default for SocketReader {
    fn default() -> Self {
        Self { own: Vec::new(), open, proc: "/proc/net".into() }
    }
}

impl SocketReader {
    /// Reads what the table says of these ports; the bytes that each connection has received as well, where they are
    /// wanted and told.
    ///
    /// Our `own` connections must be open during this call. They are left out, and where the kernel shows cookies they
    /// still are in later calls, for the server may keep its end longer than we keep ours.
    ///
    /// It waits for nobody but computes, in proportion to the connections: it belongs on a blocking thread where there
    /// may be thousands (`cargo bench --bench sockets`).
    ///
    /// # Errors
    /// Fails where the table is not known as a whole. That is no zero.
    pub fn read(&mut self, ports: &[u16], with_bytes: bool, own: &[OwnConnection]) -> Result<SocketTable, Error> {
        let mut table = match self.ask(ports, with_bytes) {
            Ok(table) => table,
            Err(CommandError::Unknown(reason)) => return Err(Error(reason)),
            Err(CommandError::Refused(reason)) => {
                let told = self
                    .read_proc(ports)
                    .map_err(|error| Error(format!("{reason}; {error}; one of them must be allowed")))?;
                SocketTable { fallback: Some(reason), ..told }
            }
        };
        table.remove_repetitions();
        self.leave_out(ports, &mut table, own);
        Ok(table)
    }

    /// Leaves out what is ours, and forgets of it what is there no more: a cookie is never given twice.
    fn leave_out(&mut self, ports: &[u16], table: &mut SocketTable, own: &[OwnConnection]) {
        let known = |it: &Connection| it.cookie.is_some() && self.own.iter().any(|own| own.cookie == it.cookie);
        let is_ours = |it: &mut Connection| own.iter().any(|own| own.is_other_end(it)) || known(it);
        let ours: Vec<Connection> = table.connections.extract_if(.., is_ours).collect();
        let may_be_there = |own: &Connection| table.fallback.is_some() || !ports.contains(&own.port());
        self.own.retain(may_be_there);
        self.own.extend(ours.iter().filter(|own| own.cookie.is_some()));
    }

    /// Asks the kernel over netlink, by a socket made for this question: an old one may hold the rest of an answer.
    fn ask(&self, ports: &[u16], with_bytes: bool) -> Result<SocketTable, CommandError> {
        let mut table = SocketTable::default();
        let refused = |errno| failure("cannot ask the kernel for its sockets over netlink", errno);
        let socket = (self.open)().map_err(refused)?;
        let port_id = port_id(socket.as_fd()).map_err(refused)?;
        let mut buffer = vec![0; BUFFER];
        let mut sequence = 0;
        for family in [Family::V4, Family::V6] {
            for ports in ports.chunks(MAX_PORTS) {
                sequence += 1;
                let dump = DumpRequest { family, ports, with_bytes, sequence, port_id };
                exchange(socket.as_fd(), &dump, &mut buffer, &mut table)?;
            }
        }
        Ok(table)
    }

    fn read_proc(&self, ports: &[u16]) -> Result<SocketTable, String> {
        let mut table = SocketTable::default();
        for (name, may_be_missing) in [("tcp", false), ("tcp6", true)] {
            let path = self.proc.join(name);
            match read_file(&path, ports, &mut table) {
                // There is no such file where IPv6 is off.
                Err(error) if may_be_missing && error.kind() == io::ErrorKind::NotFound => {}
                result => result.map_err(|error| format!("cannot read {}: {error}", path.display()))?,
            }
        }
        Ok(table)
    }
}

/// Why netlink has not told.
#[derive(Debug)]
enum CommandError {
    /// It never will.
    Refused(String),
    /// It may the next time.
    Unknown(String),
}

fn failure(what: &str, errno: Errno) -> CommandError {
    let text = format!("{what}: {errno}");
    if is_refusal(errno) { CommandError::Refused(text) } else { CommandError::Unknown(text) }
}

/// Whether the kernel, or what stands before it, does not offer this: `/proc` may. Want of memory or files is none.
fn is_refusal(errno: Errno) -> bool {
    // No permission; no netlink; no sock_diag, or nobody behind it; no tcp_diag; no such question or filter.
    const REFUSALS: [Errno; 11] = [
        Errno::PERM,
        Errno::ACCESS,
        Errno::NOSYS,
        Errno::AFNOSUPPORT,
        Errno::PROTONOSUPPORT,
        Errno::SOCKTNOSUPPORT,
        Errno::PROTOTYPE,
        Errno::CONNREFUSED,
        Errno::NOENT,
        Errno::OPNOTSUPP,
        Errno::INVAL,
    ];
    REFUSALS.contains(&errno)
}

/// Opens a socket that talks to the kernel alone: a connected one takes nothing from others.
fn open() -> Result<OwnedFd, Errno> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
    connect(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

fn port_id(socket: BorrowedFd<'_>) -> Result<u32, Errno> {
    Ok(SocketAddrNetlink::try_from(getsockname(socket)?)?.pid())
}

fn exchange(
    socket: BorrowedFd<'_>,
    dump: &DumpRequest<'_>,
    buffer: &mut [u8],
    table: &mut SocketTable,
) -> Result<(), CommandError> {
    retry_on_intr(|| send(socket, &dump.request(), SendFlags::empty()))
        .map_err(|errno| failure("cannot ask the kernel for its sockets", errno))?;
    loop {
        let (_, length) = retry_on_intr(|| recv(socket, &mut *buffer, RecvFlags::TRUNC))
            .map_err(|errno| failure("the kernel does not tell its sockets", errno))?;
        let datagram = buffer.get(..length).ok_or_else(|| {
            CommandError::Unknown(format!("the kernel's answer was cut: {length} bytes in one datagram"))
        })?;
        match dump.read(datagram, table) {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => return Ok(()),
            Err(sockdiag::Error::Kernel(errno)) => {
                return Err(failure("the kernel does not tell its sockets", Errno::from_raw_os_error(errno)));
            }
            Err(error) => return Err(CommandError::Unknown(format!("cannot read the kernel's socket table: {error}"))),
        }
    }
}

fn read_file(path: &Path, ports: &[u16], table: &mut SocketTable) -> io::Result<()> {
    let invalid = |error: &dyn fmt::Display| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let mut file = BufReader::new(File::open(path)?);
    let mut line = String::new();
    file.read_line(&mut line)?;
    if !proc_net_tcp::is_header(&line) {
        return Err(invalid(&"it does not begin with its titles"));
    }
    line.clear();
    while file.read_line(&mut line)? != 0 {
        proc_net_tcp::read_line(&line, ports, table).map_err(|error| invalid(&error))?;
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
