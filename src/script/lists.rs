//! The lists that scripts look values up in.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use rustc_hash::FxHashSet;

/// Named sets of text; names and members compare without regard to case.
#[derive(Debug, Clone, Default)]
pub struct ListTable(BTreeMap<String, Members>);

/// The members of a list; the set is made when a script first asks, since most lists are for rules without one.
#[derive(Debug, Clone)]
struct Members {
    values: Arc<[String]>,
    set: OnceLock<FxHashSet<String>>,
}

impl ListTable {
    /// Whether the list has the value; `None` if there is no such list.
    #[must_use]
    pub fn contains(&self, list: &str, value: &str) -> Option<bool> {
        let members = self.0.get(&list.to_lowercase())?;
        let set = members.set.get_or_init(|| {
            let filled = members.values.iter().filter(|value| !value.is_empty());
            filled.map(|value| value.to_lowercase()).collect()
        });
        Some(set.contains(&value.to_lowercase()))
    }

    /// The names of the lists.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A table of lists whose values are shared with others.
    #[must_use]
    pub fn shared(lists: impl IntoIterator<Item = (String, Arc<[String]>)>) -> Self {
        let members = |values| Members { values, set: OnceLock::new() };
        Self(lists.into_iter().map(|(name, values)| (name.to_lowercase(), members(values))).collect())
    }
}

impl<N, M> FromIterator<(N, M)> for ListTable
where
    N: AsRef<str>,
    M: IntoIterator,
    M::Item: AsRef<str>,
{
    fn from_iter<I: IntoIterator<Item = (N, M)>>(lists: I) -> Self {
        let owned = |members: M| members.into_iter().map(|member| member.as_ref().to_owned()).collect();
        Self::shared(lists.into_iter().map(|(name, members)| (name.as_ref().to_owned(), owned(members))))
    }
}
