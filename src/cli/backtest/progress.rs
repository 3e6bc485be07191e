//! How far a backtest is: one line on standard error, for a person who waits.
//!
//! It is told after each piece of the history, some thousand events, and draws four times a second at most.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How often it is drawn, per second.
const HZ: u8 = 4;
/// Before that a rate says nothing.
const SHORTEST: Duration = Duration::from_millis(200);

/// A line that is drawn over itself.
pub(super) struct Progress {
    bar: ProgressBar,
    events: Arc<AtomicU64>,
}

impl Progress {
    /// Nothing is drawn unless it is wanted and standard error is a terminal. `total` is the length of the history,
    /// in bytes or positions, where it is known.
    pub(super) fn new(is_wanted: bool, total: Option<u64>) -> Self {
        let target =
            if is_wanted { ProgressDrawTarget::stderr_with_hz(HZ) } else { ProgressDrawTarget::hidden() };
        Self::on(target, total)
    }

    fn on(target: ProgressDrawTarget, total: Option<u64>) -> Self {
        let events = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&events);
        let told = move |state: &ProgressState, text: &mut dyn Write| {
            let line = Line {
                events: counted.load(Ordering::Relaxed),
                elapsed: state.elapsed(),
                done: state.pos(),
                total: state.len(),
                left: state.eta(),
            };
            // There is nobody to tell that a line could not be drawn.
            let _ = write!(text, "{line}");
        };
        let template = if total.is_some() { "[{bar:20}] {told}" } else { "{told}" };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(total, target)
            .with_style(style.with_key("told", told).progress_chars("█▌ "));
        Self { bar, events }
    }

    /// So many more events were judged, and the history is read up to `place`.
    pub(super) fn took(&self, events: u64, place: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
        // The log of a running daemon grows meanwhile.
        if self.bar.length().is_some_and(|total| total < place) {
            self.bar.set_length(place);
        }
        self.bar.set_position(place);
    }

    /// Takes the line away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// What the line says beside the bar.
#[derive(Debug, Clone, Copy)]
struct Line {
    events: u64,
    elapsed: Duration,
    done: u64,
    total: Option<u64>,
    left: Duration,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(total) = self.total {
            write!(f, "{:>3} %  ", percent(self.done, total))?;
        }
        write!(f, "{} events", grouped(self.events))?;
        if self.elapsed < SHORTEST {
            return Ok(());
        }
        let rate = self.events as f64 / self.elapsed.as_secs_f64();
        write!(f, "  {}/s", grouped(rate as u64))?;
        match self.total {
            Some(_) if self.done > 0 => write!(f, "  {} left", clock(self.left)),
            Some(_) => Ok(()),
            None => write!(f, "  {}", clock(self.elapsed)),
        }
    }
}

fn percent(done: u64, total: u64) -> u64 {
    if total == 0 { 100 } else { (u128::from(done.min(total)) * 100 / u128::from(total)) as u64 }
}

/// `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12s`, `3m05s`, `2h04m`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use indicatif::TermLike;

    use super::*;

    #[test]
    fn the_line_says_how_far_how_fast_and_how_long() {
        let line = Line {
            events: 1_234_567,
            elapsed: Duration::from_millis(1500),
            done: 420,
            total: Some(1000),
            left: Duration::from_secs(125),
        };
        assert_eq!(line.to_string(), " 42 %  1,234,567 events  823,044/s  2m05s left");
        assert_eq!(Line { total: None, ..line }.to_string(), "1,234,567 events  823,044/s  1s");
        let early = Line { elapsed: Duration::from_millis(10), ..line };
        assert_eq!(early.to_string(), " 42 %  1,234,567 events", "no rate out of nothing");
        let long = Line { left: Duration::from_secs(7500), ..line };
        assert!(long.to_string().ends_with("2h05m left"));
        assert_eq!((percent(7, 0), percent(9, 8), percent(u64::MAX, u64::MAX)), (100, 100, 100));
    }

    /// A terminal that keeps what was drawn.
    #[derive(Debug, Clone, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl Screen {
        fn put(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.put(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.put(text)
        }
        fn clear_line(&self) -> io::Result<()> {
            self.put("\n")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_first_piece_is_drawn_within_eighty_columns_and_taken_away_at_the_end() {
        let screen = Screen::default();
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), HZ);
        let progress = Progress::on(target, Some(1_000_000_000));
        progress.took(123_456_789, 420_000_000);
        let drawn = screen.0.lock().unwrap().clone();
        let line = drawn.lines().find(|line| line.contains("events")).unwrap().trim_end();
        assert!(line.starts_with("[████████"), "{line}");
        assert!(line.contains("] ") && line.contains("42 %  123,456,789 events"), "{line}");
        assert!(line.chars().count() <= 79, "{line}");
        for place in 0..10_000 {
            progress.took(1, 420_000_000 + place);
        }
        let drawn = screen.0.lock().unwrap().matches("events").count();
        assert!(drawn < 100, "it was drawn {drawn} times");
        progress.finish();
        let last = screen.0.lock().unwrap().clone();
        assert!(
            last.ends_with('\n') || !last.lines().last().unwrap_or_default().contains("events"),
            "{last}"
        );
    }

    #[test]
    fn nothing_is_drawn_where_nobody_looks() {
        assert!(Progress::new(false, Some(10)).bar.is_hidden());
    }
}
