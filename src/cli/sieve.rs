use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

use super::context::{Accounts, BY, Context};
use super::exit::{Ended, Exit, Outcome};
use super::output::{Output, Shown, print};
use super::spam::source;
use crate::config::{Checks, Config, load};
use crate::foundations::address::{Address, ReversePath};
use crate::foundations::clock::{Clock as _, SystemClock};
use crate::foundations::event::{Event, EventKind};
use crate::foundations::mail::{HeaderSection, Message, addresses, crlf};
use crate::foundations::settings::Live;
use crate::services::delivery::{Explained, Trial, Tried};
use crate::services::sieve::{Mistake, SieveSettings, compile};
use crate::storage::directory::Error;
use crate::storage::scripts::{Entry, Home, ScriptName, Scripts};

/// Users' Sieve scripts. The commands work on the files themselves, whether or not the server is running.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Sieve {
    /// List a user's scripts.
    List {
        /// The user's address.
        #[arg(value_name = "ADDRESS")]
        user: Address,
    },
    /// Print a script.
    Show {
        /// The user's address.
        #[arg(value_name = "ADDRESS")]
        user: Address,
        /// The script's name; by default the active script.
        name: Option<ScriptName>,
    },
    /// Store a script, if it has no mistakes.
    Put {
        /// The user's address.
        #[arg(value_name = "ADDRESS")]
        user: Address,
        /// The script's name. An existing script of that name is replaced.
        name: ScriptName,
        /// The file with the script; `-` for standard input.
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Also make it the active script.
        #[arg(long)]
        activate: bool,
    },
    /// Make a script active.
    Activate {
        /// The user's address.
        #[arg(value_name = "ADDRESS")]
        user: Address,
        /// The script's name.
        name: ScriptName,
    },
    /// Deactivate the active script.
    Deactivate {
        /// The user's address.
        #[arg(value_name = "ADDRESS")]
        user: Address,
    },
    /// Delete a script. It must not be active.
    Delete {
        /// The user's address.
        #[arg(value_name = "ADDRESS")]
        user: Address,
        /// The script's name.
        name: ScriptName,
    },
    /// Check scripts and report mistakes line by line.
    Check {
        /// The files; `-` for standard input.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Explain step by step what scripts would do with a message, without doing it.
    Test {
        /// The user whose scripts to try.
        #[arg(long, value_name = "ADDRESS")]
        user: Address,
        /// A script to try instead of the active one.
        #[arg(long, value_name = "FILE")]
        script: Option<PathBuf>,
        /// The envelope sender; by default taken from the Return-Path or From field.
        #[arg(long, value_name = "ADDRESS")]
        from: Option<Address>,
        /// The envelope recipient; by default the user.
        #[arg(long, value_name = "ADDRESS")]
        to: Option<Address>,
        /// The message; `-` for standard input.
        message: PathBuf,
    },
}

impl Shown for Entry {
    const COLUMNS: &'static [&'static str] = &["NAME", "ACTIVE", "OCTETS"];

    fn cells(&self) -> Vec<String> {
        let active = if self.active { "active" } else { "" };
        vec![self.name.to_string(), active.to_owned(), self.size.to_string()]
    }
}

pub(super) async fn run(command: Sieve, context: &Context) -> Outcome {
    match command {
        Sieve::Check { files } => check(&files, context),
        Sieve::Test { user, script, from, to, message } => {
            let script =
                script.as_deref().map(|path| Ok::<_, anyhow::Error>((path.display().to_string(), source::read(path)?)));
            test(user, script.transpose()?, (from, to), &source::read(&message)?, context).await
        }
        Sieve::List { user } => {
            let scripts = home(&user, context).await?.1.list()?;
            context.output.list_or(&scripts, &format!("{user} has no scripts"));
            Ok(Exit::Done)
        }
        Sieve::Show { user, name } => show(&home(&user, context).await?.1, name, context),
        Sieve::Put { user, name, file, activate } => {
            let text = source::read(&file)?;
            let (config, home) = home(&user, context).await?;
            if let Err(mistakes) = compile(&text, &config.sieve) {
                return Ok(report(&[checked(&file.display().to_string(), Err(mistakes))], context));
            }
            home.put(&name, &text)?;
            let mut changes = vec!["stored"];
            if activate {
                home.activate(Some(&name))?;
                changes.push("activated");
            }
            record(&user, Some(&name), &changes, context).await?;
            let and = if activate { " and active" } else { "" };
            done(&format!("`{name}` of {user} is stored{and}"), &user, Some(&name), context)
        }
        Sieve::Activate { user, name } => {
            let (config, home) = home(&user, context).await?;
            if let Err(mistakes) = compile(&home.read(&name)?, &config.sieve) {
                return Ok(report(&[checked(name.as_str(), Err(mistakes))], context));
            }
            home.activate(Some(&name))?;
            record(&user, Some(&name), &["activated"], context).await?;
            done(&format!("`{name}` of {user} is active"), &user, Some(&name), context)
        }
        Sieve::Deactivate { user } => {
            home(&user, context).await?.1.activate(None)?;
            record(&user, None, &["deactivated"], context).await?;
            done(&format!("No script of {user} is active"), &user, None, context)
        }
        Sieve::Delete { user, name } => {
            home(&user, context).await?.1.delete(&name)?;
            record(&user, Some(&name), &["deleted"], context).await?;
            done(&format!("`{name}` of {user} is deleted"), &user, Some(&name), context)
        }
    }
}

fn done(sentence: &str, user: &Address, name: Option<&ScriptName>, context: &Context) -> Outcome {
    context.output.done(sentence, &serde_json::json!({ "user": user, "script": name }));
    Ok(Exit::Done)
}

/// Records changes to a user's scripts.
async fn record(user: &Address, name: Option<&ScriptName>, changes: &[&str], context: &Context) -> anyhow::Result<()> {
    let accounts = context.accounts().await?;
    let event = |what: &&str| {
        let event = Event::new(SystemClock.now(), EventKind::ScriptChanged).subject(user.to_string());
        event.with("what", *what).with("by", BY).with_known("script", name.map(ScriptName::as_str))
    };
    accounts.record(changes.iter().map(event)).await;
    accounts.closed().await;
    Ok(())
}

/// The scripts of a user, who must exist.
async fn home(user: &Address, context: &Context) -> anyhow::Result<(Config, Home)> {
    let accounts: Accounts = context.accounts().await?;
    let account = accounts.directory.account_now(user).await?.ok_or_else(|| Error::NoUser(user.clone()))?;
    let config = accounts.config.clone();
    accounts.closed().await;
    let scripts = Scripts::new(config.storage.mail_root.as_path(), Live::new(config.scripts.clone()));
    let home = scripts.home(&account.address)?;
    Ok((*config, home))
}

fn show(home: &Home, name: Option<ScriptName>, context: &Context) -> Outcome {
    let (name, text) = match name {
        Some(name) => {
            let text = home.read(&name)?;
            (Some(name), text)
        }
        None => match home.active()? {
            Some(active) => (active.name, active.source),
            None => return Err(Ended::with(Exit::NotFound, "no script is active")),
        },
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    match context.output {
        Output::People => print(&text),
        output => output.done("", &serde_json::json!({ "script": name, "text": text })),
    }
    Ok(Exit::Done)
}

/// What was found in one file.
#[derive(Serialize)]
struct Checked {
    file: String,
    mistakes: Vec<MistakeShown>,
    warnings: Vec<MistakeShown>,
}

#[derive(Serialize)]
struct MistakeShown {
    line: u32,
    column: u32,
    text: String,
}

fn checked(file: &str, result: Result<Vec<Mistake>, Vec<Mistake>>) -> Checked {
    let told = |mistakes: Vec<Mistake>| -> Vec<MistakeShown> {
        mistakes
            .into_iter()
            .map(|Mistake { line, column, said }| MistakeShown { line, column, text: said.text })
            .collect()
    };
    let (mistakes, warnings) = match result {
        Ok(warnings) => (vec![], warnings),
        Err(mistakes) => (mistakes, vec![]),
    };
    Checked { file: file.to_owned(), mistakes: told(mistakes), warnings: told(warnings) }
}

fn check(files: &[PathBuf], context: &Context) -> Outcome {
    let settings = settings(context)?;
    let mut found = Vec::new();
    for file in files {
        let compiled = compile(&source::read(file)?, &settings);
        found.push(checked(&file.display().to_string(), compiled.map(|compiled| compiled.warnings)));
    }
    Ok(report(&found, context))
}

/// Reports what was found.
fn report(found: &[Checked], context: &Context) -> Exit {
    if matches!(context.output, Output::Json) {
        context.output.done("", &found);
    } else {
        for file in found {
            for (kind, told) in [("", &file.mistakes), ("warning: ", &file.warnings)] {
                for MistakeShown { line, column, text } in told {
                    print(&format!("{}:{line}:{column}: {kind}{text}\n", file.file));
                }
            }
            if file.mistakes.is_empty() {
                print(&format!("{}: no mistakes\n", file.file));
            }
        }
    }
    if found.iter().all(|file| file.mistakes.is_empty()) { Exit::Done } else { Exit::Failed }
}

/// The limits of scripts, from the configuration if there is one.
fn settings(context: &Context) -> anyhow::Result<SieveSettings> {
    let source = context.source();
    if !source.path.exists() {
        return Ok(SieveSettings::default());
    }
    Ok(load(&source.path, Checks::Syntax, source.credentials.as_deref())?.sieve)
}

async fn test(
    user: Address,
    script: Option<(String, Vec<u8>)>,
    (from, to): (Option<Address>, Option<Address>),
    message: &[u8],
    context: &Context,
) -> Outcome {
    let (config, _) = home(&user, context).await?;
    let instead = match script {
        None => None,
        Some((name, text)) => match compile(&text, &config.sieve) {
            Ok(compiled) => Some((name, compiled.script)),
            Err(mistakes) => return Ok(report(&[checked(&name, Err(mistakes))], context)),
        },
    };
    let message = Message::new(crlf(message).into_owned());
    let tried = Tried {
        reverse_path: from.map_or_else(|| sender(&message), ReversePath::Address),
        recipient: to.unwrap_or_else(|| user.clone()),
        account: user,
        message,
        instead,
    };
    let trial = Trial {
        scripts: Scripts::new(config.storage.mail_root.as_path(), Live::new(config.scripts)),
        sieve: config.sieve,
        delivery: config.delivery,
        mailbox: config.mailbox,
        hostname: config.hostname,
        tag_separator: config.routing.tag_separator.chars().next(),
        now: SystemClock.now(),
    };
    let explained = trial.explain(tried).context("the scripts cannot be read")?;
    match context.output {
        Output::People => print(&told(&explained)),
        output => output.done("", &explained),
    }
    Ok(if explained.failures.is_empty() { Exit::Done } else { Exit::Failed })
}

/// The sender of a stored message.
fn sender(message: &Message) -> ReversePath {
    let bytes = message.bytes();
    let header = HeaderSection::of(&bytes);
    let field = header.first("Return-Path").or_else(|| header.first("From"));
    let mailboxes = field.map(|field| addresses::read(&field.value())).unwrap_or_default();
    let found = mailboxes.into_iter().find_map(|entry| match entry {
        addresses::Entry::Mailbox(mailbox) => mailbox.address().parse().ok(),
        _ => None,
    });
    found.map_or(ReversePath::Null, ReversePath::Address)
}

fn told(explained: &Explained) -> String {
    let mut text = String::new();
    for script in &explained.scripts {
        text += &format!("{}\n", script.name);
        for step in &script.steps {
            text += &format!("  {step}\n");
        }
    }
    if explained.scripts.is_empty() {
        text += "No script is active.\n";
    }
    for failure in &explained.failures {
        text += &format!("Failed: {failure}\n");
    }
    text += "What would happen to the message:\n";
    for action in &explained.actions {
        text += &format!("  {action}\n");
    }
    text
}
