//! Attachments and sources, as files.

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Room;
use super::answer::{Answer, Asked, Problem};
use super::archive::{self, archive};
use super::door::Reader;
use super::envelope::clean;
use super::flow::{Flow, Piece, Stage};
use super::html::PICTURES;
use super::read::{self, Place};
use super::reasons;
use super::source::{self, Layout, Within};
use crate::foundations::mail::{HeaderSection, Kind, Structure};
use crate::storage::mailbox::{Access, View};

/// Which part of a message.
#[derive(Deserialize)]
pub(super) struct PartQuestion {
    folder: String,
    uid: u32,
    uid_validity: Option<u32>,
    part: usize,
    #[serde(default)]
    within: Within,
    #[serde(default)]
    inline: u8,
}

/// What such a file may do if a browser opens it after all: nothing.
const POLICY: &str = "default-src 'none'; sandbox";

/// A part of a message: a picture to be shown, or a file to be kept.
pub(super) async fn part(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(asked): Asked<PartQuestion>,
) -> Answer<Response> {
    let view = reader.open(&asked.folder, Access::ReadOnly).await?;
    source::same(&view, asked.uid_validity)?;
    let opened = source::open(&room, &view, asked.uid).await?.inside(&asked.within).await?;
    let index = asked.part;
    let found = opened.block(move |bytes| {
        let structure = Structure::of(bytes);
        let part = structure.parts().get(index).filter(|part| part.kind != Kind::Multipart)?;
        let stage = Stage::of(&structure, part);
        let octets = stage.measure(bytes).octets;
        Some((file_name(&structure, index), source::kind(part), stage, octets))
    });
    let Some((name, kind, stage, octets)) = found.await? else {
        return Err(Problem::of(&reasons::NO_PART));
    };
    let inline = asked.inline == 1 && PICTURES.contains(&kind.as_str());
    let kind = if is_tame(&kind) { kind } else { "application/octet-stream".to_owned() };
    let way = [opened.way(), vec![stage]].concat();
    let kept = reader.kept_of(asked.uid_validity);
    let showing = if inline { Showing::Shown } else { Showing::Saved };
    Ok(File { name: &name, kind: &kind, showing, octets }.answer(kept, opened.send(vec![Piece::Part(way)]).await?))
}

/// All attachments of a message in one file.
pub(super) async fn all(State(room): State<Arc<Room>>, reader: Reader, Asked(asked): Asked<Place>) -> Answer<Response> {
    let view = reader.open(&asked.folder, Access::ReadOnly).await?;
    source::same(&view, asked.uid_validity)?;
    let opened = source::open(&room, &view, asked.uid).await?.inside(&asked.within).await?;
    let way = opened.way();
    let files = opened.block(move |bytes| attached(bytes, &way)).await?;
    if files.is_empty() {
        return Err(Problem::of(&reasons::NO_ATTACHMENTS));
    }
    let (pieces, octets) = archive(files).ok_or_else(|| Problem::of(&reasons::MESSAGE_TOO_LARGE))?;
    let name = format!("attachments-{}.zip", asked.uid);
    let kept = reader.kept_of(asked.uid_validity);
    let zip = File { name: &name, kind: "application/zip", showing: Showing::Saved, octets };
    Ok(zip.answer(kept, opened.send(pieces).await?))
}

/// The attachments of a message to which this way leads.
fn attached(message: &[u8], way: &[Stage]) -> Vec<archive::File> {
    let structure = Structure::of(message);
    let attachments = read::attachments(&structure, &Layout::of(&structure));
    let mut taken = HashSet::new();
    let file = |attachment: &read::Attachment| {
        let stage = Stage::of(&structure, &structure.parts()[attachment.part]);
        let (name, measure) = (another(&attachment.name, &mut taken), stage.measure(message));
        archive::File { name, measure, stages: [way, &[stage]].concat() }
    };
    attachments.iter().filter(|attachment| !attachment.inline).map(file).collect()
}

/// The name, or one like it that is not taken yet: several attachments may have the same.
fn another(name: &str, taken: &mut HashSet<String>) -> String {
    let (stem, ending) = name.rfind('.').filter(|at| *at > 0).map_or((name, ""), |at| name.split_at(at));
    let names = (1_u32..).map(|n| if n == 1 { name.to_owned() } else { format!("{stem} ({n}){ending}") });
    // Systems that do not tell large letters from small ones would write one over the other.
    let mut free = names.skip_while(|name| !taken.insert(name.to_lowercase()));
    free.next().unwrap_or_default()
}

/// Types that are told to the browser, so that the file opens in the right program. HTML and its like are not.
fn is_tame(kind: &str) -> bool {
    const TAME: [&str; 6] =
        ["application/pdf", "application/zip", "message/rfc822", "text/plain", "text/csv", "text/calendar"];
    PICTURES.contains(&kind)
        || TAME.contains(&kind)
        || kind.strip_prefix("audio/").or(kind.strip_prefix("video/")).is_some_and(is_word)
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'+'))
}

/// How a source is wanted.
#[derive(Deserialize)]
pub(super) struct SourceQuestion {
    folder: String,
    uid: u32,
    uid_validity: Option<u32>,
    #[serde(default)]
    within: Within,
    #[serde(default)]
    file: u8,
}

/// The message as stored in the mailbox, streamed to the browser.
pub(super) async fn raw(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(asked): Asked<SourceQuestion>,
) -> Answer<Response> {
    let view = reader.open(&asked.folder, Access::ReadOnly).await?;
    source::same(&view, asked.uid_validity)?;
    let (body, octets) = if asked.within.is_empty() {
        let body = view.body(source::row(&view, asked.uid)?.uid).await?;
        let octets = body.size();
        (Body::from_stream(Flow::new(body, [Piece::Part(Vec::new())]).stream()), octets)
    } else {
        let attached = source::open(&room, &view, asked.uid).await?.inside(&asked.within).await?;
        let (way, octets) = (attached.way(), attached.bytes.len() as u64);
        (attached.send(vec![Piece::Part(way)]).await?, octets)
    };
    let (showing, kind) = match asked.file {
        1 => (Showing::Saved, "message/rfc822"),
        _ => (Showing::Shown, "text/plain; charset=utf-8"),
    };
    let name = format!("message-{}.eml", asked.uid);
    Ok(File { name: &name, kind, showing, octets }.answer(reader.kept_of(asked.uid_validity), body))
}

/// What a browser does with a file (RFC 6266 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Showing {
    Shown,
    Saved,
}

/// What a browser is told of a file.
struct File<'a> {
    name: &'a str,
    kind: &'a str,
    showing: Showing,
    octets: u64,
}

impl File<'_> {
    fn answer(&self, kept: [(HeaderName, &'static str); 2], body: Body) -> Response {
        let way = match self.showing {
            Showing::Shown => "inline",
            Showing::Saved => "attachment",
        };
        let headers = [
            (header::CONTENT_TYPE, self.kind.to_owned()),
            (header::CONTENT_LENGTH, self.octets.to_string()),
            (header::CONTENT_DISPOSITION, format!("{way}; {}", parameters(self.name))),
            (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        ];
        let mut response = (kept, body).into_response();
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// The name for browsers of all ages (RFC 6266 §4.3, RFC 8187).
fn parameters(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' };
    let ascii: String = name.chars().map(plain).collect();
    format!("filename=\"{ascii}\"; filename*=UTF-8''{}", percent(name))
}

/// Percent-encoding of everything but letters, digits and `-._`.
pub(super) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_') {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
    out
}

/// The place of a message as parameters of an address, and whose it is.
pub(super) fn query(reader: &Reader, view: &View, uid: u32, within: &Within) -> String {
    let (folder, of) = (percent(view.folder().as_str()), percent(&reader.account.address.to_string()));
    format!("folder={folder}&uid={uid}&uid_validity={}&within={within}&of={of}", view.uid_validity())
}

/// A name for the file of a part: the sender's, as far as it is a name of a file; without one, something that fits.
pub(super) fn file_name(structure: &Structure<'_>, index: usize) -> String {
    let part = &structure.parts()[index];
    let given = source::name(part).map(|name| safe(&name)).filter(|name| !name.is_empty());
    given.unwrap_or_else(|| {
        let subject = (part.kind == Kind::Message).then(|| HeaderSection::of(structure.body(part)).first("Subject"));
        let subject = subject.flatten().map(|field| safe(&field.text())).filter(|subject| !subject.is_empty());
        match (part.kind, subject) {
            (Kind::Message, Some(subject)) => format!("{subject}.eml"),
            (Kind::Message, None) => "message.eml".to_owned(),
            _ => {
                let kind = source::kind(part);
                known_name(&kind).map_or_else(|| format!("part-{index}.{}", ending(&kind)), str::to_owned)
            }
        }
    })
}

/// Names of what mail servers and mail programs write for each other, which never bears one. All of it is text.
fn known_name(kind: &str) -> Option<&'static str> {
    Some(match kind {
        // RFC 3464, RFC 8098, RFC 5965, RFC 6522 §4.
        "message/delivery-status" | "message/global-delivery-status" => "delivery-report.txt",
        "message/disposition-notification" | "message/global-disposition-notification" => "receipt.txt",
        "message/feedback-report" => "feedback-report.txt",
        "text/rfc822-headers" | "message/global-headers" => "headers.txt",
        _ => return None,
    })
}

fn ending(kind: &str) -> &str {
    match kind {
        "text/plain" => "txt",
        "text/html" => "html",
        "text/calendar" => "ics",
        "image/jpeg" => "jpg",
        kind => kind
            .split_once('/')
            .map(|(_, subtype)| subtype)
            .filter(|subtype| is_word(subtype) && subtype.len() < 6)
            .unwrap_or("bin"),
    }
}

/// The last part of a path, without characters special to shells or file systems, at most 150 characters.
fn safe(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept =
        clean(last).chars().filter(|c| !matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*')).collect::<String>();
    let kept = kept.trim_start_matches('.').trim();
    let length = kept.chars().count();
    // The end says what kind of file it is, so the middle goes.
    if length <= LONGEST {
        return kept.to_owned();
    }
    kept.chars().take(LONGEST - 20).chain(kept.chars().skip(length - 20)).collect()
}

const LONGEST: usize = 150;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_files() {
        for (given, wanted) in [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\evil\\x.exe", "x.exe"),
            ("a\r\nSet-Cookie: x=1.txt", "a  Set-Cookie x=1.txt"),
            ("\u{202e}gpj.exe", "gpj.exe"),
            (".bashrc", "bashrc"),
            ("<img src=x onerror=alert(1)>.png", "img src=x onerror=alert(1).png"),
            ("..", ""),
        ] {
            assert_eq!(safe(given), wanted, "{given}");
        }
        assert_eq!(safe(&("x".repeat(500) + ".pdf")).chars().count(), LONGEST);
        assert!(safe(&("x".repeat(500) + ".pdf")).ends_with(".pdf"));
    }

    #[test]
    fn parts_of_a_notification_have_names_for_people() {
        let message = b"Content-Type: multipart/report; boundary=b; report-type=delivery-status\r\n\r\n\
            --b\r\nContent-Type: text/plain\r\n\r\nx\r\n\
            --b\r\nContent-Type: Message/Delivery-Status\r\n\r\nAction: failed\r\n\
            --b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: x\r\n\
            --b\r\nContent-Type: application/x-thing\r\n\r\nx\r\n--b--\r\n";
        let structure = Structure::of(message);
        let names: Vec<_> = (2..=4).map(|index| file_name(&structure, index)).collect();
        assert_eq!(names, ["delivery-report.txt", "headers.txt", "part-4.bin"]);
    }

    #[test]
    fn attachments_of_one_name_get_several() {
        let mut taken = HashSet::new();
        let names = ["a.pdf", "A.pdf", "a.pdf", "a (2).pdf", "b", "b", ".x", ".x"];
        let names: Vec<_> = names.iter().map(|name| another(name, &mut taken)).collect();
        assert_eq!(names, ["a.pdf", "A (2).pdf", "a (3).pdf", "a (2) (2).pdf", "b", "b (2)", ".x", ".x (2)"]);
        assert!(attached(b"Subject: x\r\n\r\nonly text\r\n", &[]).is_empty());
    }

    #[test]
    fn headers_cannot_be_forged() {
        assert_eq!(
            parameters("a\"b\r\nX: ü.txt"),
            "filename=\"a_b__X: _.txt\"; filename*=UTF-8''a%22b%0D%0AX%3A%20%C3%BC.txt"
        );
        assert!(is_tame("image/png") && is_tame("audio/mpeg"));
        for kind in
            ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "audio/x\r\ny", "text/javascript"]
        {
            assert!(!is_tame(kind), "{kind}");
        }
    }
}
