//! Logging to stderr: one line for each event, as JSON or text, with times in UTC.

use std::io;
use std::panic::PanicHookInfo;

use tracing::Subscriber;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// The flags of the log.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// What to log: a level, or target=level pairs separated by commas.
    #[arg(long = "log", env = "FASTRAK_LOG", default_value = "info", value_name = "FILTER")]
    pub filter: String,
    /// One JSON object per line, or text for a terminal.
    #[arg(
        long = "log-format",
        env = "FASTRAK_LOG_FORMAT",
        default_value = "json",
        value_name = "FORMAT"
    )]
    pub format: LogFormat,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Plain text without colours.
    Text,
}

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is invalid.
    #[error("log filter {0:?} is not a level or a list of target=level")]
    Filter(String, #[source] ParseError),
    /// The log of this process is already set up.
    #[error("the log is already set up")]
    Again(#[source] SetGlobalDefaultError),
}

/// Sets up the log of this process, including panics. Call it once.
pub fn init(filter: &str, format: LogFormat) -> Result<(), LogError> {
    let subscriber = subscriber(filter, format, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(LogError::Again)?;
    // Log pipelines drop plain text between JSON lines.
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("(not a text)");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("(unnamed)");
    tracing::error!(message, place, thread, "panic");
}

fn subscriber<W>(
    filter: &str,
    format: LogFormat,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let parsed = EnvFilter::builder().parse(filter);
    let parsed = parsed.map_err(|error| LogError::Filter(filter.to_owned(), error))?;
    let builder = tracing_subscriber::fmt().with_timer(Utc);
    let builder = builder.with_env_filter(parsed).with_writer(writer);
    Ok(match format {
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
        LogFormat::Text => Box::new(builder.finish()),
    })
}

/// Times in RFC 3339, UTC, with microseconds.
struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        write!(w, "{:.6}", crate::clock::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Kept {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        log: LogArgs,
    }

    fn logged(filter: &str, events: impl FnOnce()) -> Vec<serde_json::Value> {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = subscriber(filter, LogFormat::Json, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, events);
        kept.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_json_line_carries_time_level_message_and_fields() {
        let before = crate::clock::now();
        let lines = logged("info", || tracing::info!(claim = "data", size = 3, "made\nit"));
        let [line] = lines.as_slice() else { panic!("one line expected: {lines:?}") };
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "made\nit");
        assert_eq!(line["claim"], "data");
        assert_eq!(line["size"], 3);
        let time = line["timestamp"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.len() == "2026-01-01T00:00:00.000000Z".len(), "{time}");
        let time: jiff::Timestamp = time.parse().unwrap();
        // The line's time is cut to microseconds, so it may lie just before.
        assert!(time.as_second() >= before.as_second() - 1 && time <= crate::clock::now());
    }

    #[test]
    fn the_filter_selects_by_target_and_level() {
        let lines = logged("warn,chatty=debug", || {
            tracing::info!("dropped");
            tracing::warn!("kept");
            tracing::debug!(target: "chatty", "kept too");
        });
        let messages: Vec<_> = lines.iter().map(|line| line["message"].clone()).collect();
        assert_eq!(messages, ["kept", "kept too"]);
    }

    #[test]
    fn text_is_plain_and_has_no_colours() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = subscriber("info", LogFormat::Text, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || tracing::info!(claim = "data", "made"));
        let line = kept.text();
        assert!(line.contains(" INFO ") && line.contains("made claim=\"data\""), "{line}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }

    #[test]
    fn an_invalid_filter_is_an_error() {
        let error = init("info,=,==x", LogFormat::Json).unwrap_err();
        assert!(error.to_string().contains("\"info,=,==x\""), "{error}");
    }

    #[test]
    fn the_flags_have_defaults_and_refuse_other_formats() {
        let program =
            Program::try_parse_from(["p", "--log", "debug", "--log-format", "text"]).unwrap();
        assert_eq!((program.log.filter.as_str(), program.log.format), ("debug", LogFormat::Text));
        assert!(Program::try_parse_from(["p", "--log-format", "xml"]).is_err());
    }
}
