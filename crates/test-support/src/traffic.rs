//! Simulated connections with constant data rates, and what the kernel's socket table shows of them.

use std::time::Duration;

use lameduck_machine::socket_table::{Connection, SocketTable};
use lameduck_machine::time::Time;

/// The local port of all connections.
pub const PORT: u16 = 8080;
/// The rate in bytes per second from which a connection is active.
pub const ACTIVE_RATE: u64 = 256;

/// One connection.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    cookie: u64,
    rate: u64,
    /// The received thousandths of a byte.
    received: u128,
    /// Since when its rate has counted as active.
    active_since: Option<Time>,
    /// When the last full second of activity ended.
    last_active: Option<Time>,
}

/// All connections.
#[derive(Clone, Debug)]
pub struct Traffic {
    pub flows: Vec<Flow>,
    cookies: u64,
    now: Time,
    pub listening: bool,
}

impl Flow {
    fn set_rate(&mut self, rate: u64, now: Time) {
        self.rate = rate;
        self.active_since = if rate >= ACTIVE_RATE { self.active_since.or(Some(now)) } else { None };
    }
}

impl Traffic {
    pub fn begin(now: Time) -> Self {
        Self { flows: Vec::new(), cookies: 0, now, listening: true }
    }

    /// Opens and closes connections so that there is one for each of these rates. Open ones keep their identity.
    pub fn carry(&mut self, now: Time, rates: &[u64]) {
        self.pass(now);
        self.flows.truncate(rates.len());
        for (at, rate) in rates.iter().enumerate() {
            match self.flows.get_mut(at) {
                Some(flow) => flow.set_rate(*rate, now),
                None => self.open(*rate),
            }
        }
    }

    fn open(&mut self, rate: u64) {
        self.cookies += 1;
        self.flows.push(Flow {
            cookie: self.cookies,
            rate,
            received: 0,
            active_since: (rate >= ACTIVE_RATE).then_some(self.now),
            last_active: None,
        });
    }

    /// Advances the time.
    pub fn pass(&mut self, now: Time) {
        let millis = now.since(self.now).as_millis();
        for flow in &mut self.flows {
            flow.received += u128::from(flow.rate) * millis;
            if flow.active_since.is_some_and(|since| now.since(since) >= Duration::from_secs(1)) {
                flow.last_active = Some(now);
            }
        }
        self.now = now;
    }

    /// When one of the open connections was last active.
    pub fn last_active(&self) -> Option<Time> {
        self.flows.iter().filter_map(|flow| flow.last_active).max()
    }

    /// The socket table now.
    pub fn table(&mut self, now: Time) -> SocketTable {
        self.pass(now);
        let connection = |flow: &Flow| Connection {
            local: ([127, 0, 0, 1], PORT).into(),
            peer: ([127, 0, 0, 1], 1024).into(),
            cookie: Some(flow.cookie),
            received: u64::try_from(flow.received / 1000).ok(),
        };
        SocketTable {
            connections: self.flows.iter().map(connection).collect(),
            listening: self.listening.then_some(PORT).into_iter().collect(),
            fallback: None,
        }
    }
}
