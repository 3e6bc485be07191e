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

#[derive(Clone, Copy)]
struct Left {
    operations: u64,
    helper_work: u64,
    is_exceeded: bool,
}

thread_local! {
    static LEFT: Cell<Left> = const { Cell::new(Left { operations: 0, helper_work: 0, is_exceeded: false }) };
}

/// Begins a run.
pub(super) fn start(limits: &Limits) {
    let (operations, helper_work) = (limits.operations, limits.helper_work);
    LEFT.set(Left { operations, helper_work, is_exceeded: false });
}

/// Whether the run that began last went over a limit, even if the script or a built-in function hid the error.
pub(super) fn is_exceeded() -> bool {
    LEFT.get().is_exceeded
}

/// Counts one step of the interpreter; something if there may be no more.
pub(super) fn step() -> Option<Dynamic> {
    let left = LEFT.get();
    match left.operations.checked_sub(1) {
        Some(operations) if !left.is_exceeded => {
            LEFT.set(Left { operations, ..left });
            None
        }
        _ => {
            LEFT.set(Left { is_exceeded: true, ..left });
            Some(Dynamic::UNIT)
        }
    }
}

/// Takes units of work from what the run has left.
///
/// # Errors
///
/// Nothing is left. A script cannot catch this error, nor go on after it.
pub(super) fn charge(units: u64) -> Answer<()> {
    let left = LEFT.get();
    match left.helper_work.checked_sub(units) {
        Some(helper_work) => {
            LEFT.set(Left { helper_work, ..left });
            Ok(())
        }
        None => {
            LEFT.set(Left { is_exceeded: true, ..left });
            Err(EvalAltResult::ErrorTerminated(Dynamic::UNIT, Position::NONE).into())
        }
    }
}
