//! The daemon from outside: posted to over HTTP, watched through its store, log, metrics and receivers.
//!
//! Everything waits for what it waits for, 60 s at most, and never for a time to pass. `cfg(test)` stands before each
//! module because the lints know test code by it.

#[cfg(test)]
mod harness;
#[cfg(test)]
mod process;
#[cfg(test)]
mod receiver;
#[cfg(test)]
mod stream;
#[cfg(test)]
mod smtp;
#[cfg(test)]
mod hec;
#[cfg(test)]
mod world;
#[cfg(test)]
mod outcome;
#[cfg(test)]
mod feed;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod main_job;
#[cfg(test)]
mod witness;
#[cfg(test)]
mod alerts;
#[cfg(test)]
mod accounts;
#[cfg(test)]
mod guards;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod responses;
mod restart;
mod retention;
#[cfg(test)]
mod noise;
#[cfg(test)]
mod past;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod determinism;
#[cfg(test)]
mod threads;
#[cfg(test)]
mod enrichment;
#[cfg(test)]
mod crash;
#[cfg(test)]
#[cfg(feature = "fault-points")]
mod faults;
#[cfg(test)]
mod trouble;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod activation;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod corpus;
#[cfg(test)]
#[path = "../../fuzz/checks.rs"]
mod fuzz_checks;
