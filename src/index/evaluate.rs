//! From a query to the events of a segment, by the index alone.
//!
//! Every part of a query gives two sets: the events that it surely finds, and those that it may find. So AND, OR and
//! NOT are right also where the index knows only a superset: what may be found under a NOT is what is not sure.

use roaring::RoaringBitmap;

use super::answer::{Answer, ReadError};
use super::dictionary::Dictionary;
use super::field::Field;
use super::{Terms, Timed};
use crate::event::Catalogue;
use crate::query::{Node, Phrase, Query, Term, fields};

/// A result of reading the segment `S`.
pub(super) type Read<V, S> = Result<V, ReadError<<S as Terms>::Error>>;

/// Which events of the segment the query finds.
pub fn evaluate<S: Timed + ?Sized>(query: &Query, segment: &mut S, catalogue: &Catalogue) -> Read<Answer, S> {
    let all = Dictionary::new(segment).all()?;
    let mut evaluation = Evaluation { segment, catalogue, all };
    let mut answer = evaluation.node(&query.root)?;
    let unindexed = evaluation.dictionary().present(Field::Unindexed)?;
    answer.sure -= &unindexed;
    answer.possible |= &unindexed;
    Ok(answer)
}

/// A query on its way through one segment.
pub(super) struct Evaluation<'a, S: ?Sized> {
    pub segment: &'a mut S,
    pub catalogue: &'a Catalogue,
    /// Every event.
    pub all: RoaringBitmap,
}

impl<S: Timed + ?Sized> Evaluation<'_, S> {
    pub fn dictionary(&mut self) -> Dictionary<'_, S> {
        Dictionary::new(self.segment)
    }

    /// The index says nothing about this.
    pub fn unknown(&self) -> Answer {
        Answer::at_most(self.all.clone())
    }

    fn node(&mut self, node: &Node) -> Read<Answer, S> {
        match node {
            Node::And(nodes) => {
                let mut answer = Answer::exactly(self.all.clone());
                for node in nodes {
                    if answer.possible.is_empty() {
                        break;
                    }
                    answer.and(&self.node(node)?);
                }
                Ok(answer)
            }
            Node::Or(nodes) => {
                let mut answer = Answer::default();
                for node in nodes {
                    answer.or(&self.node(node)?);
                }
                Ok(answer)
            }
            Node::Not(node) => Ok(self.node(node)?.not(&self.all)),
            Node::Term(Term::Anywhere(phrase)) => self.phrase(phrase),
            Node::Term(Term::Field(name, test)) => {
                let mut answer = Answer::default();
                for field in fields(name) {
                    answer.or(&self.field(field, test)?);
                }
                Ok(answer)
            }
        }
    }

    /// Events with these words; whether they stand next to each other, only the event tells.
    fn phrase(&mut self, phrase: &Phrase) -> Read<Answer, S> {
        let mut answer = Answer::exactly(self.all.clone());
        for word in &phrase.words {
            if answer.possible.is_empty() {
                break;
            }
            answer.and(&self.word(word)?);
        }
        // Where a table's cells lie over what was sent, its words are in the index all the same.
        let is_hidden = !self.catalogue.enrichment().tables().is_empty() && !phrase.words.is_empty();
        Ok(if phrase.words.len() > 1 || is_hidden { Answer::at_most(answer.possible) } else { answer })
    }
}
