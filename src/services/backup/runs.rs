//! The result of the last run of each kind, for the metrics.

use super::Error;
use crate::foundations::clock::Timestamp;
use crate::storage::database::{Database, Val};

crate::words! {
    /// What a run has done.
    pub enum RunKind {
        /// It has made a backup.
        Created = "created",
        /// It has read backups to see whether they are undamaged.
        Verified = "verified",
        /// It has removed old backups.
        Pruned = "pruned",
        /// It has copied the backups to another place.
        Pushed = "pushed",
        /// It has restored a backup.
        Restored = "restored",
        /// It has tried what a server made from a backup can do.
        Drill = "drill",
    }
}

/// The last run of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The kind.
    pub what: RunKind,
    /// When it ended.
    pub at: Timestamp,
    /// When one last succeeded.
    pub succeeded_at: Option<Timestamp>,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// How long a drill took until the first user was logged in, in milliseconds.
    pub recovery_milliseconds: Option<u64>,
    /// How many differences a drill has found between its server and the backup; `None` when no drill came that far.
    pub differences: Option<u64>,
    /// Why it failed; `None` when it did not.
    pub problem: Option<String>,
}

/// Records a run, replacing the one before it.
///
/// # Errors
/// The database fails.
pub async fn note_run(database: &Database, run: &Run) -> Result<(), Error> {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let succeeded = run.problem.is_none().then_some(run.at);
    let keys: &[&str] = &["what"];
    // A failure does not erase the last success.
    let mut others = vec!["at", "milliseconds", "recovery_milliseconds", "problem"];
    let mut values: Vec<Val> = vec![
        run.what.word().into(),
        run.at.into(),
        number(run.milliseconds).into(),
        run.recovery_milliseconds.map(number).into(),
        run.problem.as_deref().into(),
    ];
    if let Some(at) = succeeded {
        others.push("succeeded_at");
        values.push(at.into());
    }
    database.execute(database.dialect().upsert("backup_runs", keys, &others), &values).await?;
    if let Some(differences) = run.differences {
        let values: [Val; 3] = [run.what.word().into(), run.at.into(), number(differences).into()];
        let sql = database.dialect().upsert("backup_differences", keys, &["at", "differences"]);
        database.execute(sql, &values).await?;
    }
    Ok(())
}

/// The last run of each kind.
///
/// # Errors
/// The database fails.
pub async fn last_runs(database: &Database) -> Result<Vec<Run>, Error> {
    // A run recorded by an older program has no row of its own.
    let sql = "SELECT r.what, r.at, r.succeeded_at, r.milliseconds, r.recovery_milliseconds, r.problem, d.differences \
               FROM backup_runs r LEFT JOIN backup_differences d ON d.what = r.what AND d.at = r.at ORDER BY r.what";
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    let mut runs = Vec::new();
    for row in database.fetch_all(sql, &[]).await? {
        // A newer program may have recorded others.
        let Some(what) = RunKind::from_word(&row.text(0)?) else { continue };
        runs.push(Run {
            what,
            at: row.time(1)?,
            succeeded_at: row.opt_time(2)?,
            milliseconds: number(row.int(3)?),
            recovery_milliseconds: row.opt_int(4)?.map(number),
            problem: row.opt_text(5)?,
            differences: row.opt_int(6)?.map(number),
        });
    }
    Ok(runs)
}
