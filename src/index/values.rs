//! All values of a field, with the events that have them.

use std::ops::ControlFlow;

use roaring::RoaringBitmap;

use super::Terms;
use super::answer::ReadError;
use super::dictionary::Dictionary;
use super::field::{Field, Value};
use super::postings::Damaged;

/// Visits the texts that a field has, folded, with the numbers of the events that have them; of very long texts the
/// beginning, so that it may come several times.
pub fn values<T: Terms + ?Sized>(
    terms: &mut T,
    field: Field,
    visit: &mut dyn FnMut(&str, &RoaringBitmap),
) -> Result<(), ReadError<T::Error>> {
    let mut done: Result<(), Damaged> = Ok(());
    Dictionary::new(terms).visit(field, &[], &mut |bytes, numbers| {
        let (Some(Value::Text(text) | Value::Beginning(text)), true) = (field.decode(bytes), done.is_ok())
        else {
            return ControlFlow::Continue(());
        };
        let mut events = RoaringBitmap::new();
        match numbers.add_to(&mut events) {
            Ok(()) => visit(text, &events),
            Err(damaged) => done = Err(damaged),
        }
        ControlFlow::Continue(())
    })?;
    Ok(done?)
}
