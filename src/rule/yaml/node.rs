//! The tree.

/// A stretch of one line, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rule) struct Place {
    /// From 1; 0 for the file as a whole.
    pub(in crate::rule) line: u32,
    /// From 1.
    pub(in crate::rule) column: u32,
    /// At least 1.
    pub(in crate::rule) width: u32,
    /// 0 for the file itself, else the number of a file it imports.
    pub(in crate::rule) file: u16,
}

impl Place {
    /// The file as a whole.
    pub(in crate::rule) const FILE: Self = Self { line: 0, column: 1, width: 1, file: 0 };

    /// Its line, where it lies in the file itself; else the first line of that.
    pub(in crate::rule) const fn own_line(self) -> u32 {
        if self.file == 0 { self.line } else { 1 }
    }
}

/// One YAML document of a file.
#[derive(Debug)]
pub(in crate::rule) struct Document {
    pub(in crate::rule) root: Yaml,
}

/// A node and where it starts.
#[derive(Debug, Clone)]
pub(in crate::rule) struct Yaml {
    pub(in crate::rule) content: Content,
    pub(in crate::rule) place: Place,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(in crate::rule) enum Content {
    /// In the order of the file, without duplicates.
    Map(Vec<(Key, Yaml)>),
    List(Vec<Yaml>),
    Scalar(Scalar),
}

/// The key of a map entry.
#[derive(Debug, Clone)]
pub(in crate::rule) struct Key {
    pub(in crate::rule) text: String,
    pub(in crate::rule) place: Place,
}

/// A scalar as it was written.
#[derive(Debug, Clone)]
pub(in crate::rule) struct Scalar {
    /// The source text of a plain scalar, the content of a quoted one; empty for a value that is not there.
    /// A block (`|` or `>`) has its place at its first line that is not blank.
    pub(in crate::rule) text: String,
    pub(in crate::rule) kind: ScalarKind,
    /// The column of the text's first character, where each character of the text is one of the source.
    pub(in crate::rule) column: Option<u32>,
}

/// The type of a scalar by YAML 1.2's core schema; what is quoted is a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rule) enum ScalarKind {
    Null,
    Bool,
    Int,
    Float,
    Str,
}

impl Yaml {
    /// The entries, if this is a map.
    pub(in crate::rule) fn entries(&self) -> Option<&[(Key, Self)]> {
        match &self.content {
            Content::Map(entries) => Some(entries),
            Content::List(_) | Content::Scalar(_) => None,
        }
    }

    /// The scalar, if this is one.
    pub(in crate::rule) fn scalar(&self) -> Option<&Scalar> {
        match &self.content {
            Content::Scalar(scalar) => Some(scalar),
            Content::Map(_) | Content::List(_) => None,
        }
    }

    /// Whether nothing was written.
    pub(in crate::rule) fn is_null(&self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.kind == ScalarKind::Null)
    }

    /// What it is, for messages.
    pub(in crate::rule) fn describe(&self) -> &'static str {
        match &self.content {
            Content::Map(_) => "a map",
            Content::List(_) => "a list",
            Content::Scalar(scalar) => match scalar.kind {
                ScalarKind::Null => "nothing",
                ScalarKind::Bool => "a boolean",
                ScalarKind::Int | ScalarKind::Float => "a number",
                ScalarKind::Str => "a text",
            },
        }
    }

    /// The place of a part of this scalar's text, in characters; the whole node where that cannot be said.
    pub(in crate::rule) fn part(&self, offset: usize, width: usize) -> Place {
        let column = self.scalar().and_then(|scalar| scalar.column);
        match (column, u32::try_from(offset), u32::try_from(width.max(1))) {
            (Some(column), Ok(offset), Ok(width)) => {
                Place { column: column.saturating_add(offset), width, ..self.place }
            }
            _ => self.place,
        }
    }

    /// How many nodes there are in it.
    pub(in crate::rule) fn size(&self) -> usize {
        self.measure().0
    }

    /// Says of all nodes that they stand in the imported file of this number.
    pub(in crate::rule) fn set_file(&mut self, file: u16) {
        self.place.file = file;
        match &mut self.content {
            Content::Map(entries) => {
                for (key, value) in entries {
                    key.place.file = file;
                    value.set_file(file);
                }
            }
            Content::List(items) => items.iter_mut().for_each(|item| item.set_file(file)),
            Content::Scalar(_) => {}
        }
    }

    /// How many nodes there are in it, and how deep it is; both at least 1.
    pub(super) fn measure(&self) -> (usize, usize) {
        let add = |(size, depth): (usize, usize), child: &Self| {
            let (more, deeper) = child.measure();
            (size + more, depth.max(deeper + 1))
        };
        match &self.content {
            Content::Map(entries) => entries.iter().map(|(_, value)| value).fold((1, 1), add),
            Content::List(items) => items.iter().fold((1, 1), add),
            Content::Scalar(_) => (1, 1),
        }
    }
}
