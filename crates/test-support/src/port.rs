//! A listening port in the test process, and connections to it whose bytes the test controls.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

/// The time between two writes of a connection that sends.
const SEND_INTERVAL: Duration = Duration::from_millis(100);

/// A listening port.
pub struct Port {
    listener: TcpListener,
}

/// A port of 127.0.0.1 on which nothing listens. The kernel gives it to no other process as long as this exists.
pub struct ClosedPort(OwnedFd);

/// An established connection, both ends of which the test holds.
pub struct Connection {
    client: TcpStream,
    server: Option<TcpStream>,
    sends: Arc<AtomicBool>,
}

impl Port {
    /// Listens on a free port of 127.0.0.1.
    pub fn open() -> Self {
        Self::open_on("127.0.0.1:0")
    }

    /// Listens on this address.
    pub fn open_on(address: &str) -> Self {
        Self { listener: TcpListener::bind(address).expect("this machine has the address") }
    }

    pub fn number(&self) -> u16 {
        self.listener.local_addr().expect("a listener has an address").port()
    }

    pub fn connect(&self) -> Connection {
        self.connect_to("127.0.0.1")
    }

    /// A connection to this port on that host address.
    pub fn connect_to(&self, host: &str) -> Connection {
        let address: SocketAddr = format!("{host}:{}", self.number()).parse().expect("an address");
        let client = TcpStream::connect(address).expect("the port listens");
        let (server, _) = self.listener.accept().expect("the client has connected");
        Connection { client, server: Some(server), sends: Arc::new(AtomicBool::new(true)) }
    }

    /// Stops listening; established connections stay.
    pub fn close(self) {
        drop(self.listener);
    }
}

impl ClosedPort {
    pub fn open() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port is free");
        Self(socket)
    }

    pub fn number(&self) -> u16 {
        let address = getsockname(&self.0).expect("it is bound");
        SocketAddr::try_from(address).expect("an IP address").port()
    }
}

impl Connection {
    /// From now on, sends this many bytes per second to the server's end.
    #[must_use]
    pub fn sending(self, rate: usize) -> Self {
        self.write_at_rate(&self.client, rate);
        self
    }

    /// From now on, the server's end sends this many bytes per second to the client.
    #[must_use]
    pub fn receiving(self, rate: usize) -> Self {
        self.write_at_rate(self.server.as_ref().expect("the server's end is open"), rate);
        self
    }

    fn write_at_rate(&self, end: &TcpStream, rate: usize) {
        let (sends, mut end) = (Arc::clone(&self.sends), end.try_clone().expect("a descriptor"));
        thread::spawn(move || {
            let bytes = vec![0; rate.div_ceil(10)];
            while sends.load(Ordering::Relaxed) && end.write_all(&bytes).is_ok() {
                thread::sleep(SEND_INTERVAL);
            }
        });
    }

    /// Shuts the client's end down; the server's end stays open.
    pub fn shut_down_client(&self) {
        self.sends.store(false, Ordering::Relaxed);
        self.client.shutdown(std::net::Shutdown::Both).expect("the client is connected");
    }

    /// Closes the server's end as well.
    pub fn close_server(&mut self) {
        self.server = None;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.sends.store(false, Ordering::Relaxed);
    }
}
