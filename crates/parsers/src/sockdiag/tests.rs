use proptest::prelude::*;

use super::*;

/// Sockets of IPv4 and of IPv6 as Linux 6.18 lists them, each joined into one datagram.
const INET: &[u8] = include_bytes!("../../fixtures/sockdiag-inet.bin");
const INET6: &[u8] = include_bytes!("../../fixtures/sockdiag-inet6.bin");
/// The requests for them.
const REQUEST_1: DumpRequest = DumpRequest { ports: &[8080, 8081, 9090], with_bytes: true, sequence: 1, port_id: 4711 };
const REQUEST_2: DumpRequest = DumpRequest { sequence: 2, ..REQUEST_1 };
/// Size of the message that ends a response.
const END: usize = 20;

fn read(dump: DumpRequest<'_>, datagram: &[u8]) -> Result<(Progress, SocketTable), Error> {
    let mut table = SocketTable::default();
    Ok((dump.read(datagram, &mut table)?, table))
}

fn rows(table: &SocketTable) -> Vec<(u16, String, Option<u64>)> {
    let row = |it: &Connection| (it.port(), it.peer.to_string(), it.bytes.map(|bytes| bytes.received));
    let mut rows: Vec<_> = table.connections.iter().map(row).collect();
    rows.sort();
    rows
}

/// A message of the response to [`REQUEST_1`].
fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = u32::try_from(HEADER + payload.len()).unwrap().to_ne_bytes().to_vec();
    message.extend([kind.to_ne_bytes(), flags.to_ne_bytes()].concat());
    message.extend([1_u32.to_ne_bytes(), 4711_u32.to_ne_bytes()].concat());
    message.extend(payload);
    message
}

/// A connection to port 8080, followed by these attributes.
fn socket(attributes: &[u8]) -> Vec<u8> {
    let mut payload = vec![0; SOCKET];
    payload[..2].copy_from_slice(&[2, state::ESTABLISHED]);
    payload[4..6].copy_from_slice(&8080_u16.to_be_bytes());
    payload.extend(attributes);
    message(TCPDIAG_GETSOCK, 2, &payload)
}

fn attribute(kind: u16, length: usize, value: &[u8]) -> Vec<u8> {
    [&u16::try_from(length).unwrap().to_ne_bytes(), &kind.to_ne_bytes(), value].concat()
}

fn carried(attributes: &[u8]) -> Result<Option<Bytes>, Error> {
    let (_, table) = read(REQUEST_1, &socket(attributes))?;
    assert_eq!(table.connections.len(), 1);
    Ok(table.connections[0].bytes)
}

#[test]
fn captured_response_is_parsed() {
    let (progress, table) = read(REQUEST_1, INET).unwrap();
    assert_eq!(progress, Progress::Done);
    let client = |port, received| (8080, format!("127.0.0.2:{port}"), Some(received));
    // The second client has sent a FIN, which counts as a byte.
    assert_eq!(rows(&table), [client(40001, 5), client(40002, 1), client(40003, 0)]);
    assert_eq!(table.connections[0].local, "127.0.0.1:8080".parse().unwrap());
    let cookies: std::collections::HashSet<_> = table.connections.iter().filter_map(|it| it.cookie).collect();
    assert_eq!(cookies.len(), 3);
    let mut listening = table.listening;
    listening.sort_unstable();
    assert_eq!(listening, [8080, 8081]);
}

#[test]
fn dual_stack_socket_lists_ipv4_clients_under_ipv6() {
    let (_, table) = read(REQUEST_2, INET6).unwrap();
    let rows = rows(&table);
    assert_eq!(rows, [(9090, "127.0.0.2:40004".into(), Some(1000)), (9090, "[::1]:40005".into(), Some(0))]);
    assert_eq!(table.listening, [9090]);
}

#[test]
fn other_ports_are_ignored_even_if_kernel_sends_them() {
    let (_, table) = read(DumpRequest { ports: &[8081], ..REQUEST_1 }, INET).unwrap();
    assert_eq!((table.connections.len(), table.listening), (0, vec![8081]));
}

#[test]
fn response_without_end_is_not_done() {
    let (progress, table) = read(REQUEST_1, &INET[..INET.len() - END]).unwrap();
    assert_eq!((progress, table.connections.len()), (Progress::More, 3));
}

#[test]
fn datagram_cut_within_message_is_rejected() {
    let boundaries: Vec<usize> = [0, 408, 816, 1224, 1632, 2040].into();
    for cut in (0..INET.len()).filter(|cut| !boundaries.contains(cut)) {
        assert!(read(REQUEST_1, &INET[..cut]).is_err(), "cut at {cut}");
    }
    assert_eq!(read(REQUEST_1, &[]), Err(Error::Malformed("empty datagram")));
}

#[test]
fn empty_list_that_ends_with_error_is_not_zero() {
    let end = |number: i32| read(REQUEST_1, &message(NLMSG_DONE, 2, &number.to_ne_bytes()));
    assert_eq!(end(-2), Err(Error::Kernel(2)));
    assert_eq!(end(i32::MIN), Err(Error::Kernel(i32::MAX)));
    assert_eq!(end(0).unwrap().0, Progress::Done);
    assert!(matches!(read(REQUEST_1, &message(NLMSG_DONE, 2, &[])), Err(Error::Malformed(_))));
}

#[test]
fn kernel_error_is_returned() {
    let error = |payload: &[u8]| read(REQUEST_1, &message(NLMSG_ERROR, 0, payload)).unwrap_err();
    assert_eq!(error(&[(-22_i32).to_ne_bytes().as_slice(), &INET[..HEADER]].concat()), Error::Kernel(22));
    assert!(matches!(error(&0_i32.to_ne_bytes()), Error::Malformed(_)));
    assert!(matches!(error(&[255]), Error::Malformed(_)));
}

#[test]
fn interrupted_dump_is_rejected_even_at_its_end() {
    for kind in [NLMSG_DONE, NLMSG_NOOP, TCPDIAG_GETSOCK] {
        assert_eq!(read(REQUEST_1, &message(kind, 2 | NLM_F_DUMP_INTR, &[0; SOCKET])), Err(Error::Interrupted));
    }
    assert_eq!(read(REQUEST_1, &message(NLMSG_OVERRUN, 0, &[])), Err(Error::Overrun));
}

#[test]
fn response_to_another_request_is_rejected() {
    assert_eq!(read(DumpRequest { sequence: 2, ..REQUEST_1 }, INET), Err(Error::Mismatched));
    assert_eq!(read(DumpRequest { port_id: 4712, ..REQUEST_1 }, INET), Err(Error::Mismatched));
    let mut unix_socket = socket(&[]);
    unix_socket[HEADER] = 1;
    assert_eq!(read(REQUEST_1, &unix_socket), Err(Error::Malformed("socket of another family")));
    assert!(matches!(read(REQUEST_1, &message(21, 2, &[0; SOCKET])), Err(Error::Malformed(_))));
}

#[test]
fn wrong_lengths_are_rejected() {
    for length in [0, 1, 15, 21, 24, u32::MAX] {
        let mut end = message(NLMSG_DONE, 2, &[0; 4]);
        end[..4].copy_from_slice(&length.to_ne_bytes());
        assert!(read(REQUEST_1, &end).is_err(), "{length}");
    }
    assert!(read(REQUEST_1, &message(TCPDIAG_GETSOCK, 2, &[2; SOCKET - 1])).is_err());
    for length in [0, 3, 9, 65535] {
        assert!(carried(&attribute(8, length, &[0; 4])).is_err(), "{length}");
    }
    assert!(carried(&[4]).is_err());
    let two_ends = message(NLMSG_DONE, 2, &[0; 4]).repeat(2);
    assert_eq!(read(REQUEST_1, &two_ends), Err(Error::Malformed("data after the end")));
}

#[test]
fn tcp_info_of_any_kernel_version_is_parsed() {
    let info = |length: usize| {
        let mut info = vec![0; length];
        if let Some(field) = info.get_mut(BYTES_RECEIVED..BYTES_RECEIVED + 8) {
            field.copy_from_slice(&0x1_0000_0007_u64.to_ne_bytes());
        }
        if let Some(field) = info.get_mut(BYTES_ACKED..BYTES_ACKED + 8) {
            field.copy_from_slice(&0x2_0000_0009_u64.to_ne_bytes());
        }
        attribute(INET_DIAG_INFO, 4 + length, &info)
    };
    for too_short in [104, 128, 135] {
        assert_eq!(carried(&info(too_short)), Ok(None));
    }
    for length in [136, 280, 1000] {
        assert_eq!(carried(&info(length)), Ok(Some(Bytes { received: 0x1_0000_0007, sent: 0x2_0000_0009 })));
    }
}

#[test]
fn cookie_has_low_word_first() {
    let mut message = socket(&[]);
    message[HEADER + 44..HEADER + 52].copy_from_slice(&[1, 0, 0, 0, 2, 0, 0, 0]);
    let (_, table) = read(REQUEST_1, &message).unwrap();
    assert_eq!(table.connections[0].cookie, Some(0x2_0000_0001));
}

#[test]
fn unknown_attributes_are_ignored() {
    // The first is padded to a multiple of four, the last is not.
    let unknown = [attribute(77, 5, &[1, 0, 0, 0]), attribute(8, 5, &[1])].concat();
    assert_eq!(carried(&unknown), Ok(None));
    assert_eq!(carried(&[]), Ok(None));
}

#[test]
fn bytes_are_requested_only_if_wanted() {
    assert_eq!(REQUEST_1.request()[HEADER..HEADER + 4], [0, 0, 0, 2]);
    assert_eq!(DumpRequest { with_bytes: false, ..REQUEST_2 }.request()[HEADER..HEADER + 4], [0; 4]);
}

#[test]
fn request_has_length_sequence_port_id_and_filter() {
    let request = REQUEST_2.request();
    assert_eq!(u32_at(&request, 0), u32::try_from(request.len()).ok());
    assert_eq!((u16_at(&request, 4), u16_at(&request, 6)), (Some(18), Some(0x301)));
    assert_eq!((u32_at(&request, 8), u32_at(&request, 12)), (Some(2), Some(4711)));
    assert_eq!(u32_at(&request, HEADER + REQUEST_STATES), Some(0b1111_0011_0010));
    assert_eq!(u16_at(&request, HEADER + REQUEST), u16::try_from(request.len() - HEADER - REQUEST).ok());
}

/// Checks the program like `inet_diag_bc_audit`, and runs it like `inet_diag_bc_run`.
fn accepts(program: &[u8], port: u16) -> bool {
    let mut at = 0;
    while at < program.len() {
        let (code, yes) = (program[at], usize::from(program[at + 1]));
        let no = usize::from(u16_at(program, at + 2).unwrap());
        let min = if code == 1 { 4 } else { 8 };
        assert!(yes >= min && no >= min && at + no.max(yes) <= program.len() + 4);
        let passes = match code {
            1 => false,
            2 => port >= u16_at(program, at + 6).unwrap(),
            3 => port <= u16_at(program, at + 6).unwrap(),
            _ => panic!("unknown code: {code}"),
        };
        at += if passes { yes } else { no };
    }
    at == program.len()
}

proptest! {
    #[test]
    fn filter_accepts_exactly_the_requested_ports(
        ports in prop::collection::vec(any::<u16>(), 1..300), other in any::<u16>()
    ) {
        let program = filter(&ports);
        for port in &ports {
            prop_assert!(accepts(&program, *port));
        }
        for near in [other, ports[0].wrapping_add(1), ports[0].wrapping_sub(1)] {
            prop_assert_eq!(accepts(&program, near), ports.contains(&near));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(REQUEST_1, &bytes);
        let _ = read(REQUEST_1, &socket(&bytes));
        let _ = read(REQUEST_1, &message(TCPDIAG_GETSOCK, 2, &bytes));
    }

    #[test]
    fn no_corrupted_response_panics(place in 0..INET.len(), bits in any::<u8>(), cut in 0..=INET.len()) {
        let mut corrupted = INET.to_vec();
        corrupted[place] ^= bits;
        let _ = read(REQUEST_1, &corrupted);
        let _ = read(REQUEST_1, &corrupted[..cut]);
    }
}
