//! A card as text: plain, and in the dialects of Markdown. What comes from events stands in code, where no dialect knows
//! mentions, links or commands.

use super::Card;

/// What to leave out where there is little room.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Rows of evidence.
    pub rows: usize,
    /// Characters in all; what is longer is cut at the end of a line.
    pub chars: usize,
}

/// How a dialect of Markdown differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Discord's, Mattermost's: no headings within an attachment, one line break is one.
    Chat,
    /// GitLab's: two line breaks are one.
    Forge,
}

impl Card {
    /// Without any markup.
    #[must_use]
    pub fn text(&self, room: Room) -> String {
        let mut lines: Vec<String> = vec![self.headline(200)];
        lines.extend(self.reasons().cloned());
        lines.extend(self.facts.iter().map(|(name, value)| pair(name, value)));
        for deed in &self.done {
            lines.push(format!("[{}] {}", deed.word, deed.text));
            lines.extend(deed.undo.iter().map(|line| format!("  undo: {line}")));
        }
        lines.extend(self.advice().cloned());
        lines.extend(self.rows.iter().take(room.rows).map(|row| format!("  {}", row.line())));
        lines.extend(self.more(room.rows));
        lines.extend(self.others.iter().map(|other| format!("Also: {other}")));
        lines.extend(self.more_others());
        lines.extend(self.command.clone());
        lines.extend(self.links.iter().map(|link| format!("{}: {}", link.label, link.url)));
        fitted(lines, vec![self.foot()], room.chars)
    }

    /// As Markdown, without the heading, which services show by themselves.
    #[must_use]
    pub fn markdown(&self, dialect: Dialect, room: Room) -> String {
        let end = if dialect == Dialect::Forge { "  " } else { "" };
        let mut lines: Vec<String> = Vec::new();
        lines.extend(self.subject.as_ref().map(|subject| format!("{}{end}", code(subject))));
        lines.extend(self.reasons().map(|line| format!("{}{end}", prose(line))));
        lines.extend(self.facts.iter().map(|(name, value)| match name.as_str() {
            "" => format!("{}{end}", code(value)),
            name => format!("**{}:** {}{end}", escaped(name), code(value)),
        }));
        for deed in &self.done {
            lines.push(format!("**{}** {}{end}", escaped(&deed.word), code(&deed.text)));
            lines.extend(deed.undo.iter().map(|line| format!("Undo: {}{end}", code(line))));
        }
        lines.extend(self.advice().map(|line| format!("{}{end}", prose(line))));
        lines.extend(self.others.iter().map(|other| format!("Also: {}{end}", code(other))));
        lines.extend(self.more_others());
        lines.extend(self.command.iter().map(|command| format!("{}{end}", code(command))));
        let links =
            self.links.iter().map(|link| format!("{}: <{}>{end}", escaped(&link.label), angled(&link.url)));
        lines.extend(links);
        let mut last = vec![escaped(&self.foot())];
        if !self.rows.is_empty() && room.rows > 0 {
            let rows = self.rows.iter().take(room.rows).map(|row| unticked(&row.line()));
            let block =
                ["".to_owned(), "```text".to_owned()].into_iter().chain(rows).chain(self.more(room.rows));
            let block = block.chain(["```".to_owned(), "".to_owned()]).collect::<Vec<_>>().join("\n");
            if block.chars().count() * 2 < room.chars {
                last.insert(0, block);
            }
        }
        fitted(lines, last, room.chars)
    }

    /// How many events are not shown.
    #[must_use]
    pub fn more(&self, rows: usize) -> Option<String> {
        let hidden = u64::try_from(self.rows.len().saturating_sub(rows)).unwrap_or(u64::MAX);
        let more = self.rows_more.saturating_add(hidden);
        (more > 0).then(|| format!("  and {more} more events"))
    }

    fn more_others(&self) -> Option<String> {
        (self.others_more > 0).then(|| format!("and {} more alerts", self.others_more))
    }
}

fn pair(name: &str, value: &str) -> String {
    if name.is_empty() { value.to_owned() } else { format!("{name}: {value}") }
}

/// As many whole lines as there is room for beside those that must stand at the end.
fn fitted(lines: Vec<String>, last: Vec<String>, chars_max: usize) -> String {
    const CUT: &str = "…";
    let width = |line: &String| line.chars().count() + 1;
    let reserved: usize = last.iter().map(width).sum::<usize>() + 2;
    let mut room = chars_max.saturating_sub(reserved);
    let mut shown = Vec::new();
    for line in lines {
        let Some(left) = room.checked_sub(width(&line)) else {
            shown.push(CUT.to_owned());
            break;
        };
        room = left;
        shown.push(line);
    }
    shown.extend(last);
    shown.join("\n")
}

/// A code span of one line: nothing in it is markup, a mention, a link or a command.
#[must_use]
pub fn code(text: &str) -> String {
    let text = unticked(text);
    if text.trim().is_empty() { String::new() } else { format!("`{text}`") }
}

/// The mark that ends code becomes a letter that looks like it, and not another quote: the text may be a command for a shell.
fn unticked(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ").replace('`', "\u{2cb}")
}

/// A sentence or a title, which a template of the user's may have filled from an event: at its letter, and in code if there
/// is a link, a name or a command in it.
#[must_use]
pub fn prose(text: &str) -> String {
    if is_telling(text) { code(text) } else { escaped(text) }
}

/// Whether a service may find a link, a name or a command in a text without markup.
#[must_use]
pub fn is_telling(text: &str) -> bool {
    text.contains("://") || text.contains("www.") || text.contains('@') || text.trim_start().starts_with('/')
}

/// Text of our own and of rules: what Markdown would read as markup is taken at its letter, and nobody is mentioned.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\`*_{}[]()#+-!~|<>&".contains(c) {
            out.push('\\');
        }
        out.push(c);
        // A word joiner's sibling: invisible, and no name follows the sign any more.
        if c == '@' {
            out.push('\u{200b}');
        }
    }
    out
}

/// A URL between angle brackets.
fn angled(url: &str) -> String {
    url.replace('<', "%3C").replace('>', "%3E").replace('`', "%60")
}

/// Text within HTML.
#[must_use]
pub fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::notification;
    use super::*;

    const ROOM: Room = Room { rows: 2, chars: 4_000 };

    #[test]
    fn the_text_can_be_read() {
        insta::assert_snapshot!(Card::of(&notification()).text(ROOM), @r"
        HIGH One account clones many projects: author_id = 7 (alice <alice@example.com>)
        22 different entity_id within 10m, at least 20
        Who: alice <alice@example.com>, id 7, User from 203.0.113.9
        When (UTC): 2026-01-31 09:00:00 to 09:08:00
        Where: shop/project-0, shop/project-1, shop/project-2 and 19 more
        Events: 25
        Findings: 3
        Rule: gitlab-mass-clone (attack.t1213.003)
        [DONE] block-author: blocked user 7 (alice); read back: blocked
          undo: Admin area > Users > alice > Unblock
        [FAILED, ACT BY HAND] ticket: POST https://tickets answered 500
        Someone copies far more projects in ten minutes than a person reads.
          2026-01-31 09:00:05  repository_git_operation  shop/project-0  Project project  203.0.113.9
          2026-01-31 09:01:05  repository_git_operation  shop/project-1  Project project  203.0.113.9
          and 23 more events
        watchfire alert 01234567
        Read about it: https://attack.mitre.org/techniques/T1213/003/
        Watchfire alert 0123456789abcdef0123456789abcdef (opened)
        ");
    }

    #[test]
    fn the_markdown_can_be_read() {
        insta::assert_snapshot!(Card::of(&notification()).markdown(Dialect::Chat, ROOM), @r"
        `author_id = 7 (alice <alice@example.com>)`
        22 different entity\_id within 10m, at least 20
        **Who:** `alice <alice@example.com>, id 7, User from 203.0.113.9`
        **When \(UTC\):** `2026-01-31 09:00:00 to 09:08:00`
        **Where:** `shop/project-0, shop/project-1, shop/project-2 and 19 more`
        **Events:** `25`
        **Findings:** `3`
        **Rule:** `gitlab-mass-clone (attack.t1213.003)`
        **DONE** `block-author: blocked user 7 (alice); read back: blocked`
        Undo: `Admin area > Users > alice > Unblock`
        **FAILED, ACT BY HAND** `ticket: POST https://tickets answered 500`
        Someone copies far more projects in ten minutes than a person reads.
        `watchfire alert 01234567`
        Read about it: <https://attack.mitre.org/techniques/T1213/003/>

        ```text
        2026-01-31 09:00:05  repository_git_operation  shop/project-0  Project project  203.0.113.9
        2026-01-31 09:01:05  repository_git_operation  shop/project-1  Project project  203.0.113.9
          and 23 more events
        ```

        Watchfire alert 0123456789abcdef0123456789abcdef \(opened\)
        ");
    }

    #[test]
    fn there_is_never_more_than_there_is_room_for() {
        let card = Card::of(&notification());
        for chars in [300, 500, 900, 2_000, 5_000] {
            for text in
                [card.text(Room { rows: 20, chars }), card.markdown(Dialect::Forge, Room { rows: 20, chars })]
            {
                assert!(text.chars().count() <= chars, "{chars}: {}", text.chars().count());
                assert!(text.contains("0123456789abcdef0123456789abcdef"), "the foot stays: {text}");
                assert_eq!(text.matches("```").count() % 2, 0);
            }
        }
    }

    #[test]
    fn what_is_typed_stays_text() {
        assert_eq!(code("a`b``` @all\n/close"), "`a\u{2cb}b\u{2cb}\u{2cb}\u{2cb} @all /close`");
        assert_eq!(escaped("*a* [b](c) <!here> @all"), "\\*a\\* \\[b\\]\\(c\\) \\<\\!here\\> @\u{200b}all");
        assert_eq!(escaped("&commat;all"), "\\&commat;all", "no dialect makes a mention of an entity");
        assert_eq!(html("<b>&\""), "&lt;b&gt;&amp;&quot;");
    }
}
