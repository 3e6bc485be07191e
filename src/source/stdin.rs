//! Lines from standard input, or anything else that can be read once.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::sync::CancellationToken;

use super::SourceError;
use super::intake::{Context, Intake};
use super::lines::Lines;

/// How much is read before it is handed on.
const CHUNK: usize = 256 * 1024;

/// Reads events line by line until the end of its input. What was read when it is told to stop is lost with the
/// pipe, so it stops only between chunks.
#[derive(Debug)]
pub struct StdinSource {
    intake: Intake,
    line_max: u64,
}

impl StdinSource {
    /// Lines for this way in, each no longer than a body may be.
    #[must_use]
    pub fn new(intake: Intake, context: &Context) -> Self {
        Self { intake, line_max: context.limits.body }
    }

    /// Reads to the end, or until told to stop.
    pub async fn run(
        self,
        mut input: impl AsyncRead + Unpin,
        shutdown: CancellationToken,
    ) -> Result<(), SourceError> {
        let lines = Lines { intake: &self.intake, shutdown: &shutdown };
        let mut buffer = BytesMut::new();
        let mut skipping = false;
        loop {
            buffer.reserve(CHUNK);
            let read = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                read = input.read_buf(&mut buffer) => read,
            };
            let got = read.map_err(|error| SourceError::Read { path: "standard input".into(), error })?;
            if got == 0 {
                let rest = buffer.freeze();
                return if skipping { Ok(()) } else { lines.take(&rest).await };
            }
            if let Some(end) = memchr::memrchr(b'\n', &buffer) {
                let complete = buffer.split_to(end + 1).freeze();
                lines.take(&after_skipped(complete, &mut skipping)).await?;
            } else if skipping {
                buffer.clear();
            } else if buffer.len() as u64 > self.line_max {
                lines.too_long(&buffer, self.line_max).await?;
                buffer.clear();
                skipping = true;
            }
        }
    }
}

/// Leaves out the rest of a line whose beginning was too long.
fn after_skipped(complete: Bytes, skipping: &mut bool) -> Bytes {
    if !std::mem::take(skipping) {
        return complete;
    }
    let end = memchr::memchr(b'\n', &complete).map_or(complete.len(), |end| end + 1);
    complete.slice(end..)
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::log::AppendError;
    use crate::time::Span;

    async fn run(fixture: &testing::Fixture, input: &[u8]) -> Result<(), SourceError> {
        let source = StdinSource::new(fixture.intake(), &fixture.context);
        let (mut writer, reader) = tokio::io::duplex(7);
        let write = async move {
            tokio::io::AsyncWriteExt::write_all(&mut writer, input).await.unwrap();
        };
        let (result, ()) = tokio::join!(source.run(reader, CancellationToken::new()), write);
        result
    }

    #[tokio::test]
    async fn lines_are_stored_up_to_the_end() {
        let fixture = testing::Fixture::new();
        run(&fixture, b"{\"id\":1}\n\n{\"id\":2}\nnonsense\n{\"id\":3}").await.unwrap();
        assert_eq!(fixture.memory.bodies(), [r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3}"#]);
        let rejected = fixture.memory.rejected(10);
        assert_eq!(rejected.len(), 1);
        assert_eq!(rejected[0].rejected.body, b"nonsense");
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_kept_apart_and_the_next_is_read() {
        let mut fixture = testing::Fixture::new();
        fixture.context.limits.body = 40;
        let long = "x".repeat(100);
        run(&fixture, format!("{{\"id\":1}}\n{long}\n{{\"id\":2}}\n").as_bytes()).await.unwrap();
        assert_eq!(fixture.memory.bodies(), [r#"{"id":1}"#, r#"{"id":2}"#]);
        assert_eq!(fixture.memory.rejected(10).len(), 1);
    }

    #[tokio::test]
    async fn a_busy_log_is_waited_for() {
        let fixture = testing::Fixture::new();
        fixture.memory.fail(&[AppendError::Unavailable("full".into()), AppendError::Overloaded]);
        let clock = fixture.context.clock.clone();
        let time = async {
            while fixture.memory.bodies().is_empty() {
                clock.set(clock.now().plus(Span::seconds(1)));
                tokio::task::yield_now().await;
            }
        };
        let (result, ()) = tokio::join!(run(&fixture, b"{\"id\":1}\n"), time);
        result.unwrap();
        assert_eq!(fixture.memory.bodies(), [r#"{"id":1}"#]);
        assert_eq!(fixture.intake().counters.totals(), (1, 1, 0), "waiting is no rejection");
    }
}
