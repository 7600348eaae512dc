//! The kernel's socket table as netlink tells it: the question, and the reading of the answer.
//!
//! Sources: `sock_diag(7)`, `netlink(7)`; Linux, `include/uapi/linux/{netlink,sock_diag,inet_diag,tcp}.h`, and
//! `net/ipv4/inet_diag.c` for the filter. Numbers are in the byte order of the machine, ports and addresses in the
//! network's.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::{fmt, io};

use crate::tcp::{Entry, state};
use lameduck_machine::socket_table::{Connection, SocketTable};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const IPPROTO_TCP: u8 = 6;
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
/// The length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// The length of `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// The length of `struct inet_diag_msg`.
const SOCKET: usize = 72;
const INET_DIAG_REQ_BYTECODE: u16 = 1;
const INET_DIAG_INFO: u16 = 2;
/// Where `tcpi_bytes_received` stands in `struct tcp_info`; kernels before 4.1 do not have it.
const BYTES_RECEIVED: usize = 128;
/// How many ports one question can be about: the jumps of its filter are 16 bits wide.
pub const MAX_PORTS: usize = 1000;
/// The states worth showing: those of open streams, or of what may be one, and of listeners.
const STATES: u32 = 1 << state::ESTABLISHED
    | 1 << state::FIN_WAIT1
    | 1 << state::FIN_WAIT2
    | 1 << state::CLOSE_WAIT
    | 1 << state::LAST_ACK
    | 1 << state::LISTEN
    | 1 << state::CLOSING;

/// An address family, by the kernel's number. One that serves both shows its IPv4 clients under [`Family::V6`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `AF_INET`.
    V4 = 2,
    /// `AF_INET6`.
    V6 = 10,
}

/// One question for the sockets of one family that are on one of some ports.
#[derive(Clone, Copy, Debug)]
pub struct DumpRequest<'a> {
    /// The family.
    pub family: Family,
    /// The local ports, at least one of them and at most [`MAX_PORTS`].
    pub ports: &'a [u16],
    /// Whether the bytes that each connection has received are wanted.
    pub with_bytes: bool,
    /// The number of this question, which its answer bears too.
    pub sequence: u32,
    /// The netlink port id of the socket that asks, which the answer bears too.
    pub port_id: u32,
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to be received.
    More,
    /// It is whole.
    Done,
}

/// Why an answer does not tell what is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The kernel has refused, or could not finish (an errno).
    Kernel(i32),
    /// The table has changed in a way that makes the answer worthless.
    Interrupted,
    /// The kernel has lost a part of the answer.
    Overrun,
    /// It answers another question.
    Foreign,
    /// It is not of the form that the kernel writes.
    Malformed(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(errno) => write!(f, "the kernel answers: {}", io::Error::from_raw_os_error(*errno)),
            Self::Interrupted => write!(f, "the table changed while the kernel showed it"),
            Self::Overrun => write!(f, "the kernel lost a part of its answer"),
            Self::Foreign => write!(f, "an answer to another question"),
            Self::Malformed(what) => write!(f, "an answer that cannot be read: {what}"),
        }
    }
}

impl DumpRequest<'_> {
    /// The message that asks for it.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        let filter = filter(self.ports);
        let length = HEADER + REQUEST + 4 + filter.len();
        let mut message = Vec::with_capacity(length);
        message.extend(u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
        message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        message.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend(self.port_id.to_ne_bytes());
        let extensions = u8::from(self.with_bytes) << (INET_DIAG_INFO - 1);
        message.extend([self.family as u8, IPPROTO_TCP, extensions, 0]);
        message.extend(STATES.to_ne_bytes());
        // No address and no cookie: any socket. The filter is an attribute behind it.
        message.resize(HEADER + REQUEST, 0);
        message.extend(offset(4 + filter.len()).to_ne_bytes());
        message.extend(INET_DIAG_REQ_BYTECODE.to_ne_bytes());
        message.extend(filter);
        message
    }

    /// Enters what one datagram of the answer says into the table.
    ///
    /// # Errors
    /// Fails unless every message in it is whole and of the kernel's form; the table is then worth nothing.
    pub fn read(&self, mut datagram: &[u8], table: &mut SocketTable) -> Result<Progress, Error> {
        if datagram.is_empty() {
            return Err(Error::Malformed("an empty datagram"));
        }
        while !datagram.is_empty() {
            let (message, rest) = record(datagram, u32_at(datagram, 0).map(|length| length as usize), HEADER)
                .ok_or(Error::Malformed("the length of a message"))?;
            datagram = rest;
            if self.read_message(message, table)? == Progress::Done {
                let nothing_follows = datagram.is_empty();
                return if nothing_follows { Ok(Progress::Done) } else { Err(Error::Malformed("more after the end")) };
            }
        }
        Ok(Progress::More)
    }

    fn read_message(&self, message: &[u8], table: &mut SocketTable) -> Result<Progress, Error> {
        const SHORT: Error = Error::Malformed("a short message");
        let kind = u16_at(message, 4).ok_or(SHORT)?;
        if u32_at(message, 8) != Some(self.sequence) || u32_at(message, 12) != Some(self.port_id) {
            return Err(Error::Foreign);
        }
        if u16_at(message, 6).ok_or(SHORT)? & NLM_F_DUMP_INTR != 0 {
            return Err(Error::Interrupted);
        }
        let payload = &message[HEADER..];
        let number = || u32_at(payload, 0).map(u32::cast_signed).ok_or(SHORT);
        match kind {
            NLMSG_NOOP => Ok(Progress::More),
            NLMSG_ERROR => Err(errno(number()?).unwrap_or(Error::Malformed("an error without a number"))),
            // A kernel that cannot look at TCP sockets ends an empty list with ENOENT: that is no zero.
            NLMSG_DONE => errno(number()?).map_or(Ok(Progress::Done), Err),
            NLMSG_OVERRUN => Err(Error::Overrun),
            SOCK_DIAG_BY_FAMILY => self.read_socket(payload, table).map(|()| Progress::More),
            _ => Err(Error::Malformed("a message of an unknown kind")),
        }
    }

    fn read_socket(&self, payload: &[u8], table: &mut SocketTable) -> Result<(), Error> {
        let (socket, attributes) =
            payload.split_first_chunk::<SOCKET>().ok_or(Error::Malformed("the length of a socket"))?;
        if socket[0] != self.family as u8 {
            return Err(Error::Malformed("a socket of another family"));
        }
        let [low, high] = [44, 48].map(|at| u64::from(u32_of(socket, at)));
        let connection = Connection {
            local: self.address(socket, 4, 8),
            peer: self.address(socket, 6, 24),
            cookie: Some(high << 32 | low),
            received: bytes_received(attributes)?,
        };
        let (unacknowledged, held) = (u32_of(socket, 60), u32_of(socket, 68) != 0);
        Entry { state: socket[1], unacknowledged, held, connection }.enter(self.ports, table);
        Ok(())
    }

    /// The port and the address that stand at these places.
    fn address(&self, socket: &[u8; SOCKET], port: usize, address: usize) -> SocketAddr {
        let bytes: [u8; 16] = std::array::from_fn(|index| socket[address + index]);
        let ip = match self.family {
            Family::V4 => IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]),
            Family::V6 => Ipv6Addr::from(bytes).to_canonical(),
        };
        SocketAddr::new(ip, u16::from_be_bytes([socket[port], socket[port + 1]]))
    }
}

/// The program by which the kernel leaves out the sockets of other ports.
///
/// For each port: go on to the next unless it is at least this; and unless it is at most this; else jump to the end.
/// Beyond the end, by one word, is where a socket is refused. A test for equality would need Linux 4.18 or later.
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
        // From the jump, which is the last word of its port's steps; the last port has none.
        let to_end = STEPS * (ports.len() - index - 1);
        let operand = step(0, 0, *port);
        for step in [step(AT_LEAST, 8, 20), operand, step(AT_MOST, 8, 12), operand, step(JUMP, 4, offset(to_end))] {
            program.extend(step);
        }
    }
    // Nothing comes after the last port to jump over.
    program.truncate(program.len().saturating_sub(4));
    program
}

/// An offset of so many bytes; the kernel refuses one that is too large, as it refuses the largest.
fn offset(bytes: usize) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

/// The bytes that `struct tcp_info` among these attributes tells.
fn bytes_received(mut attributes: &[u8]) -> Result<Option<u64>, Error> {
    let mut received = None;
    while !attributes.is_empty() {
        let (attribute, rest) = record(attributes, u16_at(attributes, 0).map(usize::from), 4)
            .ok_or(Error::Malformed("the length of an attribute"))?;
        if u16_at(attribute, 2) == Some(INET_DIAG_INFO) {
            let number = attribute.get(4 + BYTES_RECEIVED..).and_then(|bytes| bytes.first_chunk());
            received = number.map(|bytes| u64::from_ne_bytes(*bytes));
        }
        attributes = rest;
    }
    Ok(received)
}

/// Splits off a record of this length, at least that of its header; the next one begins at a multiple of four.
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

const fn u32_of(socket: &[u8; SOCKET], at: usize) -> u32 {
    u32::from_ne_bytes([socket[at], socket[at + 1], socket[at + 2], socket[at + 3]])
}

#[cfg(test)]
// What was captured is in the byte order of the machine that it was captured on.
#[cfg(target_endian = "little")]
mod tests;
