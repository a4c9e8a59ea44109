use std::fmt::Write as _;

use super::Config;
use crate::foundations::settings::{Entry, Setting as _, Shape};

/// The reference of every key as Markdown (`docs/configuration.md`).
pub fn reference() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         <!-- Written by `postrider config reference`; change the doc comments in the code instead. -->\n\n\
         One TOML file, by default `/etc/postrider/postrider.toml`. `postrider check FILE` reports every mistake in it at\n\
         once. Spans of time are written `\"30s\"`, `\"5m\"`, `\"4h\"`, `\"5d\"`; sizes `\"64K\"`, `\"50M\"`, `\"1.5G\"` (powers of\n\
         1024).\n",
    );
    if let Shape::Table { doc, entries } = Config::shape() {
        let _ = write!(text, "\n{}\n", paragraph(doc));
        section(&mut text, "", &entries);
    }
    text
}

/// One table: its plain keys as a list, then the tables inside it as separate sections.
fn section(text: &mut String, prefix: &str, entries: &[Entry]) {
    let (tables, keys): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|entry| inner_table(&entry.shape).is_some());
    if !keys.is_empty() {
        text.push('\n');
    }
    for entry in keys {
        let default = entry.default.as_ref().map_or_else(|| "unset".to_owned(), |default| format!("`{default}`"));
        let _ =
            writeln!(text, "- `{}` ({}; default {default}): {}", entry.name, kind(&entry.shape), paragraph(entry.doc));
        if let Shape::Words(words) = innermost(&entry.shape) {
            for (word, doc) in words {
                let _ = writeln!(text, "  - `\"{word}\"`: {}", paragraph(doc));
            }
        }
    }
    for entry in tables {
        let Some((doc, inner, brackets)) = inner_table(&entry.shape) else { continue };
        let name = if prefix.is_empty() { entry.name.to_owned() } else { format!("{prefix}.{}", entry.name) };
        let heading = brackets.replace("NAME", &name);
        let level = "#".repeat(name.matches('.').count().min(3) + 2);
        let (about, inside) = (paragraph(entry.doc), paragraph(doc));
        // If one text begins with the other, it is enough to show the longer one.
        let both = if inside.starts_with(about.trim_end_matches('.')) { inside } else { format!("{about} {inside}") };
        let _ = writeln!(text, "\n{level} `{heading}`\n\n{both}");
        section(text, &name, inner);
    }
}

/// An example with every key: required keys are set, all others are comments with their defaults.
pub fn example() -> String {
    let mut text = format!("# Configuration of Postrider. Commented-out lines show the defaults.\n\n{START}");
    if let Shape::Table { entries, .. } = Config::shape() {
        example_table(&mut text, "", &entries);
    }
    text
}

/// The keys that are set in the example, alone, so that tables can be added below.
pub fn short_example() -> String {
    let others = "`postrider config example` and docs/configuration.md have all settings";
    format!("# Configuration of Postrider. {others}.\n\n{START}")
}

/// The keys that have no default, or that few will leave as it is.
const START: &str = "\
     hostname = \"mail.example.com\"\n\n\
     [[listener]]\nprotocol = \"smtp\"\nbind = [\"[::]:25\"]\n\n\
     [[listener]]\nprotocol = \"submission\"\nbind = [\"[::]:587\"]\n\n\
     [[listener]]\nprotocol = \"submissions\"\nbind = [\"[::]:465\"]\n\n\
     [[listener]]\nprotocol = \"imap\"\nbind = [\"[::]:143\"]\n\n\
     [[listener]]\nprotocol = \"imaps\"\nbind = [\"[::]:993\"]\n\n\
     [[listener]]\nprotocol = \"managesieve\"\nbind = [\"[::]:4190\"]\n\n\
     # The webmail, calendars and contacts, links for choosing a password, and settings for mail programs.\n\
     [[listener]]\nprotocol = \"https\"\nbind = [\"[::]:443\"]\n\n\
     # Redirects to https, and answers authorities that verify names over HTTP (ACME).\n\
     [[listener]]\nprotocol = \"http\"\nbind = [\"[::]:80\"]\n\n\
     # The monitoring page, without a password and only on this machine: reach it from another with `ssh -L 8080:127.0.0.1:8080 SERVER`.\n\
     # Set `dashboard.password_file` before it listens elsewhere.\n\
     [[listener]]\nprotocol = \"dashboard\"\nbind = [\"127.0.0.1:8080\"]\n\n\
     # Metrics for Prometheus.\n\
     [[listener]]\nprotocol = \"metrics\"\nbind = [\"127.0.0.1:9325\"]\n\n\
     [[tls.certificates]]\n\
     cert = \"/var/lib/acme/mail.example.com/fullchain.pem\"\n\
     key = \"/var/lib/acme/mail.example.com/key.pem\"\n";

fn example_table(text: &mut String, prefix: &str, entries: &[Entry]) {
    let (tables, keys): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|entry| inner_table(&entry.shape).is_some());
    // A first-level table must be opened before its keys; top-level keys are above.
    if !prefix.is_empty() && !keys.is_empty() {
        let _ = write!(text, "\n[{prefix}]\n");
        for entry in keys {
            for line in entry.doc.lines() {
                let _ = writeln!(text, "#{}", line.trim_end());
            }
            let default = entry.default.clone().unwrap_or_else(|| "…".to_owned());
            let _ = writeln!(text, "# {} = {default}", entry.name);
        }
    }
    for entry in tables {
        if let Shape::Table { entries: inner, .. } = &entry.shape {
            let name = if prefix.is_empty() { entry.name.to_owned() } else { format!("{prefix}.{}", entry.name) };
            example_table(text, &name, inner);
        }
    }
}

/// The table in a shape that is a table, or a list or map of tables, and how its heading is written.
fn inner_table(shape: &Shape) -> Option<(&'static str, &[Entry], &'static str)> {
    match shape {
        Shape::Table { doc, entries } => Some((doc, entries, "[NAME]")),
        Shape::List(inner) => match inner.as_ref() {
            Shape::Table { doc, entries } => Some((doc, entries, "[[NAME]]")),
            _ => None,
        },
        Shape::Map(inner) => match inner.as_ref() {
            Shape::Table { doc, entries } => Some((doc, entries, "[NAME.…]")),
            _ => None,
        },
        Shape::Value(_) | Shape::Words(_) => None,
    }
}

fn innermost(shape: &Shape) -> &Shape {
    match shape {
        Shape::List(inner) | Shape::Map(inner) => innermost(inner),
        other => other,
    }
}

fn kind(shape: &Shape) -> String {
    match shape {
        Shape::Value(kind) => (*kind).to_owned(),
        Shape::Words(_) => "word".to_owned(),
        Shape::List(inner) => format!("list: {}", kind(inner)),
        Shape::Map(inner) => format!("table of: {}", kind(inner)),
        Shape::Table { .. } => "table".to_owned(),
    }
}

/// A doc comment as one line.
fn paragraph(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every section says what it is about, and says nothing twice.
    #[test]
    fn every_section_says_first_what_it_is_about() {
        let text = reference();
        let mut sections = 0;
        for section in text.split("\n## ").skip(1).flat_map(|section| section.split("\n### ")) {
            let mut lines = section.lines().filter(|line| !line.is_empty());
            let (heading, about) = (lines.next().unwrap(), lines.next().unwrap_or_default());
            assert!(about.split(' ').count() > 6 && !about.starts_with("- "), "{heading}: `{about}`");
            let (first, rest) = about.split_once(". ").unwrap_or((about, ""));
            assert!(!rest.starts_with(first), "{heading}: `{about}`");
            sections += 1;
        }
        assert!(sections > 50, "only {sections} sections were found");
    }
}
