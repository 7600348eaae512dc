//! Slots for connections: a fixed number may be open at once, and no client can keep others out.
//!
//! If a client connects while all slots are taken, one connection is evicted. It is chosen from the address with the most
//! connections, so that one host, or a few, cannot take every slot. The longest idle of these connections is closed, or if
//! none is idle, the connection that was held last.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How many held connections an address may have beyond those of an idle client's address, before one of them is evicted
/// instead of the idle client: a pod has few hooks.
const MAX_HELD_PER_ADDRESS: usize = 8;

/// The connections that may be open at once.
#[derive(Clone, Debug)]
pub struct ConnectionSlots {
    count: u32,
    free: Arc<Semaphore>,
    clients: Arc<Mutex<Clients>>,
    /// Notified when a client changes its state: the evicted client may stay after all, or another may be evicted now.
    changed: Arc<Notify>,
}

/// The connected clients.
#[derive(Debug, Default)]
struct Clients {
    /// In the order of their last state changes.
    by_last_change: Vec<Client>,
    /// How many of them there are per address. No count is zero.
    per_address: HashMap<IpAddr, usize>,
    next_id: u64,
}

/// One connection.
#[derive(Debug)]
struct Client {
    id: u64,
    address: IpAddr,
    state: ClientState,
    evict: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientState {
    /// Has no request in progress.
    Idle,
    /// Waits for a response that comes at once.
    Responding,
    /// Is held until the drain is over.
    Held,
    /// Must close its connection.
    Evicting,
}

/// The slot of one connection. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: ConnectionSlots,
    id: u64,
    evict: Arc<Notify>,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionSlots {
    /// This many slots.
    #[must_use]
    pub fn new(count: u32) -> Self {
        let free = Arc::new(Semaphore::new(count as usize));
        Self { count, free, clients: Arc::default(), changed: Arc::default() }
    }

    /// Waits until every connection is closed, so that responses in progress are sent; for at most `timeout`.
    pub async fn wait_until_free(&self, timeout: Duration) {
        drop(tokio::time::timeout(timeout, self.free.acquire_many(self.count)).await);
    }

    /// Waits for a slot for a client from `address`, and evicts another client if all are taken. `None` if the server
    /// is shutting down.
    pub(super) async fn acquire(&self, address: IpAddr) -> Option<Slot> {
        let permit = loop {
            if self.free.available_permits() == 0 {
                self.clients().evict_one();
            }
            tokio::select! {
                biased;
                permit = Arc::clone(&self.free).acquire_owned() => break permit.ok()?,
                () = self.changed.notified() => {}
            }
        };
        let (id, evict) = self.clients().register(address.to_canonical());
        Some(Slot { slots: self.clone(), id, evict, _permit: permit })
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clients {
    /// Adds an idle client. `Notify` wakes it when it is evicted.
    fn register(&mut self, address: IpAddr) -> (u64, Arc<Notify>) {
        let (id, evict) = (self.next_id, Arc::new(Notify::new()));
        self.next_id += 1;
        *self.per_address.entry(address).or_default() += 1;
        self.by_last_change.push(Client { id, address, state: ClientState::Idle, evict: Arc::clone(&evict) });
        (id, evict)
    }

    fn unregister(&mut self, id: u64) {
        let Some(index) = self.position(id) else { return };
        let Client { address, .. } = self.by_last_change.remove(index);
        let count = self.connections_of(address).saturating_sub(1);
        if count == 0 {
            self.per_address.remove(&address);
        } else {
            self.per_address.insert(address, count);
        }
    }

    /// Sets a client's state, and makes it the last one that changed.
    fn set_state(&mut self, id: u64, state: ClientState) {
        if let Some(index) = self.position(id) {
            let client = self.by_last_change.remove(index);
            self.by_last_change.push(Client { state, ..client });
        }
    }

    /// Evicts a client, unless one is being evicted already.
    fn evict_one(&mut self) {
        if self.by_last_change.iter().all(|client| client.state != ClientState::Evicting)
            && let Some(index) = self.eviction_candidate()
        {
            let client = &mut self.by_last_change[index];
            client.state = ClientState::Evicting;
            client.evict.notify_one();
        }
    }

    /// The index of the client to evict.
    fn eviction_candidate(&self) -> Option<usize> {
        let clients = &self.by_last_change;
        let with_state = |state| (0..clients.len()).filter(move |index| clients[*index].state == state);
        let connections = |index: &usize| self.connections_of(clients[*index].address);
        // `max_by_key` returns the last of several equal ones.
        let idle = with_state(ClientState::Idle).rev().max_by_key(connections);
        let held = with_state(ClientState::Held).max_by_key(connections);
        match (idle, held) {
            (Some(idle), Some(held))
                if connections(&held).saturating_sub(MAX_HELD_PER_ADDRESS) > connections(&idle) =>
            {
                Some(held)
            }
            (idle, held) => idle.or(held),
        }
    }

    fn connections_of(&self, address: IpAddr) -> usize {
        self.per_address.get(&address).copied().unwrap_or_default()
    }

    fn position(&self, id: u64) -> Option<usize> {
        self.by_last_change.iter().position(|client| client.id == id)
    }
}

impl Slot {
    /// The client has no request in progress.
    pub(super) fn mark_idle(&self) {
        self.set_state(ClientState::Idle);
    }

    /// The client has sent a request, and is not evicted before its response.
    pub(super) fn mark_responding(&self) {
        self.set_state(ClientState::Responding);
    }

    /// The client is held until the drain is over.
    pub(super) fn mark_held(&self) {
        self.set_state(ClientState::Held);
    }

    fn set_state(&self, state: ClientState) {
        self.slots.clients().set_state(self.id, state);
        self.slots.changed.notify_one();
    }

    /// Waits until the client is evicted. A client that sends a request in the meantime stays.
    pub(super) async fn evicted(&self) {
        loop {
            self.evict.notified().await;
            let clients = self.slots.clients();
            let client = clients.position(self.id).map(|index| &clients.by_last_change[index]);
            if client.is_some_and(|client| client.state == ClientState::Evicting) {
                return;
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.clients().unregister(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ClientState::{Evicting, Held, Idle, Responding};

    /// The candidate among clients with these last bytes of their addresses, and these states.
    fn candidate(clients: &[(u8, ClientState)]) -> Option<usize> {
        let mut registered = Clients::default();
        for (last_byte, state) in clients {
            let (id, _) = registered.register(IpAddr::from([10, 0, 0, *last_byte]));
            registered.set_state(id, *state);
        }
        registered.eviction_candidate()
    }

    #[test]
    fn evicts_longest_idle_client_of_busiest_address() {
        assert_eq!(candidate(&[(1, Idle), (2, Idle), (3, Idle)]), Some(0));
        assert_eq!(candidate(&[(1, Idle), (2, Idle), (2, Idle)]), Some(1));
        assert_eq!(candidate(&[(1, Idle), (2, Responding), (2, Idle), (2, Idle)]), Some(2));
        assert_eq!(candidate(&[(1, Idle), (1, Idle), (2, Evicting), (2, Responding), (2, Responding)]), Some(0));
    }

    #[test]
    fn few_held_clients_stay_while_any_client_is_idle() {
        let mut clients = vec![(1, Held); 8];
        clients.push((2, Idle));
        assert_eq!(candidate(&clients), Some(8));
        clients.splice(0..0, [(1, Held); 2]);
        assert_eq!(candidate(&clients), Some(9), "the one that was held last");
    }

    #[test]
    fn evicts_held_client_only_if_none_is_idle() {
        assert_eq!(candidate(&[(1, Held), (2, Held), (2, Held), (3, Responding)]), Some(2));
        assert_eq!(candidate(&[(1, Responding), (2, Evicting)]), None);
        assert_eq!(candidate(&[]), None);
    }

    #[test]
    fn ipv4_mapped_addresses_count_as_ipv4_and_are_forgotten() {
        let slots = ConnectionSlots::new(9);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let acquire = |address: &str| runtime.block_on(slots.acquire(address.parse().unwrap())).unwrap();
        let mut acquired = vec![acquire("10.0.0.1"), acquire("::ffff:10.0.0.1"), acquire("10.0.0.2")];
        let connections = |address: [u8; 4]| slots.clients().connections_of(IpAddr::from(address));
        assert_eq!([connections([10, 0, 0, 1]), connections([10, 0, 0, 2])], [2, 1]);
        acquired.remove(0);
        assert_eq!([connections([10, 0, 0, 1]), connections([10, 0, 0, 2])], [1, 1]);
        drop(acquired);
        assert!(slots.clients().by_last_change.is_empty());
        assert!(slots.clients().per_address.is_empty());
    }
}
