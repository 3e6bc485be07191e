//! What the terminal can show: its width, colours, and text that cannot steer it.

use std::io::IsTerminal;

use console::Term;

/// Without a terminal that says how wide it is.
const WIDTH: usize = 100;

/// Columns of the terminal, or those that `COLUMNS` says.
pub(super) fn width() -> usize {
    let wanted = || std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let own = || Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    wanted().or_else(own).filter(|columns| (40..=400).contains(columns)).unwrap_or(WIDTH)
}

/// Paints text where colours are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Paint {
    has_color: bool,
}

impl Paint {
    /// For results on standard output.
    pub(super) fn stdout() -> Self {
        let has_color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { has_color }
    }

    /// Without colours.
    #[cfg(test)]
    pub(super) const fn plain() -> Self {
        Self { has_color: false }
    }

    pub(super) const fn has_color(self) -> bool {
        self.has_color
    }

    pub(super) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// A level in the colour of its weight.
    pub(super) fn level(self, level: crate::alert::Level) -> String {
        use crate::alert::Level;
        match level {
            Level::Critical | Level::High => self.red(level.name()),
            Level::Medium => self.yellow(level.name()),
            Level::Low | Level::Informational => self.dim(level.name()),
        }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.has_color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The same text with spaces for what could steer the terminal: names come from whoever sent the event.
pub(super) fn clean(text: &str) -> String {
    let is_unprintable = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect()
}

/// At most so many characters; what is cut off shows as `…`.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Words in lines no wider than `width`: the first and the further ones begin behind so many spaces. A word that is
/// longer than a line stands alone.
pub(super) fn wrap(text: &str, (first, further): (usize, usize), width: usize) -> String {
    let mut wrapped = " ".repeat(first);
    let (mut column, mut is_empty) = (first, true);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !is_empty && column + 1 + length > width {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(further));
            (column, is_empty) = (further, true);
        }
        if !is_empty {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        (column, is_empty) = (column + length, false);
    }
    wrapped.push('\n');
    wrapped
}

/// `  name     what is said`, in lines no wider than `width`.
pub(super) fn labelled(name: &str, said: &str, width: usize) -> String {
    behind(&format!("  {name:<8} "), said, LABEL, width)
}

/// What is said behind its beginning, in lines no wider than `width`; the further ones begin behind so many spaces.
pub(super) fn behind(beginning: &str, said: &str, further: usize, width: usize) -> String {
    let first = beginning.chars().count();
    let lines = wrap(&clean(said), (first, further), width);
    format!("{}{}", clean(beginning), lines.get(first..).unwrap_or_default())
}

/// Where what is said begins.
const LABEL: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_cannot_steer() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abc def", 5), "abc…");
        assert_eq!(clean("a\u{1b}[31mb\nc\u{202e}"), "a [31mb c ");
        assert_eq!(wrap("one two three four", (2, 4), 13), "  one two\n    three\n    four\n");
        assert_eq!(wrap("longer-than-a-line x", (0, 2), 8), "longer-than-a-line\n  x\n");
        assert_eq!(labelled("key", "author_id = 7", 22), "  key      author_id =\n           7\n");
        assert_eq!(behind("  ä: ", "one two", 4, 9), "  ä: one\n    two\n");
        assert_eq!(behind("  ä: ", "", 4, 9), "  ä: \n");
        assert_eq!(Paint::plain().red("x"), "x");
        assert_eq!(Paint { has_color: true }.red("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
