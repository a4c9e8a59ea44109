//! A complete mail server to try out, in one directory, with nothing else installed.

mod check;
pub(in crate::cli) mod client;
mod place;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;

use super::context::Context;
use super::exit::{Exit, Outcome};
use super::output::{Output, print};
use crate::config::{Checks, Config, understand};
use crate::daemon::{self, Daemon, Listening, Roles, Source, World};
use crate::foundations::dns::ZoneResolver;
use crate::foundations::net::{Bind, Inherited};
pub(in crate::cli) use place::InTheWay;
use place::Place;

#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// Exit after the self-check, with an error if a step failed.
    #[arg(long)]
    once: bool,
    /// Keep everything in this directory; without this, a temporary one is used and removed at the end. A configuration
    /// there that was not written by `postrider demo` is not touched (exit code 5).
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
}

/// One of the demo users.
#[derive(Debug, Clone, Serialize)]
struct User {
    address: String,
    password: String,
}

/// Where everything is, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    listeners: std::collections::BTreeMap<&'static str, String>,
    users: &'a [User],
    /// The address of the webmail, over TLS.
    webmail: Option<String>,
    ca: PathBuf,
    config: PathBuf,
    database: String,
    mail_root: PathBuf,
}

/// Reports each step with the time it took, on standard error for JSON output.
struct Steps {
    output: Output,
    begun: Instant,
}

impl Steps {
    fn done(&mut self, what: &str) {
        let took = self.begun.elapsed();
        self.begun = Instant::now();
        let line = format!("{:>9.1} ms  {what}\n", took.as_secs_f64() * 1000.0);
        match self.output {
            Output::People => print(&line),
            Output::Json => eprint!("{line}"),
        }
    }
}

pub(super) fn run(arguments: &Demo, context: &Context) -> Outcome {
    let place = Place::make(arguments.dir.as_deref())?;
    let config = understand(&place.text(&[]), &place.config(), Checks::Syntax, None)?;
    daemon::log::start(config.server.log_format, config.server.log_level);
    daemon::log::tell_of_panics();
    daemon::raise_file_limit();
    let runtime = daemon::runtime(&config.server)?;
    let outcome = runtime.block_on(serve(arguments, context.output, &place, config));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(arguments: &Demo, output: Output, place: &Place, config: Config) -> Outcome {
    let mut steps = Steps { output, begun: Instant::now() };
    let database = config.storage.database.to_string();
    // The demonstration uses no name server: it works without a network, and nobody learns that it is running.
    let world = World { resolver: Some(Arc::new(ZoneResolver::new())), ..World::real(Inherited::default()) };
    let daemon = Box::pin(Daemon::build(config, Roles::all(), world)).await?;
    // Only once we own the mail root: the file may belong to a running demonstration.
    place.write_config(daemon.listening())?;
    steps.done(&format!("started every role with {} listeners", daemon.listening().len()));
    let users = place::make_users(&daemon.parts().directory).await?;
    steps.done("created the domain example.test with the users ann and bob");
    let checked = check::run(daemon.listening(), &place.authority(), &users, &mut steps).await;
    if let Err(error) = &checked {
        eprintln!("postrider: the self-check failed: {error:#}");
    }
    let ready = Ready {
        listeners: daemon.listening().iter().map(|at| (at.protocol.word(), shown(&at.bind))).collect(),
        users: &users,
        webmail: webmail(daemon.listening()),
        ca: place.authority(),
        config: place.config(),
        database,
        mail_root: place.mail_root(),
    };
    announce(output, &ready, arguments);
    if arguments.once {
        let ended = daemon.stop(Duration::from_secs(5)).await;
        return Ok(if ended && checked.is_ok() { Exit::Done } else { Exit::Failed });
    }
    let ended = Box::pin(daemon::run(daemon, Source { path: place.config(), credentials: None })).await?;
    Ok(if ended { Exit::Done } else { Exit::Failed })
}

/// Prints addresses, users and files: one line of JSON, or a page for people trying it by hand.
fn announce(output: Output, ready: &Ready<'_>, arguments: &Demo) {
    match output {
        Output::Json => print(&(serde_json::to_string(ready).unwrap_or_default() + "\n")),
        Output::People if arguments.once => {}
        Output::People => {
            let mut page = String::from("\nListening:\n");
            for (protocol, address) in &ready.listeners {
                page += &format!("  {protocol:12} {address}\n");
            }
            page += "\nUsers:\n";
            for user in ready.users {
                page += &format!("  {}  password {}\n", user.address, user.password);
            }
            page += &format!("\nAuthority to trust:  {}\n", ready.ca.display());
            page += &format!("Configuration:       {}\n", ready.config.display());
            page += &format!("Mail:                {}\n", ready.mail_root.display());
            if let Some(address) = &ready.webmail {
                page += &format!("Webmail:             {address}\n");
            }
            if let Some(address) = ready.listeners.get("dashboard") {
                page += &format!("Monitoring page:     http://{address}/\n");
            }
            page += &format!("\nTry:  postrider --config {} user list\n", ready.config.display());
            page += "Press Ctrl-C to stop.\n";
            print(&page);
        }
    }
}

/// Where a browser finds the webmail: over TLS.
fn webmail(listening: &[Listening]) -> Option<String> {
    let place = listening.iter().find(|place| place.protocol == crate::config::Protocol::Https)?;
    Some(format!("https://{}/", place.bind))
}

fn shown(bind: &Bind) -> String {
    bind.to_string()
}

/// The address of a listener that the self-check needs.
fn address(listening: &[Listening], protocol: crate::config::Protocol) -> anyhow::Result<std::net::SocketAddr> {
    let place = listening.iter().find(|place| place.protocol == protocol);
    match place.map(|place| &place.bind) {
        Some(Bind::Tcp(address)) => Ok(*address),
        _ => Err(anyhow::anyhow!("nothing listens for {protocol}")).context("the configuration was changed"),
    }
}
