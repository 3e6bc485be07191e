//! Named places where a crash test may kill the process. Without the feature `fault-points`, nothing.

/// Passes the named place; with `WATCHFIRE_FAULT=NAME:COUNT` in the environment, the COUNT-th time is the
/// process' last: it aborts there, as if it were killed.
#[cfg(feature = "fault-points")]
pub(crate) fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static FAULT: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    let fault = FAULT.get_or_init(|| {
        let text = std::env::var("WATCHFIRE_FAULT").ok()?;
        let (name, count) = text.rsplit_once(':')?;
        Some((name.to_owned(), AtomicU64::new(count.parse().ok()?)))
    });
    if let Some((wanted, left)) = fault
        && wanted == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        std::process::abort();
    }
}

/// Passes the named place.
#[cfg(not(feature = "fault-points"))]
#[inline(always)]
pub(crate) const fn point(_name: &str) {}
