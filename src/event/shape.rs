//! What stands between the values of an event: the same as in the events before it.
//!
//! A sender writes the same few shapes again and again: from one value to the next, keys, colons, commas and
//! brackets are always the same bytes. Such a *stretch* is remembered once a whole event with it has been read;
//! from then on it is compared, not read. What follows a stretch is remembered too, so that as a rule the first
//! comparison fits.
//!
//! A stretch is known for a *state*: the open objects and arrays, and whether a text or a number came before.
//! JSON's grammar knows no more than that, so a stretch that was right there once is right there always, and
//! what comes out of an event does not depend on the events before it.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::extract::Held;
use super::plan::NO_SLOT;

/// The first bytes of a stretch are compared as words.
const WORDS: usize = 3;
const BYTES: usize = WORDS * 8;
/// Longer stretches are not remembered.
const LENGTH_MAX: usize = 512;
/// No more stretches and states than this are remembered; events with others cost what they cost.
const STRETCHES_MAX: usize = 4096;
const STATES_MAX: usize = 1024;
/// Nor more stretches than this that begin in one state with the same word: they are tried one after another.
const CHOICES_MAX: usize = 24;

/// Remembers the stretches of one plan's events.
#[derive(Debug, Default)]
pub(super) struct Shape {
    plan: u64,
    nodes: usize,
    is_warm: bool,
    /// First one that stands for the event's beginning.
    stretches: Vec<Stretch>,
    /// The stretches that begin in each state.
    states: Vec<Choices>,
    state_numbers: FxHashMap<(Kind, Box<[Open]>), u32>,
    /// What the brackets and words of stretches say.
    said: Vec<(u16, Held)>,
    lesson: Lesson,
}

/// The stretches that begin in one state, by their first word; those that are shorter than one.
#[derive(Debug, Default)]
struct Choices {
    by_word: FxHashMap<u64, SmallVec<[u32; 4]>>,
    short: SmallVec<[u32; 4]>,
}

impl Choices {
    /// Those that a text with this first word may go on with.
    fn of(&self, word: u64) -> impl Iterator<Item = u32> {
        self.by_word.get(&word).into_iter().flatten().chain(&self.short).copied()
    }

    /// Where a stretch of these bytes belongs.
    fn place(&mut self, bytes: &[u8]) -> &mut SmallVec<[u32; 4]> {
        match bytes.first_chunk() {
            Some(first) => self.by_word.entry(u64::from_le_bytes(*first)).or_default(),
            None => &mut self.short,
        }
    }
}

/// An open object or array, and the node of the plan it belongs to.
type Open = (u32, bool);

/// What comes behind a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A text; the stretch ends behind its opening quote, and the next one begins with its closing quote.
    Text,
    Number,
    /// The end of the event.
    End,
}

#[derive(Debug, Clone)]
struct Stretch {
    words: [u64; WORDS],
    masks: [u64; WORDS],
    step: Step,
    /// A text follows, and the words are all.
    is_simple: bool,
    /// What did not fit into the words.
    rest: Box<[u8]>,
    state: u32,
    /// The stretch that came behind it last time; 0 if none did.
    next: u32,
}

/// A stretch that was found: where it leads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) length: u32,
    pub(super) kind: Kind,
    /// Of the value behind it.
    pub(super) node: u32,
    pub(super) slot: u16,
    /// Whether there are brackets or words in the stretch for which there is a slot.
    pub(super) says: bool,
    /// A range of what is said; see [`Shape::said`].
    said: (u32, u32),
}

/// The stretches of an event that is being read.
#[derive(Debug, Default)]
struct Lesson {
    is_on: bool,
    open: Vec<Open>,
    said: Vec<(u16, Held)>,
    /// Up to where it is read, and what was said before.
    from: usize,
    said_from: usize,
    noted: Vec<Noted>,
}

#[derive(Debug, Clone, Copy)]
struct Noted {
    range: (usize, usize),
    said: (usize, usize),
    kind: Kind,
    node: u32,
    slot: u16,
    state: u32,
}

impl Shape {
    /// Another event comes, of the plan with this fingerprint and number of nodes. The first event of a plan
    /// teaches nothing, since often it is the only one. Answers whether the plan is another one than before.
    pub(super) fn begin(&mut self, plan: u64, nodes: usize) -> bool {
        if self.plan == plan && self.nodes == nodes {
            self.is_warm = true;
            return false;
        }
        *self = Self { plan, nodes, ..Self::default() };
        true
    }

    /// Whether any event is remembered.
    pub(super) fn is_known(&self) -> bool {
        !self.stretches.is_empty()
    }

    /// The stretch behind another one (0: the beginning) with which the text goes on, if it is a known one.
    #[inline]
    pub(super) fn find(&mut self, before: u32, text: &[u8]) -> Option<u32> {
        let words = head(text);
        let next = self.stretches.get(before as usize)?.next;
        if self.stretches.get(next as usize)?.fits(&words, text) {
            return Some(next);
        }
        self.search(before, &words, text)
    }

    #[inline(never)]
    fn search(&mut self, before: u32, words: &[u64; WORDS], text: &[u8]) -> Option<u32> {
        let state = self.stretches.get(before as usize)?.state;
        let fits = |id: &u32| self.stretches.get(*id as usize).is_some_and(|known| known.fits(words, text));
        let id = self.states.get(state as usize)?.of(words[0]).find(fits)?;
        self.stretches.get_mut(before as usize)?.next = id;
        Some(id)
    }

    /// Where a stretch leads.
    #[inline]
    pub(super) fn step(&self, stretch: u32) -> Option<&Step> {
        self.stretches.get(stretch as usize).map(|stretch| &stretch.step)
    }

    /// What a stretch says: the slots of the objects, empty arrays, `true`, `false` and `null` in it.
    #[inline]
    pub(super) fn said(&self, step: &Step) -> &[(u16, Held)] {
        self.said.get(step.said.0 as usize..step.said.1 as usize).unwrap_or_default()
    }

    /// An event is now read from its beginning.
    pub(super) fn attend(&mut self) {
        let is_on = self.is_warm && self.stretches.len() < STRETCHES_MAX;
        self.lesson.open.clear();
        self.lesson.said.clear();
        self.lesson.noted.clear();
        (self.lesson.is_on, self.lesson.from, self.lesson.said_from) = (is_on, 0, 0);
        if is_on && self.stretches.is_empty() {
            let state = self.state(Kind::End);
            let step = Step { length: 0, kind: Kind::End, node: 0, slot: NO_SLOT, says: false, said: (0, 0) };
            self.stretches.push(Stretch { state, ..Stretch::new(&[], step) });
        }
    }

    /// An object or array opens.
    pub(super) fn open(&mut self, node: u32, is_array: bool) {
        self.lesson.open.push((node, is_array));
    }

    /// It closes.
    pub(super) fn close(&mut self) {
        self.lesson.open.pop();
    }

    /// A bracket or word was taken for a slot.
    pub(super) fn say(&mut self, slot: u16, held: Held) {
        self.lesson.said.push((slot, held));
    }

    /// A text or number was read, or the end was reached. The stretch goes up to `start`, the next one begins at
    /// `next`.
    pub(super) fn note(&mut self, kind: Kind, (node, slot): (u32, u16), start: usize, next: usize) {
        if !self.lesson.is_on {
            return;
        }
        let state = self.state(kind);
        let lesson = &mut self.lesson;
        let (range, said) = ((lesson.from, start), (lesson.said_from, lesson.said.len()));
        lesson.is_on &= start - lesson.from <= LENGTH_MAX && (state as usize) < STATES_MAX;
        lesson.noted.push(Noted { range, said, kind, node, slot, state });
        (lesson.from, lesson.said_from) = (next, lesson.said.len());
    }

    fn state(&mut self, kind: Kind) -> u32 {
        let next = self.state_numbers.len();
        if next >= STATES_MAX {
            return STATES_MAX as u32;
        }
        let key = (kind, self.lesson.open.as_slice().into());
        let number = *self.state_numbers.entry(key).or_insert(next as u32);
        if number as usize == self.states.len() {
            self.states.push(Choices::default());
        }
        number
    }

    /// The event was read to its end, and all of it was right: its stretches are remembered.
    pub(super) fn learn(&mut self, raw: &[u8]) {
        if !self.lesson.is_on {
            return;
        }
        let mut before = 0;
        for noted in std::mem::take(&mut self.lesson.noted) {
            match self.remember(before, &noted, raw) {
                Some(id) => before = id,
                None => return,
            }
        }
    }

    fn remember(&mut self, before: u32, noted: &Noted, raw: &[u8]) -> Option<u32> {
        let text = raw.get(noted.range.0..)?;
        let words = head(text);
        let id = match self.search(before, &words, text) {
            Some(id) => id,
            None => {
                let state = self.stretches.get(before as usize)?.state;
                let bytes = raw.get(noted.range.0..noted.range.1)?;
                let choices = self.states.get_mut(state as usize)?.place(bytes);
                if self.stretches.len() >= STRETCHES_MAX || choices.len() >= CHOICES_MAX {
                    return None;
                }
                let id = self.stretches.len() as u32;
                let said = self.said.len() as u32;
                self.said.extend_from_slice(self.lesson.said.get(noted.said.0..noted.said.1)?);
                let step = Step {
                    length: bytes.len() as u32,
                    kind: noted.kind,
                    node: noted.node,
                    slot: noted.slot,
                    says: self.said.len() as u32 > said,
                    said: (said, self.said.len() as u32),
                };
                choices.push(id);
                self.stretches.push(Stretch { state: noted.state, ..Stretch::new(bytes, step) });
                id
            }
        };
        self.stretches.get_mut(before as usize)?.next = id;
        Some(id)
    }
}

impl Stretch {
    fn new(bytes: &[u8], step: Step) -> Self {
        let masks: [u64; WORDS] = std::array::from_fn(|at| mask(bytes.len().saturating_sub(at * 8)));
        let found = head(bytes);
        Self {
            words: std::array::from_fn(|at| found[at] & masks[at]),
            masks,
            is_simple: step.kind == Kind::Text && bytes.len() <= BYTES,
            rest: bytes.get(BYTES..).unwrap_or_default().into(),
            step,
            state: 0,
            next: 0,
        }
    }

    /// Whether the text goes on with it; the words are the text's first ones.
    #[inline]
    fn fits(&self, words: &[u64; WORDS], text: &[u8]) -> bool {
        let difference =
            (0..WORDS).fold(0, |difference, at| difference | ((words[at] ^ self.words[at]) & self.masks[at]));
        difference == 0 && (self.is_simple || self.goes_on(text))
    }

    fn goes_on(&self, text: &[u8]) -> bool {
        let length = self.step.length as usize;
        let is_kind = match self.step.kind {
            Kind::Text => true,
            Kind::Number => text.get(length).is_some_and(|byte| matches!(byte, b'-' | b'0'..=b'9')),
            Kind::End => text.len() == length,
        };
        is_kind && (self.rest.is_empty() || text.get(BYTES..length) == Some(&*self.rest))
    }
}

/// A text's first bytes as little-endian words, with zeros behind its end: no stretch has a zero.
#[inline]
pub(super) fn head(text: &[u8]) -> [u64; WORDS] {
    match text.first_chunk::<BYTES>() {
        Some(chunk) => words(chunk),
        None => short_head(text),
    }
}

#[inline(never)]
fn short_head(text: &[u8]) -> [u64; WORDS] {
    let mut padded = [0; BYTES];
    padded.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
    words(&padded)
}

#[inline]
fn words(chunk: &[u8; BYTES]) -> [u64; WORDS] {
    match chunk.as_chunks::<8>().0 {
        [first, second, third] => [*first, *second, *third].map(u64::from_le_bytes),
        _ => [0; WORDS],
    }
}

/// Keeps the first bytes of a little-endian word.
const fn mask(bytes: usize) -> u64 {
    if bytes >= 8 { u64::MAX } else { !(u64::MAX << (8 * bytes)) }
}
