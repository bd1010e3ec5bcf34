//! The calls of packet(7) that rustix lacks, one function for each. The module interprets nothing.
#![expect(unsafe_code, reason = "system calls with structures of C: their sizes must match")]

use crate::frame::Mac;
use rustix::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::ptr;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One instruction of a classic BPF program: code, jumps if true and if false, and operand.
pub(super) type Instruction = (u16, u8, u8, u32);

/// A received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    /// The length of the packet, which may exceed that of the buffer.
    pub(super) length: usize,
    /// The station that sent it.
    pub(super) from: Mac,
    /// Whether it was sent to this machine, or to a group of stations. Others are of promiscuous mode, of
    /// another VLAN, or sent by this machine.
    pub(super) is_for_us: bool,
}

/// Watches a socket for packets.
pub(super) fn watch(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor stays open, and the same one, until it is dropped, which happens after the
    // deregistration. Nothing takes it out earlier.
    unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }.map_err(Into::into)
}

fn address(protocol: u16, interface: u32, to: Mac) -> libc::sockaddr_ll {
    let mut octets = [0; 8];
    octets[..6].copy_from_slice(&to.0);
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: interface.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: octets,
    }
}

/// The length of an address, which an `u32` holds.
const ADDRESS: libc::socklen_t = size_of::<libc::sockaddr_ll>() as libc::socklen_t;

/// Starts to receive packets of `protocol` on one interface.
pub(super) fn bind(socket: BorrowedFd<'_>, protocol: u16, interface: u32) -> Result<(), Errno> {
    let address = address(protocol, interface, Mac::UNSPECIFIED);
    // SAFETY: the pointer is to a structure of this length.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), ADDRESS) };
    check(result as isize).map(drop)
}

/// Sends a packet to a station.
pub(super) fn send(
    socket: BorrowedFd<'_>,
    packet: &[u8],
    (protocol, interface): (u16, u32),
    to: Mac,
) -> Result<(), Errno> {
    let address = address(protocol, interface, to);
    let (data, length) = (packet.as_ptr().cast(), packet.len());
    // SAFETY: both pointers are to memory of these lengths.
    let sent = unsafe {
        let address = (&raw const address).cast();
        libc::sendto(socket.as_raw_fd(), data, length, libc::MSG_DONTWAIT, address, ADDRESS)
    };
    check(sent).map(drop)
}

/// Receives a packet without waiting.
pub(super) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Received, Errno> {
    let mut address = MaybeUninit::<libc::sockaddr_ll>::zeroed();
    let mut length = ADDRESS;
    let (data, room) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: all pointers are to memory of these lengths.
    let received = unsafe {
        let address = address.as_mut_ptr().cast();
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        libc::recvfrom(socket.as_raw_fd(), data, room, flags, address, &raw mut length)
    };
    let length = check(received)?;
    // SAFETY: every byte is initialised, and every value of its fields is valid.
    let address = unsafe { address.assume_init() };
    let [a, b, c, d, e, f, ..] = address.sll_addr;
    let to_us = [libc::PACKET_HOST, libc::PACKET_BROADCAST, libc::PACKET_MULTICAST];
    let is_for_us = to_us.contains(&address.sll_pkttype);
    Ok(Received { length, from: Mac([a, b, c, d, e, f]), is_for_us })
}

/// Drops the packets for which a classic BPF program returns 0.
pub(super) fn set_filter(socket: BorrowedFd<'_>, program: &[Instruction]) -> Result<(), Errno> {
    let instruction = |&(code, jt, jf, k): &Instruction| libc::sock_filter { code, jt, jf, k };
    let mut program: Vec<_> = program.iter().map(instruction).collect();
    let len = program.len().try_into().map_err(|_| Errno::INVAL)?;
    let filter = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    let (level, name) = (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
    let length = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the pointers are to memory of these lengths, which the kernel copies.
    let result = unsafe {
        let filter = ptr::from_ref(&filter).cast();
        libc::setsockopt(socket.as_raw_fd(), level, name, filter, length)
    };
    check(result as isize).map(drop)
}

fn check(result: isize) -> Result<usize, Errno> {
    usize::try_from(result)
        .map_err(|_| Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
}
