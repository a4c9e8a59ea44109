use std::time::Duration;

use super::context::Context;
use super::exit::{Ended, Exit, Outcome};
use super::moment::Moment;
use super::one_of::one_of;
use super::output::{Output, print};
use crate::foundations::event::EventKind;
use crate::services::trace::{Asked, Found, Period, Step, Trace, Traced, Wording};
use crate::storage::journal::Journal;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(super) struct Arguments {
    /// A Message-ID, an address, or the id of a queue entry, message or session. The address of an account also finds
    /// what the account sent in another name, such as an alias.
    #[arg(group = "what", value_name = "WHAT")]
    asked: Option<Asked>,
    /// Find events that contain this word anywhere (in a host, reply, subject or id), ignoring case; may be given several
    /// times, and all words must match.
    #[arg(long, short, group = "what", value_name = "WORD", conflicts_with = "asked")]
    text: Vec<String>,
    /// Only events of this kind; may be given several times.
    #[arg(long, group = "what", value_name = "KIND", conflicts_with = "asked", hide_possible_values = true)]
    #[arg(value_parser = one_of(EventKind::ALL.iter().map(|kind| kind.word()), EventKind::from_word))]
    kind: Vec<EventKind>,
    /// Not before this time: `2026-11-26`, `2026-11-26 14:30` (local), RFC 3339, or how long ago (`2h`).
    #[arg(long, group = "what", value_name = "TIME")]
    since: Option<Moment>,
    /// Before this time.
    #[arg(long, group = "what", value_name = "TIME")]
    until: Option<Moment>,
    /// Show at most this many of the newest events when searching by word, kind or time; at most 10000.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// Shows what is known, in plain words.
pub(super) async fn run(arguments: Arguments, context: &Context) -> Outcome {
    if let (Some(since), Some(until)) = (arguments.since, arguments.until)
        && since.timestamp() >= until.timestamp()
    {
        return Err(Ended::with(
            Exit::Usage,
            "no time is both since and before these: `--since` must be the earlier one",
        ));
    }
    let accounts = context.accounts().await?;
    let trace = Trace::new(Journal::read_only(accounts.database.clone()));
    let at = |moment: Option<Moment>| moment.map(Moment::timestamp);
    let period = Period { since: at(arguments.since), until: at(arguments.until) };
    if let Some(asked) = &arguments.asked {
        // An administrator can wait, or cancel.
        let traced = trace.within(Duration::MAX).find(asked, period).await?;
        return Ok(tell(context, asked, &traced));
    }
    let words = arguments.text.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect();
    let wording = Wording { words, kinds: arguments.kind, period, limit: arguments.limit, ..Wording::default() };
    Ok(list(context, trace.search(&wording).await?))
}

fn tell(context: &Context, asked: &Asked, traced: &Traced) -> Exit {
    let is_empty = traced.journeys.is_empty() && traced.besides.is_empty();
    match context.output {
        Output::Json => context.output.done("", traced),
        Output::People if is_empty => print(NOTHING),
        Output::People => {
            for journey in &traced.journeys {
                print(&format!("Message {}: {}\n{}\n", journey.mail, journey.ending, lines(&journey.steps)));
            }
            if !traced.besides.is_empty() {
                print(&format!("Other events:\n{}", lines(&traced.besides)));
            }
            if traced.cut {
                print(MORE);
            }
        }
    }
    if let (Asked::Address(address), Some(back_to)) = (asked, traced.mentions_back_to) {
        eprintln!(
            "postrider: recipients refused to {address} as a sender, and messages sent by this account in another name, \
             are only shown back to {back_to}; for older ones: `postrider trace {address} --until {back_to}`"
        );
    }
    if is_empty { Exit::NotFound } else { Exit::Done }
}

/// The newest comes last, next to the prompt.
fn list(context: &Context, mut found: Found) -> Exit {
    let is_empty = found.events.is_empty();
    match context.output {
        Output::Json => context.output.done("", &found),
        Output::People if is_empty => print(NOTHING),
        Output::People => {
            if found.more {
                print(MORE);
            }
            found.events.reverse();
            print(&lines(&found.events));
        }
    }
    if is_empty { Exit::NotFound } else { Exit::Done }
}

fn lines(steps: &[Step]) -> String {
    let id = |step: &Step| step.event.mail.map(|mail| format!("{mail}  ")).unwrap_or_default();
    steps.iter().map(|step| format!("  {}  {}{}\n", step.event.at, id(step), step.words)).collect()
}

const NOTHING: &str = "Nothing is known about that, or no longer\n";
const MORE: &str = "There is more; narrow the search to see it\n";
