//! The link of one interface: sends and receives its packets of ARP and NDP.

use super::packet_socket::{self, Instruction};
use crate::frame::{Mac, ndp};
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

/// The sockets of one interface.
#[derive(Debug)]
pub struct Sockets {
    interface: u32,
    arp: OwnedFd,
    ndp: OwnedFd,
    groups: OwnedFd,
}

/// The link of one interface.
#[derive(Debug)]
pub struct Link {
    interface: u32,
    arp: AsyncFd<OwnedFd>,
    ndp: AsyncFd<OwnedFd>,
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
    #[error("the packet socket of interface {interface} could not be opened")]
    Open {
        /// The index of the interface.
        interface: u32,
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
    /// Opens the sockets of the interface with this index. Requires `CAP_NET_RAW`.
    pub fn open(interface: u32) -> Result<Self, LinkError> {
        let failed = |source| LinkError::Open { interface, source };
        Ok(Self {
            interface,
            arp: packets(ARP, interface, &[]).map_err(failed)?,
            ndp: packets(IPV6, interface, &NEIGHBOR_DISCOVERY).map_err(failed)?,
            groups: datagrams(AddressFamily::INET6).map_err(failed)?,
        })
    }
}

impl Link {
    /// Returns the link of these sockets. Requires a tokio runtime.
    pub fn new(sockets: Sockets) -> Result<Self, LinkError> {
        let Sockets { interface, arp, ndp, groups } = sockets;
        let arp = packet_socket::watch(arp).map_err(LinkError::Watch)?;
        let ndp = packet_socket::watch(ndp).map_err(LinkError::Watch)?;
        let groups = vec![groups];
        Ok(Self { interface, arp, ndp, groups, members: BTreeMap::new() })
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
        let (socket, protocol) = match &outgoing.packet {
            Payload::Arp(_) => (&self.arp, ARP),
            Payload::Ndp(_) => (&self.ndp, IPV6),
        };
        let (socket, packet) = (socket.get_ref().as_fd(), outgoing.packet.bytes());
        match packet_socket::send(socket, packet, (protocol, self.interface), outgoing.to) {
            Ok(()) | Err(Errno::AGAIN | Errno::NOBUFS | Errno::NETDOWN | Errno::NETUNREACH) => {
                Ok(())
            }
            Err(error) => Err(LinkError::Send(error)),
        }
    }

    /// Joins the solicited-node multicast group of an address, so that switches and the interface
    /// deliver its solicitations. Addresses may share a group.
    pub fn join(&mut self, address: Ipv6Addr) -> Result<(), LinkError> {
        let (group, interface) = (ndp::group(address), self.interface);
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
            for socket in &self.groups {
                let _not_member = sockopt::set_ipv6_drop_membership(socket, &group, self.interface);
            }
        }
    }
}

fn datagrams(family: AddressFamily) -> Result<OwnedFd, Errno> {
    socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}

/// Opens a socket that receives the packets of one protocol on one interface.
fn packets(protocol: u16, interface: u32, filter: &[Instruction]) -> Result<OwnedFd, Errno> {
    // Without a protocol it receives nothing before it has its filter and its interface.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
    if !filter.is_empty() {
        packet_socket::set_filter(socket.as_fd(), filter)?;
    }
    packet_socket::bind(socket.as_fd(), protocol, interface)?;
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
