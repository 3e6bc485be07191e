//! "Did you mean".

/// The known word that `word` is most likely a slip of, if it is close enough to be one.
pub(super) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
    let (best, steps) = known.into_iter().map(|c| (c, distance(c))).min_by_key(|(_, steps)| *steps)?;
    (steps <= (word.chars().count() / 3).max(1)).then_some(best)
}

/// `did you mean …`, or else all that is known.
pub(super) fn help(word: &str, what: &str, known: &[&str]) -> String {
    match closest(word, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => format!("there are no {what}"),
        None => format!(
            "the {what} are {}",
            known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_guesses_are_not_made() {
        let known = ["data_dir", "listen", "sources", "token", "url"];
        for (word, meant) in [("lisen", "listen"), ("ulr", "url"), ("Tokne", "token"), ("source", "sources")]
        {
            assert_eq!(closest(word, known), Some(meant));
        }
        assert_eq!(closest("password", known), None);
        assert_eq!(closest("xyz", []), None);
        assert_eq!(help("zz", "keys", &["a", "bb"]), "the keys are `a`, `bb`");
    }
}
