//! The accounts that are Watchfire's own: what they do was done by a response, and need not be judged.

use rustc_hash::FxHashSet;

use super::table::fold_into;

/// The accounts that are Watchfire's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// As in `author_id`, without regard to case: a UUID may be written either way.
    ids: FxHashSet<String>,
    /// As in `author_name`, without regard to case.
    names: FxHashSet<String>,
}

impl Own {
    /// None if nobody is named.
    #[must_use]
    pub fn new<S: AsRef<str>>(
        ids: impl IntoIterator<Item = S>,
        names: impl IntoIterator<Item = S>,
    ) -> Option<Self> {
        let own = Self {
            ids: ids.into_iter().map(|id| folded(id.as_ref())).collect(),
            names: names.into_iter().map(|name| folded(name.as_ref())).collect(),
        };
        (!own.ids.is_empty() || !own.names.is_empty()).then_some(own)
    }

    /// Whether an author is one of them, by id or by name.
    #[must_use]
    pub fn is(&self, id: Option<&str>, name: Option<&str>) -> bool {
        let is_in = |set: &FxHashSet<String>, text: Option<&str>| {
            !set.is_empty() && text.is_some_and(|text| set.contains(&folded(text)))
        };
        is_in(&self.ids, id) || is_in(&self.names, name)
    }

    /// The same for the same accounts.
    pub(super) fn sorted(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.ids.iter().map(String::as_str).collect();
        let mut names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        ids.sort_unstable();
        names.sort_unstable();
        ids.into_iter().chain(["\u{0}"]).chain(names).collect()
    }
}

fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(text.trim(), &mut folded);
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_is_known_by_id_or_by_name() {
        let own = Own::new(["7"], ["Watchfire-Bot"]).unwrap();
        assert!(own.is(Some("7"), Some("anyone")));
        assert!(own.is(Some("8"), Some("watchfire-bot")));
        assert!(!own.is(Some("77"), Some("watchfire")) && !own.is(None, None));
        assert_eq!(Own::new::<&str>([], []), None);
    }
}
