//! ConnectionSlots for connections: there are only so many, and nobody keeps others from one.
//!
//! Where all are taken and somebody comes, one caller is sent away: of the address that has the most connections, so
//! that a crowd from one host, or from a few, never costs another its place. Of those the longest silent goes, and the
//! last that came to be held where none is silent.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// So many callers of one address may be held before any is sent away rather than a silent one of another: a pod has
/// few hooks.
const HOOKS: usize = 8;

/// The connections that may be open at once.
#[derive(Clone, Debug)]
pub struct ConnectionSlots {
    count: u32,
    free: Arc<Semaphore>,
    guests: Arc<Mutex<Guests>>,
    /// Told when the guest that was to go stays, or when another one can go.
    changed: Arc<Notify>,
}

/// Those who have a place, in the order in which they last changed what they do.
type Guests = Vec<Guest>;

#[derive(Debug)]
struct Guest {
    /// Shared by all guests from there, and by nobody else: its count is theirs.
    address: Arc<IpAddr>,
    does: Does,
    leave: Arc<Notify>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// Has not (yet) asked for anything, or has been answered.
    Nothing,
    /// Has asked for something that is answered at once.
    Ask,
    /// Is held until the drain is over.
    Wait,
    /// Is to leave.
    Leave,
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Place {
    places: ConnectionSlots,
    leave: Arc<Notify>,
    _taken: OwnedSemaphorePermit,
}

impl ConnectionSlots {
    /// This many of them.
    #[must_use]
    pub fn new(count: u32) -> Self {
        let free = Arc::new(Semaphore::new(count as usize));
        Self { count, free, guests: Arc::default(), changed: Arc::default() }
    }

    /// Waits until every connection is closed, so that answers that are on their way get out; `patience` at the longest.
    pub async fn wait_until_free(&self, patience: Duration) {
        drop(tokio::time::timeout(patience, self.free.acquire_many(self.count)).await);
    }

    /// Takes a place for a caller from there; where there is none, another caller is sent away. `None` if there will
    /// never be one.
    pub(super) async fn take(&self, address: IpAddr) -> Option<Place> {
        let taken = loop {
            if self.free.available_permits() == 0 {
                self.send_one_away();
            }
            tokio::select! {
                biased;
                taken = Arc::clone(&self.free).acquire_owned() => break taken.ok()?,
                () = self.changed.notified() => {}
            }
        };
        Some(Place { places: self.clone(), leave: self.welcome(address.to_canonical()), _taken: taken })
    }

    fn welcome(&self, address: IpAddr) -> Arc<Notify> {
        let mut guests = self.guests();
        let known = guests.iter().find(|guest| *guest.address == address);
        let address = known.map_or_else(|| Arc::new(address), |guest| Arc::clone(&guest.address));
        let leave = Arc::new(Notify::new());
        guests.push(Guest { address, does: Does::Nothing, leave: Arc::clone(&leave) });
        leave
    }

    /// Sends one away, if nobody is on the way out already.
    fn send_one_away(&self) {
        let mut guests = self.guests();
        if guests.iter().all(|guest| guest.does != Does::Leave)
            && let Some(index) = superfluous(&guests)
        {
            guests[index].does = Does::Leave;
            guests[index].leave.notify_one();
        }
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is to go first.
fn superfluous(guests: &[Guest]) -> Option<usize> {
    let company = |index: &usize| Arc::strong_count(&guests[*index].address);
    let those = |does: Does| (0..guests.len()).filter(move |index| guests[*index].does == does);
    // Of several that are the most, the last is taken.
    let silent = those(Does::Nothing).rev().max_by_key(company);
    let held = those(Does::Wait).max_by_key(company);
    match (silent, held) {
        (Some(silent), Some(held)) if company(&held).saturating_sub(HOOKS) > company(&silent) => Some(held),
        (silent, held) => silent.or(held),
    }
}

impl Place {
    /// The caller has asked for nothing, or has been answered.
    pub(super) fn is_silent(&self) {
        self.does(Does::Nothing);
    }

    /// The caller has asked for something, and is not sent away before it is answered.
    pub(super) fn is_served(&self) {
        self.does(Does::Ask);
    }

    /// The caller is held.
    pub(super) fn is_held(&self) {
        self.does(Does::Wait);
    }

    fn does(&self, what: Does) {
        let mut guests = self.places.guests();
        if let Some(mut guest) = self.take_out(&mut guests) {
            guest.does = what;
            guests.push(guest);
        }
        self.places.changed.notify_one();
    }

    fn take_out(&self, guests: &mut Guests) -> Option<Guest> {
        let index = guests.iter().position(|guest| Arc::ptr_eq(&guest.leave, &self.leave))?;
        Some(guests.remove(index))
    }

    /// Waits until the caller is to be sent away: one that has asked for something in the meantime is not.
    pub(super) async fn sent_away(&self) {
        loop {
            self.leave.notified().await;
            if self
                .places
                .guests()
                .iter()
                .any(|guest| Arc::ptr_eq(&guest.leave, &self.leave) && guest.does == Does::Leave)
            {
                return;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.take_out(&mut self.places.guests()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Does::{Ask, Leave, Nothing, Wait};

    /// Guests by the last number of their address, and what they do.
    fn guests(them: &[(u8, Does)]) -> Guests {
        let places = ConnectionSlots::new(1);
        for (index, (last, does)) in them.iter().enumerate() {
            places.welcome(IpAddr::from([10, 0, 0, *last]));
            places.guests()[index].does = *does;
        }
        std::mem::take(&mut places.guests())
    }

    fn goes(them: &[(u8, Does)]) -> Option<usize> {
        superfluous(&guests(them))
    }

    #[test]
    fn the_longest_silent_goes_of_those_who_are_the_most() {
        assert_eq!(goes(&[(1, Nothing), (2, Nothing), (3, Nothing)]), Some(0));
        assert_eq!(goes(&[(1, Nothing), (2, Nothing), (2, Nothing)]), Some(1));
        assert_eq!(goes(&[(1, Nothing), (2, Ask), (2, Nothing), (2, Nothing)]), Some(2));
        assert_eq!(goes(&[(1, Nothing), (1, Nothing), (2, Leave), (2, Ask), (2, Ask)]), Some(0));
    }

    #[test]
    fn few_who_are_held_stay_as_long_as_anybody_is_silent() {
        let mut them = vec![(1, Wait); 8];
        them.push((2, Nothing));
        assert_eq!(goes(&them), Some(8));
        them.splice(0..0, [(1, Wait); 2]);
        assert_eq!(goes(&them), Some(9), "the last that came to be held");
    }

    #[test]
    fn who_is_held_goes_where_nobody_is_silent_and_who_is_answered_never() {
        assert_eq!(goes(&[(1, Wait), (2, Wait), (2, Wait), (3, Ask)]), Some(2));
        assert_eq!(goes(&[(1, Ask), (2, Leave)]), None);
        assert_eq!(goes(&[]), None);
    }

    #[test]
    fn address_is_counted_over_both_protocols_and_forgotten_with_its_last_guest() {
        let places = ConnectionSlots::new(9);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let take = |address: &str| runtime.block_on(places.take(address.parse().unwrap())).unwrap();
        let both = [take("10.0.0.1"), take("::ffff:10.0.0.1"), take("10.0.0.2")];
        assert_eq!(Arc::strong_count(&places.guests()[0].address), 2);
        drop(both);
        assert!(places.guests().is_empty());
    }
}
