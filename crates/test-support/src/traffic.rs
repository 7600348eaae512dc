//! Connections that carry so many bytes a second, and what the kernel's table shows of them.

#![allow(dead_code, reason = "scripts know the truth, and histories ask for it")]

use std::time::Duration;

use lameduck_machine::socket_table::{Connection, SocketTable};
use lameduck_machine::time::Time;

/// The port that they are on.
pub const PORT: u16 = 8080;
/// From this rate on, in bytes a second, a connection works.
pub const WORK: u64 = 256;

/// One connection.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    cookie: u64,
    rate: u64,
    /// Thousandths of a byte that have come so far.
    received: u128,
    /// Since when it has been at a rate that is work.
    busy: Option<Time>,
    /// When a second of work ended last.
    worked: Option<Time>,
}

/// All of them.
#[derive(Clone, Debug)]
pub struct Traffic {
    pub flows: Vec<Flow>,
    cookies: u64,
    now: Time,
    pub listening: bool,
}

impl Flow {
    fn take(&mut self, rate: u64, now: Time) {
        self.rate = rate;
        self.busy = if rate >= WORK { self.busy.or(Some(now)) } else { None };
    }
}

impl Traffic {
    pub fn begin(now: Time) -> Self {
        Self { flows: Vec::new(), cookies: 0, now, listening: true }
    }

    /// From now on there are just these connections, at these rates; those that were there before stay themselves.
    pub fn carry(&mut self, now: Time, rates: &[u64]) {
        self.pass(now);
        self.flows.truncate(rates.len());
        for (at, rate) in rates.iter().enumerate() {
            match self.flows.get_mut(at) {
                Some(flow) => flow.take(*rate, now),
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
            busy: (rate >= WORK).then_some(self.now),
            worked: None,
        });
    }

    /// Lets time pass.
    pub fn pass(&mut self, now: Time) {
        let millis = now.since(self.now).as_millis();
        for flow in &mut self.flows {
            flow.received += u128::from(flow.rate) * millis;
            if flow.busy.is_some_and(|busy| now.since(busy) >= Duration::from_secs(1)) {
                flow.worked = Some(now);
            }
        }
        self.now = now;
    }

    /// When one of those that are open worked last.
    pub fn worked(&self) -> Option<Time> {
        self.flows.iter().filter_map(|flow| flow.worked).max()
    }

    /// What the kernel's table shows now.
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
