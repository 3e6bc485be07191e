//! A YAML rule file.
#![no_main]

#[allow(dead_code, reason = "one of its functions is used here")]
#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::rule_file(data));
