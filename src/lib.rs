//! Watchfire watches the audit events of a software forge, finds what is out of order, and acts.
//!
//! The modules stand in reading order: the pure core first, then the edges. `ARCHITECTURE.md` has the map.

// The core: pure, synchronous, without clock or I/O.
pub mod time;
pub mod tuple;
pub mod enrich;
pub mod event;
pub mod decode;
pub mod alert;
pub mod script;
pub mod rule;
pub mod matcher;
pub mod detect;
pub mod engine;
pub mod query;
pub mod index;
pub mod reach;
pub mod retention;
pub mod encode;
pub mod report;
pub mod route;

// The edges: all that touches the world.
pub mod clock;
pub mod telemetry;
pub mod pipeline;
pub mod log;
pub mod search;
pub mod store;
pub mod reporting;
pub mod backup;
pub mod proof;
pub mod tuning;
pub mod deliver;
pub mod respond;
pub mod action;
pub mod forward;
pub mod source;
pub mod api;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod cli;
