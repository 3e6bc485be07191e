//! Pages by keyset, as GitLab's doc/api/rest/_index.md has them: each answer links to the next page.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::access::Access;
use super::trouble::Trouble;
use crate::deliver::Answer;
use crate::source::split::split;
use crate::time::Timestamp;

/// The most that GitLab gives in one page.
const PAGE_MAX: usize = 100;
/// A body this long was cut off by our own limit.
const ANSWER_BYTES_MAX: usize = 1 << 20;

type Query = Vec<(String, String)>;

/// Walks from page to page.
pub(super) struct Pages<'a> {
    access: &'a Access,
    path: Vec<&'a str>,
    /// Of the next page; none behind the last one.
    query: Option<Query>,
    per_page: usize,
    seen: BTreeSet<String>,
}

impl<'a> Pages<'a> {
    /// The events of this path from `from` to `to`, both included, the newest first.
    pub(super) fn events(access: &'a Access, path: Vec<&'a str>, (from, to): (Timestamp, Timestamp)) -> Self {
        let pairs = [
            ("pagination", "keyset".to_owned()),
            ("order_by", "id".to_owned()),
            ("sort", "desc".to_owned()),
            ("created_after", seconds(from)),
            ("created_before", seconds(to)),
        ];
        Self::new(access, path, &pairs)
    }

    /// Any list.
    pub(super) fn new(access: &'a Access, path: Vec<&'a str>, pairs: &[(&str, String)]) -> Self {
        let query = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Self { access, path, query: Some(query), per_page: PAGE_MAX, seen: BTreeSet::new() }
    }

    /// The objects of the next page; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Bytes>>, Trouble> {
        let Some(query) = self.query.take() else { return Ok(None) };
        let answer = loop {
            let sized = with(&query, "per_page", &self.per_page.to_string());
            let answer = self.access.get(&self.path, &sized).await?;
            if answer.is_whole {
                break answer;
            }
            if answer.body.len() < ANSWER_BYTES_MAX || self.per_page == 1 {
                return Err(Trouble::Failing { reason: "the answer was cut off".to_owned(), after: None });
            }
            // Events with long details: fewer at once.
            self.per_page = (self.per_page / 4).max(1);
        };
        let objects = objects(&answer)?;
        self.query = if objects.is_empty() { None } else { self.following(&answer)? };
        Ok(Some(objects))
    }

    /// Whether the last page was given.
    pub(super) const fn is_over(&self) -> bool {
        self.query.is_none()
    }

    /// What to ask for next. Only the query of the link is taken: the token goes to nobody but the configured address,
    /// and an instance behind a proxy may call itself otherwise.
    fn following(&mut self, answer: &Answer) -> Result<Option<Query>, Trouble> {
        let Some(link) = &answer.next else { return Ok(None) };
        let query = link.split_once('?').map_or("", |(_, query)| query);
        if !self.seen.insert(query.to_owned()) {
            return Err(Trouble::lying("GitLab links to a page that it gave already"));
        }
        let Ok(url) = crate::deliver::parse_url(&format!("http://localhost/?{query}")) else {
            return Err(Trouble::lying("GitLab links to a page that cannot be asked for"));
        };
        Ok(Some(url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
    }
}

fn with(query: &Query, name: &str, value: &str) -> Query {
    let others = query.iter().filter(|(known, _)| known != name).cloned();
    others.chain([(name.to_owned(), value.to_owned())]).collect()
}

fn objects(answer: &Answer) -> Result<Vec<Bytes>, Trouble> {
    let is_array = answer.body.trim_ascii_start().first() == Some(&b'[');
    let pieces = is_array.then(|| split(&answer.body, usize::MAX).ok()).flatten();
    let Some(pieces) = pieces else {
        let reason = format!("GitLab answered {} without a list: {}", answer.status, answer.quote());
        return Err(Trouble::Failing { reason, after: None });
    };
    Ok(pieces.into_iter().map(|piece| piece.bytes).collect())
}

/// `YYYY-MM-DDTHH:MM:SSZ`, as the API documents it.
pub(super) fn seconds(time: Timestamp) -> String {
    let text = time.to_string();
    format!("{}Z", text.get(..19).unwrap_or(&text))
}
