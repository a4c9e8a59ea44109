use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::de::DeserializeOwned;

use super::context::{Accounts, Context};
use super::exit::{Exit, Outcome};
use super::output::{Output, Shown, print};
use crate::config::{Config, Role};
use crate::daemon::administration::{self, EntryShown, Keeper, QueueCommand, RecipientShown};
use crate::daemon::control::{Request, RequestError, ask};
use crate::foundations::clock::SystemClock;
use crate::foundations::counted::{are, counted, rounded};
use crate::foundations::ids::QueueId;
use crate::foundations::tasks::Tasks;
use crate::storage::spool::{QUARANTINED, Spool, body_path};

impl Queue {
    /// Lists everything.
    pub(super) fn all() -> Self {
        Self::List { which: "all".to_owned() }
    }
}

/// The queue. WHICH is one or several of `all`, `held`, a queue id, `from:ADDRESS` (`from:<>` for notifications),
/// `to:ADDRESS` and `domain:NAME`. Quarantined messages are listed, but only changed when their ids are given; see
/// `postrider quarantine`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Queue {
    /// List the messages in the queue: waiting, held, or in quarantine.
    List {
        /// Only these: `held`, a queue id, `from:ADDRESS` (`from:<>`: notifications), `to:ADDRESS` or `domain:NAME`.
        #[arg(default_value = "all", value_parser = which)]
        which: String,
    },
    /// Show a message with its recipients: their states, attempts and last replies.
    Show {
        /// Its queue id, as `list` shows it.
        id: QueueId,
        /// Show the message itself instead, header and body.
        #[arg(long)]
        message: bool,
    },
    /// Try messages now instead of when they are due. Held messages need `release`. `to:` and `domain:` try only these
    /// recipients.
    Retry {
        /// Which: `all`, `held`, a queue id, `from:ADDRESS` (`from:<>`: notifications), `to:ADDRESS` or `domain:NAME`.
        #[arg(required = true, value_parser = which)]
        which: Vec<String>,
    },
    /// Hold messages until they are released. `to:` and `domain:` hold them only for these recipients.
    Hold {
        /// Which: `all`, `held`, a queue id, `from:ADDRESS` (`from:<>`: notifications), `to:ADDRESS` or `domain:NAME`.
        #[arg(required = true, value_parser = which)]
        which: Vec<String>,
    },
    /// Release held messages. `to:` and `domain:` release them only to these recipients.
    Release {
        /// Which: `all`, `held`, a queue id, `from:ADDRESS` (`from:<>`: notifications), `to:ADDRESS` or `domain:NAME`.
        #[arg(required = true, value_parser = which)]
        which: Vec<String>,
    },
    /// Delete messages without notifying anybody. `to:` and `domain:` only remove these recipients.
    Delete(Ended),
    /// Give up on messages now and notify their senders. `to:` and `domain:` give up only on these recipients.
    Bounce(Ended),
}

/// Messages to remove from the queue.
#[derive(Debug, clap::Args)]
pub(super) struct Ended {
    /// Which: `all`, `held`, a queue id, `from:ADDRESS` (`from:<>`: notifications), `to:ADDRESS` or `domain:NAME`.
    #[arg(required = true, value_parser = which)]
    which: Vec<String>,
    /// Confirm, as required with `all`, that every message in the queue is meant.
    #[arg(long)]
    yes: bool,
}

fn which(text: &str) -> Result<String, String> {
    administration::selection(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

impl Shown for EntryShown {
    const COLUMNS: &'static [&'static str] = &["ID", "RECEIVED", "SIZE", "SENDER", "RECIPIENTS", "STATE", "LAST REPLY"];

    fn cells(&self) -> Vec<String> {
        let recipients = match (&self.recipients[..], self.unreadable) {
            ([], unreadable) => counted(unreadable, "unreadable recipient"),
            ([one], 0) => one.address.clone(),
            ([first, rest @ ..], unreadable) => {
                format!("{} and {} more", first.address, rest.len() as u64 + unreadable)
            }
        };
        let state = if self.is_quarantined() { "quarantined".to_owned() } else { self.states() };
        let reply = self.recipients.iter().find_map(|recipient| recipient.last_reply.clone()).unwrap_or_default();
        let sender = if self.sender.is_empty() { "<>" } else { &self.sender };
        let size = rounded(self.size);
        vec![self.id.to_string(), self.received.to_string(), size, sender.to_owned(), recipients, state, reply]
    }
}

impl Shown for RecipientShown {
    const COLUMNS: &'static [&'static str] =
        &["RECIPIENT", "STATE", "DESTINATION", "ATTEMPTS", "NEXT", "UNTIL", "LAST REPLY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.address.clone(),
            self.state.clone(),
            self.destination.clone(),
            self.attempts.to_string(),
            self.due.to_string(),
            self.expires.to_string(),
            self.last_reply.clone().unwrap_or_default(),
        ]
    }
}

pub(super) async fn run(command: Queue, context: &Context) -> Outcome {
    let config = context.config()?;
    let output = context.output;
    match command {
        Queue::List { which } => {
            let entries = every(context, &config, &which).await?;
            let nothing = if which == "all" { "the queue is empty" } else { "no such messages are in the queue" };
            output.list_or(&entries, nothing);
        }
        Queue::Show { id, message: true } => show_message(context, &config, id).await?,
        Queue::Show { id, message: false } => {
            let entry: EntryShown = asked(context, &config, QueueCommand::Show { id }).await?;
            output.one(&entry);
            if matches!(output, Output::People) {
                print("\n");
                output.list(&entry.recipients);
            }
        }
        Queue::Retry { which } => {
            let is_wide = is_wide(&which);
            let count = asked_of_each(context, &config, which, |which| QueueCommand::Retry { which }).await?;
            if count == 0 {
                eprintln!("postrider: no such recipients are waiting; use `postrider queue release` for held ones");
            }
            return Ok(ended(told(output, "tried now", count), is_wide));
        }
        Queue::Hold { which } => {
            let is_wide = is_wide(&which);
            let count = asked_of_each(context, &config, which, |which| QueueCommand::Hold { which }).await?;
            return Ok(ended(told(output, "held", count), is_wide));
        }
        Queue::Release { which } => {
            let is_wide = is_wide(&which);
            let count = asked_of_each(context, &config, which, |which| QueueCommand::Release { which }).await?;
            return Ok(ended(told(output, "released", count), is_wide));
        }
        Queue::Delete(ended) => {
            let command = |id, whom| match whom {
                None => QueueCommand::Delete { id },
                Some(whom) => QueueCommand::DeleteFor { id, whom },
            };
            return end(context, &config, &ended, "deleted", command).await;
        }
        Queue::Bounce(ended) => {
            let command = |id, whom| match whom {
                None => QueueCommand::Bounce { id },
                Some(whom) => QueueCommand::BounceFor { id, whom },
            };
            return end(context, &config, &ended, "given up", command).await;
        }
    }
    Ok(Exit::Done)
}

/// Removes messages from the queue, one after the other. Quarantined ones are only removed by id.
async fn end(
    context: &Context,
    config: &Config,
    Ended { which, yes }: &Ended,
    what: &str,
    command: impl Fn(QueueId, Option<String>) -> QueueCommand,
) -> Outcome {
    if let [one] = which.as_slice()
        && let Ok(id) = one.parse()
    {
        asked::<u64>(context, config, command(id, None)).await?;
        context.output.done(&format!("{id} is {what}"), &serde_json::json!({ "id": id }));
        return Ok(Exit::Done);
    }
    if which.iter().any(|which| which == "all") && !yes {
        let text = format!("every waiting message would be {what}; confirm with `--yes`");
        return Err(super::exit::Ended::with(Exit::Usage, text));
    }
    // The recipients: `None` for all.
    let mut meant: BTreeMap<QueueId, BTreeSet<Option<String>>> = BTreeMap::new();
    for which in which {
        if let Ok(id) = which.parse() {
            meant.entry(id).or_default().insert(None);
            continue;
        }
        let whom = administration::whom(which)?.map(|_| which.clone());
        for entry in every(context, config, which).await?.iter().filter(|entry| !entry.is_quarantined()) {
            // It would keep the others from being given up, too.
            if entry.unreadable > 0 && matches!(command(entry.id, None), QueueCommand::Bounce { .. }) {
                eprintln!("postrider: {} is left out: it has unreadable recipients, and can only be deleted", entry.id);
                continue;
            }
            meant.entry(entry.id).or_default().insert(whom.clone());
        }
    }
    // `None` (all recipients) sorts first, and leaves nothing to do for individual ones.
    let commands = meant.into_iter().flat_map(|(id, whom)| whom.into_iter().map(move |whom| (id, whom)));
    let exit = end_each(context, config, commands.map(|(id, whom)| (id, command(id, whom))), what).await?;
    Ok(ended(exit, is_wide(which)))
}

/// Whether the words may match nothing without that being a mistake.
fn is_wide(which: &[String]) -> bool {
    which.iter().all(|which| which == "all" || which == "held")
}

/// Having nothing to do is no failure if nothing specific was named.
fn ended(exit: Exit, is_wide: bool) -> Exit {
    if is_wide && exit == Exit::NotFound { Exit::Done } else { exit }
}

/// Removes messages from the queue, or recipients from messages, one after the other; not found if there was none.
pub(super) async fn end_each(
    context: &Context,
    config: &Config,
    commands: impl Iterator<Item = (QueueId, QueueCommand)>,
    what: &str,
) -> Outcome {
    let mut access = QueueAccess::new(context, config);
    let (mut count, mut last) = (0_u64, None);
    for (id, command) in commands {
        match access.asked::<u64>(command).await {
            Ok(_) => {
                count += u64::from(last.replace(id) != Some(id));
            }
            // It has left the queue meanwhile.
            Err(error) if Exit::of(&error) == Exit::NotFound => {}
            Err(error) => {
                access.close().await;
                return Err(error.context(format!("{} {} {what}; then {id}", counted(count, "message"), are(count))));
            }
        }
    }
    access.close().await;
    context.output.done(
        &format!("{} {} {what}", counted(count, "message"), are(count)),
        &serde_json::json!({ "messages": count }),
    );
    Ok(if count == 0 { Exit::NotFound } else { Exit::Done })
}

/// Writes the message of an entry to standard output: unchanged, but with control characters made harmless on a terminal.
pub(super) async fn show_message(context: &Context, config: &Config, id: QueueId) -> anyhow::Result<()> {
    let entry: EntryShown = asked(context, config, QueueCommand::Show { id }).await?;
    let path = body_path(&config.spool.directory, id);
    let octets = std::fs::read(&path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    if matches!(context.output, Output::Json) {
        let message = String::from_utf8_lossy(&octets);
        context.output.done("", &serde_json::json!({ "entry": entry, "message": message }));
    } else if std::io::stdout().is_terminal() {
        print(&String::from_utf8_lossy(&octets));
    } else {
        let mut out = std::io::stdout().lock();
        match out.write_all(&octets).and_then(|()| out.flush()) {
            // A closed pipe is no error.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

impl EntryShown {
    /// The states of its recipients, each once: one may be held while another one waits.
    fn states(&self) -> String {
        let mut states: Vec<&str> = self.recipients.iter().map(|recipient| recipient.state.as_str()).collect();
        states.extend((self.unreadable > 0).then_some("unreadable"));
        states.sort_unstable();
        states.dedup();
        states.join(", ")
    }

    /// Whether the filter has quarantined it.
    pub(super) fn is_quarantined(&self) -> bool {
        self.hold_reason.as_deref() == Some(QUARANTINED)
    }
}

/// All entries that a word selects, fetched page by page.
pub(super) async fn every(context: &Context, config: &Config, which: &str) -> anyhow::Result<Vec<EntryShown>> {
    let mut entries: Vec<EntryShown> = Vec::new();
    loop {
        let after = entries.last().map(|entry| entry.id);
        let command = QueueCommand::List { which: which.to_owned(), after };
        let page: Vec<EntryShown> = asked(context, config, command).await?;
        // A page with many recipients has fewer messages; only an empty page is the end.
        if page.is_empty() {
            return Ok(entries);
        }
        entries.extend(page);
    }
}

/// Reports how many recipients a command has affected; not found if there was none.
pub(super) fn told(output: Output, what: &str, count: u64) -> Exit {
    output.done(
        &format!("{} {} {what}", counted(count, "recipient"), are(count)),
        &serde_json::json!({ "recipients": count }),
    );
    if count == 0 { Exit::NotFound } else { Exit::Done }
}

/// Sends a command for each selection in turn; returns how many recipients were affected.
async fn asked_of_each(
    context: &Context,
    config: &Config,
    which: Vec<String>,
    command: impl Fn(String) -> QueueCommand,
) -> anyhow::Result<u64> {
    let mut access = QueueAccess::new(context, config);
    let mut count = 0;
    for which in which {
        match access.asked::<u64>(command(which)).await {
            Ok(changed) => count += changed,
            Err(error) => {
                access.close().await;
                return Err(error);
            }
        }
    }
    access.close().await;
    Ok(count)
}

/// Sends one command.
pub(super) async fn asked<T: DeserializeOwned>(
    context: &Context,
    config: &Config,
    command: QueueCommand,
) -> anyhow::Result<T> {
    let mut access = QueueAccess::new(context, config);
    let answer = access.asked(command).await;
    access.close().await;
    answer
}

/// Where commands are carried out: by the role with the queue or, if it is not running, by this process on its storage.
struct QueueAccess<'a> {
    context: &'a Context,
    config: &'a Config,
    stopped: Option<StoppedQueue>,
}

/// The storage of a queue that no running role is using.
struct StoppedQueue {
    accounts: Accounts,
    spool: Spool,
    tasks: Tasks,
}

impl<'a> QueueAccess<'a> {
    const fn new(context: &'a Context, config: &'a Config) -> Self {
        Self { context, config, stopped: None }
    }

    async fn asked<T: DeserializeOwned>(&mut self, command: QueueCommand) -> anyhow::Result<T> {
        if self.stopped.is_none() {
            let request = Request::Queue { command: command.clone() };
            match ask(&self.config.server, Role::Mta, &request).await {
                Err(RequestError::NotRunning { .. }) => self.stopped = Some(self.open().await?),
                answer => return Ok(answer?),
            }
        }
        let stopped = self.stopped.as_ref().context("the queue is open")?;
        let keeper = Keeper::Resting(&stopped.spool, &stopped.accounts.journal);
        let answer = administration::perform(command, keeper).await;
        Ok(serde_json::from_value(answer?)?)
    }

    async fn open(&self) -> anyhow::Result<StoppedQueue> {
        let accounts = self.context.accounts().await?;
        let tasks = Tasks::new();
        let spool = Spool::open(accounts.database.clone(), &self.config.spool, Arc::new(SystemClock), &tasks)?;
        Ok(StoppedQueue { accounts, spool, tasks })
    }

    async fn close(self) {
        if let Some(StoppedQueue { accounts, tasks, .. }) = self.stopped {
            tasks.stop(Duration::from_secs(5)).await;
            accounts.record([]).await;
            accounts.closed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::clock::Timestamp;

    #[test]
    fn an_entry_shows_the_states_of_all_its_recipients() {
        let recipient = |state: &str, reply: Option<&str>| RecipientShown {
            address: format!("{state}@x.test"),
            state: state.to_owned(),
            destination: "mx:x.test".to_owned(),
            attempts: 0,
            due: Timestamp::EPOCH,
            expires: Timestamp::EPOCH,
            last_reply: reply.map(str::to_owned),
        };
        let entry = |hold_reason: Option<&str>| EntryShown {
            id: QueueId::generate(Timestamp::EPOCH),
            mail: String::new(),
            sender: "ann@x.test".to_owned(),
            size: 1,
            received: Timestamp::EPOCH,
            message_id: None,
            login: None,
            hold_reason: hold_reason.map(str::to_owned),
            recipients: vec![recipient("waiting", None), recipient("held", Some("451 no")), recipient("waiting", None)],
            unreadable: 0,
        };
        let ending = |entry: EntryShown| entry.cells()[4..].join("; ");
        assert_eq!(ending(entry(None)), "waiting@x.test and 2 more; held, waiting; 451 no");
        assert_eq!(ending(entry(Some(QUARANTINED))), "waiting@x.test and 2 more; quarantined; 451 no");
        let damaged = EntryShown { unreadable: 1, ..entry(None) };
        assert_eq!(ending(damaged.clone()), "waiting@x.test and 3 more; held, unreadable, waiting; 451 no");
        assert_eq!(ending(EntryShown { recipients: Vec::new(), ..damaged }), "1 unreadable recipient; unreadable; ");
    }
}
