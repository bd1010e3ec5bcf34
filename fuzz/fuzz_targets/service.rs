//! Services built from any bytes, made or changed. What must hold is in `oracle/`.
#![no_main]

#[path = "../oracle/oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracle::service(data));
