//! Where log lines go: to systemd's journal with their fields, or to standard error for people or programs.

use std::fmt::Write as _;
use std::io::Write as _;

use log::kv::{Error, Key, Source, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};

use super::{LogFormat, LogLevel};
use crate::foundations::clock::{Clock, SystemClock};

/// Starts logging. To be called once; a second call only changes the level.
///
/// If the journal is configured but cannot be reached, lines go to standard error, the first of which says so.
pub fn start(format: LogFormat, level: LogLevel) {
    set_level(level);
    let journal = match format {
        LogFormat::Auto => systemd_journal_logger::connected_to_journal(),
        LogFormat::Journal => true,
        LogFormat::Text | LogFormat::Json => false,
    };
    if journal {
        match systemd_journal_logger::JournalLog::new() {
            Ok(logger) => {
                let logger = logger.with_syslog_identifier("postrider".to_owned());
                let _ = log::set_boxed_logger(Box::new(OwnLines(Journal(logger))));
                return;
            }
            Err(error) => {
                begin(Form::Text);
                log::error!(error:% = error; "The journal cannot be reached; logging to standard error");
                return;
            }
        }
    }
    begin(if format == LogFormat::Json { Form::Json } else { Form::Text });
}

/// Prints a command's warnings on standard error, without those of libraries.
pub fn start_for_command() {
    set_level(LogLevel::Warn);
    let _ = log::set_boxed_logger(Box::new(CommandLines));
}

/// Logs panics: a task that panics ends alone. It is always a defect of this program.
pub fn tell_of_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = panic.payload_as_str().unwrap_or("without words");
        log::error!(place = place.as_str(); "A task has panicked; this is a defect, please report it: {words}");
    }));
}

/// Changes the log level.
pub fn set_level(level: LogLevel) {
    log::set_max_level(level.filter());
}

fn begin(form: Form) {
    let _ = log::set_boxed_logger(Box::new(OwnLines(StandardError(form))));
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Text,
    Json,
}

/// Passes our own lines, and of the libraries only warnings and errors, unless everything is logged.
struct OwnLines<L>(L);

fn is_wanted(metadata: &Metadata<'_>) -> bool {
    let is_of = |name: &str| metadata.target().split("::").next() == Some(name);
    let ours = metadata.target().starts_with(env!("CARGO_CRATE_NAME"));
    let most = log::max_level();
    ours || most == LevelFilter::Trace || metadata.level() <= LevelFilter::Warn && !ABOUT_OTHERS.into_iter().any(is_of)
}

/// Libraries that warn of oddities in messages and handshakes, with which strangers could fill the log. Failures they
/// cause are reported by the code concerned.
const ABOUT_OTHERS: [&str; 4] = ["ammonia", "html5ever", "markup5ever", "rustls"];

impl<L: Log> Log for OwnLines<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_wanted(metadata) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if is_wanted(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// systemd's journal.
struct Journal(systemd_journal_logger::JournalLog);

impl Log for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let fields = Unreserved(record.key_values());
        self.0.log(&record.to_builder().key_values(&fields).build());
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// Fields under names that mean nothing to systemd. Its own MESSAGE_ID is a number that leads to an explanation
/// (systemd.journal-fields(7)): with the Message-ID of a mail there, which a stranger has chosen, `journalctl -x` complains
/// about every message.
struct Unreserved<'a>(&'a dyn Source);

impl Source for Unreserved<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        self.0.visit(&mut Renaming(visitor))
    }
}

struct Renaming<'a, 'kvs>(&'a mut dyn VisitSource<'kvs>);

impl<'kvs> VisitSource<'kvs> for Renaming<'_, 'kvs> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let key = if key.as_str() == "message_id" { Key::from_str("mail_message_id") } else { key };
        self.0.visit_pair(key, value)
    }
}

struct StandardError(Form);

impl Log for StandardError {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = match self.0 {
            Form::Text => text(record),
            Form::Json => json(record),
        };
        // One write per line, so that lines of several threads do not mix. A failure cannot be reported anywhere.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// The room that logs what is wrong with aliases whenever mail is affected; commands report it in their answer.
const ROUTING: &str = "postrider::services::routing";

/// The target of events' lines (`storage::journal`).
const EVENTS: &str = "postrider::events";

/// Prints warnings on standard error, beside a command's own messages.
struct CommandLines;

impl Log for CommandLines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // A command itself says what it did or why it failed; events are for the journal.
        let is_answered = metadata.target() == EVENTS || metadata.target().starts_with(ROUTING);
        metadata.target().starts_with(env!("CARGO_CRATE_NAME")) && !is_answered
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = format!("postrider: {}\n", message_with_fields(record));
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

fn text(record: &Record<'_>) -> String {
    format!("{} {:<5} {}\n", SystemClock.now(), record.level(), message_with_fields(record))
}

fn message_with_fields(record: &Record<'_>) -> String {
    let mut fields = Fields(String::new());
    let _ = record.key_values().visit(&mut fields);
    record.args().to_string().replace(misleads, " ") + &fields.0
}

/// Whether a character may mislead: line breaks in client data could look like another log line, control characters
/// affect a terminal, and direction marks could make a line read differently.
fn misleads(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

struct Fields(String);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let value = value.to_string();
        let bare =
            !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'=' | b'\\'));
        let _ = if bare { write!(self.0, " {key}={value}") } else { write!(self.0, " {key}={value:?}") };
        Ok(())
    }
}

fn json(record: &Record<'_>) -> String {
    let mut object = Object(serde_json::Map::new());
    let _ = record.key_values().visit(&mut object);
    for (name, value) in [
        ("time", SystemClock.now().to_string()),
        ("level", record.level().as_str().to_ascii_lowercase()),
        ("message", record.args().to_string()),
        ("target", record.target().to_owned()),
    ] {
        object.0.insert(name.to_owned(), value.into());
    }
    serde_json::Value::Object(object.0).to_string() + "\n"
}

struct Object(serde_json::Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Object {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let value = match (value.to_u64(), value.to_f64(), value.to_bool()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), _) => number.into(),
            (.., Some(truth)) => truth.into(),
            _ => value.to_string().into(),
        };
        self.0.insert(key.to_string(), value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<R>(render: fn(&Record<'_>) -> R) -> R {
        let fields: &[(&str, Value<'_>)] =
            &[("session", "0123".into()), ("count", 3.into()), ("reason", "two words\n\"quoted\"".into())];
        let fields = &fields;
        render(
            &Record::builder()
                .level(log::Level::Info)
                .args(format_args!("One\r\nline\x1b[2J\u{2028}\u{202e}gnp"))
                .key_values(fields)
                .build(),
        )
    }

    #[test]
    fn what_others_have_written_is_no_warning() {
        let wanted =
            |target: &str, level: log::Level| is_wanted(&Metadata::builder().target(target).level(level).build());
        assert!(wanted("postrider::daemon", log::Level::Trace));
        assert!(wanted("sqlx::query", log::Level::Warn) && !wanted("sqlx::query", log::Level::Info));
        assert!(wanted("html5evermore", log::Level::Warn));
        assert!(!wanted("html5ever::tree_builder", log::Level::Warn) && !wanted("ammonia", log::Level::Error));
        assert!(!wanted("rustls::msgs::handshake", log::Level::Warn));
    }

    #[test]
    fn a_mails_message_id_is_none_of_systemds() {
        let fields: &[(&str, Value<'_>)] = &[("message_id", "<1@x>".into()), ("mail", "0123".into())];
        let mut seen = Fields(String::new());
        Unreserved(&fields).visit(&mut seen).unwrap();
        assert_eq!(seen.0, " mail_message_id=<1@x> mail=0123");
    }

    #[test]
    fn a_record_is_one_line() {
        let line = record(text);
        let wanted = " INFO  One  line [2J  gnp session=0123 count=3 reason=\"two words\\n\\\"quoted\\\"\"\n";
        assert!(line.ends_with(wanted), "{line}");
        let object: serde_json::Value = serde_json::from_str(&record(json)).unwrap();
        assert_eq!(
            (&object["count"], &object["message"]),
            (&3.into(), &"One\r\nline\x1b[2J\u{2028}\u{202e}gnp".into())
        );
    }
}
