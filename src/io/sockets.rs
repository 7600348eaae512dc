//! The kernel's socket table: the connections to the watched ports of this network namespace.
//!
//! It is read over netlink (`sock_diag(7)`), which needs no capability. If a sandbox forbids that, or the kernel has no
//! `tcp_diag`, it is read from `/proc/net`.

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
use lameduck_parsers::sockdiag::{self, DumpRequest, MAX_PORTS, Progress};

/// How long one datagram of the response may take. The kernel creates it during the call, so this is never reached.
const NETLINK_TIMEOUT: Duration = Duration::from_secs(1);
/// Twice the maximum size of one of the kernel's datagrams, in bytes (Linux, `net/netlink/af_netlink.c`: 32 KiB).
const BUFFER_BYTES: usize = 64 * 1024;

/// Why the table cannot be read, and the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// A connection of this process to a watched port. Both addresses are needed: other connections may share one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnConnection {
    local: SocketAddr,
    peer: SocketAddr,
}

impl OwnConnection {
    /// The connection of a socket with these addresses (`local_addr`, `peer_addr`).
    #[must_use]
    pub fn new(local: SocketAddr, peer: SocketAddr) -> Self {
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self { local: canonical(local), peer: canonical(peer) }
    }

    /// Whether `connection` is the server's end of this one.
    fn is_peer_of(self, connection: &Connection) -> bool {
        (connection.peer, connection.local) == (self.local, self.peer)
    }
}

/// Reads the kernel's socket table, and remembers the connections of this process.
#[derive(Debug)]
pub struct SocketReader {
    /// The server's ends of this process's connections, as long as they are in the table.
    own: Vec<Connection>,
    /// The netlink socket of the last complete response. After an error, a socket may still hold a part of one.
    netlink: Option<Netlink>,
    open: fn() -> Result<OwnedFd, Errno>,
    proc: PathBuf,
}

impl Default for SocketReader {
    fn default() -> Self {
        Self { own: Vec::new(), netlink: None, open, proc: "/proc/net".into() }
    }
}

impl SocketReader {
    /// Reads the connections to these ports, and the bytes that each has received if `with_bytes` is set and the kernel
    /// provides them.
    ///
    /// The `own` connections must be open during this call. They are excluded. If the kernel provides cookies, they are
    /// excluded from later calls too, because the server may close its end later than this process.
    ///
    /// This does not block, but its CPU time grows with the number of connections: with thousands of them, call it on a
    /// blocking thread (`cargo bench --bench sockets`).
    ///
    /// # Errors
    /// Fails if the table cannot be read completely. Callers must not take that for zero connections.
    pub fn read(&mut self, ports: &[u16], with_bytes: bool, own: &[OwnConnection]) -> Result<SocketTable, Error> {
        let mut table = match self.read_netlink(ports, with_bytes) {
            Ok(table) => table,
            Err(NetlinkError::Transient(reason)) => return Err(Error(reason)),
            Err(NetlinkError::Unsupported(reason)) => {
                let table =
                    self.read_proc(ports).map_err(|error| Error(format!("{reason}; {error}; allow one of the two")))?;
                SocketTable { fallback: Some(reason), ..table }
            }
        };
        table.dedup();
        self.exclude_own(ports, &mut table, own);
        Ok(table)
    }

    /// Removes this process's connections from the table, and forgets those that have ended: the kernel never reuses a
    /// cookie.
    fn exclude_own(&mut self, ports: &[u16], table: &mut SocketTable, own: &[OwnConnection]) {
        let is_known = |it: &Connection| it.cookie.is_some() && self.own.iter().any(|own| own.cookie == it.cookie);
        let is_own = |it: &mut Connection| own.iter().any(|own| own.is_peer_of(it)) || is_known(it);
        let excluded: Vec<Connection> = table.connections.extract_if(.., is_own).collect();
        let may_be_open = |own: &Connection| table.fallback.is_some() || !ports.contains(&own.port());
        self.own.retain(may_be_open);
        self.own.extend(excluded.iter().filter(|own| own.cookie.is_some()));
    }

    /// Reads the table over netlink.
    fn read_netlink(&mut self, ports: &[u16], with_bytes: bool) -> Result<SocketTable, NetlinkError> {
        let mut table = SocketTable::default();
        let mut netlink = match self.netlink.take() {
            Some(netlink) => netlink,
            None => {
                Netlink::open(self.open).map_err(|errno| NetlinkError::new("cannot open a netlink socket", errno))?
            }
        };
        let mut buffer = vec![0; BUFFER_BYTES];
        for ports in ports.chunks(MAX_PORTS) {
            netlink.sequence = netlink.sequence.wrapping_add(1);
            let Netlink { port_id, sequence, .. } = netlink;
            let dump = DumpRequest { ports, with_bytes, sequence, port_id };
            exchange(netlink.socket.as_fd(), &dump, &mut buffer, &mut table)?;
        }
        self.netlink = Some(netlink);
        Ok(table)
    }

    fn read_proc(&self, ports: &[u16]) -> Result<SocketTable, String> {
        let mut table = SocketTable::default();
        for (name, is_optional) in [("tcp", false), ("tcp6", true)] {
            let path = self.proc.join(name);
            match read_file(&path, ports, &mut table) {
                // Without IPv6 there is no such file.
                Err(error) if is_optional && error.kind() == io::ErrorKind::NotFound => {}
                result => result.map_err(|error| format!("cannot read {}: {error}", path.display()))?,
            }
        }
        Ok(table)
    }
}

/// A netlink socket on which no response is expected.
#[derive(Debug)]
struct Netlink {
    socket: OwnedFd,
    port_id: u32,
    /// The sequence number of the last request.
    sequence: u32,
}

impl Netlink {
    fn open(open: fn() -> Result<OwnedFd, Errno>) -> Result<Self, Errno> {
        let socket = open()?;
        Ok(Self { port_id: port_id(socket.as_fd())?, socket, sequence: 0 })
    }
}

/// Why the table cannot be read over netlink.
#[derive(Debug)]
enum NetlinkError {
    /// It will never work here, so `/proc` must be read.
    Unsupported(String),
    /// The next call may succeed.
    Transient(String),
}

impl NetlinkError {
    fn new(action: &str, errno: Errno) -> Self {
        let text = format!("{action}: {errno}");
        if is_unsupported(errno) { Self::Unsupported(text) } else { Self::Transient(text) }
    }
}

/// Whether this error means that the kernel or a sandbox does not offer netlink. A lack of memory or of file descriptors
/// does not.
fn is_unsupported(errno: Errno) -> bool {
    // No permission; no netlink; no sock_diag, or no kernel module for it; no tcp_diag; no such request or filter.
    const UNSUPPORTED: [Errno; 11] = [
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
    UNSUPPORTED.contains(&errno)
}

/// Opens a netlink socket that is connected to the kernel, so that it receives nothing from other processes.
fn open() -> Result<OwnedFd, Errno> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(NETLINK_TIMEOUT))?;
    set_socket_timeout(&socket, Timeout::Send, Some(NETLINK_TIMEOUT))?;
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
) -> Result<(), NetlinkError> {
    retry_on_intr(|| send(socket, &dump.request(), SendFlags::empty()))
        .map_err(|errno| NetlinkError::new("cannot send a netlink request", errno))?;
    loop {
        let (_, length) = retry_on_intr(|| recv(socket, &mut *buffer, RecvFlags::TRUNC))
            .map_err(|errno| NetlinkError::new("no netlink response", errno))?;
        let datagram = buffer.get(..length).ok_or_else(|| {
            NetlinkError::Transient(format!("truncated netlink response: a datagram has {length} bytes"))
        })?;
        match dump.read(datagram, table) {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => return Ok(()),
            Err(sockdiag::Error::Kernel(errno)) => {
                return Err(NetlinkError::new(
                    "the kernel rejected the netlink request",
                    Errno::from_raw_os_error(errno),
                ));
            }
            Err(error) => return Err(NetlinkError::Transient(format!("invalid netlink response: {error}"))),
        }
    }
}

fn read_file(path: &Path, ports: &[u16], table: &mut SocketTable) -> io::Result<()> {
    let invalid = |error: &dyn fmt::Display| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let mut file = BufReader::new(File::open(path)?);
    let mut line = String::new();
    file.read_line(&mut line)?;
    if !proc_net_tcp::is_header(&line) {
        return Err(invalid(&"it does not start with the column titles"));
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
