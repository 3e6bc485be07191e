//! Logs and metrics: what the process says about itself.

use prometheus_client::registry::Registry;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The `logging` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoggingConfig {
    /// `text` for people, `json` for collectors.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`; also `info,watchfire::source=debug`.
    pub level: String,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line of text per event, coloured on a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `level` is no filter.
    #[error("`{level}` is no log level: use error, warn, info, debug or trace ({reason})")]
    Level {
        /// As configured.
        level: String,
        /// What the parser said.
        reason: String,
    },
    /// Logging is set up already.
    #[error("logging is set up already")]
    Twice,
}

impl LoggingConfig {
    /// Checks `level`.
    pub fn filter(&self) -> Result<EnvFilter, TelemetryError> {
        let error = |reason: &dyn std::fmt::Display| TelemetryError::Level {
            level: self.level.clone(),
            reason: reason.to_string(),
        };
        // A lone word that is no level would otherwise be taken for a module's name, and silence everything else.
        for part in self.level.split(',').filter(|part| !part.contains(['=', '['])) {
            part.trim().parse::<tracing::Level>().map_err(|reason| error(&reason))?;
        }
        EnvFilter::try_new(&self.level).map_err(|reason| error(&reason))
    }

    /// A subscriber that writes to `writer`; with `ansi`, text is coloured.
    fn subscriber<W>(
        &self,
        writer: W,
        ansi: bool,
    ) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, TelemetryError>
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        // A line that cannot be written (a full disk, a closed pipe) is let go: saying so would take the same way, and
        // the thread along that wanted to say it.
        let builder = tracing_subscriber::fmt()
            .with_env_filter(self.filter()?)
            .with_writer(writer)
            .log_internal_errors(false);
        Ok(match self.format {
            LogFormat::Text => Box::new(builder.with_ansi(ansi).finish()),
            LogFormat::Json => Box::new(builder.json().flatten_event(true).with_current_span(false).finish()),
        })
    }
}

/// Sends the whole process's logs to standard error.
pub fn install(config: &LoggingConfig) -> Result<(), TelemetryError> {
    use std::io::IsTerminal;
    let ansi = std::io::stderr().is_terminal();
    let subscriber = config.subscriber(std::io::stderr, ansi)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Twice)
}

/// An empty registry whose metrics will all be named `watchfire_…`. Each owner of metrics registers its few.
#[must_use]
pub fn registry() -> Registry {
    Registry::with_prefix("watchfire")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str) -> String {
        let buffer = Buffer::default();
        let config = LoggingConfig { format, level: level.to_owned() };
        let writer = buffer.clone();
        let subscriber = config.subscriber(move || writer.clone(), false).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(source = "gitlab", count = 3, "stored");
            tracing::debug!("not said");
        });
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn lines_are_text_or_json() {
        let text = logged(LogFormat::Text, "info");
        assert!(text.contains("stored") && text.contains("count=3") && !text.contains("not said"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&logged(LogFormat::Json, "info")).unwrap();
        assert_eq!((&json["message"], &json["source"]), (&"stored".into(), &"gitlab".into()));
        assert_eq!(logged(LogFormat::Text, "warn"), "");
    }

    #[test]
    fn a_misspelt_level_is_refused() {
        for level in ["inof", "info,wran", "loud"] {
            let config = LoggingConfig { level: level.to_owned(), ..LoggingConfig::default() };
            assert!(config.filter().is_err(), "{level}");
        }
        let config =
            LoggingConfig { level: "warn,watchfire::source=debug".to_owned(), ..LoggingConfig::default() };
        assert!(config.filter().is_ok());
    }
}
