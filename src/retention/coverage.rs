//! Coverage levels: how much of a category is worth storing at all.

use std::collections::BTreeMap;

use crate::event::Tier;

/// How much of a category is stored. What is not stored is judged and forwarded all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// Nothing.
    Off,
    /// What cannot be undone, and what changes settings and roles.
    Base,
    /// Also keys and tokens, and data that leaves.
    Advanced,
    /// Everything.
    #[default]
    Full,
}

impl Level {
    /// Every level, the narrowest first.
    pub const ALL: [Self; 4] = [Self::Off, Self::Base, Self::Advanced, Self::Full];

    /// The word in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Base => "base",
            Self::Advanced => "advanced",
            Self::Full => "full",
        }
    }

    /// The level of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    /// Whether events of a tier are stored. What has no tier, because the catalogue does not know its type, is only
    /// left out when everything is: nobody has said that it is harmless.
    #[must_use]
    pub const fn stores(self, tier: Option<Tier>) -> bool {
        match (self, tier) {
            (Self::Off, _) => false,
            (Self::Full, _) | (_, None | Some(Tier::Destructive | Tier::Permission)) => true,
            (Self::Advanced, Some(tier)) => matches!(tier, Tier::Secret | Tier::Exfiltration),
            (Self::Base, Some(_)) => false,
        }
    }
}

/// The level of each category.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// For categories that are not named, and for events without one.
    pub default: Level,
    /// By the forge's category.
    pub categories: BTreeMap<String, Level>,
}

impl Coverage {
    /// The level of a category.
    #[must_use]
    pub fn level(&self, category: Option<&str>) -> Level {
        category.and_then(|category| self.categories.get(category)).copied().unwrap_or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_stores_what_the_one_before_it_stores_and_more() {
        for tier in Tier::ALL.map(Some).into_iter().chain([None]) {
            let stored = Level::ALL.map(|level| level.stores(tier));
            assert!(stored.is_sorted(), "{tier:?} {stored:?}");
            assert_eq!((stored[0], stored[3]), (false, true), "{tier:?}");
        }
        assert!(Level::Base.stores(Some(Tier::Permission)) && !Level::Base.stores(Some(Tier::Secret)));
        assert!(Level::Advanced.stores(Some(Tier::Secret)) && !Level::Advanced.stores(Some(Tier::Routine)));
    }
}
