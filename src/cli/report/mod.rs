//! Reports.

mod own;
mod received;

use std::path::PathBuf;

use own::{Period, Place};
use received::Which;

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
    Dmarc(Which),
    /// How sessions with our hosts were protected, as TLS reports of other servers say (RFC 8460).
    Tlsrpt(Which),
    /// Single messages in our domains' names that have failed DMARC elsewhere, as other servers tell (`ruf=`).
    Failures(Which),
}

pub(super) async fn run(report: Report, context: &Context) -> Outcome {
    match report {
        Report::Dmarc(which) => received::run(Kind::Dmarc, &which, context).await,
        Report::Tlsrpt(which) => received::run(Kind::Tls, &which, context).await,
        Report::Failures(which) => received::run(Kind::Failure, &which, context).await,
        report => own::run(report, context).await,
    }
}
