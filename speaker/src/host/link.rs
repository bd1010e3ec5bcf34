//! The link of one interface: sends and receives its packets of ARP and NDP.
//!
//! All sockets are opened once, before the interface need exist, and stay when it is created again.

use super::interface;
use super::packet_socket::{self, Instruction};
use crate::frame::{Mac, ndp};
use crate::interface::{InterfaceName, State};
use crate::responder::{Outgoing, Payload};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};
use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use tokio::io::unix::{AsyncFd, TryIoError};

const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;

/// The longest packet that a speaker reads: more options than any client sends.
const BUFFER: usize = 256;

/// The memberships of one socket. Kernels before 6.8 allow some 365.
const MEMBERSHIPS: usize = 256;

/// The errors of an interface that is busy, down or gone.
const LOST: [Errno; 6] =
    [Errno::AGAIN, Errno::NOBUFS, Errno::NETDOWN, Errno::NETUNREACH, Errno::NODEV, Errno::NXIO];

/// Passes solicitations and advertisements alone: else every IPv6 packet of the node would wake the
/// speaker. Loads the next header and the type of ICMPv6 from the network header on.
const NEIGHBOR_DISCOVERY: [Instruction; 7] = [
    (0x30, 0, 0, 6),     // ldb [6]
    (0x15, 0, 4, 58),    // jeq #58 (ICMPv6)
    (0x30, 0, 0, 40),    // ldb [40]
    (0x15, 1, 0, 135),   // jeq #135 (solicitation)
    (0x15, 0, 1, 136),   // jeq #136 (advertisement)
    (0x06, 0, 0, 0x100), // ret the first 256 bytes
    (0x06, 0, 0, 0),     // ret nothing
];

/// The sockets of one network. No interface is chosen yet.
#[derive(Debug)]
pub struct Sockets {
    arp: OwnedFd,
    ndp: OwnedFd,
    changes: OwnedFd,
    groups: Vec<OwnedFd>,
}

/// The link of one interface.
#[derive(Debug)]
pub struct Link {
    name: InterfaceName,
    /// The index of the interface whose packets are received.
    index: Option<u32>,
    arp: AsyncFd<OwnedFd>,
    ndp: AsyncFd<OwnedFd>,
    changes: AsyncFd<OwnedFd>,
    // Holds the memberships in the groups of the addresses.
    groups: Vec<OwnedFd>,
    members: BTreeMap<Ipv6Addr, usize>,
}

/// A received packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The station that sent it.
    pub from: Mac,
    /// The packet.
    pub packet: Protocol,
}

/// A packet and its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A packet of ARP.
    Arp(Vec<u8>),
    /// A packet of NDP.
    Ndp(Vec<u8>),
}

/// A system call that has failed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A socket could not be opened.
    #[error("the packet sockets could not be opened: the speaker needs the capability NET_RAW")]
    Open(#[source] Errno),
    /// The state of the interface could not be read.
    #[error("the state of interface {name} could not be read")]
    State {
        /// The interface.
        name: InterfaceName,
        /// The cause.
        #[source]
        source: Errno,
    },
    /// The packets of the interface cannot be received.
    #[error("the packet sockets could not be bound to interface {name}")]
    Bind {
        /// The interface.
        name: InterfaceName,
        /// The cause.
        #[source]
        source: Errno,
    },
    /// The socket cannot be watched.
    #[error("the packet socket could not be watched")]
    Watch(#[source] std::io::Error),
    /// A packet could not be received: the interface is down or gone.
    #[error("the packet socket could not be read")]
    Receive(#[source] std::io::Error),
    /// The interface is down.
    #[error("the interface is down")]
    Down,
    /// A packet could not be sent.
    #[error("a packet could not be sent")]
    Send(#[source] Errno),
    /// The multicast group of an address could not be joined.
    #[error("the multicast group of {address} could not be joined")]
    Join {
        /// The address.
        address: Ipv6Addr,
        /// The cause.
        #[source]
        source: Errno,
    },
}

impl Sockets {
    /// Opens the sockets in the network of this thread. Requires `CAP_NET_RAW`.
    pub fn open() -> Result<Self, LinkError> {
        Ok(Self {
            arp: packets(&[]).map_err(LinkError::Open)?,
            ndp: packets(&NEIGHBOR_DISCOVERY).map_err(LinkError::Open)?,
            changes: interface::changes().map_err(LinkError::Open)?,
            // A kernel without IPv6 has none.
            groups: datagrams(AddressFamily::INET6).into_iter().collect(),
        })
    }
}

impl Link {
    /// Returns the link of the interface with this name. Requires a tokio runtime.
    pub fn new(sockets: Sockets, name: InterfaceName) -> Result<Self, LinkError> {
        let Sockets { arp, ndp, changes, groups } = sockets;
        let watch = |socket| packet_socket::watch(socket).map_err(LinkError::Watch);
        let (arp, ndp, changes) = (watch(arp)?, watch(ndp)?, watch(changes)?);
        Ok(Self { name, index: None, arp, ndp, changes, groups, members: BTreeMap::new() })
    }

    /// Returns the name of the interface.
    #[must_use]
    pub fn name(&self) -> &InterfaceName {
        &self.name
    }

    /// Returns the state of the interface.
    pub fn state(&self) -> Result<State, LinkError> {
        let state = interface::state(self.arp.get_ref().as_fd(), &self.name);
        state.map_err(|source| LinkError::State { name: self.name.clone(), source })
    }

    /// Receives the packets of the interface in this state, if it is up.
    pub fn attach(&mut self, state: State) -> Result<(), LinkError> {
        let State::Up { index, .. } = state else {
            // An interface that is created again must be bound again.
            self.index = self.index.filter(|_| state != State::Missing);
            return Ok(());
        };
        if self.index == Some(index) {
            return Ok(());
        }
        self.index = None;
        for (socket, protocol) in [(&self.arp, ARP), (&self.ndp, IPV6)] {
            let bound = packet_socket::bind(socket.get_ref().as_fd(), protocol, index);
            bound.map_err(|source| LinkError::Bind { name: self.name.clone(), source })?;
        }
        self.index = Some(index);
        Ok(())
    }

    /// Returns the link-local address of the interface, if there is one.
    #[must_use]
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        interface::link_local(self.groups.first()?.as_fd(), self.index?)
    }

    /// Waits until an interface of the network has changed. Cancelling the wait loses no change.
    pub async fn changed(&self) -> Result<(), LinkError> {
        loop {
            let mut ready = self.changes.readable().await.map_err(LinkError::Receive)?;
            let read = ready
                .try_io(|socket| interface::discard(socket.get_ref().as_fd()).map_err(Into::into));
            if let Ok(read) = read {
                return read.map_err(LinkError::Receive);
            }
        }
    }

    /// Returns the next packet of another station. Cancelling the wait loses no packet.
    pub async fn next(&self) -> Result<Incoming, LinkError> {
        loop {
            let received = tokio::select! {
                packet = read(&self.arp) => packet?.map(|(from, packet)| (from, Protocol::Arp(packet))),
                packet = read(&self.ndp) => packet?.map(|(from, packet)| (from, Protocol::Ndp(packet))),
            };
            if let Some((from, packet)) = received {
                return Ok(Incoming { from, packet });
            }
        }
    }

    /// Sends a packet. A packet that the interface cannot send now is lost, as it may be on the wire.
    pub fn send(&self, outgoing: &Outgoing) -> Result<(), LinkError> {
        let Some(index) = self.index else { return Ok(()) };
        let (socket, protocol) = match &outgoing.packet {
            Payload::Arp(_) => (&self.arp, ARP),
            Payload::Ndp(_) => (&self.ndp, IPV6),
        };
        let (socket, packet) = (socket.get_ref().as_fd(), outgoing.packet.bytes());
        match packet_socket::send(socket, packet, (protocol, index), outgoing.to) {
            Err(error) if !LOST.contains(&error) => Err(LinkError::Send(error)),
            _ => Ok(()),
        }
    }

    /// Joins the solicited-node multicast group of an address, so that switches and the interface
    /// deliver its solicitations. Addresses may share a group.
    pub fn join(&mut self, address: Ipv6Addr) -> Result<(), LinkError> {
        let (group, interface) = (ndp::group(address), self.index.unwrap_or_default());
        let failed = |source| LinkError::Join { address, source };
        if !self.members.contains_key(&group) {
            // A socket can have a limited number of memberships.
            if self.members.len() >= self.groups.len() * MEMBERSHIPS {
                self.groups.push(datagrams(AddressFamily::INET6).map_err(failed)?);
            }
            let socket = self.groups.last().ok_or(failed(Errno::BADF))?;
            sockopt::set_ipv6_add_membership(socket, &group, interface).map_err(failed)?;
        }
        *self.members.entry(group).or_default() += 1;
        Ok(())
    }

    /// Leaves the group of an address unless another address needs it.
    pub fn leave(&mut self, address: Ipv6Addr) {
        let group = ndp::group(address);
        let Some(members) = self.members.get_mut(&group) else { return };
        *members -= 1;
        if *members == 0 {
            self.members.remove(&group);
            // It fails on the other sockets, and if the interface is gone.
            let index = self.index.unwrap_or_default();
            for socket in &self.groups {
                let _not_member = sockopt::set_ipv6_drop_membership(socket, &group, index);
            }
        }
    }
}

fn datagrams(family: AddressFamily) -> Result<OwnedFd, Errno> {
    socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}

/// Opens a socket for the packets that a filter passes.
fn packets(filter: &[Instruction]) -> Result<OwnedFd, Errno> {
    // Without a protocol it receives nothing before it has its interface.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
    if !filter.is_empty() {
        packet_socket::set_filter(socket.as_fd(), filter)?;
    }
    Ok(socket)
}

/// Reads a packet. Returns `None` for one that is not for this node or too long.
async fn read(socket: &AsyncFd<OwnedFd>) -> Result<Option<(Mac, Vec<u8>)>, LinkError> {
    loop {
        let mut ready = socket.readable().await.map_err(LinkError::Receive)?;
        let mut buffer = [0; BUFFER];
        let received = ready.try_io(|socket| {
            packet_socket::receive(socket.get_ref().as_fd(), &mut buffer).map_err(Into::into)
        });
        let received = match received {
            Ok(received) => received,
            Err(TryIoError { .. }) => continue,
        };
        // The interface is down. The socket receives again when it is up.
        if matches!(&received, Err(error) if error.raw_os_error() == Some(libc::ENETDOWN)) {
            return Err(LinkError::Down);
        }
        let received = received.map_err(LinkError::Receive)?;
        let is_read = received.is_for_us && received.length <= BUFFER;
        return Ok(is_read.then(|| (received.from, buffer[..received.length].to_vec())));
    }
}
