//! The system calls of a speaker.

pub mod link;
mod packet_socket;
