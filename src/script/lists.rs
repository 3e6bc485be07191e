//! The lists that scripts look values up in.

use std::collections::{BTreeMap, BTreeSet};

/// Named sets of text; names and members compare without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListTable(BTreeMap<String, BTreeSet<String>>);

impl ListTable {
    /// Whether the list has the value; `None` if there is no such list.
    #[must_use]
    pub fn contains(&self, list: &str, value: &str) -> Option<bool> {
        let members = self.0.get(&list.to_lowercase())?;
        Some(members.contains(&value.to_lowercase()))
    }

    /// The names of the lists.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<N, M> FromIterator<(N, M)> for ListTable
where
    N: AsRef<str>,
    M: IntoIterator,
    M::Item: AsRef<str>,
{
    fn from_iter<I: IntoIterator<Item = (N, M)>>(lists: I) -> Self {
        let lower = |members: M| members.into_iter().map(|member| member.as_ref().to_lowercase()).collect();
        Self(
            lists.into_iter().map(|(name, members)| (name.as_ref().to_lowercase(), lower(members))).collect(),
        )
    }
}
