//! The accounts that are Watchfire's own: what they do was done by a response, and need not be judged.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::table::fold_into;

/// The source of the events that Watchfire writes itself; no other source has that name.
pub const OWN_SOURCE: &str = "watchfire";

/// An account that a token told to be Watchfire's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// The system: only events of this forge are meant, for a number means somebody else in another.
    pub forge: String,
    /// Its id there, as in `author_id`.
    pub id: String,
    /// Its user name.
    pub name: String,
    /// Whether events that lack the id may be known by the name: where `author_name` is the user name (GitHub), and not
    /// one that anybody can give himself (GitLab).
    pub by_name: bool,
}

impl Account {
    /// Whether an author at a forge is this account.
    #[must_use]
    pub fn is(&self, forge: &str, id: Option<&str>, name: Option<&str>) -> bool {
        self.forge == forge
            && match (id, name) {
                (Some(id), _) => folded(id) == folded(&self.id),
                (None, Some(name)) => self.by_name && folded(name) == folded(&self.name),
                (None, None) => false,
            }
    }
}

/// The accounts that are Watchfire's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// As in `author_id`, without regard to case: a UUID may be written either way.
    ids: FxHashSet<String>,
    /// As in `author_name`, without regard to case.
    names: FxHashSet<String>,
    /// What tokens told, in order.
    learnt: Vec<Account>,
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
            learnt: Vec::new(),
        };
        (!own.is_nobody()).then_some(own)
    }

    /// Those that the configuration names, and those that tokens told. None if there are none.
    #[must_use]
    pub fn joined(configured: Option<&Arc<Self>>, learnt: &[Account]) -> Option<Arc<Self>> {
        if learnt.is_empty() {
            return configured.cloned();
        }
        let mut own = configured.map(|own| Self::clone(own)).unwrap_or_default();
        own.learnt.extend_from_slice(learnt);
        own.learnt.sort_unstable();
        own.learnt.dedup();
        Some(Arc::new(own))
    }

    fn is_nobody(&self) -> bool {
        self.ids.is_empty() && self.names.is_empty() && self.learnt.is_empty()
    }

    /// Whether Watchfire did it itself: it wrote the event, or the author at that forge is one of these. A configured name
    /// counts only where the event has no number of its author: at GitLab anybody can call himself so.
    #[must_use]
    pub fn did(&self, (source, forge): (&str, &str), id: Option<&str>, name: Option<&str>) -> bool {
        source == OWN_SOURCE
            || is_in(&self.ids, id)
            || (id.is_none() && is_in(&self.names, name))
            || self.learnt.iter().any(|account| account.is(forge, id, name))
    }

    /// Whether an account may be one of them, by its number or any of its names: nothing is done to it.
    #[must_use]
    pub fn is(&self, forge: &str, id: Option<&str>, name: Option<&str>) -> bool {
        is_in(&self.names, name) || self.did(("", forge), id, name)
    }

    /// The same for the same accounts.
    pub(super) fn sorted(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.ids.iter().map(String::as_str).collect();
        let mut names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        ids.sort_unstable();
        names.sort_unstable();
        let learnt = self.learnt.iter().flat_map(|account| {
            let name = if account.by_name { account.name.as_str() } else { "" };
            ["\u{0}", &account.forge, &account.id, name]
        });
        ids.into_iter().chain(["\u{0}"]).chain(names).chain(learnt).collect()
    }
}

fn is_in(set: &FxHashSet<String>, text: Option<&str>) -> bool {
    !set.is_empty() && text.is_some_and(|text| set.contains(&folded(text)))
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
        let is = |id, name| own.is("gitlab", id, name);
        assert!(is(Some("7"), Some("anyone")));
        assert!(is(Some("8"), Some("watchfire-bot")));
        assert!(!is(Some("77"), Some("watchfire")) && !is(None, None));
        assert_eq!(Own::new::<&str>([], []), None);
    }

    fn account(forge: &str, id: &str, by_name: bool) -> Account {
        Account { forge: forge.into(), id: id.into(), name: "Wf-Bot".into(), by_name }
    }

    /// Whoever can call himself as Watchfire's account is called would be judged by nobody.
    #[test]
    fn what_a_token_told_holds_for_its_forge_and_for_names_that_nobody_can_take() {
        let learnt = [account("gitlab", "3", false), account("github", "9", true)];
        let own = Own::joined(None, &learnt).unwrap();
        assert!(own.is("gitlab", Some("3"), Some("anything")));
        assert!(!own.is("gitlab-b", Some("3"), None), "another system's account");
        assert!(!own.is("gitlab", Some("4"), Some("wf-bot")), "a name that anybody can give himself");
        assert!(!own.is("gitlab", None, Some("wf-bot")));
        assert!(own.is("github", Some("9"), None) && own.is("github", None, Some("WF-BOT")));
        assert!(!own.is("github", Some("10"), Some("wf-bot")), "the login has changed hands");
        assert!(!own.is("gitlab", Some("9"), None));
        assert!(own.did(("watchfire", "watchfire"), None, Some("somebody")), "it wrote that itself");
        assert!(
            own.did(("gitlab", "gitlab"), Some("3"), None) && !own.did(("a", "watchfire"), Some("4"), None)
        );
    }

    #[test]
    fn what_is_configured_holds_beside_it() {
        let configured = Own::new(["7"], []).map(Arc::new);
        let own = Own::joined(configured.as_ref(), &[account("gitlab", "3", false)]).unwrap();
        assert!(own.is("anywhere", Some("7"), None) && own.is("gitlab", Some("3"), None));
        assert_eq!(Own::joined(configured.as_ref(), &[]), configured);
        assert_eq!(Own::joined(None, &[]), None);
        let other = Own::joined(configured.as_ref(), &[account("gitlab", "4", false)]).unwrap();
        assert_ne!(own.sorted(), other.sorted(), "rules that ask for `self` begin anew");
    }
}
