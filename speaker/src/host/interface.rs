//! The calls of netdevice(7) that rustix lacks, and the notice that an interface may have changed.
//!
//! The messages of rtnetlink(7) are not read: each is only a reason to read the state of the interface
//! again. So a message that was lost, or one of a newer kernel, cannot make the state wrong.
#![expect(unsafe_code, reason = "system calls with structures of C: their sizes must match")]

use crate::frame::Mac;
use crate::frame::ndp::ALL_NODES;
use crate::interface::{InterfaceName, State};
use rustix::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netdevice::name_to_index;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, connect, connect_unspec, getsockname,
    recv, socket_with,
};
use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv6Addr, SocketAddrV6};

/// The group of changes of interfaces: `RTMGRP_LINK`.
const LINK_GROUP: u32 = 1;
/// The port of the discard protocol (RFC 863).
const DISCARD: u16 = 9;

/// Returns the state of an interface in the network of this socket.
pub(super) fn state(socket: BorrowedFd<'_>, name: &InterfaceName) -> Result<State, Errno> {
    match read(socket, name) {
        // It may disappear between two calls.
        Err(Errno::NODEV) => Ok(State::Missing),
        state => state,
    }
}

fn read(socket: BorrowedFd<'_>, name: &InterfaceName) -> Result<State, Errno> {
    let index = name_to_index(socket, name.as_str())?;
    let hardware = request(socket, name, libc::SIOCGIFHWADDR)?.ifr_ifru;
    // SAFETY: the call has written this field of the union.
    let hardware = unsafe { hardware.ifru_hwaddr };
    if hardware.sa_family != libc::ARPHRD_ETHER {
        return Ok(State::NotEthernet);
    }
    let flags = request(socket, name, libc::SIOCGIFFLAGS)?.ifr_ifru;
    // SAFETY: the call has written this field of the union.
    let flags = libc::c_int::from(unsafe { flags.ifru_flags });
    // Enabled, and with a carrier.
    let is_up = [libc::IFF_UP, libc::IFF_RUNNING].iter().all(|flag| flags & flag != 0);
    let [a, b, c, d, e, f, ..] = hardware.sa_data.map(|octet| octet.to_ne_bytes()[0]);
    Ok(if is_up { State::Up { index, mac: Mac([a, b, c, d, e, f]) } } else { State::Down })
}

fn request(
    socket: BorrowedFd<'_>,
    name: &InterfaceName,
    code: libc::c_ulong,
) -> Result<libc::ifreq, Errno> {
    // SAFETY: zero is a valid value of every field.
    let mut request = unsafe { MaybeUninit::<libc::ifreq>::zeroed().assume_init() };
    // A name is shorter than the field, so that a zero ends it.
    for (to, from) in request.ifr_name.iter_mut().zip(name.as_str().bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    // SAFETY: these calls read and write a structure of this type.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), code, &raw mut request) };
    if result < 0 {
        let error = io::Error::last_os_error();
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    }
    Ok(request)
}

/// Opens a socket that becomes readable when an interface of this network changes.
pub(super) fn changes() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
    // The protocol of routes and interfaces is the default one.
    let socket = socket_with(family, kind, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, LINK_GROUP))?;
    Ok(socket)
}

/// Returns the link-local address that the kernel would send from on the interface with this index, if
/// there is one that is not being checked for duplicates. Sends nothing. The socket is a datagram one.
pub(super) fn link_local(socket: BorrowedFd<'_>, index: u32) -> Option<Ipv6Addr> {
    // Otherwise the address of the last call stays.
    connect_unspec(socket).ok()?;
    connect(socket, &SocketAddrV6::new(ALL_NODES, DISCARD, 0, index)).ok()?;
    let address = SocketAddrV6::try_from(getsockname(socket).ok()?).ok()?;
    Some(*address.ip()).filter(Ipv6Addr::is_unicast_link_local)
}

/// Discards all messages. Returns `EAGAIN` if there was none.
pub(super) fn discard(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut found = Err(Errno::AGAIN);
    loop {
        // A datagram that is longer is truncated, and the rest of it discarded.
        match recv(socket, &mut [0_u8; 16], RecvFlags::DONTWAIT) {
            // Messages were lost.
            Ok(_) | Err(Errno::NOBUFS) => found = Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return found,
            Err(error) => return Err(error),
        }
    }
}
