//! Any text as a size. What must hold is in `oracle/`.
#![no_main]

#[path = "../oracle/oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracle::quantity(data));
