//! Blocks as they are stored: compressed, with a checksum.
//!
//! | length | what |
//! |---|---|
//! | 1 | 0: the entries follow as they are; 1: compressed with zstd |
//! | 4 | length of the entries before compression, little-endian |
//! | 4 | CRC-32 of all the other bytes, little-endian |
//! | rest | the entries, one [`Row`](super::row::Row) after the other in postcard's encoding |

use flate2::Crc;
use zstd::bulk::{Compressor, Decompressor};

use super::LogError;

/// Longer claims are damage: no entry can be that long, since SQLite would not have taken it.
const PLAIN_MAX: usize = 1 << 30;

const HEADER: usize = 9;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// An entry that has no encoding, or none that can be stored.
pub(super) fn encoding(error: impl std::fmt::Display) -> LogError {
    LogError::Database(format!("an event cannot be encoded: {error}"))
}

/// CRC-32 of some pieces, one after the other.
pub(super) fn checksum(pieces: &[&[u8]]) -> u32 {
    let mut crc = Crc::new();
    pieces.iter().for_each(|piece| crc.update(piece));
    crc.sum()
}

/// The stored form: compressed where that is shorter.
pub(super) fn pack(plain: &[u8], compressor: &mut Compressor<'static>) -> Result<Vec<u8>, LogError> {
    let length = u32::try_from(plain.len()).map_err(encoding)?.to_le_bytes();
    let compressed = compressor.compress(plain).map_err(encoding)?;
    let (encoding, payload) =
        if compressed.len() < plain.len() { (ZSTD, compressed.as_slice()) } else { (PLAIN, plain) };
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.push(encoding);
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(&checksum(&[&[encoding], &length, payload]).to_le_bytes());
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// How long the entries are before compression, by what the stored form says.
pub(super) fn plain_length(stored: &[u8]) -> usize {
    let length = stored.get(1..).and_then(<[u8]>::first_chunk::<4>);
    length.map_or(0, |length| u32::from_le_bytes(*length) as usize)
}

/// Turns stored bytes back; keeps the decompressor's tables, which take longer to make than a small block to decode.
#[derive(Default)]
pub(super) struct Unpacker {
    dictionary: Vec<u8>,
    decompressor: Option<Decompressor<'static>>,
}

impl Unpacker {
    /// For blocks that were compressed with this dictionary; with an empty one, without any.
    pub(super) const fn with(dictionary: Vec<u8>) -> Self {
        Self { dictionary, decompressor: None }
    }

    /// The entries; or why there are none.
    pub(super) fn unpack(&mut self, stored: &[u8]) -> Result<Vec<u8>, String> {
        let (header, payload) = stored.split_at_checked(HEADER).ok_or("it is cut short")?;
        let [encoding, a, b, c, d, sum @ ..] = header else { return Err("it is cut short".to_owned()) };
        let length = [*a, *b, *c, *d];
        if checksum(&[&[*encoding], &length, payload]).to_le_bytes() != sum {
            return Err("its checksum does not fit its bytes".to_owned());
        }
        let length = u32::from_le_bytes(length) as usize;
        let plain = match *encoding {
            PLAIN => payload.to_vec(),
            ZSTD if length <= PLAIN_MAX => self
                .decompress(payload, length)
                .map_err(|error| format!("it cannot be decompressed: {error}"))?,
            _ => return Err("it has an unknown encoding".to_owned()),
        };
        if plain.len() == length { Ok(plain) } else { Err("its length is not the one recorded".to_owned()) }
    }

    fn decompress(&mut self, payload: &[u8], length: usize) -> std::io::Result<Vec<u8>> {
        match &mut self.decompressor {
            Some(decompressor) => decompressor.decompress(payload, length),
            empty => {
                let made = if self.dictionary.is_empty() {
                    Decompressor::new()?
                } else {
                    Decompressor::with_dictionary(&self.dictionary)?
                };
                empty.insert(made).decompress(payload, length)
            }
        }
    }
}
