//! Work that the interpreter does not count because a helper does it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rhai::{EvalAltResult, NativeCallContext, Position};

/// What a helper gives back.
pub(super) type Answer<T> = Result<T, Box<EvalAltResult>>;

/// The units of helper work that a run has left; it travels as the call's tag.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<AtomicU64>);

impl Budget {
    pub(super) fn new(units: u64) -> Self {
        Self(Arc::new(AtomicU64::new(units)))
    }
}

/// Takes units of work from the run's budget.
///
/// # Errors
///
/// Nothing is left. A script cannot catch this error.
pub(super) fn charge(context: &NativeCallContext<'_>, units: u64) -> Answer<()> {
    let Some(budget) = context.tag().and_then(|tag| tag.read_lock::<Budget>()) else { return Ok(()) };
    // One thread runs a script from beginning to end.
    let left = budget.0.load(Ordering::Relaxed);
    budget.0.store(left.saturating_sub(units), Ordering::Relaxed);
    if units > left {
        return Err(EvalAltResult::ErrorTooManyOperations(Position::NONE).into());
    }
    Ok(())
}
