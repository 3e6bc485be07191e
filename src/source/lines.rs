//! Lines of events from sources that can wait: nothing is skipped, however long the log takes.

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::SourceError;
use super::intake::Intake;
use super::metrics::Reason;
use super::split;
use crate::time::Span;

/// How much of a line that is too long is kept among the rejected ones.
const KEPT_OF_LONG_LINE: usize = 64 * 1024;

/// A whole chunk of lines, and who may interrupt the waiting.
pub(super) struct Lines<'a> {
    pub intake: &'a Intake,
    pub shutdown: &'a CancellationToken,
}

impl Lines<'_> {
    /// Takes every line of `chunk`; returns when each is on disk, as an event or among the rejected ones.
    pub async fn take(&self, chunk: &Bytes) -> Result<(), SourceError> {
        let now = self.intake.clock.now();
        let (mut events, mut bad) = (Vec::new(), Vec::new());
        for piece in split::lines(chunk, usize::MAX) {
            match self.intake.decode(piece.bytes.clone(), None, now) {
                Ok(event) => events.push(event),
                Err(error) => bad.push((piece.bytes, error.to_string())),
            }
        }
        self.intake.append_waiting(&events, self.shutdown).await?;
        for (line, reason) in bad {
            self.reject(&line, reason).await?;
        }
        Ok(())
    }

    /// Keeps the beginning of a line that is longer than the limit.
    pub async fn too_long(&self, line: &[u8], limit: u64) -> Result<(), SourceError> {
        let kept = line.get(..KEPT_OF_LONG_LINE).unwrap_or(line);
        let reason = format!(
            "the line is longer than {limit} bytes and only its beginning is kept; raise `limits.body`"
        );
        self.reject(kept, reason).await
    }

    async fn reject(&self, line: &[u8], reason: String) -> Result<(), SourceError> {
        let source = &self.intake.name;
        tracing::warn!(%source, %reason, "kept a line that cannot be decoded");
        while let Err(error) = self.intake.keep(line, None, reason.clone()).await {
            tracing::error!(%source, %error, "a line that cannot be decoded cannot be kept yet");
            self.intake.pause(Span::seconds(5), self.shutdown).await?;
        }
        self.intake.counters.rejected(Reason::Undecodable, 1);
        Ok(())
    }
}
