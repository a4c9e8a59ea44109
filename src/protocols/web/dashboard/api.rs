//! The JSON interface, version 1. `openapi.json` describes it; a test compares the two.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Room;
use crate::foundations::clock::Timestamp;
use crate::foundations::event::EventKind;
use crate::foundations::ids::QueueId;
use crate::protocols::web::form::problem;
use crate::services::guard::Ban;
use crate::services::overview::{Overview, Range};
use crate::services::probe::Probed;
use crate::services::reports::{added_up, rows};
use crate::services::served::Report;
use crate::services::trace::{Asked, Period, Wording};
use crate::storage::directory::Fullest;
use crate::storage::reports::{Kind, Received, ReceivedQuery};
use crate::storage::spool::{self, Listing, Queued, RecipientState, Selection};

pub(super) fn router() -> Router<Arc<Room>> {
    Router::new()
        .route("/overview", get(overview))
        .route("/timeline", get(timeline))
        .route("/queue", get(queue))
        .route("/mailboxes", get(mailboxes))
        .route("/events", get(events))
        .route("/trace", get(trace))
        .route("/reports", get(reports))
        .route("/openapi.json", get(openapi))
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}

/// The parameters of a question; malformed ones are refused as everything else is.
struct Question<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Question<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(asked)| Self(asked)).map_err(|error| problem(StatusCode::BAD_REQUEST, error.body_text()))
    }
}

/// Everything the first page shows.
#[derive(Serialize)]
struct Whole<'a> {
    hostname: &'a str,
    version: &'static str,
    #[serde(flatten)]
    overview: &'a Overview,
    listeners: &'a [Probed],
    bans: Vec<Ban>,
    certificates: Vec<Report>,
}

async fn overview(State(room): State<Arc<Room>>) -> Response {
    let (certificates, troubles) = ((room.needs.certificates)(), (room.needs.troubles)());
    let (overview, listeners, bans, certificates, troubles) =
        tokio::join!(room.needs.overviewer.read(), room.listeners(), room.bans(), certificates, troubles);
    let mut overview = (*overview).clone();
    overview.problems.extend(troubles);
    Json(Whole {
        hostname: room.needs.hostname.as_str(),
        version: env!("CARGO_PKG_VERSION"),
        overview: &overview,
        listeners: &listeners,
        bans,
        certificates,
    })
    .into_response()
}

#[derive(Deserialize)]
struct TimelineQuestion {
    range: Option<String>,
}

async fn timeline(State(room): State<Arc<Room>>, Question(asked): Question<TimelineQuestion>) -> Response {
    match Range::from_word(asked.range.as_deref().unwrap_or("24h")) {
        Some(range) => Json(&*room.needs.overviewer.timeline(range).await).into_response(),
        None => problem(StatusCode::BAD_REQUEST, "`range` must be one of 6h, 24h, 7d and 30d."),
    }
}

#[derive(Deserialize)]
struct QueueQuestion {
    after: Option<QueueId>,
    limit: Option<u32>,
}

/// A message of the queue.
#[derive(Serialize)]
struct Entry {
    id: String,
    mail: String,
    sender: String,
    size: u64,
    received: Timestamp,
    message_id: Option<String>,
    hold_reason: Option<String>,
    recipients: Vec<Waiting>,
}

/// One of its recipients.
#[derive(Serialize)]
struct Waiting {
    address: String,
    state: &'static str,
    destination: String,
    attempts: u32,
    due: Timestamp,
    expires: Timestamp,
    last_reply: Option<String>,
}

async fn queue(State(room): State<Arc<Room>>, Question(asked): Question<QueueQuestion>) -> Response {
    let limit = asked.limit.unwrap_or(MOST_ENTRIES).clamp(1, MOST_ENTRIES);
    let spool = &room.needs.overviewer.sources().spool;
    let found = async {
        let listings = spool.list(&Selection::All, asked.after, limit).await?;
        let next = match listings.last().map(|last| last.entry.id) {
            // Messages with many recipients make a page short.
            Some(last) if listings.len() < limit as usize => {
                let more = spool.list(&Selection::All, Some(last), 1).await?;
                Some(last).filter(|_| !more.is_empty())
            }
            next => next,
        };
        Ok::<_, spool::Error>((listings, next))
    };
    match found.await {
        Ok((listings, next)) => {
            let entries: Vec<Entry> = listings.iter().map(entry).collect();
            Json(serde_json::json!({ "entries": entries, "next": next })).into_response()
        }
        Err(error) => unavailable(&error),
    }
}

fn entry(listing: &Listing) -> Entry {
    let of = &listing.entry;
    Entry {
        id: of.id.to_string(),
        mail: of.mail.to_string(),
        sender: of.envelope.reverse_path.bare(),
        size: of.size,
        received: of.received_at,
        message_id: of.message_id.clone(),
        hold_reason: of.hold_reason.clone(),
        recipients: listing
            .recipients
            .iter()
            .take(MOST_RECIPIENTS)
            .map(|recipient| Waiting {
                address: recipient.recipient.address.to_string(),
                state: state(recipient),
                destination: recipient.destination.to_string(),
                attempts: recipient.attempts,
                due: recipient.due_at,
                expires: recipient.expires_at,
                last_reply: recipient.last_reply.clone(),
            })
            .collect(),
    }
}

const fn state(recipient: &Queued) -> &'static str {
    match recipient.state {
        _ if recipient.sending_since.is_some() => "sending",
        RecipientState::Waiting => "waiting",
        RecipientState::Held => "held",
        RecipientState::Finished => "finished",
    }
}

#[derive(Deserialize)]
struct MailboxQuestion {
    by: Option<String>,
    limit: Option<u32>,
}

async fn mailboxes(State(room): State<Arc<Room>>, Question(asked): Question<MailboxQuestion>) -> Response {
    let by = match asked.by.as_deref() {
        None | Some("quota") => Fullest::ByQuota,
        Some("size") => Fullest::BySize,
        Some(_) => return problem(StatusCode::BAD_REQUEST, "`by` is `quota` or `size`."),
    };
    let limit = asked.limit.unwrap_or(100).clamp(1, MOST_MAILBOXES);
    match room.needs.overviewer.mailboxes(by, limit).await {
        Ok(mailboxes) => Json(serde_json::json!({ "mailboxes": mailboxes })).into_response(),
        Err(error) => unavailable(&error),
    }
}

#[derive(Deserialize)]
struct EventQuestion {
    text: Option<String>,
    kind: Option<String>,
    since: Option<i64>,
    until: Option<i64>,
    from: Option<i64>,
    limit: Option<u32>,
}

async fn events(State(room): State<Arc<Room>>, Question(asked): Question<EventQuestion>) -> Response {
    let mut kinds = Vec::new();
    for word in asked.kind.iter().flat_map(|kinds| kinds.split(',')).filter(|word| !word.is_empty()) {
        match EventKind::from_word(word) {
            Some(kind) => kinds.push(kind),
            None => return problem(StatusCode::BAD_REQUEST, format!("`{word}` is not a kind of event.")),
        }
    }
    let period = Period {
        since: asked.since.map(Timestamp::from_unix_micros),
        until: asked.until.map(Timestamp::from_unix_micros),
    };
    let wording = Wording {
        words: asked.text.unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        kinds,
        period,
        limit: asked.limit.unwrap_or(100).clamp(1, MOST_EVENTS),
        from: asked.from,
        within: Some(room.needs.settings.get().search_within.duration()),
    };
    match room.trace.search(&wording).await {
        Ok(found) => Json(found).into_response(),
        Err(error) => unavailable(&error),
    }
}

#[derive(Deserialize)]
struct TraceQuestion {
    about: Option<String>,
}

async fn trace(State(room): State<Arc<Room>>, Question(asked): Question<TraceQuestion>) -> Response {
    match asked.about.unwrap_or_default().parse::<Asked>() {
        Ok(asked) => match room.trace.find(&asked, Period::default()).await {
            Ok(traced) => Json(traced).into_response(),
            Err(error) => unavailable(&error),
        },
        Err(error) => problem(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

#[derive(Deserialize)]
struct ReportQuestion {
    kind: Option<String>,
    domain: Option<String>,
    days: Option<u32>,
}

/// A report that another server has sent.
#[derive(Serialize)]
struct Sent {
    domain: String,
    organization: String,
    begins: Timestamp,
    ends: Timestamp,
    passed: u64,
    failed: u64,
}

async fn reports(State(room): State<Arc<Room>>, Question(asked): Question<ReportQuestion>) -> Response {
    let kind = match asked.kind.as_deref() {
        None | Some("dmarc") => Kind::Dmarc,
        Some("tls") => Kind::Tls,
        Some(_) => return problem(StatusCode::BAD_REQUEST, "`kind` is `dmarc` or `tls`."),
    };
    let days = asked.days.unwrap_or(30).clamp(1, MOST_DAYS);
    let since = room.needs.clock.now() - Duration::from_hours(24) * days;
    let domain = asked.domain.filter(|domain| !domain.is_empty());
    let query = ReceivedQuery { kind, domain, since, most: MOST_REPORTS };
    match room.needs.reports.kept(&query).await {
        Ok(kept) => {
            let rows = added_up(kept.iter().flat_map(rows), MOST_ROWS);
            let sent: Vec<Sent> = kept.into_iter().map(sent).collect();
            Json(serde_json::json!({ "reports": sent, "rows": rows })).into_response()
        }
        Err(error) => unavailable(&error),
    }
}

fn sent(report: Received) -> Sent {
    Sent {
        domain: report.domain,
        organization: report.organization,
        begins: report.begins_at,
        ends: report.ends_at,
        passed: report.passed,
        failed: report.failed,
    }
}

fn unavailable(error: &dyn std::fmt::Display) -> Response {
    problem(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

const MOST_ENTRIES: u32 = 100;
/// More recipients of one message are not shown.
const MOST_RECIPIENTS: usize = 100;
const MOST_MAILBOXES: u32 = 1_000;
const MOST_EVENTS: u32 = 500;
const MOST_DAYS: u32 = 366;
/// Most reports that are read and added up for one answer.
const MOST_REPORTS: u32 = 500;
const MOST_ROWS: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_event_is_described() {
        let described: serde_json::Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
        let kinds: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.word()).collect();
        assert_eq!(described["components"]["schemas"]["EventKind"]["enum"], serde_json::json!(kinds));
    }
}
