//! The log on standard error: one short line for each event, or JSON with all fields.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;
use rollcall::adapters::lambda::log as lambda_log;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::dev::local_log::LocalLog;
use crate::functions::FUNCTIONS;
use crate::operator::Screen;

/// The form of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One short line for each event
    #[default]
    Text,
    /// One JSON object a line, with all fields
    Json,
}

/// Whether lines below the level of warnings are shown. The local stack holds them back until its addresses are shown.
static IS_OPEN: AtomicBool = AtomicBool::new(true);

/// Holds lines below the level of warnings back: they are not printed later either.
pub fn hold() {
    IS_OPEN.store(false, Ordering::Relaxed);
}

/// Ends [`hold`].
pub fn release() {
    IS_OPEN.store(true, Ordering::Relaxed);
}

/// Starts the log of an operator's command.
pub fn start(levels: Targets, screen: &Screen, colours: bool) {
    let lines = screen.clone();
    let lines = tracing_subscriber::fmt::layer().with_writer(move || lines.lines()).with_ansi(colours).compact();
    tracing_subscriber::registry().with(levels).with(lines).init();
}

/// Starts the log of the local stack. Its functions log to a file, too, as they do on Lambda.
pub fn start_events(levels: Targets, format: LogFormat, screen: &Screen, colours: bool, local: LocalLog) {
    let lines = screen.clone();
    let writer = move || lines.lines();
    let lines = match format {
        LogFormat::Text => {
            let lines = tracing_subscriber::fmt::layer().event_format(Gate(Brief)).with_ansi(colours);
            lines.with_writer(writer).with_filter(levels).boxed()
        }
        LogFormat::Json => {
            let json: Format<Json> = tracing_subscriber::fmt::format().json().flatten_event(true).with_span_list(false);
            let lines = tracing_subscriber::fmt::layer().json().event_format(Gate(json));
            lines.with_writer(writer).with_filter(levels).boxed()
        }
    };
    let functions = lambda_log::levels(&FUNCTIONS).with_target("dynoxide", LevelFilter::OFF);
    let local = lambda_log::lines(local).with_filter(functions);
    tracing_subscriber::registry().with(lines).with(local).init();
}

/// The levels in the form of `RUST_LOG`: a level, or `target=level`, separated by commas.
///
/// # Errors
///
/// If the text is malformed.
pub fn parse_levels(text: &str) -> Result<Targets, ParseError> {
    text.parse()
}

/// Drops held lines.
struct Gate<F>(F);

impl<S, N, F> FormatEvent<S, N> for Gate<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if *event.metadata().level() > Level::WARN && !IS_OPEN.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.0.format_event(context, writer, event)
    }
}

/// One short line: the time of day, the function, and the fields that tell what has happened.
struct Brief;

impl<S, N> FormatEvent<S, N> for Brief
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (mut now, mut fields) = (String::new(), Fields::default());
        SystemTime.format_time(&mut Writer::new(&mut now))?;
        event.record(&mut fields);
        let (level, source) = (event.metadata().level(), source(event.metadata().target()));
        let line = fields.line(*level, source);
        let colour = match *level {
            Level::ERROR => "\u{1b}[31m",
            Level::WARN => "\u{1b}[33m",
            _ => "",
        };
        let time = now.get(11..19).unwrap_or_default();
        if writer.has_ansi_escapes() && !colour.is_empty() {
            return writeln!(writer, "{time} {colour}{line}\u{1b}[0m");
        }
        writeln!(writer, "{time} {line}")
    }
}

/// The function that logs: `react` for `rollcall::services::react`.
fn source(target: &str) -> &str {
    target.rsplit("::").next().unwrap_or(target)
}

/// What a developer at the local stack does not need: ids of requests, costs, and what follows from other fields.
const LEFT_OUT: [&str; 8] =
    ["svix_id", "rank", "units", "clerk_calls", "request_id", "cache_tags", "source", "milliseconds"];

/// The fields of an event, in its order.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, String)>,
}

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.rest.iter().find(|(it, _)| *it == name).map(|(_, value)| value.as_str())
    }

    fn line(&self, level: Level, source: &str) -> String {
        let mut line = format!("{source:<14} ");
        if level <= Level::WARN {
            let _ = write!(line, "{level} ");
        }
        let mut told = vec!["type", "entity", "kind", "id", "outcome"];
        match (self.message.as_str(), self.get("type"), self.get("entity"), self.get("kind")) {
            ("event", Some(kind), ..) => line.push_str(kind),
            ("change", _, Some(entity), Some(kind)) => {
                let _ = write!(line, "{entity}.{kind}");
            }
            _ => {
                line.push_str(&self.message);
                told.retain(|name| ["id", "outcome"].contains(name));
            }
        }
        for name in ["id", "outcome"] {
            if let Some(value) = self.get(name) {
                let _ = write!(line, " {value}");
            }
        }
        for (name, value) in &self.rest {
            if !told.contains(name) && !LEFT_OUT.contains(name) {
                let _ = write!(line, " {name}={value}");
            }
        }
        line
    }

    fn keep(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.rest.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A line break in a value would look like another event.
        let text = format!("{value:?}");
        let text = if text.contains('\n') { Value::from(text).to_string() } else { text };
        self.keep(field, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(message: &str, rest: &[(&'static str, &str)]) -> Fields {
        Fields {
            message: message.to_owned(),
            rest: rest.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn a_line_tells_what_happened_to_whom() {
        let event = fields(
            "event",
            &[
                ("svix_id", "msg_1"),
                ("type", "user.created"),
                ("entity", "user"),
                ("id", "user_1"),
                ("outcome", "applied"),
                ("units", "1.0"),
            ],
        );
        assert_eq!(event.line(Level::INFO, source("webhook")), "webhook        user.created user_1 applied");
        let change = fields("change", &[("entity", "user"), ("kind", "updated"), ("id", "1c11"), ("changed", "name")]);
        let line = change.line(Level::INFO, source("rollcall::services::react"));
        assert_eq!(line, "react          user.updated 1c11 changed=name");
        let failed = fields("a purge failed", &[("pk", "USER#1"), ("error", "none")]);
        assert_eq!(failed.line(Level::ERROR, "deletion"), "deletion       ERROR a purge failed pk=USER#1 error=none");
    }

    #[test]
    fn levels_are_those_of_rust_log() {
        assert!(parse_levels("warn,webhook=debug").is_ok() && parse_levels("webhook=loud").is_err());
    }
}
