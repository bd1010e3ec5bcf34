//! The open connections of a server, and the eviction of silent ones.
//!
//! A server that refuses connections at a limit is unreachable as soon as silent connections reach
//! the limit. This server accepts every connection, and at the limit evicts the one that has been
//! silent for the longest: ten thousand peers that connect and send nothing evict each other, and
//! the newest connection, which has a request, gets a response.

use crate::descriptors;
use crate::read_timeouts::{Activity, Phase};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The grace period of the request in progress on an evicted connection.
pub const EVICTION_GRACE: Duration = Duration::from_secs(1);
/// How long a failed accept waits for another connection to close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The minimum time between two warnings about failed accepts.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// The limits of a server's connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// The limit of connections that have neither completed a handshake nor sent a request. At the
    /// limit, the oldest is evicted.
    pub pending: usize,
    /// The limit of connections that serve requests. At the limit, the one that has been silent for
    /// the longest is evicted.
    pub established: usize,
}

/// The metrics of a server's connections.
#[derive(Clone, Debug, Default)]
pub struct ConnectionMetrics {
    /// Open connections.
    pub open: Gauge,
    /// Established connections that were evicted.
    pub evicted: Counter,
}

/// The open connections of one server.
#[derive(Debug)]
pub struct ConnectionTable {
    limits: ConnectionLimits,
    metrics: ConnectionMetrics,
    responses: Arc<AtomicU64>,
    entries: Mutex<Entries>,
    closed: Notify,
}

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    /// In the order in which they were accepted.
    pending: BTreeMap<u64, CancellationToken>,
    established: BTreeMap<u64, Established>,
    warned: Option<Instant>,
}

#[derive(Debug)]
struct Established {
    evicted: CancellationToken,
    activity: Activity,
}

/// A connection's entry in the table. It is removed on drop: drop the socket first.
#[derive(Debug)]
pub struct Connection {
    id: u64,
    table: Arc<ConnectionTable>,
    was_promoted: AtomicBool,
    evicted: CancellationToken,
    activity: Activity,
}

/// An accepted connection.
#[derive(Debug)]
pub struct Accepted {
    /// Its socket.
    pub stream: TcpStream,
    /// The address of its peer.
    pub peer: SocketAddr,
    /// Its entry in the table.
    pub connection: Connection,
}

impl ConnectionLimits {
    /// Lowers the limits to half of the file descriptors, which leaves some for the other server of
    /// the process.
    fn within(self, descriptors: usize) -> Self {
        let (total, most) = (self.pending + self.established, descriptors / 2);
        if total <= most {
            return self;
        }
        let established = (self.established * most / total).max(1);
        Self { pending: most.saturating_sub(established).max(1), established }
    }
}

impl ConnectionTable {
    /// Returns an empty table, whose limits are lowered if the process has few file descriptors.
    #[must_use]
    pub fn new(limits: ConnectionLimits, metrics: ConnectionMetrics) -> Arc<Self> {
        Arc::new(Self {
            limits: limits.within(descriptors::limit()),
            metrics,
            responses: Arc::default(),
            entries: Mutex::default(),
            closed: Notify::new(),
        })
    }

    /// Accepts the next connection. Evicts connections while no file descriptor is available.
    pub async fn accept_from(self: &Arc<Self>, listener: &TcpListener) -> Accepted {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    return Accepted { stream, peer, connection: self.accept() };
                }
                Err(error) => self.make_room_after(&error).await,
            }
        }
    }

    /// Adds a pending connection. At the limit, evicts the oldest pending one.
    #[must_use]
    pub fn accept(self: &Arc<Self>) -> Connection {
        let evicted = CancellationToken::new();
        let mut entries = self.entries();
        if entries.pending.len() >= self.limits.pending {
            entries.evict_oldest_pending();
        }
        let id = entries.next;
        entries.next += 1;
        entries.pending.insert(id, evicted.clone());
        drop(entries);
        self.metrics.open.inc();
        let activity = Activity::new(Arc::clone(&self.responses));
        let (table, was_promoted) = (Arc::clone(self), AtomicBool::new(false));
        Connection { id, table, was_promoted, evicted, activity }
    }

    async fn make_room_after(&self, error: &io::Error) {
        // Created before the eviction, so that no close is missed.
        let closed = self.closed.notified();
        if self.evict() {
            tracing::warn!(%error, "could not accept a connection, evicting silent ones");
        }
        drop(tokio::time::timeout(ACCEPT_PAUSE, closed).await);
    }

    /// Evicts the oldest pending and the longest silent established connection. Returns whether a
    /// warning is due.
    fn evict(&self) -> bool {
        let mut entries = self.entries();
        entries.evict_oldest_pending();
        if entries.evict_established() {
            self.metrics.evicted.inc();
        }
        let now = Instant::now();
        let is_due = entries.warned.is_none_or(|last| now - last >= WARNING_INTERVAL);
        if is_due {
            entries.warned = Some(now);
        }
        is_due
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn evict_oldest_pending(&mut self) {
        if let Some((_, evicted)) = self.pending.pop_first() {
            evicted.cancel();
        }
    }

    /// Evicts an idle connection first, then one that is sending a header, then one whose request
    /// is being served. Among equals, evicts the one with the oldest last response.
    fn evict_established(&mut self) -> bool {
        let rank = |entry: &Established| {
            let phase = match entry.activity.phase() {
                Phase::Idle => 0,
                Phase::Header => 1,
                Phase::Serving => 2,
            };
            (phase, entry.activity.last_response())
        };
        let first = self.established.iter().min_by_key(|(_, entry)| rank(entry)).map(|(id, _)| *id);
        let evicted = first.and_then(|id| self.established.remove(&id));
        evicted.map(|entry| entry.evicted.cancel()).is_some()
    }
}

impl Connection {
    /// Promotes a pending connection to an established one. At the limit, evicts the established
    /// connection that has been silent for the longest. Does nothing if the connection is already
    /// established or evicted.
    pub fn promote(&self) {
        self.was_promoted.store(true, Ordering::Relaxed);
        let mut entries = self.table.entries();
        let Some(evicted) = entries.pending.remove(&self.id) else {
            return;
        };
        let is_full = entries.established.len() >= self.table.limits.established;
        if is_full && entries.evict_established() {
            self.table.metrics.evicted.inc();
        }
        let entry = Established { evicted, activity: self.activity.clone() };
        entries.established.insert(self.id, entry);
    }

    /// Returns the activity of the connection.
    #[must_use]
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Waits until the connection is evicted. Returns its grace period, which is zero for a pending
    /// connection: it has no request in progress, and its file descriptor is needed.
    pub async fn evicted(&self) -> Duration {
        self.evicted.cancelled().await;
        if self.was_promoted.load(Ordering::Relaxed) { EVICTION_GRACE } else { Duration::ZERO }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut entries = self.table.entries();
        entries.pending.remove(&self.id);
        entries.established.remove(&self.id);
        drop(entries);
        self.table.metrics.open.dec();
        self.table.closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pending: usize, established: usize) -> Arc<ConnectionTable> {
        let limits = ConnectionLimits { pending, established };
        ConnectionTable::new(limits, ConnectionMetrics::default())
    }

    fn is_evicted(connection: &Connection) -> bool {
        connection.evicted.is_cancelled()
    }

    fn established(table: &Arc<ConnectionTable>) -> Connection {
        let connection = table.accept();
        connection.promote();
        connection
    }

    #[test]
    fn one_server_uses_at_most_half_of_the_file_descriptors() {
        let limits = ConnectionLimits { pending: 1024, established: 4096 };
        for (descriptors, pending, established) in
            [(1 << 20, 1024, 4096), (10_240, 1024, 4096), (1024, 103, 409), (2, 1, 1), (0, 1, 1)]
        {
            let within = limits.within(descriptors);
            let found = (within.pending, within.established);
            assert_eq!(found, (pending, established), "{descriptors}");
        }
    }

    #[test]
    fn the_oldest_pending_connection_is_evicted_for_a_new_one() {
        let table = table(2, 9);
        let (first, second, third) = (table.accept(), table.accept(), table.accept());
        assert_eq!([&first, &second, &third].map(is_evicted), [true, false, false]);
        second.promote();
        let fourth = table.accept();
        assert_eq!([&second, &third, &fourth].map(is_evicted), [false; 3]);
        assert_eq!(table.metrics.open.get(), 4);
        drop([first, second, third, fourth]);
        assert_eq!(table.metrics.open.get(), 0);
        assert_eq!(table.metrics.evicted.get(), 0);
    }

    #[test]
    fn the_longest_silent_connection_is_evicted_for_a_new_one() {
        let table = table(9, 3);
        let connections = [established(&table), established(&table), established(&table)];
        for at in [1, 0, 2] {
            connections[at].activity.request_received();
            connections[at].activity.response_made();
        }
        let fourth = established(&table);
        assert_eq!(connections.each_ref().map(is_evicted), [false, true, false]);
        let fifth = established(&table);
        assert_eq!(connections.each_ref().map(is_evicted), [true, true, false]);
        assert!(!is_evicted(&fourth) && !is_evicted(&fifth));
        assert_eq!(table.metrics.evicted.get(), 2);
    }

    #[test]
    fn a_connection_whose_request_is_being_served_is_evicted_last() {
        let table = table(9, 3);
        let connections = [established(&table), established(&table), established(&table)];
        connections[0].activity.request_received();
        connections[1].activity.request_received();
        connections[2].activity.request_received();
        connections[2].activity.response_made();
        let more = [established(&table), established(&table)];
        assert_eq!(connections.each_ref().map(is_evicted), [false, false, true]);
        // The first of these has not sent its header yet.
        assert_eq!(more.each_ref().map(is_evicted), [true, false]);
    }

    #[test]
    fn a_closed_connection_is_removed_from_the_table() {
        let table = table(1, 1);
        drop((established(&table), table.accept()));
        let (one, pending) = (established(&table), table.accept());
        assert!(!is_evicted(&one) && !is_evicted(&pending));
        table.evict();
        assert!(is_evicted(&one) && is_evicted(&pending));
    }

    #[tokio::test]
    async fn only_an_established_connection_may_finish_its_request() {
        let table = table(1, 1);
        let (one, pending) = (established(&table), table.accept());
        table.evict();
        assert_eq!(one.evicted().await, EVICTION_GRACE);
        assert_eq!(pending.evicted().await, Duration::ZERO);
    }

    #[test]
    fn promoting_twice_or_after_an_eviction_changes_nothing() {
        let table = table(1, 1);
        let first = table.accept();
        first.promote();
        first.promote();
        let second = table.accept();
        let third = table.accept();
        assert_eq!([&first, &second, &third].map(is_evicted), [false, true, false]);
        second.promote();
        assert_eq!([&first, &second, &third].map(is_evicted), [false, true, false]);
    }
}
