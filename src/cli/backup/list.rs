use serde::Serialize;

use super::Place;
use crate::cli::exit::{Exit, Outcome};
use crate::cli::output::Shown;
use crate::foundations::clock::Timestamp;
use crate::foundations::counted::rounded;
use crate::services::backup::{Access, Snapshot, SnapshotId, Totals};

/// A backup in the list.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Row {
    Whole {
        id: SnapshotId,
        at: Timestamp,
        full: bool,
        users: u64,
        #[serde(flatten)]
        totals: Totals,
        host: String,
        secrets_left_out: Vec<String>,
    },
    Damaged {
        id: SnapshotId,
        at: Timestamp,
        /// What is wrong with it.
        damaged: String,
    },
}

impl From<Snapshot> for Row {
    fn from(snapshot: Snapshot) -> Self {
        Self::Whole {
            id: snapshot.id,
            at: snapshot.at,
            full: snapshot.full,
            users: snapshot.users.len() as u64,
            totals: snapshot.totals,
            host: snapshot.hostname,
            secrets_left_out: snapshot.secrets_left_out,
        }
    }
}

impl Shown for Row {
    const COLUMNS: &'static [&'static str] = &["BACKUP", "KIND", "USERS", "MESSAGES", "MAIL", "NEW", "STORED", "HOST"];

    fn cells(&self) -> Vec<String> {
        match self {
            Self::Whole { id, full, users, totals, host, secrets_left_out, .. } => vec![
                id.to_string(),
                match (*full, secrets_left_out.is_empty()) {
                    (true, true) => "full",
                    (false, true) => "incremental",
                    (true, false) => "full, without secrets",
                    (false, false) => "incremental, without secrets",
                }
                .to_owned(),
                users.to_string(),
                totals.messages.to_string(),
                rounded(totals.octets),
                totals.read.to_string(),
                rounded(totals.stored),
                host.clone(),
            ],
            Self::Damaged { id, .. } => {
                let mut cells = vec![id.to_string(), "damaged".to_owned()];
                cells.resize(Self::COLUMNS.len(), "-".to_owned());
                cells
            }
        }
    }
}

pub(super) async fn run(place: &Place<'_>) -> Outcome {
    let repository = place.open(Access::Read).await?;
    let mut rows = Vec::new();
    place.say_what_is_ahead(&repository)?;
    let mut worst = Exit::Done;
    for id in repository.snapshots()? {
        match repository.snapshot(&id) {
            // Everywhere else the file's name counts too.
            Ok(snapshot) => rows.push(Row::from(Snapshot { id, ..snapshot })),
            Err(error) if error.is_out_of_reach() => return Err(error.into()),
            Err(error) => {
                eprintln!("postrider: {error}");
                rows.push(Row::Damaged { at: id.moment(), id, damaged: error.to_string() });
                worst = Exit::Damaged;
            }
        }
    }
    if worst == Exit::Damaged {
        eprintln!(
            "postrider: nothing can be restored from damaged backups. `postrider backup prune --damaged` sets them aside; \
             then `postrider backup pull` gets intact copies, if `backup.remote` has any"
        );
    }
    place.output().list_or(&rows, "there are no backups yet");
    Ok(worst)
}
