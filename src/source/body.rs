//! Reading a request's body, within its limits of size, time and memory.

use std::io::Read;
use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Refusal;
use crate::time::Span;

/// What one body may cost.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Bytes as sent.
    pub body: u64,
    /// Bytes after decompression.
    pub decompressed: u64,
    /// Events.
    pub events: usize,
    /// From the end of the header to the end of the body.
    pub read_time: Span,
}

/// How many bytes of bodies may be in memory at once, over all requests. Beyond it requests are refused as overload.
#[derive(Debug, Clone)]
pub struct InFlight(Arc<Semaphore>);

/// Bytes are counted in units of this, rounded up, so that a semaphore can count them.
const UNIT: usize = 1024;

impl InFlight {
    /// At most about `bytes` at once.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes).unwrap_or(usize::MAX) / UNIT;
        Self(Arc::new(Semaphore::new(units.clamp(1, Semaphore::MAX_PERMITS))))
    }
}

/// Memory that is reserved for a body; given back when dropped.
#[derive(Debug)]
struct Held {
    of: InFlight,
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Held {
    fn new(of: &InFlight) -> Self {
        Self { of: of.clone(), permit: None, bytes: 0 }
    }

    /// Reserves until `bytes` are held in all.
    fn grow_to(&mut self, bytes: usize) -> Result<(), Refusal> {
        let more = bytes.div_ceil(UNIT).saturating_sub(self.bytes.div_ceil(UNIT));
        if more > 0 {
            let more = u32::try_from(more).map_err(|_| Refusal::overloaded())?;
            let permit =
                Arc::clone(&self.of.0).try_acquire_many_owned(more).map_err(|_| Refusal::overloaded())?;
            match &mut self.permit {
                Some(held) => held.merge(permit),
                none => *none = Some(permit),
            }
        }
        self.bytes = self.bytes.max(bytes);
        Ok(())
    }
}

/// A body as its sender meant it, with the memory reserved for it.
#[derive(Debug)]
pub(super) struct ReadBody {
    /// Decompressed.
    pub bytes: Bytes,
    held: Held,
}

/// Above this, decompressing and decoding would keep a thread of the runtime from other requests for too long.
const LONG_WORK: usize = 1 << 20;

/// Reads the whole body and decompresses it.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: &BodyLimits,
    in_flight: &InFlight,
) -> Result<ReadBody, Refusal> {
    let gzip = is_gzip(headers)?;
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.body) {
        return Err(Refusal::too_large(limits.body));
    }
    let mut held = Held::new(in_flight);
    held.grow_to(usize::try_from(announced.unwrap_or(0)).unwrap_or(usize::MAX))?;
    let reading = collect(body, limits.body, &mut held);
    let bytes =
        tokio::time::timeout(limits.read_time.to_std(), reading).await.map_err(|_| Refusal::slow())??;
    let read = ReadBody { bytes, held };
    if !gzip {
        return Ok(read);
    }
    let limit = limits.decompressed;
    let size = read.bytes.len();
    off_runtime(size > LONG_WORK / 8, move || inflate(read, limit)).await
}

/// Runs long work where it stops nobody; short work here and now.
pub(super) async fn off_runtime<T: Send + 'static>(
    long: bool,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    if !long {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Refusal::overloaded()))
}

impl ReadBody {
    /// Whether decoding it is long work.
    pub(super) fn is_long(&self) -> bool {
        self.bytes.len() > LONG_WORK
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Refusal> {
    match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().trim_ascii().to_ascii_lowercase()) {
        None => Ok(false),
        Some(name) if name.is_empty() || name == b"identity" => Ok(false),
        Some(name) if name == b"gzip" || name == b"x-gzip" => Ok(true),
        Some(_) => Err(Refusal::encoding()),
    }
}

/// All frames as one; a body that came in one frame, as events do, is not copied.
async fn collect(body: Body, limit: u64, held: &mut Held) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    let mut frames = body.into_data_stream();
    while let Some(data) = frames.next().await {
        let data = data.map_err(|_| Refusal::broken_off())?;
        let length = rest.as_ref().map_or(first.len(), BytesMut::len) + data.len();
        if length as u64 > limit {
            return Err(Refusal::too_large(limit));
        }
        held.grow_to(length)?;
        match &mut rest {
            Some(rest) => rest.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            none => {
                let mut joined = BytesMut::with_capacity(length.max(held.bytes));
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&data);
                *none = Some(joined);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}

/// Decompresses step by step, so that a small body that stands for a huge one is stopped at the limit.
fn inflate(read: ReadBody, limit: u64) -> Result<ReadBody, Refusal> {
    const STEP: u64 = 256 * 1024;
    let ReadBody { bytes: packed, mut held } = read;
    let mut decoder = flate2::read::MultiGzDecoder::new(packed.as_ref());
    let mut bytes = Vec::new();
    loop {
        let got = decoder.by_ref().take(STEP).read_to_end(&mut bytes).map_err(|e| Refusal::gzip(&e))?;
        if bytes.len() as u64 > limit {
            return Err(Refusal::bomb(limit));
        }
        held.grow_to(packed.len() + bytes.len())?;
        if got == 0 {
            return Ok(ReadBody { bytes: bytes.into(), held });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::Write;

    use axum::http::{HeaderValue, StatusCode};
    use futures_util::stream;

    use super::*;

    const LIMITS: BodyLimits =
        BodyLimits { body: 4_000, decompressed: 600_000, events: 10, read_time: Span::seconds(5) };

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn read_with(
        encoding: &'static str,
        body: Vec<u8>,
        in_flight: &InFlight,
    ) -> Result<ReadBody, Refusal> {
        let mut headers = HeaderMap::new();
        if !encoding.is_empty() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        read(&headers, Body::from(body), &LIMITS, in_flight).await
    }

    #[tokio::test]
    async fn a_body_comes_out_as_its_sender_meant_it() {
        let in_flight = InFlight::new(1 << 20);
        let text = vec![b'x'; 3_000];
        assert_eq!(read_with("", text.clone(), &in_flight).await.unwrap().bytes, text);
        assert_eq!(read_with("GZIP", gzip(&text), &in_flight).await.unwrap().bytes, text);
        let two = [gzip(b"ab"), gzip(b"cd")].concat();
        assert_eq!(read_with("x-gzip", two, &in_flight).await.unwrap().bytes, &b"abcd"[..]);
        assert_eq!(in_flight.0.available_permits(), 1024, "everything is given back");
    }

    #[tokio::test]
    async fn every_limit_has_its_answer() {
        let in_flight = InFlight::new(1 << 20);
        let code = async |encoding, body| {
            let refusal = read_with(encoding, body, &in_flight).await.unwrap_err();
            (refusal.status, refusal.error.code)
        };
        assert_eq!(code("", vec![0; 4_001]).await, (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));
        let bomb = gzip(&vec![0; 700_000]);
        assert!(bomb.len() < 4_000);
        assert_eq!(code("gzip", bomb).await, (StatusCode::PAYLOAD_TOO_LARGE, "decompressed_too_large"));
        assert_eq!(code("gzip", b"no gzip".to_vec()).await, (StatusCode::BAD_REQUEST, "bad_gzip"));
        let cut = gzip(&[7; 100])[..20].to_vec();
        assert_eq!(code("gzip", cut).await, (StatusCode::BAD_REQUEST, "bad_gzip"));
        let unknown = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding");
        assert_eq!(code("br", vec![0]).await, unknown);
        assert_eq!(code("gzip, gzip", vec![0]).await, unknown);
    }

    #[tokio::test]
    async fn bodies_share_one_bounded_memory() {
        let in_flight = InFlight::new(4 * 1024);
        let first = read_with("", vec![0; 3_000], &in_flight).await.unwrap();
        let refusal = read_with("", vec![0; 3_000], &in_flight).await.unwrap_err();
        assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
        drop(first);
        assert!(read_with("", vec![0; 3_000], &in_flight).await.is_ok());
    }

    #[tokio::test]
    async fn frames_are_joined_in_order() {
        let in_flight = InFlight::new(1 << 20);
        let mut held = Held::new(&in_flight);
        let body = frames(vec!["one ", "two ", "three"]);
        assert_eq!(collect(body, 100, &mut held).await.unwrap(), "one two three");
        let body = frames(vec!["one ", "two ", "three"]);
        assert_eq!(collect(body, 10, &mut held).await.unwrap_err().error.code, "body_too_large");
    }

    /// A body that arrives in several frames.
    pub(super) fn frames(parts: Vec<&'static str>) -> Body {
        Body::from_stream(stream::iter(parts).map(Ok::<_, Infallible>))
    }
}
