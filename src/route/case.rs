//! What conditions look at: an alert, and where its events happened.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::alert::{Alert, Key};
use crate::event::Event;

/// Longer texts are cut: an event may say anything.
const TEXT_MAX: usize = 1_000;

/// Where the events happened that opened an alert: a bounded sample of them, as that of the evidence is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scene {
    /// The source of the event that completed it; none where it was the clock.
    pub source: Option<String>,
    /// The system of that event: numbers of people and things mean somebody in it.
    pub forge: Option<String>,
    /// The names of all sources.
    pub sources: BTreeSet<String>,
    /// The systems.
    pub forges: BTreeSet<String>,
    /// Who did it: ids and names; either may be empty.
    pub authors: BTreeSet<(String, String)>,
    /// The paths of the groups, projects and so on, `entity_path`.
    pub entities: BTreeSet<String>,
}

/// What one event tells of where it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glimpse {
    source: Arc<str>,
    forge: Arc<str>,
    entity: String,
    author: (String, String),
}

impl Glimpse {
    /// Of an event and its canonical fields.
    #[must_use]
    pub fn of(event: &Event, fields: &Map<String, Value>) -> Self {
        let text = |name: &str| fields.get(name).map(plain).unwrap_or_default();
        Self {
            source: Arc::clone(&event.source),
            forge: Arc::clone(&event.forge),
            entity: text("entity_path"),
            author: (text("author_id"), text("author_name")),
        }
    }

    /// Its source and its system.
    pub(super) fn origin(&self) -> [Option<String>; 2] {
        [Some(self.source.to_string()), Some(self.forge.to_string())]
    }
}

impl Scene {
    /// Takes in one event and its canonical fields.
    pub fn note(&mut self, event: &Event, fields: &Map<String, Value>) {
        self.see(&Glimpse::of(event, fields));
    }

    /// Takes in what one event told.
    pub fn see(&mut self, seen: &Glimpse) {
        let Glimpse { source, forge, entity, author } = seen;
        self.sources.insert(source.to_string());
        self.forges.insert(forge.to_string());
        if !entity.is_empty() {
            self.entities.insert(entity.clone());
        }
        if !author.0.is_empty() || !author.1.is_empty() {
            self.authors.insert(author.clone());
        }
    }

    /// Takes from the key what no event told: the log may have lost them.
    pub fn complete(&mut self, key: &Key) {
        let text = |name: &str| key.get(name).unwrap_or_default().to_owned();
        let author = (text("author_id"), text("author_name"));
        if self.authors.is_empty() && (!author.0.is_empty() || !author.1.is_empty()) {
            self.authors.insert(author);
        }
        if let Some(entity) = key.get("entity_path") {
            self.entities.insert(entity.to_owned());
        }
    }

    /// What can be told from the key alone.
    #[must_use]
    pub fn of_key(key: &Key) -> Self {
        let mut scene = Self::default();
        scene.complete(key);
        scene
    }
}

fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.as_str(),
        Value::Null => return String::new(),
        other => return other.to_string().chars().take(TEXT_MAX).collect(),
    };
    let end = text.floor_char_boundary(TEXT_MAX);
    text.get(..end).unwrap_or_default().to_owned()
}

/// An alert and where it happened.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The alert.
    pub alert: &'a Alert,
    /// Where its events happened.
    pub scene: &'a Scene,
}

/// What can be asked of a case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The rule's id.
    Rule,
    /// The level's name.
    Level,
    /// The rule's tags.
    Tag,
    /// The sources of its events.
    Source,
    /// Their systems.
    Forge,
    /// The paths of what they are about.
    Entity,
    /// Who did it, by id or name.
    Author,
    /// A field of the key.
    Key(String),
}

impl Field {
    /// The names that are no field of a key.
    pub const NAMES: [&'static str; 7] = ["rule", "level", "tag", "source", "forge", "entity", "author"];

    /// The field of that name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "rule" => Self::Rule,
            "level" => Self::Level,
            "tag" => Self::Tag,
            "source" => Self::Source,
            "forge" => Self::Forge,
            "entity" => Self::Entity,
            "author" => Self::Author,
            other => Self::Key(other.to_owned()),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Rule => "rule",
            Self::Level => "level",
            Self::Tag => "tag",
            Self::Source => "source",
            Self::Forge => "forge",
            Self::Entity => "entity",
            Self::Author => "author",
            Self::Key(name) => name,
        }
    }

    /// Whether it is read from the events, of which there may be several that differ.
    #[must_use]
    pub const fn is_of_events(&self) -> bool {
        matches!(self, Self::Source | Self::Forge | Self::Entity | Self::Author)
    }

    /// Its values, each with the other names it goes by.
    #[must_use]
    pub fn values<'c>(&self, case: &Case<'c>) -> Vec<[&'c str; 2]> {
        let (alert, scene) = (case.alert, case.scene);
        let one = |value: &'c str| [value, value];
        match self {
            Self::Rule => vec![one(&alert.rule)],
            Self::Level => vec![one(alert.level.name())],
            Self::Tag => alert.tags.iter().map(|tag| one(tag)).collect(),
            Self::Source => scene.sources.iter().map(|source| one(source)).collect(),
            Self::Forge => scene.forges.iter().map(|forge| one(forge)).collect(),
            Self::Entity => scene.entities.iter().map(|entity| one(entity)).collect(),
            Self::Author => scene.authors.iter().map(|(id, name)| [id.as_str(), name.as_str()]).collect(),
            Self::Key(name) => alert.key.get(name).map(one).into_iter().collect(),
        }
    }

    /// Its values as one text; none if there are none.
    #[must_use]
    pub fn joined(&self, case: &Case<'_>) -> Option<String> {
        let values = self.values(case);
        let texts: Vec<&str> = values
            .iter()
            .map(|[first, other]| if first.is_empty() { other } else { first })
            .copied()
            .collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }
}
