//! Who has a mail already that others are still to get.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Mails of which it is remembered who has them. Of one that is forgotten, those who have it get it once more.
const BEGUN_MAX: usize = 1_000;

/// What the server said, by address, of those who have a mail that others are still to get.
pub(super) type Told = BTreeMap<String, String>;

/// Mails that some people have and others are still to get, by their keys; the oldest first. A restart forgets them.
#[derive(Default)]
pub(super) struct Begun(Mutex<VecDeque<(String, Told)>>);

impl Begun {
    /// Who has it; it is forgotten with that.
    pub(super) fn take(&self, key: &str) -> Option<Told> {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = begun.iter().position(|(known, _)| known == key)?;
        begun.remove(at).map(|(_, told)| told)
    }

    pub(super) fn keep(&self, key: &str, told: Told) {
        if told.is_empty() {
            return;
        }
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.len() >= BEGUN_MAX {
            begun.pop_front();
        }
        begun.push_back((key.to_owned(), told));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_so_many_and_forgets_what_is_taken() {
        let begun = Begun::default();
        let told = |who: &str| Told::from([(who.to_owned(), "250".to_owned())]);
        begun.keep("nobody", Told::new());
        assert_eq!(begun.take("nobody"), None);
        for n in 0..=BEGUN_MAX {
            begun.keep(&n.to_string(), told("a@example.com"));
        }
        assert_eq!(begun.take("0"), None, "the oldest is forgotten");
        assert_eq!(begun.take("1"), Some(told("a@example.com")));
        assert_eq!(begun.take("1"), None);
    }
}
