//! What blocks are compressed with: a dictionary trained on entries of one segment, which the next ones use too as long
//! as it fits their entries.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, Strategy};

use super::{Input, Positions};
use crate::event::Position;
use crate::log::LogError;
use crate::log::packing::encoding;
use crate::log::row::Rows;

/// Events repeat long texts: matches of six bytes and more are found twice as fast as level 9 finds shorter ones, and
/// what comes out is smaller.
const ZSTD_LEVEL: i32 = 6;
const PARAMETERS: [CParameter; 3] =
    [CParameter::Strategy(Strategy::ZSTD_lazy), CParameter::MinMatch(6), CParameter::SearchLog(3)];
/// A dictionary takes two bytes of each entry at most.
const BYTES_EACH: u64 = 2;
const BYTES_MAX: usize = 112 << 10;
const BYTES_MIN: usize = 2 << 10;
/// From so many entries on, more make it no better.
const ENTRIES_ENOUGH: u64 = 57_344;
/// How many places are looked at for samples, and how many entries are taken at each.
const SAMPLE_PLACES: u64 = 512;
const SAMPLES_EACH: u64 = 6;
const SAMPLE_BYTES_MAX: usize = 16 << 10;
/// A trial: one block of entries from so many places.
const TRIAL_PLACES: u64 = 8;
const TRIAL_EACH: u64 = 32;
/// Where a known dictionary compresses by so many percent of its own segment's worse, a new one is made.
const WORSE_PERCENT: u64 = 125;

/// A dictionary and where it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dictionary {
    /// How many entries the segment had on which it was trained.
    pub entries: u64,
    /// What its own segment's entries took before and after compression.
    pub plain: u64,
    pub packed: u64,
    /// Empty: none.
    pub bytes: Vec<u8>,
}

impl Dictionary {
    /// From a segment's table.
    pub(super) fn read(connection: &Connection, number: i64) -> rusqlite::Result<Self> {
        let sql = "SELECT entries, plain, packed, bytes FROM dictionary WHERE id = ?1";
        connection.query_row(sql, [number], |row| {
            let number = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
            Ok(Self { entries: number(0)?, plain: number(1)?, packed: number(2)?, bytes: row.get(3)? })
        })
    }

    pub(super) fn insert(&self, connection: &Connection, number: i64) -> rusqlite::Result<()> {
        let numbers = [self.entries, self.plain, self.packed].map(u64::cast_signed);
        let values = params![number, numbers[0], numbers[1], numbers[2], self.bytes];
        connection.execute("INSERT INTO dictionary VALUES (?1, ?2, ?3, ?4, ?5)", values).map(drop)
    }

    pub(super) fn compressor(&self) -> Result<Compressor<'static>, LogError> {
        let mut compressor = Compressor::with_dictionary(ZSTD_LEVEL, &self.bytes).map_err(encoding)?;
        for parameter in PARAMETERS {
            compressor.set_parameter(parameter).map_err(encoding)?;
        }
        Ok(compressor)
    }

    /// A block of its own segment was compressed.
    pub(super) const fn note(&mut self, plain: &[u8], packed: &[u8]) {
        self.plain += plain.len() as u64;
        self.packed += packed.len() as u64;
    }

    /// Whether it was trained on enough for a segment of so many entries, and is not too large for it.
    pub(super) fn suits(&self, entries: u64) -> bool {
        let is_worth_it = self.bytes.len() as u64 <= entries * BYTES_EACH;
        is_worth_it && self.entries >= entries.min(ENTRIES_ENOUGH) / 4
    }

    /// The known one if it does for these entries, or else one trained on them.
    pub(super) fn choose(
        known: Option<Self>,
        positions: Positions,
        input: &mut dyn Input,
    ) -> Result<Self, LogError> {
        let entries = positions.1 - positions.0 + 1;
        if let Some(known) = known.filter(|known| !known.bytes.is_empty() && known.suits(entries))
            && known.fits(positions, input)?
        {
            return Ok(known);
        }
        Self::train(positions, input)
    }

    /// Trained on entries from all over a segment; empty where it would not be worth its room.
    pub(super) fn train(positions: Positions, input: &mut dyn Input) -> Result<Self, LogError> {
        let entries = positions.1 - positions.0 + 1;
        let size = usize::try_from(entries * BYTES_EACH).unwrap_or(BYTES_MAX).min(BYTES_MAX);
        let mut bytes = Vec::new();
        if size >= BYTES_MIN {
            let samples = samples(positions, input, (SAMPLE_PLACES, SAMPLES_EACH))?;
            // It fails where the samples are too few or too much alike; then there is little to gain.
            bytes = zstd::dict::from_samples(&samples, size).unwrap_or_default();
        }
        Ok(Self { entries, plain: 0, packed: 0, bytes })
    }

    fn fits(&self, positions: Positions, input: &mut dyn Input) -> Result<bool, LogError> {
        let plain = samples(positions, input, (TRIAL_PLACES, TRIAL_EACH))?.concat();
        let packed = self.compressor()?.compress(&plain).map_err(encoding)?;
        Ok(packed.len() as u64 * self.plain * 100 <= self.packed * plain.len() as u64 * WORSE_PERCENT)
    }
}

/// Entries from so many places, so many from each.
fn samples(
    (first, last): Positions,
    input: &mut dyn Input,
    (places, each): (u64, u64),
) -> Result<Vec<Vec<u8>>, LogError> {
    let entries = last - first + 1;
    let places: BTreeSet<Position> = (0..places).map(|place| first + entries * place / places).collect();
    let mut samples = Vec::new();
    let mut block: Option<(Positions, Vec<u8>)> = None;
    for place in places {
        let known = block.take().filter(|(positions, _)| positions.1 >= place);
        let (positions, plain) = known.map_or_else(|| input.block(place), Ok)?;
        for row in Rows::new(&plain, positions) {
            let (position, _, encoded) = row?;
            if position >= place + each {
                break;
            }
            if position >= place {
                samples.push(encoded.get(..SAMPLE_BYTES_MAX).unwrap_or(encoded).to_vec());
            }
        }
        block = Some((positions, plain));
    }
    Ok(samples)
}
