//! Any bytes as a packet of ARP and of NDP. What must hold is in `oracle/`.
#![no_main]

#[path = "../oracle/frames.rs"]
mod frames;

libfuzzer_sys::fuzz_target!(|data: &[u8]| frames::frame(data));
