//! A port of the target's that the test serves itself: connections come, carry bytes and go, as the test wants it.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often a flow sends.
const STEP: Duration = Duration::from_millis(100);

/// The port.
pub struct Port {
    listener: TcpListener,
}

/// One connection, both of whose ends the test holds.
pub struct Wire {
    client: TcpStream,
    server: Option<TcpStream>,
    flows: Arc<AtomicBool>,
}

impl Port {
    pub fn new(address: &str) -> Option<Self> {
        TcpListener::bind(address).ok().map(|listener| Self { listener })
    }

    pub fn number(&self) -> u16 {
        self.listener.local_addr().expect("it listens").port()
    }

    /// A connection to this port by way of that address.
    pub fn connect_by(&self, host: &str) -> Wire {
        let address: SocketAddr = format!("{host}:{}", self.number()).parse().expect("an address");
        let client = TcpStream::connect(address).expect("it listens");
        let (server, _) = self.listener.accept().expect("somebody has connected");
        Wire { client, server: Some(server), flows: Arc::new(AtomicBool::new(true)) }
    }

    pub fn connect(&self) -> Wire {
        self.connect_by("127.0.0.1")
    }

    /// Takes no more; what is connected stays.
    pub fn close(self) {
        drop(self.listener);
    }
}

impl Wire {
    /// Sends so many bytes a second to the target from now on.
    pub fn carrying(self, rate: usize) -> Self {
        let (flows, mut client) = (Arc::clone(&self.flows), self.client.try_clone().expect("a descriptor"));
        thread::spawn(move || {
            let bytes = vec![0; rate.div_ceil(10)];
            while flows.load(Ordering::Relaxed) && client.write_all(&bytes).is_ok() {
                thread::sleep(STEP);
            }
        });
        self
    }

    /// The client leaves; the target has not closed its end.
    pub fn client_leaves(&self) {
        self.flows.store(false, Ordering::Relaxed);
        self.client.shutdown(std::net::Shutdown::Both).expect("it is connected");
    }

    /// The target closes its end, too.
    pub fn target_closes(&mut self) {
        self.server = None;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.flows.store(false, Ordering::Relaxed);
    }
}
