use std::io::{IsTerminal as _, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use rustix::termios::tcgetwinsize;
use serde::Serialize;

use super::Exit;
use crate::config::LoadError;

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
    /// What stands under them.
    fn cells(&self) -> Vec<String>;
}

impl Output {
    /// A list: a table on a terminal, lines with tabs into a pipe, an array in JSON.
    pub(super) fn list<T: Shown>(self, rows: &[T]) {
        match self {
            Self::Json => json(&rows),
            Self::People if std::io::stdout().is_terminal() => {
                let mut table = Table::new();
                table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
                if let Some(width) = tcgetwinsize(std::io::stdout()).ok().filter(|size| size.ws_col > 0) {
                    table.set_width(width.ws_col);
                }
                table.set_header(T::COLUMNS.to_vec());
                for row in rows {
                    table.add_row(row.cells());
                }
                print(&format!("{}\n", table.trim_fmt()));
            }
            Self::People => {
                for row in rows {
                    print(&format!("{}\n", row.cells().join("\t")));
                }
            }
        }
    }

    /// One thing: its headings with what belongs to them, or an object in JSON.
    pub(super) fn one<T: Shown>(self, thing: &T) {
        match self {
            Self::Json => json(thing),
            Self::People => {
                let width = T::COLUMNS.iter().map(|name| name.len()).max().unwrap_or(0);
                for (name, cell) in T::COLUMNS.iter().zip(thing.cells()) {
                    print(&format!("{name:width$}  {cell}\n"));
                }
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

    /// Why nothing was done, on standard error for people and on standard output in JSON.
    pub(super) fn failure(self, error: &anyhow::Error) {
        match (self, error.downcast_ref()) {
            (Self::Json, Some(LoadError::Mistakes(mistakes))) => {
                json(&serde_json::json!({ "error": "the configuration has mistakes", "mistakes": mistakes }));
            }
            (Self::Json, _) => {
                let code = Exit::of(error) as u8;
                json(&serde_json::json!({ "error": told(error), "exit": code }));
            }
            (Self::People, _) => eprintln!("postrider: {}", told(error)),
        }
    }
}

/// An error with its causes. Many say their cause in their own words; it is not said again.
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

/// Writes to standard output. A reader that has gone away (`| head`) is no error.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let missing = || std::io::Error::from_raw_os_error(2);
        let error = anyhow::Error::from(missing()).context(format!("`/nowhere`: {}", missing())).context("no key");
        assert_eq!(told(&error), "no key: `/nowhere`: No such file or directory (os error 2)");
    }
}
