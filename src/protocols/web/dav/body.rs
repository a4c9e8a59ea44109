//! Bodies of requests.

use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use bytes::Bytes;

use super::Room;
use super::answer::{Answer, Problem};
use super::xml::{DAV, Element};

/// A body of at most so many octets.
pub(super) async fn octets(body: Body, most: usize) -> Answer<Bytes> {
    let read = to_bytes(body, most).await;
    read.map_err(|error| {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(one) = cause {
            if one.is::<http_body_util::LengthLimitError>() {
                return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("At most {most} octets are taken."));
            }
            cause = one.source();
        }
        Problem::bad("The request ended early.")
    })
}

/// A body of XML; `None` when there is none.
pub(super) async fn xml(room: &Room, body: Body) -> Answer<Option<Element>> {
    let settings = room.needs.settings.get();
    let octets = octets(body, settings.request.len()).await?;
    if octets.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    Ok(Some(Element::parse(&octets, settings.elements as usize)?))
}

/// A body of XML with this root.
pub(super) async fn wanted(room: &Room, body: Body, local: &str) -> Answer<Element> {
    let root = xml(room, body).await?.ok_or_else(|| Problem::bad("A body is wanted."))?;
    if root.is(DAV, local) { Ok(root) } else { Err(Problem::bad(format!("This is no `{local}`."))) }
}
