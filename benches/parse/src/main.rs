//! `parse METHOD FILE`: reads a file of events line by line and only parses them; prints a count, so that nothing
//! is left out. The methods: `serde-dom`, `serde-skip` (validates, keeps nothing), `sonic-dom`, `sonic-skip`,
//! `sonic-lazy` (three fields), `simd-dom` (borrowed), `simd-tape`, `lines` (finds the lines, parses nothing).

use std::fs::File;
use std::io::Read;

use sonic_rs::{JsonContainerTrait, JsonValueTrait};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As Watchfire reads a file: blocks that stay in a core's own cache.
const BLOCK: usize = 1 << 18;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(method), Some(path)) = (arguments.next(), arguments.next()) else {
        panic!("parse METHOD FILE");
    };
    let mut buffers = simd_json::Buffers::new(1 << 16);
    let mut sum = 0;
    let mut each = |line: &mut [u8]| {
        sum += match method.as_str() {
            "lines" => line.len(),
            "serde-dom" => serde_json::from_slice::<serde_json::Value>(line).unwrap().as_object().unwrap().len(),
            "serde-skip" => {
                serde_json::from_slice::<serde::de::IgnoredAny>(line).unwrap();
                1
            }
            "sonic-dom" => sonic_rs::from_slice::<sonic_rs::Value>(line).unwrap().as_object().unwrap().len(),
            "sonic-skip" => {
                sonic_rs::from_slice::<serde::de::IgnoredAny>(line).unwrap();
                1
            }
            "sonic-lazy" => ["event_type", "created_at", "entity_path"]
                .iter()
                .filter_map(|key| sonic_rs::get(&*line, &[*key]).ok())
                .filter_map(|value| value.as_str().map(str::len))
                .sum(),
            "simd-dom" => {
                let value = simd_json::to_borrowed_value_with_buffers(line, &mut buffers).unwrap();
                simd_json::prelude::ValueAsObject::as_object(&value).unwrap().len()
            }
            "simd-tape" => {
                let mut tape = simd_json::Tape::null().reset();
                simd_json::fill_tape(line, &mut buffers, &mut tape).unwrap();
                tape.0.len()
            }
            other => panic!("no such method: {other}"),
        };
    };
    let mut input = File::open(path).unwrap();
    let mut block: Vec<u8> = Vec::new();
    loop {
        let start = block.len();
        block.resize(start + BLOCK, 0);
        let read = input.read(&mut block[start..]).unwrap();
        block.truncate(start + read);
        let mut at = 0;
        while let Some(length) = memchr::memchr(b'\n', &block[at..]) {
            if length > 0 {
                each(&mut block[at..at + length]);
            }
            at += length + 1;
        }
        block.drain(..at);
        if read == 0 {
            if !block.is_empty() {
                each(&mut block);
            }
            break;
        }
    }
    println!("{sum}");
}
