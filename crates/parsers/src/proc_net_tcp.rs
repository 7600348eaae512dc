//! The lines of `/proc/net/tcp` and `/proc/net/tcp6` (proc(5); Linux, `Documentation/networking/proc_net_tcp.rst`).
//!
//! They contain neither cookies nor byte counts. While sockets open and close, the files may list a socket twice or
//! omit it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::tcp::Entry;
use lameduck_machine::socket_table::{Connection, SocketTable};

/// A line that the kernel would not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed line")
    }
}

/// Returns whether this is the header, which is the first line.
#[must_use]
pub fn is_header(line: &str) -> bool {
    line.trim_start().starts_with("sl ") && line.contains("local_address")
}

/// Parses one line, including its newline, and adds the socket to the table if its local port is one of `ports`.
///
/// # Errors
/// Fails if the line is truncated or malformed.
pub fn read_line(line: &str, ports: &[u16], table: &mut SocketTable) -> Result<(), Malformed> {
    let fields = line.strip_suffix('\n').ok_or(Malformed)?.split_ascii_whitespace();
    entry(fields).ok_or(Malformed)?.insert_into(table, ports);
    Ok(())
}

fn entry<'a>(mut fields: impl Iterator<Item = &'a str>) -> Option<Entry> {
    let local = address(fields.nth(1)?)?;
    let peer = address(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let (unacknowledged, _) = fields.next()?.split_once(':')?;
    let unacknowledged = u32::from_str_radix(unacknowledged, 16).ok()?;
    // The inode is the last field that every kernel version writes.
    let has_inode = fields.nth(4)?.parse::<u64>().ok()? != 0;
    Some(Entry { state, unacknowledged, has_inode, connection: Connection { local, peer, cookie: None, bytes: None } })
}

/// Parses an address such as `0100007F:1F90`: words in network byte order, each printed as a number of this machine.
fn address(field: &str) -> Option<SocketAddr> {
    let (address, port) = field.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match address.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let mut bytes = [0; 16];
            for (index, bytes) in bytes.chunks_exact_mut(4).enumerate() {
                bytes.copy_from_slice(&word(index * 8)?);
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LISTENER: &str = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 \
        4711 1 0000000000000000 100 0 0 10 0                     \n";
    const OPEN: &str = "   1: 0100007F:1F90 0200007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 \
        4712 1 0000000000000000 20 4 30 10 -1                    \n";
    const MAPPED: &str = "   2: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000200007F:9C41 08 \
        00000000:00000000 00:00000000 00000000  1000        0 4713 1 0000000000000000 20 4 30 10 -1\n";
    const SIX: &str = "   3: 00000000000000000000000001000000:1F90 B80D0120000000000000000001000000:9C42 04 \
        00000002:00000000 00:00000000 00000000  1000        0 4714 1 0000000000000000 20 4 30 10 -1\n";

    fn read(lines: &[&str], ports: &[u16]) -> Result<SocketTable, Malformed> {
        let mut table = SocketTable::default();
        lines.iter().try_for_each(|line| read_line(line, ports, &mut table)).map(|()| table)
    }

    fn peers(table: &SocketTable) -> Vec<String> {
        table.connections.iter().map(|connection| connection.peer.to_string()).collect()
    }

    #[test]
    fn parses_connections_and_listeners_of_both_families() {
        let table = read(&[LISTENER, OPEN, MAPPED, SIX], &[8080]).unwrap();
        assert_eq!(peers(&table), ["127.0.0.2:40000", "127.0.0.2:40001", "[2001:db8::1]:40002"]);
        assert_eq!(table.listening, [8080]);
        assert_eq!(table.connections[1].local, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(table.connections[2].local, "[::1]:8080".parse().unwrap());
        assert_eq!((table.connections[0].cookie, table.connections[0].bytes), (None, None));
    }

    #[test]
    fn unacknowledged_fin_alone_is_not_a_stream() {
        let line = SIX.replace("00000002:", "00000001:");
        assert_eq!(peers(&read(&[&line.replace("4714", "0")], &[8080]).unwrap()).len(), 0);
        // A process still holds this socket and has only closed its sending side.
        assert_eq!(peers(&read(&[&line], &[8080]).unwrap()).len(), 1);
    }

    #[test]
    fn other_ports_are_ignored() {
        assert_eq!(read(&[LISTENER, OPEN], &[40000, 80]), Ok(SocketTable::default()));
    }

    #[test]
    fn truncated_lines_are_rejected() {
        for line in [LISTENER, OPEN, MAPPED, SIX] {
            for end in 0..line.len() {
                assert_eq!(read(&[&line[..end]], &[8080]), Err(Malformed), "{}", &line[..end]);
            }
        }
    }

    #[test]
    fn malformed_lines_are_rejected() {
        let others = ["\n".to_owned(), OPEN.replace(":1F90", ":1F90F"), OPEN.replace("0100007F", "0100007")];
        for line in others.iter().chain(&[OPEN.replace(" 01 ", " XX "), OPEN.replace("4712", "-")]) {
            assert_eq!(read(&[line], &[8080]), Err(Malformed), "{line}");
        }
    }

    #[test]
    fn header_is_recognized() {
        assert!(is_header("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"));
        assert!(is_header("  sl  local_address                         remote_address                        st\n"));
        assert!(!is_header(OPEN) && !is_header(""));
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "\\PC*\n?", position in any::<prop::sample::Index>(), letter in any::<char>()) {
            let _ = read(&[&line], &[8080]);
            let mut changed: Vec<char> = MAPPED.chars().collect();
            let index = position.index(changed.len());
            changed[index] = letter;
            let _ = read(&[&changed.into_iter().collect::<String>()], &[8080]);
        }
    }
}
