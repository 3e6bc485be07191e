//! Finding events in the log: by query, by time, by what else happened around them.
