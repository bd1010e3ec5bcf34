//! The system calls of a speaker.

pub mod boot_clock;
pub mod link;
mod packet_socket;
