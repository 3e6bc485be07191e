//! Named places where a crash test may kill the process. Without the feature `fault-points`, nothing.

/// Passes the named place; with `WATCHFIRE_FAULT=NAME:COUNT` in the environment, the COUNT-th time is the
/// process' last: it aborts there, as if it were killed.
#[cfg(all(feature = "fault-points", not(test)))]
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
#[cfg(not(any(feature = "fault-points", test)))]
#[inline(always)]
pub(crate) const fn point(_name: &str) {}

#[cfg(test)]
thread_local! {
    /// The place at which this thread ends in a panic, and how many times it passes before.
    static PANIC: std::cell::RefCell<Option<(String, u64)>> = const { std::cell::RefCell::new(None) };
}

/// Passes the named place, or ends there in a panic, see [`crash`].
#[cfg(test)]
pub(crate) fn point(name: &str) {
    let is_last = PANIC.with_borrow_mut(|fault| match fault {
        Some((wanted, 0)) if wanted == name => fault.take().is_some(),
        Some((wanted, left)) if wanted == name => {
            *left -= 1;
            false
        }
        _ => false,
    });
    if is_last {
        std::panic::resume_unwind(Box::new("a test's crash"));
    }
}

/// Does something that ends at the named place, after having passed it so many times; none if it ended there.
#[cfg(test)]
pub(crate) fn crash<T>(name: &str, passes: u64, work: impl FnOnce() -> T) -> Option<T> {
    PANIC.set(Some((name.to_owned(), passes)));
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    PANIC.set(None);
    done.ok()
}
