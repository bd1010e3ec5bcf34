//! Who is here: connections that shake hands and connections that are served, each kind with a bound,
//! and who has to go when there is no room. It reads and writes no socket: whoever has to go is
//! told.
//!
//! Nobody who arrives is sent away for those who were here before. Ten thousand peers that begin a
//! handshake and say nothing cost the oldest of them its place, and not the API server its turn;
//! who is served and silent the longest goes before anybody new.

use super::pace::{Pacer, Phase};
use crate::metrics::Metrics;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// That shake hands.
    pub(super) arriving: usize,
    /// That are served.
    pub(super) seated: usize,
}

/// All that are here.
#[derive(Debug)]
pub(super) struct Crowd {
    room: Room,
    metrics: Arc<Metrics>,
    turns: Arc<AtomicU64>,
    present: Mutex<Present>,
}

#[derive(Debug, Default)]
struct Present {
    next: u64,
    /// In the order in which they came.
    arriving: BTreeMap<u64, CancellationToken>,
    seated: BTreeMap<u64, Seat>,
}

#[derive(Debug)]
struct Seat {
    leave: CancellationToken,
    pacer: Pacer,
}

/// One that is here until it is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    id: u64,
    crowd: Arc<Crowd>,
    leave: CancellationToken,
    pacer: Pacer,
}

impl Crowd {
    pub(super) fn new(room: Room, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { room, metrics, turns: Arc::default(), present: Mutex::default() })
    }

    /// One more, that is to shake hands. Where there is no room the one that has been at it for
    /// the longest has to go.
    pub(super) fn arrive(self: &Arc<Self>) -> Guest {
        let leave = CancellationToken::new();
        let mut present = self.present();
        if present.arriving.len() >= self.room.arriving {
            present.turn_away_oldest();
        }
        let id = present.next;
        present.next += 1;
        present.arriving.insert(id, leave.clone());
        drop(present);
        self.metrics.serving.connections.inc();
        let pacer = Pacer::new(Arc::clone(&self.turns));
        Guest { id, crowd: Arc::clone(self), leave, pacer }
    }

    /// Makes room for what is not counted here, such as file descriptors.
    pub(super) fn relieve(&self) {
        let mut present = self.present();
        present.turn_away_oldest();
        if present.unseat() {
            self.metrics.serving.connections_evicted.inc();
        }
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Present {
    fn turn_away_oldest(&mut self) {
        if let Some((_, leave)) = self.arriving.pop_first() {
            leave.cancel();
        }
    }

    /// Tells the one that is missed the least to go: that has been silent for the longest, or else
    /// that owes the rest of a header or of a body for the longest.
    fn unseat(&mut self) -> bool {
        let rank = |seat: &Seat| {
            let phase = match seat.pacer.phase() {
                Phase::Idle => 0,
                Phase::Header => 1,
                Phase::Serving => 2,
            };
            (phase, seat.pacer.last_turn())
        };
        let least = self.seated.iter().min_by_key(|(_, seat)| rank(seat)).map(|(id, _)| *id);
        let gone = least.and_then(|id| self.seated.remove(&id));
        gone.map(|seat| seat.leave.cancel()).is_some()
    }
}

impl Guest {
    /// Its hands are shaken: it is to be served.
    pub(super) fn sit(&self) {
        let mut present = self.crowd.present();
        present.arriving.remove(&self.id);
        let full = present.seated.len() >= self.crowd.room.seated;
        if full && present.unseat() {
            self.crowd.metrics.serving.connections_evicted.inc();
        }
        let seat = Seat { leave: self.leave.clone(), pacer: self.pacer.clone() };
        present.seated.insert(self.id, seat);
    }

    /// What it is at.
    pub(super) fn pacer(&self) -> &Pacer {
        &self.pacer
    }

    /// Waits until it has to go.
    pub(super) async fn has_to_go(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut present = self.crowd.present();
        present.arriving.remove(&self.id);
        present.seated.remove(&self.id);
        drop(present);
        self.crowd.metrics.serving.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::registry::Registry;

    fn crowd(arriving: usize, seated: usize) -> Arc<Crowd> {
        let metrics = Arc::new(Metrics::register(&mut Registry::default()));
        Crowd::new(Room { arriving, seated }, metrics)
    }

    fn has_to_go(guest: &Guest) -> bool {
        guest.leave.is_cancelled()
    }

    fn seated(crowd: &Arc<Crowd>) -> Guest {
        let guest = crowd.arrive();
        guest.sit();
        guest
    }

    #[test]
    fn the_oldest_handshake_goes_for_a_new_one() {
        let crowd = crowd(2, 9);
        let (first, second, third) = (crowd.arrive(), crowd.arrive(), crowd.arrive());
        assert_eq!([&first, &second, &third].map(has_to_go), [true, false, false]);
        second.sit();
        let fourth = crowd.arrive();
        assert_eq!([&second, &third, &fourth].map(has_to_go), [false; 3]);
        assert_eq!(crowd.metrics.serving.connections.get(), 4);
        drop([first, second, third, fourth]);
        assert_eq!(crowd.metrics.serving.connections.get(), 0);
        assert_eq!(crowd.metrics.serving.connections_evicted.get(), 0);
    }

    #[test]
    fn who_is_silent_for_the_longest_goes_for_a_new_one() {
        let crowd = crowd(9, 3);
        let guests = [seated(&crowd), seated(&crowd), seated(&crowd)];
        for at in [1, 0, 2] {
            guests[at].pacer.serving();
            guests[at].pacer.served();
        }
        let fourth = seated(&crowd);
        assert_eq!(guests.each_ref().map(has_to_go), [false, true, false]);
        let fifth = seated(&crowd);
        assert_eq!(guests.each_ref().map(has_to_go), [true, true, false]);
        assert!(!has_to_go(&fourth) && !has_to_go(&fifth));
        assert_eq!(crowd.metrics.serving.connections_evicted.get(), 2);
    }

    #[test]
    fn who_is_being_served_goes_last() {
        let crowd = crowd(9, 3);
        let guests = [seated(&crowd), seated(&crowd), seated(&crowd)];
        guests[0].pacer.serving();
        guests[1].pacer.serving();
        guests[2].pacer.serving();
        guests[2].pacer.served();
        let more = [seated(&crowd), seated(&crowd)];
        assert_eq!(guests.each_ref().map(has_to_go), [false, false, true]);
        // The other has only just come, and still owes its header.
        assert_eq!(more.each_ref().map(has_to_go), [true, false]);
    }

    #[test]
    fn who_has_gone_leaves_room() {
        let crowd = crowd(1, 1);
        drop((seated(&crowd), crowd.arrive()));
        let guest = seated(&crowd);
        let arriving = crowd.arrive();
        assert!(!has_to_go(&guest) && !has_to_go(&arriving));
        crowd.relieve();
        assert!(has_to_go(&guest) && has_to_go(&arriving));
    }
}
