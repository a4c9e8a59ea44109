//! Reports.

mod own;
mod received;

use std::path::PathBuf;

use own::{Period, Place};
use received::{Shape, Which};

use super::context::Context;
use super::exit::Outcome;
use crate::storage::reports::Kind;

/// Reports of this server, to be made by a timer, and those of other servers about our domains.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Report {
    /// The queue, as JSON.
    Queue(Place),
    /// Wanted and unwanted mail and refusals, as JSON.
    Spam {
        #[command(flatten)]
        period: Period,
        #[command(flatten)]
        place: Place,
    },
    /// The usage of mailboxes, as JSON.
    Mailboxes(Place),
    /// What came of the last backups, their checks and their drills, as JSON.
    Backups(Place),
    /// All four, as `queue.json`, `spam.json`, `mailboxes.json` and `backups.json` in a directory.
    All {
        #[command(flatten)]
        period: Period,
        /// The directory; it is made if need be.
        #[arg(value_name = "DIRECTORY")]
        into: PathBuf,
    },
    /// Print the summary that the postmaster gets.
    Summary(Period),
    /// Let the running server send the summary to the postmaster (`summary.to`).
    Mail(Period),
    /// Who has sent mail in our domains' names, as DMARC aggregate reports of other servers say.
    Dmarc {
        #[command(flatten)]
        which: Which,
        /// Show the rows of each report: which address has sent how much, and how it was judged.
        #[arg(long)]
        rows: bool,
    },
    /// How sessions with our hosts were protected, as TLS reports of other servers say (RFC 8460).
    Tlsrpt {
        #[command(flatten)]
        which: Which,
        /// Show the rows of each report: how often each policy was followed, and at which host what failed.
        #[arg(long)]
        rows: bool,
    },
    /// Single messages in our domains' names that have failed DMARC elsewhere, as other servers tell (`ruf=`).
    Failures {
        #[command(flatten)]
        which: Which,
        /// Show the rows of each report: from which address the message came, and what failed.
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
