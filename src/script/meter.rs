//! What a run has used up.
//!
//! The interpreter's own count forgets what a callback does: in `list.map(|x| …)` each call of the closure starts
//! from the count before it. So this counts every step itself, and with it the work inside helpers, which the
//! interpreter does not see. The interpreter tells a step to a callback that gets no context, hence a variable
//! of the thread: a run begins and ends on one thread, and no run begins inside another.

use std::cell::Cell;

use rhai::{Dynamic, EvalAltResult, Position};

use super::Limits;

/// What a helper gives back.
pub(super) type Answer<T> = Result<T, Box<EvalAltResult>>;

thread_local! {
    static OPERATIONS: Cell<u64> = const { Cell::new(0) };
    static HELPER_WORK: Cell<u64> = const { Cell::new(0) };
    static IS_EXCEEDED: Cell<bool> = const { Cell::new(false) };
}

/// Begins a run.
pub(super) fn start(limits: &Limits) {
    OPERATIONS.set(limits.operations);
    HELPER_WORK.set(limits.helper_work);
    IS_EXCEEDED.set(false);
}

/// Lets what follows cost nothing, until the next run begins: for what is read of an event outside of any run.
pub(super) fn suspend() {
    OPERATIONS.set(0);
    HELPER_WORK.set(u64::MAX);
    IS_EXCEEDED.set(false);
}

/// Whether the run that began last went over a limit, even if the script or a built-in function hid the error.
pub(super) fn is_exceeded() -> bool {
    IS_EXCEEDED.get()
}

/// Nothing more is allowed.
fn exceed() {
    OPERATIONS.set(0);
    HELPER_WORK.set(0);
    IS_EXCEEDED.set(true);
}

/// Counts one step of the interpreter; something if there may be no more.
#[inline]
pub(super) fn step() -> Option<Dynamic> {
    if let Some(left) = OPERATIONS.get().checked_sub(1) {
        OPERATIONS.set(left);
        return None;
    }
    exceed();
    Some(Dynamic::UNIT)
}

/// Takes units of work from what the run has left.
///
/// # Errors
///
/// Nothing is left. A script cannot catch this error, nor go on after it.
#[inline]
pub(super) fn charge(units: u64) -> Answer<()> {
    if units == 0 && !IS_EXCEEDED.get() {
        return Ok(());
    }
    match HELPER_WORK.get().checked_sub(units) {
        Some(left) if !IS_EXCEEDED.get() => {
            HELPER_WORK.set(left);
            Ok(())
        }
        _ => {
            exceed();
            Err(EvalAltResult::ErrorTerminated(Dynamic::UNIT, Position::NONE).into())
        }
    }
}
