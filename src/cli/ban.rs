use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};

use anyhow::Context as _;
use ipnet::IpNet;

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::moment::span;
use super::output::Shown;
use crate::config::{Config, Role};
use crate::daemon::control::{Request, RequestError, ask};
use crate::foundations::clock::Timestamp;
use crate::foundations::counted::are;
use crate::foundations::net::parse_network;
use crate::foundations::settings::Span;
use crate::services::guard;

/// Bans of clients. They apply to the running roles on all machines that share the database, and survive a restart.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Ban {
    /// List the bans in force.
    List,
    /// Ban an address or a network.
    Add {
        /// The address or network: `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`.
        #[arg(value_parser = network)]
        network: IpNet,
        /// For how long, such as 30m, 4h or 7d; without this, until the ban is removed.
        #[arg(long = "for", value_name = "SPAN", value_parser = span)]
        length: Option<Span>,
        /// The reason, for the log.
        #[arg(long, default_value = "by an administrator")]
        reason: String,
    },
    /// Lift the bans of an address or a network.
    Remove {
        /// The address or network.
        #[arg(value_parser = network)]
        network: IpNet,
    },
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = parse_network(text).map(|network| network.trunc());
    network.ok_or_else(|| "expected an address or a network such as 192.0.2.0/24".to_owned())
}

/// Whether either of two networks contains the other.
fn touch(one: IpNet, other: IpNet) -> bool {
    one.contains(&other) || other.contains(&one)
}

/// The bans of all processes, longest first, each once: processes that were asked one after the other have it end at slightly
/// different times.
fn merged(answers: Vec<Vec<guard::Ban>>) -> Vec<guard::Ban> {
    let mut bans: Vec<guard::Ban> = answers.into_iter().flatten().collect();
    let end = |ban: &guard::Ban| ban.until.unwrap_or(Timestamp::from_unix_micros(i64::MAX));
    bans.sort_by_key(|ban| (Reverse(end(ban)), ban.network));
    let mut seen = HashSet::new();
    bans.retain(|ban| seen.insert((ban.network, ban.reason.clone())));
    bans
}

/// The banned networks inside another one, and around it.
fn touching(bans: impl Iterator<Item = guard::Ban>, network: IpNet) -> BTreeSet<IpNet> {
    bans.map(|ban| ban.network).filter(|other| *other != network && touch(*other, network)).collect()
}

/// Most networks that are named when their bans are lifted.
const MOST_NAMED: usize = 5;

impl Shown for guard::Ban {
    const COLUMNS: &'static [&'static str] = &["NETWORK", "UNTIL", "REASON"];

    fn cells(&self) -> Vec<String> {
        let until = self.until.map_or_else(|| "until it is removed".to_owned(), |until| until.to_string());
        vec![self.network.to_string(), until, self.reason.to_string()]
    }
}

pub(super) async fn run(command: Ban, context: &Context) -> Outcome {
    let config = context.config()?;
    match command {
        Ban::List => {
            let answers = asked::<Vec<guard::Ban>>(&config, &Request::BanList).await?;
            context.output.list_or(&merged(answers), "no client is banned");
        }
        Ban::Add { network, length, reason } => {
            let seconds = length.map(|length| length.duration().as_secs());
            let add = |recorded| Request::BanAdd { network, seconds, reason: reason.clone(), recorded };
            let (first, others) = (add(false), add(true));
            asked_in_turn::<()>(&config, (&first, &others)).await?;
            let trusted: Vec<IpNet> = config.guard.trusted.iter().copied().filter(|one| touch(*one, network)).collect();
            let value = serde_json::json!({ "network": network, "trusted": trusted });
            context.output.done(&format!("{network} is banned"), &value);
            for one in trusted {
                eprintln!("postrider: clients in {one} can still connect: it is in `guard.trusted`");
            }
        }
        Ban::Remove { network } => {
            // A ban of a network around this one goes with it: its other addresses may connect again, too.
            let others =
                touching(asked::<Vec<guard::Ban>>(&config, &Request::BanList).await?.into_iter().flatten(), network);
            // Processes share their bans: each lifts the same ones.
            let lifted = asked::<usize>(&config, &Request::BanRemove { network }).await?.into_iter().max().unwrap_or(0);
            if lifted == 0 {
                let value = serde_json::json!({ "lifted": 0, "others": [] });
                context.output.done(&format!("{network} is not banned"), &value);
                return Ok(Exit::NotFound);
            }
            let more = match others.len() {
                0 => String::new(),
                few @ ..=MOST_NAMED => {
                    let names: Vec<String> = others.iter().map(ToString::to_string).collect();
                    format!(", nor {} {}", are(few), names.join(", "))
                }
                many => format!(", nor are {many} networks inside or around it"),
            };
            let value = serde_json::json!({ "lifted": lifted, "others": others });
            context.output.done(&format!("{network} is no longer banned{more}"), &value);
        }
    }
    Ok(Exit::Done)
}

/// Asks every process that serves clients once: each keeps its own list of bans.
async fn asked<T: serde::de::DeserializeOwned>(config: &Config, request: &Request) -> anyhow::Result<Vec<T>> {
    asked_in_turn(config, (request, request)).await
}

/// The same, with a request for the first process and one for the others.
async fn asked_in_turn<T: serde::de::DeserializeOwned>(
    config: &Config,
    (first, others): (&Request, &Request),
) -> anyhow::Result<Vec<T>> {
    let (mut answers, mut processes) = (Vec::new(), Vec::new());
    let mut missing = None;
    for role in [Role::Mta, Role::Access] {
        let status = ask::<crate::daemon::control::Status>(&config.server, role, &Request::Status).await;
        match status {
            Ok(status) if processes.contains(&status.process) => {}
            Ok(status) => {
                processes.push(status.process);
                let request = if answers.is_empty() { first } else { others };
                answers.push(ask(&config.server, role, request).await?);
            }
            Err(error @ RequestError::NotRunning { .. }) => missing = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    match missing {
        Some(error) if answers.is_empty() => Err(error).context("only the running server lists and changes bans"),
        _ => Ok(answers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_processes_ban_is_listed_once() {
        let ban = |text: &str, until: Option<i64>| guard::Ban {
            network: network(text).unwrap(),
            until: until.map(Timestamp::from_unix_micros),
            reason: "by an administrator".into(),
        };
        let earned = guard::Ban { reason: "too many failures".into(), ..ban("192.0.2.7", Some(8)) };
        let one = vec![ban("192.0.2.1", None), ban("192.0.2.7", Some(10)), ban("192.0.2.5", Some(3))];
        let other = vec![ban("192.0.2.1", None), ban("192.0.2.7", Some(12)), earned.clone(), ban("192.0.2.5", Some(3))];
        let wanted = [ban("192.0.2.1", None), ban("192.0.2.7", Some(12)), earned, ban("192.0.2.5", Some(3))];
        assert_eq!(merged(vec![one, other]), wanted);
    }

    #[test]
    fn a_network_is_named_as_it_is_listed() {
        for (text, wanted) in
            [("192.0.2.7/24", "192.0.2.0/24"), ("192.0.2.7", "192.0.2.7/32"), ("2001:db8::1/32", "2001:db8::/32")]
        {
            assert_eq!(network(text).map(|network| network.to_string()).as_deref(), Ok(wanted));
        }
    }
}
