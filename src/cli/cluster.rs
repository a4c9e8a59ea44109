use std::sync::Arc;
use std::time::Duration;

use super::context::{BY, Context};
use super::exit::{Ended, Exit, Outcome};
use super::output::Shown;
use crate::config::Config;
use crate::daemon::{administrator, database_url};
use crate::foundations::address::Address;
use crate::foundations::clock::{Clock as _, SharedClock, SystemClock};
use crate::foundations::counted::{are, counted};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::settings::Live;
use crate::foundations::tasks::Tasks;
use crate::storage::cluster::{Node, NodeState, Nodes};
use crate::storage::database::Database;
use crate::storage::journal::Journal;
use crate::storage::spool;

/// How long to wait for an event to be written.
const PATIENCE: Duration = Duration::from_secs(5);

/// The nodes that serve these mailboxes. The commands work on any machine that can reach the database; nodes carry them
/// out at their next renewal (`cluster.renew`).
#[derive(Debug, clap::Subcommand)]
pub(super) enum Cluster {
    /// Show the nodes, their leases and how many users each owns.
    Status,
    /// Show which node owns a user's mailboxes.
    Owner {
        /// The user's address.
        #[arg(value_name = "ADDRESS")]
        user: Address,
    },
    /// Drain a node: it gives up its users, whose sessions end, and takes no others until `resume`.
    Drain {
        /// The node, by its name (`cluster.node`).
        node: String,
    },
    /// Let a node take users again.
    Resume {
        /// The node, by its name (`cluster.node`).
        node: String,
    },
    /// Move a user to another node. The user's sessions end; clients reconnect by themselves.
    Move {
        /// The user's address.
        #[arg(value_name = "ADDRESS")]
        user: Address,
        /// The node, by its name (`cluster.node`).
        node: String,
    },
    /// Remove a node that will not come back.
    Forget {
        /// The node, by its name (`cluster.node`).
        node: String,
    },
}

impl Shown for Node {
    const COLUMNS: &'static [&'static str] = &["NODE", "ADDRESS", "LEASE", "STATE", "USERS", "JOINED"];

    fn cells(&self) -> Vec<String> {
        let lease = match self.lease_left {
            0 => "ended".to_owned(),
            left => format!("{}.{} s", left / 1_000, left % 1_000 / 100),
        };
        let (state, joined) = (self.state.word().to_owned(), self.joined_at.to_string());
        vec![self.name.clone(), self.address.clone(), lease, state, self.users.to_string(), joined]
    }
}

pub(super) async fn run(command: Cluster, context: &Context) -> Outcome {
    let config = context.config()?;
    let database = Database::connect(&database_url(&config)?, &config.database).await?;
    database.check().await?;
    let outcome = perform(command, context, &config, &database).await;
    database.close().await;
    outcome
}

/// Records what an administrator has asked of the nodes. Without [`Context::accounts`]: whoever looks after nodes of several
/// versions must not migrate their database.
async fn record(event: Event, config: &Config, database: &Database) {
    let (clock, tasks): (SharedClock, _) = (Arc::new(SystemClock), Tasks::new());
    let journal = Journal::start(database.clone(), Live::new(config.journal.clone()), clock, &tasks);
    let journal = journal.on_behalf_of(administrator().as_deref());
    journal.record(event);
    // The nodes act anyway.
    if tokio::time::timeout(PATIENCE, journal.flush()).await.is_err() {
        eprintln!("postrider: done, but the event about it could not be recorded");
    }
    tasks.stop(Duration::from_secs(2)).await;
}

/// What was asked of a node.
fn of_node(node: &str, what: &'static str) -> Event {
    Event::new(SystemClock.now(), EventKind::Cluster).subject(node).with("what", what)
}

async fn perform(command: Cluster, context: &Context, config: &Config, database: &Database) -> Outcome {
    let (output, nodes) = (&context.output, Nodes::new(database.clone()));
    match command {
        Cluster::Status => {
            let nothing = "there are no nodes: no server with `[cluster]` has used this database";
            output.list_or(&nodes.list().await?, nothing);
        }
        Cluster::Owner { user } => {
            let owner = nodes.owner(&user.key()).await?;
            let text = owner.as_ref().map_or_else(
                || format!("no node owns the mailboxes of {user}"),
                |node| format!("the mailboxes of {user} are with {node}"),
            );
            output.done(&text, &serde_json::json!({ "user": user.to_string(), "node": owner }));
        }
        Cluster::Drain { node } => {
            nodes.set_state(&node, NodeState::Draining).await?;
            record(of_node(&node, "to be drained"), config, database).await;
            output.done(&format!("{node} gives up its users"), &serde_json::json!({ "node": node }));
        }
        Cluster::Resume { node } => {
            nodes.set_state(&node, NodeState::Serving).await?;
            record(of_node(&node, "to take users again"), config, database).await;
            output.done(&format!("{node} takes users again"), &serde_json::json!({ "node": node }));
        }
        Cluster::Move { user, node } => {
            if !nodes.wish(&user.key(), &node).await? {
                output.done(&format!("no node owns the mailboxes of {user}"), &serde_json::json!({ "moved": false }));
                return Ok(Exit::NotFound);
            }
            let event = Event::new(SystemClock.now(), EventKind::AccountChanged).subject(user.to_string());
            let change = format!("user {user} is to move to the node {node}");
            record(event.with("by", BY).with("change", change), config, database).await;
            output.done(&format!("{user} moves to {node}"), &serde_json::json!({ "moved": true, "node": node }));
        }
        Cluster::Forget { node } => {
            if !nodes.forget(&node).await? {
                if let Some(there) = nodes.list().await?.into_iter().find(|there| there.name == node) {
                    let left = there.lease_left.max(0) / 1_000;
                    let text = format!(
                        "{node} is alive: its lease runs for {left} s more unless renewed; stop the node first"
                    );
                    return Err(Ended::with(Exit::Temporary, text));
                }
                return Err(Ended::with(Exit::NotFound, format!("there is no node {node}")));
            }
            let freed = spool::forget_node(database, &node).await?;
            record(of_node(&node, "forgotten"), config, database).await;
            let text = format!(
                "{node} is forgotten; {} that it was about to send to {} taken over by the other nodes of its queue",
                counted(freed, "recipient"),
                are(freed)
            );
            output.done(&text, &serde_json::json!({ "forgotten": true, "freed": freed }));
        }
    }
    Ok(Exit::Done)
}
