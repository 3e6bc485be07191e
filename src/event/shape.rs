//! What the keys of an event will be: those of the events before it, in the same order.
//!
//! A sender writes the same few shapes again and again. After each key the one that followed it last time is
//! expected, and three words of the event tell whether it is there; only at a surprise is a key read and
//! looked up.

use rustc_hash::FxHashMap;

/// Keys are compared as words, with the `":` behind them.
const WORDS: usize = 3;
const BYTES: usize = WORDS * 8;
/// No more keys than this are remembered; surprises beyond cost what they cost.
const KNOWN_MAX: usize = 1024;

/// Remembers which key followed which. An expectation is only ever confirmed or refuted: what comes out of an
/// event does not depend on the events before it.
#[derive(Debug, Default)]
pub(super) struct Shape {
    plan: u64,
    is_warm: bool,
    nodes: usize,
    /// First an entry that fits nothing, then one per node and one for no node, which lead to the first key
    /// of their objects; then the keys.
    known: Vec<Known>,
    places: FxHashMap<(u32, [u64; WORDS]), u32>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    words: [u64; WORDS],
    masks: [u64; WORDS],
    length: u32,
    child: u32,
    next: u32,
}

/// Fits nothing: no text in UTF-8 has such bytes.
const NEVER: Known =
    Known { words: [u64::MAX; WORDS], masks: [u64::MAX; WORDS], length: 0, child: 0, next: 0 };

/// A key that stood where it was expected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) id: u32,
    /// Of the key, its closing quote and the colon.
    pub(super) length: usize,
    pub(super) child: u32,
}

impl Shape {
    /// Another event comes, of the plan with this fingerprint and number of nodes. The first event of a plan
    /// teaches nothing, since often it is the only one.
    pub(super) fn begin(&mut self, plan: u64, nodes: usize) {
        if self.plan == plan && self.nodes == nodes {
            self.is_warm = true;
            return;
        }
        *self = Self { plan, nodes, ..Self::default() };
        self.known.resize(nodes + 2, NEVER);
    }

    /// Before the first key of a node's object.
    pub(super) fn start(&self, node: u32) -> u32 {
        u32::try_from((node as usize).min(self.nodes)).map_or(0, |node| node + 1)
    }

    /// The key expected behind this one, if it is what the text goes on with.
    #[inline]
    pub(super) fn expected(&self, before: u32, text: &[u8]) -> Option<Expected> {
        let chunk = text.first_chunk::<BYTES>()?;
        let id = self.known.get(before as usize)?.next;
        let known = self.known.get(id as usize)?;
        let words = words(chunk);
        let difference = (0..WORDS)
            .fold(0, |difference, at| difference | ((words[at] ^ known.words[at]) & known.masks[at]));
        (difference == 0).then_some(Expected { id, length: known.length as usize, child: known.child })
    }

    /// A key of this length (with quote and colon) stood there instead; answers what stands for it.
    pub(super) fn learn(
        &mut self,
        before: u32,
        (node, child): (u32, u32),
        text: &[u8],
        length: usize,
    ) -> u32 {
        let Some(chunk) = text.first_chunk::<BYTES>().filter(|_| self.is_warm && length <= BYTES) else {
            return 0;
        };
        let masks: [u64; WORDS] = std::array::from_fn(|at| mask(length.saturating_sub(at * 8)));
        let found = words(chunk);
        let words: [u64; WORDS] = std::array::from_fn(|at| found[at] & masks[at]);
        let id = match self.places.get(&(node, words)) {
            Some(id) => *id,
            None if self.known.len() >= KNOWN_MAX + self.nodes => return 0,
            None => {
                let id = u32::try_from(self.known.len()).unwrap_or(0);
                let length = u32::try_from(length).unwrap_or(0);
                self.known.push(Known { words, masks, length, child, next: 0 });
                self.places.insert((node, words), id);
                id
            }
        };
        if let Some(before) = self.known.get_mut(before as usize).filter(|_| before != 0) {
            before.next = id;
        }
        id
    }
}

#[inline]
fn words(chunk: &[u8; BYTES]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(chunk.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

/// Keeps the first bytes of a little-endian word.
const fn mask(bytes: usize) -> u64 {
    if bytes >= 8 { u64::MAX } else { !(u64::MAX << (8 * bytes)) }
}
