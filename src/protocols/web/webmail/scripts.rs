//! Filters and the automatic answer: the account's Sieve scripts, as text and as rules.
//!
//! Rules live in one ordinary script, the active one, which other programs may read and change over ManageSieve. A script
//! that rules cannot express is shown as text, and is replaced by rules only on request; the old one is kept.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Asked, Problem, Wish};
use super::door::Reader;
use super::reasons;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::hexadecimal::hexadecimal;
use crate::foundations::processor;
use crate::foundations::said::Said;
use crate::services::sieve::rules::{Foreign, RuleSet, Wrong, read};
use crate::services::sieve::{Mistake, compile};
use crate::storage::scripts::{Home, Old, ScriptName};

/// The script for rules when none is active.
const RULES: &str = "rules";

/// Which script.
#[derive(Deserialize)]
pub(super) struct Named {
    name: Option<String>,
}

/// What somebody has written.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Content {
    Rules(RuleSet),
    Source(String),
}

/// A script to look at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checking {
    content: Content,
}

/// A script to store.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saving {
    name: String,
    content: Content,
    /// That of the script as it was shown; `None` when there was none.
    tag: Option<String>,
    /// Whether the old one stays under another name.
    #[serde(default)]
    keep: bool,
    /// Whether it becomes the active one.
    #[serde(default)]
    activate: bool,
}

/// A new name.
#[derive(Deserialize)]
pub(super) struct Renaming {
    from: String,
    to: String,
}

/// Something wrong in the text of a script, or probably not meant.
#[derive(Serialize)]
struct Place {
    line: u32,
    column: u32,
    #[serde(flatten)]
    said: Said,
}

/// Errors and warnings about a script.
#[derive(Default, Serialize)]
struct Judgement {
    /// Its text.
    source: String,
    /// The same as rules.
    rules: Option<RuleSet>,
    /// Why there are no rules.
    foreign: Option<Foreign>,
    wrongs: Vec<Wrong>,
    mistakes: Vec<Place>,
    warnings: Vec<Place>,
}

/// A script as the page shows it.
#[derive(Serialize)]
struct Shown {
    /// `None` if it is the active one and not in the list: a file put there by hand.
    name: Option<ScriptName>,
    active: bool,
    /// Changes with the text; `None` when there is no such script yet.
    tag: Option<String>,
    #[serde(flatten)]
    judgement: Judgement,
}

/// All scripts.
pub(super) async fn list(State(room): State<Arc<Room>>, reader: Reader) -> Answer<Response> {
    let (scripts, by_hand) = job(&room, &reader, |home| {
        let scripts = home.list()?;
        let by_hand = scripts.iter().all(|script| !script.active) && home.stamp()?.is_some();
        Ok((scripts, by_hand))
    })
    .await?;
    Ok(Json(serde_json::json!({ "scripts": scripts, "by_hand": by_hand })).into_response())
}

/// One of them; without a name the active one, or where rules will be.
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(asked): Asked<Named>,
) -> Answer<Response> {
    let name = asked.name.as_deref().map(script_name).transpose()?;
    Ok(Json(shown(&room, &reader, name).await?).into_response())
}

async fn shown(room: &Room, reader: &Reader, name: Option<ScriptName>) -> Answer<Shown> {
    let rules = script_name(RULES)?;
    let (name, active, source) = job(room, reader, move |home| {
        let Some(name) = name else {
            return Ok(match home.active()? {
                Some(active) => (active.name, true, Some(active.source)),
                None if home.stamp_of(&rules)?.is_some() => (Some(rules.clone()), false, Some(home.read(&rules)?)),
                None => (Some(rules), false, None),
            });
        };
        let source = home.read(&name)?;
        let active = home.active_name()?.as_ref() == Some(&name);
        Ok((Some(name), active, Some(source)))
    })
    .await?;
    let tag = source.as_deref().map(tag);
    let judgement = judge(room, source.unwrap_or_default()).await?;
    Ok(Shown { name, active, tag, judgement })
}

/// Errors and warnings about a script or rules that are not yet stored.
pub(super) async fn check(
    State(room): State<Arc<Room>>,
    _reader: Reader,
    Wish(wish): Wish<Checking>,
) -> Answer<Response> {
    let judgement = match wish.content {
        Content::Source(source) => judge(&room, source.into_bytes()).await?,
        Content::Rules(rules) => judge_rules(&room, rules).await?,
    };
    Ok(Json(judgement).into_response())
}

/// Stores a script, when it is right and nobody else has changed it.
pub(super) async fn save(State(room): State<Arc<Room>>, reader: Reader, Wish(wish): Wish<Saving>) -> Answer<Response> {
    let name = script_name(&wish.name)?;
    let are_rules = matches!(wish.content, Content::Rules(_));
    let judgement = match wish.content {
        Content::Source(source) => judge(&room, source.into_bytes()).await?,
        Content::Rules(rules) => judge_rules(&room, rules).await?,
    };
    refuse_wrong(&judgement)?;
    let old = if wish.keep { Old::Kept } else { Old::Dropped };
    if are_rules && !wish.keep {
        refuse_loss(&room, &reader, &name).await?;
    }
    let (stored, source, activate) = (name.clone(), judgement.source, wish.activate);
    let size = source.len();
    let seen = wish.tag;
    let kept = job(&room, &reader, move |home| {
        let is_known = |present: Option<&[u8]>| present.map(tag) == seen;
        let kept = home.replace(&stored, is_known, source.as_bytes(), old)?;
        if activate {
            home.activate(Some(&stored))?;
        }
        Ok(kept)
    })
    .await?;
    changed(&room, &reader, "stored", Some(&name), |event| event.with("size", size));
    if activate {
        changed(&room, &reader, "activated", Some(&name), |event| event);
    }
    let script = shown(&room, &reader, Some(name)).await?;
    Ok(Json(serde_json::json!({ "script": script, "kept": kept })).into_response())
}

fn refuse_wrong(judgement: &Judgement) -> Answer<()> {
    if let Some(wrong) = judgement.wrongs.first() {
        let problem = match wrong.rule {
            Some(n) => Problem::of(&reasons::RULE_WRONG).with("rule", n + 1),
            None => Problem::of(&reasons::ANSWER_WRONG),
        };
        return Err(problem.with("why", wrong.said.clone()));
    }
    match judgement.mistakes.first() {
        Some(Place { line, column, said }) => Err(Problem::of(&reasons::SCRIPT_MISTAKE)
            .with("line", line)
            .with("column", column)
            .with("why", said.clone())),
        None => Ok(()),
    }
}

/// Rules may not take the place of a script that says more than rules, unless it is kept.
async fn refuse_loss(room: &Room, reader: &Reader, name: &ScriptName) -> Answer<()> {
    let old = name.clone();
    let present = job(room, reader, move |home| match home.stamp_of(&old)? {
        Some(_) => home.read(&old),
        None => Ok(Vec::new()),
    })
    .await?;
    let judgement = judge(room, present).await?;
    if judgement.rules.is_some() {
        return Ok(());
    }
    Err(Problem::of(&reasons::SCRIPT_MORE).with("name", name))
}

/// Which script is to be the active one, if any.
pub(super) async fn activate(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Wish(wish): Wish<Named>,
) -> Answer<StatusCode> {
    let name = wish.name.as_deref().map(script_name).transpose()?;
    let Some(name) = name else {
        job(&room, &reader, |home| home.activate(None)).await?;
        changed(&room, &reader, "deactivated", None, |event| event);
        return Ok(StatusCode::NO_CONTENT);
    };
    let wanted = name.clone();
    let source = job(&room, &reader, move |home| home.read(&wanted)).await?;
    // It may have been put there by another program.
    refuse_wrong(&judge(&room, source).await?)?;
    let wanted = name.clone();
    job(&room, &reader, move |home| home.activate(Some(&wanted))).await?;
    changed(&room, &reader, "activated", Some(&name), |event| event);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn rename(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Wish(wish): Wish<Renaming>,
) -> Answer<StatusCode> {
    let (from, to) = (script_name(&wish.from)?, script_name(&wish.to)?);
    let (old, new) = (from.clone(), to.clone());
    job(&room, &reader, move |home| home.rename(&old, &new)).await?;
    changed(&room, &reader, "renamed", Some(&to), |event| event.with("from", from.as_str()));
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn delete(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Wish(wish): Wish<Named>,
) -> Answer<StatusCode> {
    let name = script_name(wish.name.as_deref().unwrap_or_default())?;
    let gone = name.clone();
    job(&room, &reader, move |home| home.delete(&gone)).await?;
    changed(&room, &reader, "deleted", Some(&name), |event| event);
    Ok(StatusCode::NO_CONTENT)
}

async fn job<T: Send + 'static>(
    room: &Room,
    reader: &Reader,
    work: impl FnOnce(&Home) -> Result<T, crate::storage::scripts::Error> + Send + 'static,
) -> Answer<T> {
    Ok(room.needs.scripts.job(&reader.account.address, work).await?)
}

fn script_name(text: &str) -> Answer<ScriptName> {
    Ok(text.parse::<ScriptName>().map_err(crate::storage::scripts::Error::from)?)
}

/// What tells one text of a script from another.
fn tag(source: &[u8]) -> String {
    hexadecimal(&digest(&SHA256, source).as_ref()[..16])
}

/// Compiles a script, on a thread that may take its time, and reads it as rules.
async fn judge(room: &Room, source: Vec<u8>) -> Answer<Judgement> {
    let settings = room.needs.sieve.get();
    let judged = processor::in_turn(move || {
        let places = |mistakes: Vec<Mistake>| -> Vec<Place> { mistakes.into_iter().take(MOST).map(place).collect() };
        let (mistakes, warnings) = match compile(&source, &settings) {
            Ok(compiled) => (Vec::new(), places(compiled.warnings)),
            Err(mistakes) => (places(mistakes), Vec::new()),
        };
        let source = String::from_utf8_lossy(&source).into_owned();
        let (rules, foreign) = match read(&source, &settings) {
            Ok(rules) if mistakes.is_empty() => (Some(rules), None),
            Ok(_) => (None, None),
            Err(foreign) => (None, Some(foreign)),
        };
        Judgement { source, rules, foreign, wrongs: Vec::new(), mistakes, warnings }
    });
    Ok(judged.await?)
}

async fn judge_rules(room: &Room, rules: RuleSet) -> Answer<Judgement> {
    let wrongs = rules.wrongs();
    if wrongs.is_empty() {
        return judge(room, rules.arranged().script().into_bytes()).await;
    }
    Ok(Judgement { wrongs, ..Judgement::default() })
}

/// Most mistakes that are told at once.
const MOST: usize = 50;

fn place(mistake: Mistake) -> Place {
    Place { line: mistake.line, column: mistake.column, said: mistake.said }
}

fn changed(
    room: &Room,
    reader: &Reader,
    what: &'static str,
    name: Option<&ScriptName>,
    more: impl FnOnce(Event) -> Event,
) {
    let event = Event::new(room.needs.clock.now(), EventKind::ScriptChanged).session(reader.session);
    let event = event.subject(reader.account.address.to_string()).with("what", what);
    let event = event.with_known("script", name.map(ScriptName::as_str));
    room.needs.journal.record(more(event));
}
