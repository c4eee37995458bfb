//! The log on standard error: one line an event, for the operator.
//!
//! Our own crates speak at `info` unless `RUST_LOG` says otherwise. Dependencies stay at `warn` whatever it
//! says: at a lower level they print requests as they came. Every line passes [`redact`] whoever wrote it,
//! and stays one line whatever it quotes.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use super::disturbs;
use super::redact::redact;

/// What the targets of our own crates begin with.
const OURS: &str = "valetkey";

/// Starts the log of the process, on standard error. `rust_log` is the value of `RUST_LOG`.
///
/// # Errors
/// The log was started before.
pub fn start(rust_log: Option<&str>) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber(rust_log, io::stderr))?;
    // A panic would else print its message, and what it quotes, past the redaction.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(tracing::field::display);
        let words = panic.payload_as_str().unwrap_or("not said in words");
        tracing::error!(location, words, "panicked");
    }));
    Ok(())
}

/// Writes events to what `make_writer` makes.
fn subscriber<M>(rust_log: Option<&str>, make_writer: M) -> impl Subscriber + Send + Sync
where
    M: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .compact()
        .with_ansi(false)
        .log_internal_errors(false)
        .with_writer(Clean(make_writer));
    tracing_subscriber::registry().with(levels(rust_log)).with(layer)
}

/// Reads what `RUST_LOG` says of our own crates: `LEVEL`, `TARGET` or `TARGET=LEVEL`, separated by commas.
/// Everything else in it is ignored.
fn levels(rust_log: Option<&str>) -> Targets {
    let mut ours = LevelFilter::INFO;
    let mut targets = Vec::new();
    for directive in rust_log.unwrap_or("").split(',').map(str::trim) {
        let (target, level) = match directive.split_once('=') {
            Some((target, level)) => (target, level.parse::<LevelFilter>().ok()),
            None => match directive.parse::<LevelFilter>() {
                Ok(level) if !directive.is_empty() => {
                    ours = level;
                    continue;
                }
                _ => (directive, Some(LevelFilter::TRACE)),
            },
        };
        if let (true, Some(level)) = (is_ours(target), level) {
            targets.push((target.to_owned(), level));
        }
    }
    Targets::new().with_default(LevelFilter::WARN).with_target(OURS, ours).with_targets(targets)
}

/// Whether `target` is one of our crates, or a module in it.
fn is_ours(target: &str) -> bool {
    target.strip_prefix(OURS).is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', ':']))
}

/// Hands each event to the writer within as one clean line.
struct Clean<M>(M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Clean<M> {
    type Writer = CleanWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        CleanWriter(self.0.make_writer())
    }
}

/// Takes a whole event at each write, as the formatter hands it over.
struct CleanWriter<W>(W);

impl<W: io::Write> io::Write for CleanWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let mut line = redact(&one_line(text)).into_owned();
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Escapes what would end the line, drive the terminal or make the line read other than it is.
fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(disturbs) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            char if disturbs(char) => {
                write!(line, "\\u{{{:x}}}", u32::from(char)).expect("a string takes all");
            }
            char => line.push(char),
        }
    }
    Cow::Owned(line)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use super::*;
    use tracing::Level;

    /// What `log` logs, without the time of each line.
    fn logged(rust_log: Option<&str>, log: impl FnOnce()) -> Vec<String> {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&bytes);
        let make_writer = move || Shared(Arc::clone(&writer));
        tracing::subscriber::with_default(subscriber(rust_log, make_writer), log);
        let text = String::from_utf8(std::mem::take(&mut *bytes.lock().unwrap())).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(|line| line.split_once(' ').unwrap().1.trim_start().to_owned()).collect()
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[track_caller]
    fn check_level(rust_log: &str, target: &str, expected: LevelFilter) {
        let levels = levels(Some(rust_log));
        let enabled = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE]
            .into_iter()
            .filter(|level| levels.would_enable(target, level))
            .max();
        assert_eq!(
            enabled.map_or(LevelFilter::OFF, LevelFilter::from_level),
            expected,
            "{rust_log} {target}"
        );
    }

    #[test]
    fn our_own_level_follows_rust_log() {
        for ours in ["valetkey", "valetkey_gateway::serve", "valetkey_ledger"] {
            check_level("", ours, LevelFilter::INFO);
            check_level("nonsense", ours, LevelFilter::INFO);
            check_level("trace", ours, LevelFilter::TRACE);
            check_level("hyper=trace, DEBUG", ours, LevelFilter::DEBUG);
            check_level("error", ours, LevelFilter::ERROR);
        }
        check_level("valetkey_gateway::serve", "valetkey_gateway::serve", LevelFilter::TRACE);
        check_level("warn,valetkey_gateway=debug", "valetkey_gateway::serve", LevelFilter::DEBUG);
        check_level("warn,valetkey_gateway=debug", "valetkey_ledger", LevelFilter::WARN);
    }

    #[test]
    fn dependencies_stay_at_warn_whatever_rust_log_says() {
        for rust_log in
            ["", "trace", "off", "hyper=trace", "hyper", "h2=trace,debug", "=trace", "v=trace", "valet=trace"]
        {
            for dependency in ["hyper::proto", "h2", "rustls", "object_store", "tokio"] {
                check_level(rust_log, dependency, LevelFilter::WARN);
            }
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_it_quotes() {
        let lines = logged(None, || {
            let name = "a\nb\r\u{1b}[2J\u{85}\u{2028}\u{202e}\u{7f}é";
            tracing::info!(name, display = %name, debug = ?name, "first\nsecond");
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = &lines[0];
        assert!(line.starts_with("INFO valetkey_gateway::observe::log::tests: first\\nsecond"), "{line}");
        assert!(line.contains("display=a\\nb\\r\\u{1b}[2J\\u{85}"), "{line}");
        assert!(line.contains('é') && !line.contains(disturbs), "{line}");
    }

    #[test]
    fn every_line_is_redacted_whoever_wrote_it() {
        let lines = logged(Some("trace"), || {
            let span = tracing::info_span!("request", uri = "/a?vk-sig=hidden");
            let _entered = span.enter();
            tracing::trace!(authorization = "Bearer hidden", "vk-sig=hidden");
            tracing::warn!(target: "object_store", "error for url (https://h/b?X-Amz-Signature=hidden)");
            tracing::warn!(target: "hyper", "header\nAuthorization: Valetkey vk-sig=hidden");
            tracing::debug!(target: "hyper", "dropped");
        });
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines.iter().all(|line| !line.contains("hidden") && line.contains("***")), "{lines:?}");
    }
}
