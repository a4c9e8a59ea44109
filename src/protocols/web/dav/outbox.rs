//! POST to the scheduling outbox: whether others have time (RFC 6638 §5).

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use quick_xml::escape::escape;
use tokio::time::Instant;

use super::answer::{Answer, Problem};
use super::body;
use super::place::Place;
use super::scheduled::actor;
use super::serve::Asked;
use super::xml::{CALDAV, DAV};
use crate::services::dav::scheduling;

pub(super) async fn post(asked: &Asked<'_>, body: Body) -> Answer<Response> {
    let settings = asked.room.needs.settings.get();
    if asked.place != Place::Outbox {
        return Err(Problem::not_allowed());
    }
    if !settings.scheduling.enabled {
        return Err(Problem::missing());
    }
    let kind = asked.header("content-type").and_then(|kind| kind.split(';').next()).map(str::trim);
    if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("text/calendar")) {
        let why = "Only text/calendar is accepted here.";
        return Err(Problem::new(StatusCode::FORBIDDEN, why).rule(CALDAV, "supported-calendar-data"));
    }
    let arrived = body::octets(asked, body, settings.object.len()).await?;
    let invalid = |why: &str| Problem::new(StatusCode::FORBIDDEN, why).rule(CALDAV, "valid-scheduling-message");
    let text = std::str::from_utf8(&arrived.octets).map_err(|_| invalid("It is not UTF-8."))?;
    let question = scheduling::Asked::read(text).map_err(|bad| invalid(&bad.to_string()))?;
    let _turn = asked.room.turns.take(&asked.visitor.account.address).await.map_err(|error| Problem::ours(&error))?;
    let until = Instant::now() + settings.query.duration();
    let (scheduler, bounds) = (&asked.room.needs.scheduler, asked.room.bounds());
    let told = scheduler.busy(&actor(asked), &question, settings.scheduling.free_busy, &bounds, until).await?;
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<C:schedule-response xmlns:D=\"{DAV}\" xmlns:C=\"{CALDAV}\">"
    );
    for one in told {
        let (recipient, status) = (escape(one.recipient.as_str()), escape(one.status));
        out.push_str(&format!(
            "<C:response><C:recipient><D:href>{recipient}</D:href></C:recipient><C:request-status>{status}</C:request-status>"
        ));
        if let Some(times) = &one.times {
            // A carriage return would be lost otherwise (XML 1.0 §2.11).
            let times = escape(times.as_str()).replace('\r', "&#13;");
            out.push_str(&format!("<C:calendar-data>{times}</C:calendar-data>"));
        }
        out.push_str("</C:response>\n");
    }
    out.push_str("</C:schedule-response>\n");
    Ok(([(header::CONTENT_TYPE, "application/xml; charset=utf-8")], out).into_response())
}
