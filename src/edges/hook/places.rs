//! Places for connections: there are only so many, and neither held callers nor silent ones take them from others.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How many connections may be open at once beside those of held callers; more wait to be accepted.
const CONNECTIONS: usize = 256;
/// How many held callers do not count as such connections. With the above this stays below 1024, a usual limit of
/// descriptors.
const HELD: usize = 512;

/// The connections that may be open at once.
#[derive(Clone, Debug)]
pub struct Places {
    open: Arc<Semaphore>,
    held: Arc<Semaphore>,
    /// Those who have not (yet) asked for anything, the longest silent first.
    silent: Arc<Mutex<VecDeque<Arc<Notify>>>>,
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    taken: Mutex<OwnedSemaphorePermit>,
    leave: Arc<Notify>,
    silent: AtomicBool,
}

impl Default for Places {
    fn default() -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self { open: places(CONNECTIONS), held: places(HELD), silent: Arc::default() }
    }
}

impl Places {
    /// Waits until every connection is closed, so that answers that are on their way get out; `patience` at the longest.
    pub async fn wait_until_free(&self, patience: Duration) {
        let all = |places: usize| u32::try_from(places).unwrap_or(u32::MAX);
        let free = async { tokio::join!(self.open.acquire_many(all(CONNECTIONS)), self.held.acquire_many(all(HELD))) };
        drop(tokio::time::timeout(patience, free).await);
    }

    /// Takes a place; where there is none, the longest silent caller is sent away. `None` if there will never be one.
    pub(super) async fn take(&self) -> Option<Place> {
        if self.open.available_permits() == 0
            && let Some(silent) = self.silent().pop_front()
        {
            silent.notify_one();
        }
        let taken = Mutex::new(Arc::clone(&self.open).acquire_owned().await.ok()?);
        let place = Place { places: self.clone(), taken, leave: Arc::default(), silent: AtomicBool::new(true) };
        place.is_silent();
        Some(place)
    }

    fn silent(&self) -> MutexGuard<'_, VecDeque<Arc<Notify>>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The caller has asked for nothing, or has been answered.
    pub(super) fn is_silent(&self) {
        self.silent.store(true, Ordering::Relaxed);
        self.places.silent().push_back(Arc::clone(&self.leave));
    }

    /// The caller has asked for something, and is not sent away before it is answered.
    pub(super) fn is_served(&self) {
        self.silent.store(false, Ordering::Relaxed);
        self.places.silent().retain(|leave| !Arc::ptr_eq(leave, &self.leave));
    }

    /// The caller is held: its place is given to others, where there is one among the held.
    pub(super) fn is_held(&self) {
        if let Ok(place) = Arc::clone(&self.places.held).try_acquire_owned() {
            *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = place;
        }
    }

    /// Waits until the caller is to be sent away: one that has asked for something in the meantime is not.
    pub(super) async fn sent_away(&self) {
        loop {
            self.leave.notified().await;
            if self.silent.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.is_served();
    }
}
