//! Watchfire watches the audit events of a software forge, finds what is out of order, and acts.
//!
//! The modules stand in reading order: the pure core first, then the edges. `ARCHITECTURE.md` has the map.

pub mod alert;
pub mod event;
pub mod rule;
pub mod time;

pub mod action;
pub mod api;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod deliver;
pub mod demo;
pub mod forward;
pub mod log;
pub mod source;
pub mod store;
