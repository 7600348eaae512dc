//! Simulated connections with constant data rates, and what the kernel's socket table shows of them.

use std::time::Duration;

use lameduck_machine::activity::WorkDirection;
use lameduck_machine::socket_table::{Bytes, Connection, SocketTable};
use lameduck_machine::time::Time;

/// The local port of all simulated connections.
pub const PORT: u16 = 8080;
/// The least rate of an active connection, in bytes a second.
pub const ACTIVE_RATE: u64 = 256;

/// One connection with a constant data rate.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    cookie: u64,
    /// Bytes a second.
    rate: u64,
    /// Thousandths of a byte.
    carried: u128,
    /// Since when the rate has been at least [`ACTIVE_RATE`].
    active_since: Option<Time>,
    /// The last instant at which the connection had been active for at least a second.
    last_active: Option<Time>,
}

/// All connections to the target, and whether it listens.
#[derive(Clone, Debug)]
pub struct Traffic {
    pub flows: Vec<Flow>,
    /// The cookie of each connection of a health check, and when it is closed.
    checks: Vec<(u64, Time)>,
    last_cookie: u64,
    now: Time,
    direction: WorkDirection,
    pub listening: bool,
}

impl Flow {
    fn set_rate(&mut self, rate: u64, now: Time) {
        self.rate = rate;
        self.active_since = if rate >= ACTIVE_RATE { self.active_since.or(Some(now)) } else { None };
    }
}

impl Traffic {
    /// No connections, and a listener.
    pub fn new(now: Time) -> Self {
        Self {
            flows: Vec::new(),
            checks: Vec::new(),
            last_cookie: 0,
            now,
            direction: WorkDirection::Received,
            listening: true,
        }
    }

    /// The same, with connections that carry their bytes in this direction; with [`WorkDirection::Either`], from the
    /// target.
    #[must_use]
    pub fn in_direction(mut self, direction: WorkDirection) -> Self {
        self.direction = direction;
        self
    }

    /// From now on exactly these connections are open, at these rates. Connections that stay open keep their cookies.
    pub fn set_rates(&mut self, now: Time, rates: &[u64]) {
        self.advance(now);
        self.flows.truncate(rates.len());
        for (index, rate) in rates.iter().enumerate() {
            match self.flows.get_mut(index) {
                Some(flow) => flow.set_rate(*rate, now),
                None => self.open(*rate),
            }
        }
    }

    /// A health check connects now, and disconnects at this instant.
    pub fn connect_until(&mut self, closes_at: Time) {
        self.last_cookie += 1;
        self.checks.push((self.last_cookie, closes_at));
    }

    fn open(&mut self, rate: u64) {
        self.last_cookie += 1;
        self.flows.push(Flow {
            cookie: self.last_cookie,
            rate,
            carried: 0,
            active_since: (rate >= ACTIVE_RATE).then_some(self.now),
            last_active: None,
        });
    }

    /// Lets time pass up to this instant.
    pub fn advance(&mut self, now: Time) {
        let millis = now.since(self.now).as_millis();
        for flow in &mut self.flows {
            flow.carried += u128::from(flow.rate) * millis;
            if flow.active_since.is_some_and(|since| now.since(since) >= Duration::from_secs(1)) {
                flow.last_active = Some(now);
            }
        }
        self.checks.retain(|(_, closes_at)| *closes_at > now);
        self.now = now;
    }

    /// When any of the open connections was last active.
    pub fn last_active(&self) -> Option<Time> {
        self.flows.iter().filter_map(|flow| flow.last_active).max()
    }

    /// The socket table at this instant.
    pub fn table(&mut self, now: Time) -> SocketTable {
        self.advance(now);
        let bytes = |flow: &Flow| {
            let carried = u64::try_from(flow.carried / 1000).ok()?;
            Some(match self.direction {
                WorkDirection::Received => Bytes { received: carried, sent: 0 },
                WorkDirection::Sent | WorkDirection::Either => Bytes { received: 0, sent: carried },
            })
        };
        let connection = |cookie, bytes| Connection {
            local: ([127, 0, 0, 1], PORT).into(),
            peer: ([127, 0, 0, 1], 1024).into(),
            cookie: Some(cookie),
            bytes,
        };
        let flows = self.flows.iter().map(|flow| connection(flow.cookie, bytes(flow)));
        let checks = self.checks.iter().map(|(cookie, _)| connection(*cookie, Some(Bytes::default())));
        SocketTable {
            connections: flows.chain(checks).collect(),
            listening: self.listening.then_some(PORT).into_iter().collect(),
            fallback: None,
        }
    }
}
