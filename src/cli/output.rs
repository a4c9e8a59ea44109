use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use comfy_table::{ContentArrangement, Table, presets};
use rustix::termios::tcgetwinsize;
use serde::Serialize;

use super::Exit;
use crate::config::LoadError;
use crate::foundations::address::Domain;

/// Where and how results are written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Output {
    /// Tables and sentences.
    People,
    /// One JSON value.
    Json,
}

/// Something that can be a row of a table.
pub(super) trait Shown: Serialize {
    /// The headings.
    const COLUMNS: &'static [&'static str];
    /// The cells below them.
    fn cells(&self) -> Vec<String>;
}

impl Output {
    /// A list: a table on a terminal, tab-separated lines in a pipe, an array in JSON.
    pub(super) fn list<T: Shown>(self, rows: &[T]) {
        match self {
            Self::Json => json(&rows),
            Self::People if std::io::stdout().is_terminal() => {
                let width = tcgetwinsize(std::io::stdout()).ok().map(|size| size.ws_col).filter(|width| *width > 0);
                print(&arranged(T::COLUMNS, rows.iter().map(Shown::cells).collect(), width));
            }
            Self::People => {
                for row in rows {
                    print(&line(&row.cells()));
                }
            }
        }
    }

    /// A list that may be empty: people are told so on standard error, where other programs do not take it for a row.
    pub(super) fn list_or<T: Shown>(self, rows: &[T], nothing: &str) {
        match self {
            Self::People if rows.is_empty() => eprintln!("postrider: {nothing}"),
            _ => self.list(rows),
        }
    }

    /// One item: its headings with their values, or an object in JSON.
    pub(super) fn one<T: Shown>(self, thing: &T) {
        match self {
            Self::Json => json(thing),
            Self::People => {
                print(&described(T::COLUMNS, thing.cells()));
            }
        }
    }

    /// What was done: a sentence, or a value in JSON.
    pub(super) fn done(self, sentence: &str, value: &impl Serialize) {
        match self {
            Self::Json => json(value),
            Self::People => print(&format!("{sentence}\n")),
        }
    }

    /// A text as it is, or the `text` of an object in JSON.
    pub(super) fn text(self, text: &str) {
        match self {
            Self::Json => json(&serde_json::json!({ "text": text })),
            Self::People => print(text),
        }
    }

    /// What is wrong with the arguments, in JSON.
    pub(super) fn misused(error: &clap::Error) {
        let text = error.to_string();
        let (first, rest) = text.trim().split_once("\n\n").unwrap_or((text.trim(), ""));
        let first = first.strip_prefix("error: ").unwrap_or(first);
        json(&serde_json::json!({ "error": first, "exit": Exit::Usage as u8, "usage": rest }));
    }

    /// Why a command failed, on standard error for people and on standard output in JSON.
    pub(super) fn failure(self, error: &anyhow::Error) {
        match (self, error.downcast_ref()) {
            (Self::Json, Some(LoadError::Mistakes(mistakes))) => {
                let (text, code) = ("the configuration has mistakes", Exit::of(error) as u8);
                json(&serde_json::json!({ "error": text, "exit": code, "mistakes": mistakes }));
            }
            (Self::Json, _) => {
                let code = Exit::of(error) as u8;
                json(&serde_json::json!({ "error": told(error), "exit": code }));
            }
            (Self::People, _) if std::io::stderr().is_terminal() => eprintln!("postrider: {}", visible(&told(error))),
            (Self::People, _) => eprintln!("postrider: {}", told(error)),
        }
    }
}

/// The wanted output, read from arguments that are not a valid command.
pub(super) fn wished() -> Output {
    let mut arguments = std::env::args_os().skip(1).take_while(|argument| argument != "--");
    if arguments.any(|argument| argument == "--json") { Output::Json } else { Output::People }
}

/// A line of cells for other programs. Tabs and line ends in cells are replaced: users can put any character in names.
fn line(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace(['\t', '\n', '\r'], " ")).collect();
    cells.join("\t") + "\n"
}

/// A table; if words would have to be broken to fit, one row after the other instead.
fn arranged(columns: &[&str], rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    const GAP: usize = 2;
    let longest = |text: &str| text.split_whitespace().map(|word| word.chars().count()).max().unwrap_or(0);
    let needed = |(n, name): (usize, &&str)| {
        let cells = rows.iter().filter_map(|row| row.get(n));
        cells.map(|cell| longest(cell)).chain([longest(name)]).max().unwrap_or(0) + GAP
    };
    let needed: usize = columns.iter().enumerate().map(needed).sum();
    if width.is_some_and(|width| needed > usize::from(width)) {
        return rows.into_iter().map(|row| filled(columns, row)).collect::<Vec<_>>().join("\n");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = width {
        table.set_width(width);
    }
    table.set_header(columns.to_vec());
    for row in rows {
        table.add_row(row);
    }
    format!("{}\n", table.trim_fmt())
}

/// One of several items, without empty fields.
fn filled(columns: &[&str], cells: Vec<String>) -> String {
    let (columns, cells): (Vec<&str>, Vec<String>) =
        columns.iter().copied().zip(cells).filter(|(_, cell)| !cell.is_empty()).unzip();
    described(&columns, cells)
}

/// Headings with their values, one per line.
fn described(columns: &[&str], cells: Vec<String>) -> String {
    let width = columns.iter().map(|name| name.len()).max().unwrap_or(0);
    let lines = columns.iter().zip(cells).map(|(name, cell)| format!("{name:width$}  {cell}"));
    lines.map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// What is said if there is nothing of a kind, at all or in a domain.
pub(super) fn none_of(things: &str, domain: Option<&Domain>) -> String {
    domain.map_or_else(|| format!("there are no {things}"), |domain| format!("there are no {things} in {domain}"))
}

/// An error with its causes. Causes that an error already includes in its own text are not repeated.
pub(super) fn told(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| match cause.to_string() {
        words if told.contains(&words) => told,
        words if told.is_empty() => words,
        words => format!("{told}: {words}"),
    })
}

fn json(value: &impl Serialize) {
    let text = serde_json::to_string(value).unwrap_or_default();
    print(&(text + "\n"));
}

/// Writes to standard output. A closed pipe (`| head`) is no error; any other error is reported once and makes the
/// command fail: a key or message may have been cut off. On a terminal, control characters written by strangers are
/// made harmless; a file gets the text as it is.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let text = if out.is_terminal() { Cow::Owned(visible(text)) } else { Cow::Borrowed(text) };
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
        && !LOST.swap(true, Ordering::Relaxed)
    {
        eprintln!("postrider: the output cannot be written: {error}");
    }
}

/// Whether writing to standard output failed.
pub(super) fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

static LOST: AtomicBool = AtomicBool::new(false);

/// A text without characters that move a terminal's cursor, change its colours, or reorder words.
fn visible(text: &str) -> String {
    let is_meant = |c: char| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text = text.replace("\r\n", "\n");
    text.chars().map(|c| if is_meant(c) || matches!(c, '\n' | '\t') { c } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_tell_a_terminal_nothing() {
        let told = "Grüße\r\n\tשלום \x1b]0;title\x07\x1b[2J\u{9b}31m\u{202e}gpj.exe\u{2069}\x08\x7f\r";
        let rest = "Grüße\n\tשלום \u{fffd}]0;title\u{fffd}\u{fffd}[2J\u{fffd}31m\u{fffd}gpj.exe\u{fffd}\u{fffd}\u{fffd}\u{fffd}";
        assert_eq!(visible(told), rest);
        let cells = ["a\tb".to_owned(), "c\r\nforged\trow".to_owned()];
        assert_eq!(line(&cells), "a b\tc  forged row\n");
    }

    #[test]
    fn no_word_is_broken_where_a_terminal_is_narrow() {
        let rows = || vec![vec!["ann@example.test".to_owned(), "none".to_owned()]; 2];
        for width in [None, Some(80), Some(26)] {
            let table = arranged(&["ADDRESS", "QUOTA"], rows(), width);
            assert_eq!(table.lines().count(), 3, "{table}");
            assert!(table.contains("ann@example.test  none"), "{table}");
        }
        let narrow = arranged(&["ADDRESS", "QUOTA"], rows(), Some(20));
        let one = "ADDRESS  ann@example.test\nQUOTA    none\n";
        assert_eq!(narrow, format!("{one}\n{one}"));
        let partly = [["ann@example.test", ""], ["bob@example.test", "5G"]];
        let partly = partly.map(|row| row.map(str::to_owned).to_vec()).to_vec();
        let narrow = arranged(&["ADDRESS", "QUOTA"], partly, Some(20));
        assert_eq!(narrow, "ADDRESS  ann@example.test\n\nADDRESS  bob@example.test\nQUOTA    5G\n");
    }

    #[test]
    fn a_cause_is_told_once() {
        let missing = || std::io::Error::from_raw_os_error(2);
        let error = anyhow::Error::from(missing()).context(format!("`/nowhere`: {}", missing())).context("no key");
        assert_eq!(told(&error), "no key: `/nowhere`: No such file or directory (os error 2)");
    }
}
