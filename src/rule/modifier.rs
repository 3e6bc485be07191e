//! The modifiers after a field name: which there are, and which go together.

use super::ast::{Cmp, RefKind, TimePart};
use super::report::Report;
use super::transform::Transform;
use super::yaml::{Key, Place};

/// A field name's modifiers, read from left to right.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chain {
    /// How the values are compared.
    pub(super) mode: Mode,
    /// How the tests of several values are joined.
    pub(super) join: Join,
    /// Where wildcards are added to each value.
    pub(super) affix: Option<Affix>,
    /// How each value is changed.
    pub(super) transforms: Vec<Transform>,
    /// Whether `%name%` stands for a list.
    pub(super) expand: bool,
    /// Whether upper and lower case differ.
    pub(super) cased: bool,
}

/// How values are compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mode {
    Text,
    /// With these flags, of `i`, `m`, `s`.
    Regex(String),
    Cidr,
    Number(Cmp),
    FieldRef,
    Exists,
    Time(TimePart, Cmp),
}

/// How the tests of several values are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// One must hold.
    Any,
    /// `all`: all must hold.
    All,
    /// `neq`: none must hold.
    None,
}

/// Where wildcards are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Affix {
    Contains,
    StartsWith,
    EndsWith,
}

impl Affix {
    /// The comparison of two fields it stands for.
    pub(super) fn ref_kind(affix: Option<Self>) -> RefKind {
        match affix {
            None => RefKind::Equals,
            Some(Self::Contains) => RefKind::Contains,
            Some(Self::StartsWith) => RefKind::StartsWith,
            Some(Self::EndsWith) => RefKind::EndsWith,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Modifier {
    All,
    Neq,
    Cased,
    Expand,
    Affix(Affix),
    Transform(Transform),
    Regex,
    RegexFlag(char),
    Compare(Cmp),
    Time(TimePart),
    Cidr,
    FieldRef,
    Exists,
}

/// Every modifier of Sigma 2.1.
pub(super) const MODIFIERS: [(&str, Modifier); 31] = [
    ("all", Modifier::All),
    ("neq", Modifier::Neq),
    ("cased", Modifier::Cased),
    ("expand", Modifier::Expand),
    ("contains", Modifier::Affix(Affix::Contains)),
    ("startswith", Modifier::Affix(Affix::StartsWith)),
    ("endswith", Modifier::Affix(Affix::EndsWith)),
    ("windash", Modifier::Transform(Transform::Windash)),
    ("base64", Modifier::Transform(Transform::Base64)),
    ("base64offset", Modifier::Transform(Transform::Base64Offset)),
    ("utf16le", Modifier::Transform(Transform::Utf16Le)),
    ("wide", Modifier::Transform(Transform::Utf16Le)),
    ("utf16be", Modifier::Transform(Transform::Utf16Be)),
    ("utf16", Modifier::Transform(Transform::Utf16)),
    ("re", Modifier::Regex),
    ("i", Modifier::RegexFlag('i')),
    ("m", Modifier::RegexFlag('m')),
    ("s", Modifier::RegexFlag('s')),
    ("lt", Modifier::Compare(Cmp::Lt)),
    ("lte", Modifier::Compare(Cmp::Lte)),
    ("gt", Modifier::Compare(Cmp::Gt)),
    ("gte", Modifier::Compare(Cmp::Gte)),
    ("minute", Modifier::Time(TimePart::Minute)),
    ("hour", Modifier::Time(TimePart::Hour)),
    ("day", Modifier::Time(TimePart::Day)),
    ("week", Modifier::Time(TimePart::Week)),
    ("month", Modifier::Time(TimePart::Month)),
    ("year", Modifier::Time(TimePart::Year)),
    ("cidr", Modifier::Cidr),
    ("fieldref", Modifier::FieldRef),
    ("exists", Modifier::Exists),
];

impl Default for Chain {
    fn default() -> Self {
        Self {
            mode: Mode::Text,
            join: Join::Any,
            affix: None,
            transforms: Vec::new(),
            expand: false,
            cased: false,
        }
    }
}

/// What is wrong with a chain, and what to do about it.
struct Clash {
    message: String,
    help: Option<&'static str>,
}

impl Clash {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    fn with(message: impl Into<String>, help: &'static str) -> Self {
        Self { message: message.into(), help: Some(help) }
    }
}

/// A modifier where it stands.
struct Written<'a> {
    name: &'a str,
    modifier: Modifier,
    place: Place,
}

/// The field (none for `|all`, a keyword) and the modifiers of a key; nothing after a mistake, which is reported.
pub(super) fn parse(key: &Key, report: &mut Report) -> Option<(Option<String>, Chain)> {
    let (field, rest) = key.text.split_once('|').unwrap_or((&key.text, ""));
    let errors = report.errors();
    let written = if key.text.contains('|') { written(key, rest, report) } else { Vec::new() };
    let mut chain = Chain::default();
    for (index, one) in written.iter().enumerate() {
        if written.iter().take(index).any(|before| before.name == one.name) {
            let clash = Clash::with(format!("the modifier `{}` stands twice", one.name), "remove one");
            refuse(report, one.place, clash);
            continue;
        }
        let before = index.checked_sub(1).and_then(|before| written.get(before));
        if let Err(clash) = chain.add(one.modifier, one.name, before.map(|before| before.modifier)) {
            refuse(report, one.place, clash);
        }
    }
    let field = Some(field.trim()).filter(|field| !field.is_empty()).map(str::to_owned);
    if report.errors() == errors
        && let Err(clash) = chain.check(field.is_some())
    {
        refuse(report, key.place, clash);
    }
    (report.errors() == errors).then_some((field, chain))
}

fn refuse(report: &mut Report, place: Place, clash: Clash) {
    let help = clash.help.map(str::to_owned);
    report.error("modifier-combination", place, clash.message).maybe_help(help);
}

fn written<'a>(key: &Key, rest: &'a str, report: &mut Report) -> Vec<Written<'a>> {
    let mut offset = key.text.chars().count() - rest.chars().count();
    let mut found = Vec::new();
    for name in rest.split('|') {
        let width = name.chars().count();
        let place = part(key, offset, width);
        offset += width + 1;
        let trimmed = name.trim();
        match MODIFIERS.iter().find(|(known, _)| *known == trimmed) {
            Some((name, modifier)) => found.push(Written { name, modifier: *modifier, place }),
            None => {
                let message = format!("unknown modifier `{trimmed}`");
                let known = MODIFIERS.iter().map(|(known, _)| *known);
                report.error("unknown-modifier", place, message).suggest(trimmed, known);
            }
        }
    }
    found
}

/// The place of a part of a key, in characters. A quoted key is wider than its text by the quotes.
fn part(key: &Key, offset: usize, width: usize) -> Place {
    let length = key.text.chars().count();
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    match usize::try_from(key.place.width).unwrap_or(0).checked_sub(length) {
        Some(quotes @ (0 | 2)) => Place {
            column: key.place.column.saturating_add(small(offset + quotes / 2)),
            width: small(width.max(1)),
            ..key.place
        },
        _ => key.place,
    }
}

impl Chain {
    fn add(&mut self, modifier: Modifier, name: &str, before: Option<Modifier>) -> Result<(), Clash> {
        match modifier {
            Modifier::All | Modifier::Neq if self.join != Join::Any => {
                let help = "say with two selections what is meant";
                return Err(Clash::with("`all` and `neq` do not go together", help));
            }
            Modifier::All => self.join = Join::All,
            Modifier::Neq => self.join = Join::None,
            Modifier::Cased => self.cased = true,
            Modifier::Expand if self.encodes() => {
                return Err(Clash::new("`expand` must come before the modifiers that encode the value"));
            }
            Modifier::Expand => self.expand = true,
            Modifier::Affix(_) if self.affix.is_some() => {
                return Err(Clash::new("only one of `contains`, `startswith`, `endswith` can be used"));
            }
            Modifier::Affix(affix) => self.affix = Some(affix),
            Modifier::Transform(transform) => self.transform(transform, name)?,
            Modifier::RegexFlag(flag) => match &mut self.mode {
                Mode::Regex(flags) if matches!(before, Some(Modifier::Regex | Modifier::RegexFlag(_))) => {
                    flags.push(flag);
                }
                _ => {
                    return Err(Clash::with(format!("`{name}` must stand right after `re`"), "write `re|i`"));
                }
            },
            Modifier::Compare(cmp) => match self.mode {
                Mode::Time(part, Cmp::Eq) => self.mode = Mode::Time(part, cmp),
                _ => self.set(Mode::Number(cmp), name)?,
            },
            Modifier::Time(part) => self.set(Mode::Time(part, Cmp::Eq), name)?,
            Modifier::Regex => self.set(Mode::Regex(String::new()), name)?,
            Modifier::Cidr => self.set(Mode::Cidr, name)?,
            Modifier::FieldRef => self.set(Mode::FieldRef, name)?,
            Modifier::Exists => self.set(Mode::Exists, name)?,
        }
        Ok(())
    }

    fn set(&mut self, mode: Mode, name: &str) -> Result<(), Clash> {
        if self.mode != Mode::Text {
            let help = if matches!(mode, Mode::Time(..)) {
                "write the part of the time first, as `hour|gte`"
            } else {
                "use one of the two"
            };
            let message = format!("`{name}` and `{}` compare in different ways", self.mode.name());
            return Err(Clash::with(message, help));
        }
        self.mode = mode;
        Ok(())
    }

    fn transform(&mut self, transform: Transform, name: &str) -> Result<(), Clash> {
        let is_utf16 =
            |t: &Transform| matches!(t, Transform::Utf16 | Transform::Utf16Le | Transform::Utf16Be);
        let is_base64 = |t: &Transform| matches!(t, Transform::Base64 | Transform::Base64Offset);
        if transform != Transform::Windash && self.affix.is_some() {
            let message = format!("`{name}` must come before `contains`, `startswith` and `endswith`");
            return Err(Clash::with(message, "it would encode their wildcards with the value"));
        }
        if transform == Transform::Windash && self.encodes() {
            return Err(Clash::new("`windash` must come before the modifiers that encode the value"));
        }
        if is_utf16(&transform) && self.transforms.iter().any(|t| is_utf16(t) || is_base64(t)) {
            let message =
                format!("`{name}` must come before `base64`, and only one UTF-16 encoding can be used");
            return Err(Clash::with(message, "write for example `wide|base64offset|contains`"));
        }
        if is_base64(&transform) && self.transforms.iter().any(is_base64) {
            return Err(Clash::new("only one of `base64` and `base64offset` can be used"));
        }
        self.transforms.push(transform);
        Ok(())
    }

    fn encodes(&self) -> bool {
        self.transforms.iter().any(|transform| *transform != Transform::Windash)
    }

    /// What only shows when all modifiers are known: the message and the help.
    fn check(&self, has_field: bool) -> Result<(), Clash> {
        let mode = self.mode.name();
        let is_text = self.mode == Mode::Text;
        let with = |what: &str| format!("{what} cannot be used with `{mode}`");
        if !has_field && !matches!(self.mode, Mode::Text | Mode::Regex(_)) {
            let message = format!("`{mode}` needs a field before it");
            return Err(Clash::with(message, "write the field's name before the `|`"));
        }
        if self.affix.is_some() && !is_text && self.mode != Mode::FieldRef {
            let help = "a regular expression matches anywhere by itself; use `^` and `$` to anchor it";
            let help = if matches!(self.mode, Mode::Regex(_)) { help } else { "use one of the two" };
            return Err(Clash::with(with("`contains`, `startswith` and `endswith`"), help));
        }
        if !self.transforms.is_empty() && !is_text {
            return Err(Clash::with(with("a modifier that changes texts"), "use it in a test of its own"));
        }
        let ends_in_base64 =
            matches!(self.transforms.last(), Some(Transform::Base64 | Transform::Base64Offset));
        if self.encodes() && !ends_in_base64 {
            let message = "a UTF-16 encoding must be followed by `base64` or `base64offset`";
            return Err(Clash::with(message, "write for example `wide|base64offset|contains`"));
        }
        if self.expand && !matches!(self.mode, Mode::Text | Mode::Cidr | Mode::Number(_)) {
            return Err(Clash::with(with("`expand`"), "test the list in a test of its own"));
        }
        let takes_case = is_text || matches!(self.mode, Mode::FieldRef | Mode::Regex(_));
        let ignores_case = matches!(&self.mode, Mode::Regex(flags) if flags.contains('i'));
        if self.cased && (!takes_case || ignores_case) {
            return Err(Clash::with(with("`cased`"), "leave `cased` out"));
        }
        if self.join == Join::None && matches!(self.mode, Mode::Number(_)) {
            return Err(Clash::with(with("`neq`"), "use the opposite comparison"));
        }
        if self.join != Join::Any && self.mode == Mode::Exists {
            return Err(Clash::with(with("`all` and `neq`"), "write `exists: false` or `exists: true`"));
        }
        Ok(())
    }
}

impl Mode {
    fn name(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Regex(flags) if flags.contains('i') => "re|i",
            Self::Regex(_) => "re",
            Self::Cidr => "cidr",
            Self::Number(Cmp::Lt) => "lt",
            Self::Number(Cmp::Lte) => "lte",
            Self::Number(Cmp::Gt) => "gt",
            Self::Number(Cmp::Gte | Cmp::Eq) => "gte",
            Self::FieldRef => "fieldref",
            Self::Exists => "exists",
            Self::Time(part, _) => match part {
                TimePart::Minute => "minute",
                TimePart::Hour => "hour",
                TimePart::Day => "day",
                TimePart::Week => "week",
                TimePart::Month => "month",
                TimePart::Year => "year",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str) -> Result<Chain, String> {
        let width = u32::try_from(key.len()).unwrap();
        let key = Key { text: key.to_owned(), place: Place { line: 1, column: 1, width, file: 0 } };
        let mut report = Report::new("a.yml".into());
        let parsed = parse(&key, &mut report);
        let diagnostics = report.into_diagnostics();
        match diagnostics.first() {
            Some(first) => Err(format!("{}+{} {}", first.column, first.width, first.message)),
            None => Ok(parsed.unwrap().1),
        }
    }

    #[test]
    fn every_modifier_is_known() {
        for (name, modifier) in MODIFIERS {
            let key = match modifier {
                Modifier::RegexFlag(_) => format!("f|re|{name}"),
                Modifier::Transform(Transform::Utf16 | Transform::Utf16Le | Transform::Utf16Be) => {
                    format!("f|{name}|base64")
                }
                _ => format!("f|{name}"),
            };
            assert!(check(&key).is_ok(), "{key}: {:?}", check(&key));
        }
    }

    #[test]
    fn what_goes_together_is_accepted() {
        for key in [
            "f|contains|all",
            "f|all|contains",
            "f|re|i|m|s",
            "f|wide|base64offset|contains",
            "f|windash|contains|all",
            "f|contains|windash",
            "f|expand|contains",
            "f|endswith|expand",
            "f|cidr|expand",
            "f|fieldref|startswith",
            "f|contains|fieldref|neq",
            "f|hour|gte",
            "f|hour|neq",
            "f|cased|endswith",
            "f|re|cased",
            "|all",
            "|contains|all",
            "|re",
        ] {
            assert!(check(key).is_ok(), "{key}: {:?}", check(key));
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused_at_its_place() {
        for (key, expected) in [
            ("f|containss", "3+9 unknown modifier `containss`"),
            ("f|", "3+1 unknown modifier ``"),
            ("f|all|all", "7+3 the modifier `all` stands twice"),
            ("f|contains|endswith", "12+8 only one of"),
            ("f|i", "3+1 `i` must stand right after `re`"),
            ("f|re|all|i", "10+1 `i` must stand right after `re`"),
            ("f|re|contains", "1+13 `contains`, `startswith` and `endswith` cannot be used with `re`"),
            ("f|cidr|re", "8+2 `re` and `cidr` compare in different ways"),
            ("f|gte|hour", "7+4 `hour` and `gte` compare in different ways"),
            ("f|contains|base64", "12+6 `base64` must come before `contains`"),
            ("f|base64|wide", "10+4 `wide` must come before `base64`"),
            ("f|wide", "1+6 a UTF-16 encoding must be followed"),
            ("f|base64|expand", "10+6 `expand` must come before"),
            ("f|neq|all", "7+3 `all` and `neq` do not go together"),
            ("f|lt|neq", "1+8 `neq` cannot be used with `lt`"),
            ("f|exists|neq", "1+12 `all` and `neq` cannot be used with `exists`"),
            ("f|cidr|cased", "1+12 `cased` cannot be used with `cidr`"),
            ("f|re|i|cased", "1+12 `cased` cannot be used with `re|i`"),
            ("f|re|expand", "1+11 `expand` cannot be used with `re`"),
            ("|cidr", "1+5 `cidr` needs a field before it"),
        ] {
            let message = check(key).expect_err(key);
            assert!(message.starts_with(expected), "{key}: {message}");
        }
    }
}
