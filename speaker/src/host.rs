//! The system calls of a speaker.

pub mod boot_clock;
mod interface;
pub mod link;
mod packet_socket;
pub mod proc;
