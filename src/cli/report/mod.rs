//! Reports.

mod own;
mod received;

use std::path::PathBuf;

use own::{Period, Place};
use received::{ReceivedOptions, Shape};

use super::context::Context;
use super::exit::Outcome;
use crate::storage::reports::Kind;

/// Reports on this server, suitable for a timer, and reports from other servers on our domains.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Report {
    /// The queue, as JSON.
    Queue(Place),
    /// Wanted mail, spam and rejections, as JSON.
    Spam {
        #[command(flatten)]
        period: Period,
        #[command(flatten)]
        place: Place,
    },
    /// Mailbox usage, as JSON.
    Mailboxes(Place),
    /// The results of the last backups, checks and drills, as JSON.
    Backups(Place),
    /// Write all four to a directory, as `queue.json`, `spam.json`, `mailboxes.json` and `backups.json`.
    All {
        #[command(flatten)]
        period: Period,
        /// The directory; it is created if necessary.
        #[arg(value_name = "DIRECTORY")]
        into: PathBuf,
    },
    /// Print the summary that the postmaster receives.
    Summary(Period),
    /// Make the running server send the summary to the postmaster (`summary.to`).
    Mail(Period),
    /// Who sent mail in the names of our domains, according to DMARC aggregate reports from other servers.
    Dmarc {
        #[command(flatten)]
        which: ReceivedOptions,
        /// Show the rows of each report: how much each address sent, and how it was evaluated.
        #[arg(long)]
        rows: bool,
    },
    /// How sessions with our hosts were protected, according to TLS reports from other servers (RFC 8460).
    Tlsrpt {
        #[command(flatten)]
        which: ReceivedOptions,
        /// Show the rows of each report: how often each policy was followed, and what failed at which host.
        #[arg(long)]
        rows: bool,
    },
    /// Single messages in the names of our domains that failed DMARC elsewhere, as reported by other servers (`ruf=`).
    Failures {
        #[command(flatten)]
        which: ReceivedOptions,
        /// Show the rows of each report: which address the message came from, and what failed.
        #[arg(long)]
        rows: bool,
    },
}

pub(super) async fn run(report: Report, context: &Context) -> Outcome {
    match report {
        Report::Dmarc { which, rows } => received::run(Kind::Dmarc, &which, Shape::of(rows), context).await,
        Report::Tlsrpt { which, rows } => received::run(Kind::Tls, &which, Shape::of(rows), context).await,
        Report::Failures { which, rows } => received::run(Kind::Failure, &which, Shape::of(rows), context).await,
        report => own::run(report, context).await,
    }
}
