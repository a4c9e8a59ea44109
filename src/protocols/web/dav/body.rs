//! Bodies of requests.

use axum::body::Body;
use axum::http::StatusCode;

use super::answer::{Answer, Problem};
use super::serve::Asked;
use super::xml::{DAV, Element};
use crate::protocols::web::bodies::{Arrived, Unread};

/// A body of at most so many octets.
pub(super) async fn octets(asked: &Asked<'_>, body: Body, most: usize) -> Answer<Arrived> {
    let account = asked.visitor.account.address.key();
    let read = asked.room.needs.bodies.read(Some(&account), body, most).await;
    read.map_err(|unread| match unread {
        Unread::TooLarge => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("At most {most} octets are accepted.")),
        Unread::NoRoom => Problem::new(StatusCode::SERVICE_UNAVAILABLE, unread.to_string()),
        Unread::Broken => Problem::bad(unread.to_string()),
    })
}

/// A body of XML; `None` when there is none.
pub(super) async fn xml(asked: &Asked<'_>, body: Body) -> Answer<Option<Element>> {
    let settings = asked.room.needs.settings.get();
    let arrived = octets(asked, body, settings.request.len()).await?;
    if arrived.octets.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    Ok(Some(Element::parse(&arrived.octets, settings.elements as usize)?))
}

/// A body of XML with this root.
pub(super) async fn wanted(asked: &Asked<'_>, body: Body, local: &str) -> Answer<Element> {
    let root = xml(asked, body).await?.ok_or_else(|| Problem::bad("A body is needed."))?;
    if root.is(DAV, local) { Ok(root) } else { Err(Problem::bad(format!("This is not a `{local}`."))) }
}
