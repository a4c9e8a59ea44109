use std::path::PathBuf;

use serde::Serialize;

use super::super::context::Context;
use super::super::exit::Exit;
use super::super::output::Shown;
use crate::foundations::counted::{are, counted};
use crate::services::filter::load_rules;
use crate::services::filter::rules::{Complaint, Severity};

/// Check rule files.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Rules {
    /// Files to read after those in the configuration.
    files: Vec<PathBuf>,
}

/// A complaint, for output.
#[derive(Debug, Serialize)]
struct Line {
    file: String,
    line: usize,
    severity: String,
    subject: String,
    reason: String,
}

impl From<&Complaint> for Line {
    fn from(complaint: &Complaint) -> Self {
        Self {
            file: complaint.file.clone(),
            line: complaint.line,
            severity: complaint.severity.to_string(),
            subject: complaint.subject.clone(),
            reason: complaint.reason.clone(),
        }
    }
}

impl Shown for Line {
    const COLUMNS: &'static [&'static str] = &["PLACE", "STATE", "ABOUT", "REASON"];

    fn cells(&self) -> Vec<String> {
        vec![format!("{}:{}", self.file, self.line), self.severity.clone(), self.subject.clone(), self.reason.clone()]
    }
}

pub(super) fn run(arguments: &Rules, context: &Context) -> anyhow::Result<Exit> {
    let config = super::configuration(context)?;
    let rules = load_rules(&super::settings(config.as_ref(), &arguments.files)?.rules);
    let lines: Vec<Line> = rules.complaints().iter().map(Line::from).collect();
    context.output.list(&lines);
    let (in_force, told) = (rules.len(), lines.len());
    eprintln!(
        "{} {} in force, {} {} reported",
        counted(in_force, "rule"),
        are(in_force),
        counted(told, "line"),
        are(told)
    );
    let unusable = rules.complaints().iter().any(|c| c.severity == Severity::Unusable);
    Ok(if unusable { Exit::Failed } else { Exit::Done })
}
