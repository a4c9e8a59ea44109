//! The command line: one file per command.
//!
//! Every command takes `--config` and `--json`. Results go to standard output, as a table on a terminal or as one JSON
//! value (`spam check` writes one line for each message as soon as it is examined); everything else goes to standard
//! error. The exit codes are listed in [`Exit`]. Commands that concern a running role ask it over its control socket;
//! the others work directly on the database, also when no role is running.

mod alias;
mod app_password;
mod arguments;
mod backup;
mod ban;
mod certificate;
mod check;
mod cluster;
mod config;
mod config_files;
mod confirm;
mod context;
mod demo;
mod dkim;
mod dns;
mod doctor;
mod domain;
mod exit;
mod export;
mod generate;
mod import;
mod invite;
mod moment;
mod one_of;
mod output;
mod password;
mod plan;
mod quarantine;
mod queue;
mod reindex;
mod reload;
mod report;
mod sendmail;
mod serve;
mod sieve;
mod size;
mod spam;
mod status;
mod trace;
mod two_factor;
mod user;
mod user_removal;
mod user_renaming;

pub use exit::Exit;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arguments::{Arguments, CONFIG, Command};
use clap::Parser as _;
use context::Context;
use exit::Outcome;
use output::Output;
use sendmail::{CalledAs, Errand};

use crate::daemon::log;
use crate::services::accounts::Secrets;

/// Runs the command given by this process's arguments.
pub fn run() -> ExitCode {
    let mut words = std::env::args_os();
    let called_as = words.next().and_then(|program| CalledAs::of(Path::new(&program)));
    if let Some(name) = called_as {
        let config = std::env::var_os("POSTRIDER_CONFIG").map_or_else(|| PathBuf::from(CONFIG), PathBuf::from);
        return match sendmail::run_as(name, words, &config) {
            Errand::Ended(code) => code,
            Errand::ListQueue => {
                end(dispatch(Command::Queue(queue::Queue::all()), &Context::of(config)), Output::People)
            }
        };
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help or version were requested; anything else is a mistake.
            if !error.use_stderr() {
                let _ = error.print();
                return Exit::Done.into();
            }
            match output::wished() {
                Output::Json => Output::misused(&error),
                Output::People => drop(error.print()),
            }
            return Exit::Usage.into();
        }
    };
    let context = Context::new(&arguments);
    // These two log as configured.
    if !matches!(arguments.command, Command::Serve(_) | Command::Demo(_)) {
        log::start_for_command();
    }
    let command = match arguments.command {
        Command::Sendmail(arguments) => match sendmail::run(arguments, &context.source().path) {
            Errand::Ended(code) => return code,
            Errand::ListQueue => Command::Queue(queue::Queue::all()),
        },
        command => command,
    };
    end(dispatch(command, &context).map_err(|error| context.explained(error)), context.output)
}

fn end(outcome: Outcome, output: Output) -> ExitCode {
    match outcome {
        Ok(Exit::Done) if output::is_lost() => Exit::Failed.into(),
        Ok(exit) => exit.into(),
        Err(error) => {
            output.failure(&error);
            Exit::of(&error).into()
        }
    }
}

fn dispatch(command: Command, context: &Context) -> Outcome {
    match command {
        Command::Alias(command) => context.block_on(alias::run(command, context)),
        Command::Backup(command) => context.block_on(backup::run(command, context)),
        Command::Ban(command) => context.block_on(ban::run(command, context)),
        Command::Certificate(command) => context.block_on(certificate::run(command, context)),
        Command::Check(arguments) => check::run(&arguments, context),
        Command::Cluster(command) => context.block_on(cluster::run(command, context)),
        Command::Completions { shell } => Ok(generate::completions(shell, context.output)),
        Command::Config(command) => Ok(config::run(&command, context.output)),
        Command::Demo(arguments) => demo::run(&arguments, context),
        Command::Dkim(command) => dkim::run(&command, context),
        Command::Dns(arguments) => context.block_on(dns::run(arguments, context)),
        Command::Doctor(arguments) => context.block_on(doctor::run(arguments, context)),
        Command::Domain(command) => context.block_on(domain::run(command, context)),
        Command::Export(command) => context.block_on(export::run(command, context)),
        Command::Import(command) => context.block_on(import::run(command, context)),
        Command::Man { directory } => generate::manual(&directory, context.output),
        Command::Plan { without_passwords } => {
            let secrets = if without_passwords { Secrets::Skip } else { Secrets::Read };
            context.block_on(plan::run(context, secrets))
        }
        Command::Quarantine(command) => context.block_on(quarantine::run(command, context)),
        Command::Queue(command) => context.block_on(queue::run(command, context)),
        Command::Reindex { user } => context.block_on(reindex::run(user, context)),
        Command::Reload => context.block_on(reload::run(context)),
        Command::Report(report) => context.block_on(report::run(report, context)),
        // It has exit codes of its own.
        Command::Sendmail(_) => Ok(Exit::Usage),
        Command::Serve(arguments) => serve::run(&arguments, context),
        Command::Sieve(command) => context.block_on(sieve::run(command, context)),
        Command::Spam(command) => spam::run(command, context),
        Command::Status => context.block_on(status::run(context)),
        Command::Trace(arguments) => context.block_on(trace::run(arguments, context)),
        Command::User(command) => context.block_on(user::run(command, context)),
    }
}
