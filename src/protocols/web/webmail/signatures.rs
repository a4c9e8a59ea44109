//! Reusable texts: signatures of addresses, and responses. Both may be formatted; a signature may have pictures, which are
//! stored with it and sent within the text of each message (RFC 2387).

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Asked, Problem};
use super::build::is_content_id;
use super::door::Reader;
use super::html::{self, PICTURES, Remote};
use super::parts::percent;
use super::people::{Later, preferences};
use super::{plain, reasons};

/// How one address signs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Signature {
    name: String,
    signature: String,
    /// The same with formatting, cleaned.
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<String>,
    /// Pictures in it, named by `cid:`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pictures: Vec<Picture>,
    #[serde(flatten)]
    later: Later,
}

/// A picture in a signature.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Picture {
    cid: String,
    /// The file that is to be kept, as the page has uploaded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upload: Option<String>,
    /// What is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
    #[serde(flatten)]
    later: Later,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Content {
    kind: String,
    /// In base64.
    octets: String,
    #[serde(flatten)]
    later: Later,
}

/// A text that is written often.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Canned {
    pub(super) name: String,
    text: String,
    /// The same with formatting, cleaned; without pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    html: Option<String>,
    #[serde(flatten)]
    pub(super) later: Later,
}

impl Signature {
    /// What a later version has stored in it.
    pub(super) fn later_fields(&mut self) -> Vec<&mut Later> {
        let mut all = vec![&mut self.later];
        for picture in &mut self.pictures {
            all.push(&mut picture.later);
            all.extend(picture.content.as_mut().map(|content| &mut content.later));
        }
        all
    }

    /// Takes over what a later version has stored of what is still in it. Pictures get theirs with their content.
    pub(super) fn keep_later(&mut self, before: &Self) {
        self.later.clone_from(&before.later);
        for picture in &mut self.pictures {
            if let Some(known) = before.pictures.iter().find(|known| known.cid == picture.cid) {
                picture.later.clone_from(&known.later);
            }
        }
    }

    /// Makes what is formatted harmless, as that of others is, and gives it a text for messages without formatting if it has none.
    /// Pictures are those that it shows, and what the page says of their content counts for nothing.
    pub(super) fn clean(&mut self) {
        let mut pictures = std::mem::take(&mut self.pictures);
        let Some(html) = self.html.take().filter(|html| !html.trim().is_empty()) else { return };
        pictures.retain(|picture| is_content_id(&picture.cid));
        pictures.truncate(MOST_PICTURES);
        pictures.iter_mut().for_each(|picture| picture.content = None);
        let cleaned = cleaned(&html, &pictures, |cid| format!("cid:{cid}"));
        if self.signature.trim().is_empty() {
            self.signature = plain::text(&cleaned).trim_end().to_owned();
        }
        pictures.retain(|picture| cleaned.contains(&format!("\"cid:{}\"", picture.cid)));
        self.pictures = pictures;
        self.html = Some(cleaned);
    }

    /// As the page sees it.
    pub(super) fn without_content(&mut self) {
        self.pictures.iter_mut().for_each(|picture| picture.content = None);
    }

    /// Gives pictures their content: that which they had before, or else that of an upload. How many octets there are.
    pub(super) fn fill(&mut self, before: Option<&Self>, room: &Room, reader: &Reader) -> Answer<usize> {
        let account = reader.account.address.key();
        let mut octets = 0;
        for picture in &mut self.pictures {
            let kept = before.and_then(|before| before.content(&picture.cid)).cloned();
            let upload = picture.upload.take();
            let content = match (kept, upload.and_then(|upload| room.uploads.get(&account, &upload))) {
                (Some(kept), _) => kept,
                (None, Some(upload)) if PICTURES.contains(&upload.kind.as_str()) => {
                    Content { kind: upload.kind, octets: STANDARD.encode(&upload.octets), later: Later::new() }
                }
                (None, Some(_)) => return Err(Problem::of(&reasons::PICTURE_KIND)),
                (None, None) => return Err(Problem::of(&reasons::UPLOAD_GONE)),
            };
            octets += content.octets.len() / 4 * 3;
            picture.content = Some(content);
        }
        Ok(octets)
    }

    fn content(&self, cid: &str) -> Option<&Content> {
        self.pictures.iter().find(|picture| picture.cid == cid)?.content.as_ref()
    }
}

impl Canned {
    /// As [`Signature::clean`].
    pub(super) fn clean(&mut self) {
        let Some(html) = self.html.take().filter(|html| !html.trim().is_empty()) else { return };
        let cleaned = cleaned(&html, &[], |_| String::new());
        if self.text.trim().is_empty() {
            self.text = plain::text(&cleaned).trim_end().to_owned();
        }
        self.html = Some(cleaned);
    }
}

/// Cleaned markup, in which pictures are at these addresses.
fn cleaned(html: &str, pictures: &[Picture], address: impl Fn(&str) -> String) -> String {
    let parts: HashMap<String, String> =
        pictures.iter().map(|picture| (picture.cid.clone(), address(&picture.cid))).collect();
    html::clean(html, parts, Remote::Blocked).markup
}

/// Whose signature.
#[derive(Deserialize)]
pub(super) struct Signing {
    address: String,
}

/// A formatted signature as a page for a frame, like the HTML of a message.
pub(super) async fn signature(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(asked): Asked<Signing>,
) -> Answer<Response> {
    let preferences = preferences(&room, &reader).await?;
    let known = preferences.identities.get(&asked.address).cloned().unwrap_or_default();
    let of = percent(&reader.account.address.to_string());
    let place =
        |cid: &str| format!("signature/picture?address={}&cid={}&of={of}", percent(&asked.address), percent(cid));
    // Cleaned once more: who has stored it was perhaps an older version.
    Ok(page(&cleaned(&known.html.unwrap_or_default(), &known.pictures, place)))
}

/// Which text.
#[derive(Deserialize)]
pub(super) struct Named {
    name: String,
}

/// A formatted response, likewise.
pub(super) async fn response(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(asked): Asked<Named>,
) -> Answer<Response> {
    let preferences = preferences(&room, &reader).await?;
    let known = preferences.responses.into_iter().find(|canned| canned.name == asked.name);
    let html = known.and_then(|canned| canned.html).unwrap_or_default();
    Ok(page(&cleaned(&html, &[], |_| String::new())))
}

fn page(cleaned: &str) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, html::policy(Remote::Blocked)),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Html(html::page(cleaned))).into_response()
}

/// Which picture.
#[derive(Deserialize)]
pub(super) struct Shown {
    address: String,
    cid: String,
}

/// A picture in a signature of the account.
pub(super) async fn picture(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(asked): Asked<Shown>,
) -> Answer<Response> {
    let found = stored(&room, &reader, &asked.address, &asked.cid).await?;
    let (kind, octets) = found.ok_or_else(|| Problem::of(&reasons::NO_PICTURE))?;
    let headers =
        [(header::CONTENT_TYPE, kind.as_str()), (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox")];
    // Another picture has another name.
    Ok((reader.kept("private, max-age=3600"), headers, octets).into_response())
}

/// A stored picture: its type and its octets.
pub(super) async fn stored(room: &Room, reader: &Reader, address: &str, cid: &str) -> Answer<Option<(String, Bytes)>> {
    let preferences = preferences(room, reader).await?;
    let content = preferences.identities.get(address).and_then(|signature| signature.content(cid));
    // Only what browsers take for nothing but a picture.
    let content = content.filter(|content| PICTURES.contains(&content.kind.as_str()));
    Ok(content.and_then(|content| Some((content.kind.clone(), STANDARD.decode(&content.octets).ok()?.into()))))
}

/// Pictures of one signature; further ones are left out.
const MOST_PICTURES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(cid: &str) -> Picture {
        let content = Some(Content { kind: "text/html".to_owned(), octets: String::new(), later: Later::new() });
        Picture { cid: cid.to_owned(), upload: Some("x".to_owned()), content, later: Later::new() }
    }

    #[test]
    fn a_signature_keeps_the_pictures_it_shows() {
        let html = "<b>Ann</b><img src=\"cid:a@webmail\" onerror=\"x()\"><img src=\"cid:unknown@webmail\"><script>x()</script>";
        let pictures = vec![picture("a@webmail"), picture("b@webmail"), picture("a\"b@webmail")];
        let mut signature = Signature { html: Some(html.to_owned()), pictures, ..Signature::default() };
        signature.clean();
        let [kept] = &signature.pictures[..] else { panic!("{signature:?}") };
        assert_eq!((kept.cid.as_str(), kept.content.is_none()), ("a@webmail", true));
        let markup = signature.html.unwrap();
        assert!(markup.contains("<b>Ann</b>") && markup.contains("src=\"cid:a@webmail\""), "{markup}");
        assert!(!markup.contains("unknown") && !markup.contains("onerror") && !markup.contains("script"), "{markup}");
        assert_eq!(signature.signature, "Ann");
    }

    #[test]
    fn without_formatting_there_are_no_pictures() {
        let mut signature = Signature { html: None, pictures: vec![picture("a@webmail")], ..Signature::default() };
        signature.clean();
        assert!(signature.pictures.is_empty());
    }
}
