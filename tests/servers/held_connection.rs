//! A server that waits for its last connection before it exits: an idle connection delays that. So lameduck keeps none
//! during a drain, which the scenario with the same server shows.

use std::io::{Read, Write};
use std::net::TcpStream;

use lameduck_test_support::process::wait_until;
use nix::sys::signal::Signal;

use crate::node;
use crate::server::Server;

/// Checks that a client's idle connection keeps the server alive after the signal.
///
/// # Panics
/// Panics if it does not.
pub(crate) fn delays_exit() {
    let (program, way) = node::WAITING;
    let server = Server::start(&program, way, false);
    let mut held = TcpStream::connect(("127.0.0.1", server.port)).expect("the server listens");
    assert!(request(&mut held).contains("open_streams 0"));
    server.send(Signal::SIGINT);
    wait_until(|| TcpStream::connect(("127.0.0.1", server.port)).is_err());
    // It still serves this connection, although it has no stream.
    assert!(request(&mut held).contains("open_streams 0"), "the server ended");
    drop(held);
    server.wait_until_ended();
    println!("     ok  an idle connection delays the exit of a server that waits for all connections");
}

/// Requests the page over this connection; the response up to the end of the page.
fn request(connection: &mut TcpStream) -> String {
    connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("the connection is open");
    let mut response = Vec::new();
    let mut part = [0; 1024];
    while !response.ends_with(b"\n0\r\n\r\n") && !response.ends_with(b" 0\n") {
        let length = connection.read(&mut part).expect("the server answers");
        if length == 0 {
            break;
        }
        response.extend_from_slice(&part[..length]);
    }
    String::from_utf8_lossy(&response).into_owned()
}
