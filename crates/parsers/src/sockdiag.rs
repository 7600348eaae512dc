//! The kernel's socket table over netlink: encoding of the request and parsing of the response.
//!
//! The older of the kernel's two requests is used, because it lists both address families in one pass over the table.
//!
//! Sources: `sock_diag(7)`, `netlink(7)`; Linux, `include/uapi/linux/{netlink,sock_diag,inet_diag,tcp}.h`, and
//! `net/ipv4/inet_diag.c` for the filter. Numbers are in host byte order, ports and addresses in
//! network byte order.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::{fmt, io};

use crate::tcp::{Entry, state};
use lameduck_machine::socket_table::{Bytes, Connection, SocketTable};

/// The TCP sockets of all families. `SOCK_DIAG_BY_FAMILY` would need one pass for each.
const TCPDIAG_GETSOCK: u16 = 18;
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
/// Size of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Size of `struct inet_diag_req`, and the offset of its states.
const REQUEST: usize = 60;
const REQUEST_STATES: usize = 52;
/// Size of `struct inet_diag_msg`.
const SOCKET: usize = 72;
const INET_DIAG_REQ_BYTECODE: u16 = 1;
const INET_DIAG_INFO: u16 = 2;
/// Offsets of `tcpi_bytes_acked` and `tcpi_bytes_received` in `struct tcp_info`; kernels before 4.1 have neither.
const BYTES_ACKED: usize = 120;
const BYTES_RECEIVED: usize = 128;
/// Maximum number of ports in one request: the jump offsets of its filter are 16 bits wide.
pub const MAX_PORTS: usize = 1000;
/// The requested states: of connections that are or may be streams, and of listeners.
const STATES: u32 = 1 << state::ESTABLISHED
    | 1 << state::FIN_WAIT1
    | 1 << state::FIN_WAIT2
    | 1 << state::CLOSE_WAIT
    | 1 << state::LAST_ACK
    | 1 << state::LISTEN
    | 1 << state::CLOSING;

/// The kernel's numbers of the address families. The IPv4 clients of a dual-stack socket have [`AF_INET6`].
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// A request for the sockets on some local ports.
#[derive(Clone, Copy, Debug)]
pub struct DumpRequest<'a> {
    /// The local ports: at least one, at most [`MAX_PORTS`].
    pub ports: &'a [u16],
    /// Whether to request the bytes that each connection has carried.
    pub with_bytes: bool,
    /// The sequence number, which the response repeats.
    pub sequence: u32,
    /// The netlink port id of the requesting socket, which the response repeats.
    pub port_id: u32,
}

/// Whether the response is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More datagrams follow.
    More,
    /// The response is complete.
    Done,
}

/// Why a response is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The kernel rejected the request or could not complete it (an errno).
    Kernel(i32),
    /// The table changed during the dump, so the dump is inconsistent.
    Interrupted,
    /// The kernel lost part of the response.
    Overrun,
    /// It is the response to another request.
    Mismatched,
    /// The kernel would not write this.
    Malformed(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(errno) => write!(f, "the kernel returned: {}", io::Error::from_raw_os_error(*errno)),
            Self::Interrupted => write!(f, "the socket table changed during the dump"),
            Self::Overrun => write!(f, "the kernel lost part of its response"),
            Self::Mismatched => write!(f, "response to another request"),
            Self::Malformed(what) => write!(f, "malformed response: {what}"),
        }
    }
}

impl DumpRequest<'_> {
    /// Encodes the netlink message.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        let filter = filter(self.ports);
        let length = HEADER + REQUEST + 4 + filter.len();
        let mut message = Vec::with_capacity(length);
        message.extend(u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
        message.extend(TCPDIAG_GETSOCK.to_ne_bytes());
        message.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend(self.port_id.to_ne_bytes());
        let extensions = u8::from(self.with_bytes) << (INET_DIAG_INFO - 1);
        // The kernel ignores the family and the lengths of addresses. Zero address and cookie match any socket.
        message.extend([0, 0, 0, extensions]);
        message.resize(HEADER + REQUEST_STATES, 0);
        message.extend(STATES.to_ne_bytes());
        message.resize(HEADER + REQUEST, 0);
        // The filter is an attribute.
        message.extend(offset(4 + filter.len()).to_ne_bytes());
        message.extend(INET_DIAG_REQ_BYTECODE.to_ne_bytes());
        message.extend(filter);
        message
    }

    /// Parses one datagram of the response and adds its sockets to the table.
    ///
    /// # Errors
    /// Fails if any message in it is incomplete, malformed or an error; the table is then unusable.
    pub fn read(&self, mut datagram: &[u8], table: &mut SocketTable) -> Result<Progress, Error> {
        if datagram.is_empty() {
            return Err(Error::Malformed("empty datagram"));
        }
        while !datagram.is_empty() {
            let (message, rest) = record(datagram, u32_at(datagram, 0).map(|length| length as usize), HEADER)
                .ok_or(Error::Malformed("message length"))?;
            datagram = rest;
            if self.read_message(message, table)? == Progress::Done {
                let nothing_follows = datagram.is_empty();
                return if nothing_follows { Ok(Progress::Done) } else { Err(Error::Malformed("data after the end")) };
            }
        }
        Ok(Progress::More)
    }

    fn read_message(&self, message: &[u8], table: &mut SocketTable) -> Result<Progress, Error> {
        const SHORT: Error = Error::Malformed("short message");
        let kind = u16_at(message, 4).ok_or(SHORT)?;
        if u32_at(message, 8) != Some(self.sequence) || u32_at(message, 12) != Some(self.port_id) {
            return Err(Error::Mismatched);
        }
        if u16_at(message, 6).ok_or(SHORT)? & NLM_F_DUMP_INTR != 0 {
            return Err(Error::Interrupted);
        }
        let payload = &message[HEADER..];
        let number = || u32_at(payload, 0).map(u32::cast_signed).ok_or(SHORT);
        match kind {
            NLMSG_NOOP => Ok(Progress::More),
            NLMSG_ERROR => Err(errno(number()?).unwrap_or(Error::Malformed("error without a number"))),
            // A kernel without the TCP diag module ends an empty list with ENOENT, which must not count as zero.
            NLMSG_DONE => errno(number()?).map_or(Ok(Progress::Done), Err),
            NLMSG_OVERRUN => Err(Error::Overrun),
            TCPDIAG_GETSOCK => self.read_socket(payload, table).map(|()| Progress::More),
            _ => Err(Error::Malformed("unknown message type")),
        }
    }

    fn read_socket(&self, payload: &[u8], table: &mut SocketTable) -> Result<(), Error> {
        let (socket, attributes) = payload.split_first_chunk::<SOCKET>().ok_or(Error::Malformed("socket length"))?;
        let [low, high] = [44, 48].map(|at| u64::from(u32_of(socket, at)));
        let connection = Connection {
            local: address(socket, 4, 8)?,
            peer: address(socket, 6, 24)?,
            cookie: Some(high << 32 | low),
            bytes: bytes_carried(attributes)?,
        };
        let (unacknowledged, has_inode) = (u32_of(socket, 60), u32_of(socket, 68) != 0);
        Entry { state: socket[1], unacknowledged, has_inode, connection }.insert_into(table, self.ports);
        Ok(())
    }
}

/// Decodes the port and the address at these offsets.
fn address(socket: &[u8; SOCKET], port: usize, address: usize) -> Result<SocketAddr, Error> {
    let bytes: [u8; 16] = std::array::from_fn(|index| socket[address + index]);
    let ip = match socket[0] {
        AF_INET => IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]),
        AF_INET6 => Ipv6Addr::from(bytes).to_canonical(),
        _ => return Err(Error::Malformed("socket of another family")),
    };
    Ok(SocketAddr::new(ip, u16::from_be_bytes([socket[port], socket[port + 1]])))
}

/// Encodes the filter program with which the kernel skips the sockets of other ports.
///
/// For each port: if the socket's port is lower or higher, continue with the next port; otherwise jump to the end,
/// which accepts the socket. An offset one word beyond the end rejects it. A test for equality would need Linux 4.18.
fn filter(ports: &[u16]) -> Vec<u8> {
    const JUMP: u8 = 1;
    const AT_LEAST: u8 = 2;
    const AT_MOST: u8 = 3;
    const STEPS: usize = 20;
    let step = |code: u8, length: u8, no: u16| {
        let [low, high] = no.to_ne_bytes();
        [code, length, low, high]
    };
    let mut program = Vec::with_capacity(STEPS * ports.len());
    for (index, port) in ports.iter().enumerate() {
        // Relative to the jump, which is the last word of a port's steps. The last port needs none.
        let to_end = STEPS * (ports.len() - index - 1);
        let operand = step(0, 0, *port);
        for step in [step(AT_LEAST, 8, 20), operand, step(AT_MOST, 8, 12), operand, step(JUMP, 4, offset(to_end))] {
            program.extend(step);
        }
    }
    // Drop the jump of the last port.
    program.truncate(program.len().saturating_sub(4));
    program
}

/// Converts a number of bytes to an offset; one that is too large saturates, and the kernel rejects it.
fn offset(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

/// Returns the carried bytes from the `struct tcp_info` among these attributes; `None` if the struct is too short.
fn bytes_carried(mut attributes: &[u8]) -> Result<Option<Bytes>, Error> {
    let mut carried = None;
    while !attributes.is_empty() {
        let (attribute, rest) = record(attributes, u16_at(attributes, 0).map(usize::from), 4)
            .ok_or(Error::Malformed("attribute length"))?;
        if u16_at(attribute, 2) == Some(INET_DIAG_INFO) {
            let bytes = u64_at(attribute, 4 + BYTES_RECEIVED).zip(u64_at(attribute, 4 + BYTES_ACKED));
            carried = bytes.map(|(received, sent)| Bytes { received, sent });
        }
        attributes = rest;
    }
    Ok(carried)
}

/// Splits off a record of `length` bytes, at least its header; the next record is aligned to four bytes.
fn record(bytes: &[u8], length: Option<usize>, header: usize) -> Option<(&[u8], &[u8])> {
    let length = length.filter(|length| *length >= header)?;
    let record = bytes.get(..length)?;
    Some((record, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn errno(number: i32) -> Option<Error> {
    (number < 0).then(|| Error::Kernel(number.saturating_neg()))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

const fn u32_of(socket: &[u8; SOCKET], at: usize) -> u32 {
    u32::from_ne_bytes([socket[at], socket[at + 1], socket[at + 2], socket[at + 3]])
}

#[cfg(test)]
// The fixtures are in the byte order of the machine that they were captured on.
#[cfg(target_endian = "little")]
mod tests;
