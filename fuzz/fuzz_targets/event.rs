//! An event, in any of the formats.
#![no_main]

#[allow(dead_code, reason = "one of its functions is used here")]
#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::event(data));
