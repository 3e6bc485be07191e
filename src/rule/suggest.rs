//! "Did you mean": the known word nearest to a mistyped one.

/// The known word nearest to `word`, if it is near enough to have been meant: case does not count, nor whether
/// words are joined by `_`, `-` or nothing; beyond that no slip in the shortest words, up to three in long ones.
#[must_use]
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = normal(word);
    let allowed = match plain.chars().count() {
        0..=2 => 0,
        3 | 4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&plain, &normal(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether a word is a known one but for a slip (two in a long word), case not counting.
pub(super) fn is_slip(word: &str, known: &str) -> bool {
    let allowed = if known.chars().count() >= 6 { 2 } else { 1 };
    word != known && strsim::osa_distance(&word.to_lowercase(), &known.to_lowercase()) <= allowed
}

/// ``did you mean `x`?``, or the list of what is known if that is short.
pub(super) fn help<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = closest(word, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    (!known.is_empty() && known.len() <= 40).then(|| format!("expected {}", one_of(&known)))
}

/// `` `a`, `b` or `c` ``
pub(super) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn normal(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["at_least", "at_most", "within", "by", "distinct"];
        for (word, expected) in [
            ("atleast", Some("at_least")),
            ("At-Least", Some("at_least")),
            ("witin", Some("within")),
            ("wihtin", Some("within")),
            ("distnict", Some("distinct")),
            ("xy", None),
            ("score", None),
            ("", None),
        ] {
            assert_eq!(closest(word, known), expected, "{word}");
        }
        assert_eq!(help("score", ["a", "b", "c"]).as_deref(), Some("expected `a`, `b` or `c`"));
    }
}
