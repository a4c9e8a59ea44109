//! An opened message, and the roles of its parts.

use std::borrow::Cow;
use std::fmt;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::task::JoinError;

use super::Room;
use super::answer::{Answer, Problem};
use super::flow::{self, Flow, Piece, Stage};
use super::reasons;
use crate::foundations::mail::content::Disposition;
use crate::foundations::mail::structure::Part;
use crate::foundations::mail::{HeaderSection, Kind, Structure, Uid, charset, tnef, transfer};
use crate::protocols::web::turns::Turn;
use crate::storage::mailbox::{Body, Row, View};

/// A message in memory, and the right to hold it there.
pub(super) struct Opened {
    pub(super) bytes: Bytes,
    pub(super) row: Row,
    body: Body,
    /// One that was unpacked on the way here, and is in no mailbox.
    unpacked: Option<Bytes>,
    /// Where it is in that one, or in the message of the mailbox.
    way: Vec<Stage>,
    /// `None` never: turns do not end.
    turn: Option<Turn>,
}

impl Opened {
    /// Reads the message on a thread that may block. The permit lasts until that ends even if the client disconnects.
    pub(super) async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Bytes) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let (bytes, turn) = (self.bytes.clone(), self.turn.clone());
        let job = tokio::task::spawn_blocking(move || {
            let result = work(&bytes);
            drop((bytes, turn));
            result
        });
        job.await
    }
}

/// The way to a message that is attached to another: the numbers of the parts that hold it, each in the message before it.
/// Written `3.2`; empty for the message itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Within(Vec<usize>);

impl Within {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<String> for Within {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const WRONG: &str = "`within` must be the numbers of at most 20 parts, separated by dots";
        let numbers = text.split_terminator('.').map(|number| number.parse().map_err(|_| WRONG));
        let way: Vec<usize> = numbers.collect::<Result<_, _>>()?;
        if way.len() > DEEPEST { Err(WRONG) } else { Ok(Self(way)) }
    }
}

impl From<Within> for String {
    fn from(within: Within) -> Self {
        within.to_string()
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

/// Messages within each other that are opened: each is read from its first octet to its last.
const DEEPEST: usize = 20;

impl Opened {
    /// The message that is attached to this one.
    pub(super) async fn inside(self, within: &Within) -> Answer<Self> {
        if within.is_empty() {
            return Ok(self);
        }
        let numbers = within.0.clone();
        let found = self.block(move |bytes| {
            let (mut message, mut way, mut unpacked) = (bytes.clone(), Vec::new(), None);
            for part in numbers {
                let (inside, step) = inner(&message, part)?;
                match step {
                    Step::Part(stage) => way.push(stage),
                    Step::Unpacked => {
                        way.clear();
                        unpacked = Some(inside.clone());
                    }
                }
                message = inside;
            }
            Some((message, way, unpacked))
        });
        let (bytes, way, unpacked) = found.await?.ok_or_else(|| Problem::of(&reasons::NO_PART))?;
        Ok(Self { bytes, unpacked, way, ..self })
    }

    /// The way to the message, from that of the mailbox or the one that was unpacked.
    pub(super) fn way(&self) -> Vec<Stage> {
        self.way.clone()
    }

    /// Gives the memory back, and sends pieces of the message of the mailbox as they are taken. Those of one that was unpacked are in
    /// memory until they have been sent.
    pub(super) async fn send(self, pieces: Vec<Piece>) -> Answer<axum::body::Body> {
        let Some(message) = self.unpacked.clone() else {
            return Ok(axum::body::Body::from_stream(Flow::new(self.body, pieces).stream()));
        };
        Ok(self.block(move |_| flow::gather(&message, pieces)).await?.into())
    }
}

/// How a message leads to one within it.
enum Step {
    Part(Stage),
    /// It is made of what a part holds.
    Unpacked,
}

/// The message in a part of another.
fn inner(message: &Bytes, index: usize) -> Option<(Bytes, Step)> {
    let structure = Structure::of(message);
    let part = structure.parts().get(index)?;
    if is_container(part) {
        let made = tnef::message(&octets(&structure, part, usize::MAX), &HeaderSection::of(message));
        return Some((made?.into(), Step::Unpacked));
    }
    if part.kind != Kind::Message {
        return None;
    }
    let bytes = match octets(&structure, part, usize::MAX) {
        Cow::Borrowed(octets) => message.slice_ref(octets),
        Cow::Owned(octets) => octets.into(),
    };
    Some((bytes, Step::Part(Stage::of(&structure, part))))
}

/// Octets read in one go.
const PIECE: usize = 1 << 20;

/// Whether the numbers of a folder are those that were known, where some were: they are of other messages once it has another
/// UIDVALIDITY.
pub(super) fn same(view: &View, uid_validity: Option<u32>) -> Answer<()> {
    let is_same = uid_validity.is_none_or(|known| known == u32::from(view.uid_validity()));
    if is_same { Ok(()) } else { Err(Problem::of(&reasons::MESSAGE_GONE)) }
}

/// The row of a message.
pub(super) fn row(view: &View, uid: u32) -> Answer<Row> {
    Uid::new(uid).and_then(|uid| view.row_of(uid)).ok_or_else(|| Problem::of(&reasons::MESSAGE_GONE))
}

/// Opens a message of a folder. A caller that has one open must not open another of the same user.
pub(super) async fn open(room: &Room, view: &View, uid: u32) -> Answer<Opened> {
    let row = row(view, uid)?;
    if row.size > room.needs.settings.get().open.get() {
        return Err(Problem::of(&reasons::MESSAGE_TOO_LARGE));
    }
    let turn = room.opened.take(view.account()).await.ok();
    let mut body = view.body(row.uid).await?;
    let mut bytes = BytesMut::with_capacity(usize::try_from(body.size()).unwrap_or(0));
    loop {
        let piece = body.read(bytes.len() as u64, PIECE).await?;
        if piece.is_empty() {
            break;
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Opened { bytes: bytes.freeze(), row, body, unpacked: None, way: Vec::new(), turn })
}

/// Which parts are the text and which are attachments (RFC 8621 §4.1.4), by their places in the structure.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// For readers of plain text.
    pub(super) text: Vec<usize>,
    /// For readers of HTML.
    pub(super) html: Vec<usize>,
    /// The rest.
    pub(super) attachments: Vec<usize>,
}

/// Into which of the two texts a part may go.
#[derive(Debug, Clone, Copy)]
struct Into {
    text: bool,
    html: bool,
}

impl Layout {
    pub(super) fn of(structure: &Structure<'_>) -> Self {
        let mut layout = Self::default();
        match structure.parts()[0].kind {
            Kind::Multipart => {
                let alternative = structure.parts()[0].content.subtype.eq_ignore_ascii_case(b"alternative");
                layout.multipart(structure, 0, alternative, &mut Into { text: true, html: true });
            }
            Kind::Leaf | Kind::Message => {
                let place = Place { number: 0, within: b"mixed", in_alternative: false };
                layout.single(structure, 0, place, &mut Into { text: true, html: true });
            }
        }
        layout
    }

    /// Calls itself no deeper than `structure::MAX_DEPTH`.
    fn multipart(&mut self, structure: &Structure<'_>, index: usize, in_alternative: bool, into: &mut Into) {
        let subtype = structure.parts()[index].content.subtype;
        let is_alternative = subtype.eq_ignore_ascii_case(b"alternative");
        let (text, html) = (self.text.len(), self.html.len());
        for (n, child) in structure.children(index).enumerate() {
            if structure.parts()[child].kind == Kind::Multipart {
                let inner = structure.parts()[child].content.subtype.eq_ignore_ascii_case(b"alternative");
                self.multipart(structure, child, in_alternative || inner, into);
            } else {
                self.single(structure, child, Place { number: n, within: subtype, in_alternative }, into);
            }
        }
        if is_alternative && into.text && into.html {
            if text == self.text.len() && html != self.html.len() {
                self.text.extend_from_slice(&self.html[html..]);
            } else if html == self.html.len() && text != self.text.len() {
                self.html.extend_from_slice(&self.text[text..]);
            }
        }
    }

    fn single(&mut self, structure: &Structure<'_>, index: usize, place: Place<'_>, into: &mut Into) {
        let Place { number, within, in_alternative } = place;
        let part = &structure.parts()[index];
        let (plain, html) = (part.content.is_exactly("text", "plain"), part.content.is_exactly("text", "html"));
        let first = number == 0 || (!within.eq_ignore_ascii_case(b"related") && name(part).is_none());
        let plain = plain || (index == 0 && is_like_plain(part));
        if part.kind == Kind::Message || !(plain || html) || is_attachment(part) || !first {
            self.attachments.push(index);
            return;
        }
        if within.eq_ignore_ascii_case(b"alternative") {
            if plain {
                self.text.push(index)
            } else {
                self.html.push(index)
            }
            return;
        }
        if in_alternative {
            if plain { into.html = false } else { into.text = false }
        }
        if into.text {
            self.text.push(index);
        }
        if into.html {
            self.html.push(index);
        }
    }
}

/// The position of a part.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// Its number in its multipart, from zero.
    number: usize,
    /// The subtype of its multipart.
    within: &'a [u8],
    /// Whether that, or one further out, offers alternatives.
    in_alternative: bool,
}

/// RFC 2046 §4.1.4: text of a kind that is not known is shown as plain text. What other programs open stays a file.
fn is_like_plain(part: &Part<'_>) -> bool {
    const FILES: [&[u8]; 5] = [b"calendar", b"vcard", b"x-vcard", b"directory", b"html"];
    part.content.is("text") && FILES.iter().all(|subtype| !part.content.subtype.eq_ignore_ascii_case(subtype))
}

fn is_attachment(part: &Part<'_>) -> bool {
    let disposition = part.fields.disposition.and_then(Disposition::read);
    disposition.is_some_and(|disposition| disposition.word.eq_ignore_ascii_case(b"attachment"))
}

/// The file name of a part, as the sender gives it.
pub(super) fn name(part: &Part<'_>) -> Option<String> {
    let disposition = part.fields.disposition.and_then(Disposition::read);
    let given = disposition.and_then(|disposition| disposition.parameters.text("filename"));
    given.or_else(|| part.content.parameters.text("name")).filter(|name| !name.trim().is_empty())
}

/// Whether a part is what only Outlook opens, and this does, too.
fn is_container(part: &Part<'_>) -> bool {
    const KINDS: [&[u8]; 2] = [b"ms-tnef", b"vnd.ms-tnef"];
    let is_named = || name(part).is_some_and(|name| name.eq_ignore_ascii_case("winmail.dat"));
    let subtype = part.content.subtype;
    part.content.is("application")
        && (KINDS.iter().any(|kind| subtype.eq_ignore_ascii_case(kind))
            || subtype.eq_ignore_ascii_case(b"octet-stream") && is_named())
}

/// The type of a part: `text/plain`, in lower case.
pub(super) fn kind(part: &Part<'_>) -> String {
    if is_container(part) {
        return "application/ms-tnef".to_owned();
    }
    let word = |octets: &[u8]| String::from_utf8_lossy(octets).to_ascii_lowercase();
    format!("{}/{}", word(part.content.media), word(part.content.subtype))
}

/// The octets of a part, at most `limit`.
pub(super) fn octets<'a>(structure: &Structure<'a>, part: &Part<'a>, limit: usize) -> Cow<'a, [u8]> {
    transfer::decode(encoding(structure, part), structure.body(part), limit)
}

/// How the octets of a part are really encoded.
pub(super) fn encoding<'a>(structure: &Structure<'a>, part: &Part<'a>) -> Option<&'a [u8]> {
    let encoding = part.fields.encoding?;
    if part.kind == Kind::Message { transfer::of_message(encoding, structure.body(part)) } else { Some(encoding) }
}

/// The text of a part, and whether it is longer than `limit` octets.
pub(super) fn text(structure: &Structure<'_>, part: &Part<'_>, limit: usize) -> (String, bool) {
    let octets = octets(structure, part, limit.saturating_add(1));
    let is_cut = octets.len() > limit;
    let octets = &octets[..octets.len().min(limit)];
    let text = match part.content.parameters.raw("charset") {
        Some(label) => charset::decode(label, octets),
        None => {
            let declared = charset::declared(octets).filter(|_| part.content.is_exactly("text", "html"));
            declared.map_or_else(|| charset::guess(octets).into_owned(), |label| charset::decode(label, octets))
        }
    };
    let is_flowed = part.content.parameters.raw("format").is_some_and(|format| format.eq_ignore_ascii_case(b"flowed"));
    if is_flowed && part.content.is_exactly("text", "plain") {
        let joins = part.content.parameters.raw("delsp").is_some_and(|delsp| delsp.eq_ignore_ascii_case(b"yes"));
        return (unflow(&text, joins), is_cut);
    }
    (text, is_cut)
}

/// Joins the lines of format=flowed to paragraphs (RFC 3676 §4).
fn unflow(text: &str, delete_blank: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open: Option<usize> = None;
    for line in text.lines() {
        let depth = line.bytes().take_while(|octet| *octet == b'>').count();
        let rest = &line[depth..];
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        match open.take() {
            Some(before) if before == depth => {}
            Some(_) => {
                out.push('\n');
                quote(&mut out, depth);
            }
            None => quote(&mut out, depth),
        }
        // RFC 3676 §4.3: the signature mark is a separate line.
        if rest.ends_with(' ') && rest != "-- " {
            out.push_str(if delete_blank { &rest[..rest.len() - 1] } else { rest });
            open = Some(depth);
        } else {
            out.push_str(rest);
            out.push('\n');
        }
    }
    out
}

fn quote(out: &mut String, depth: usize) {
    if depth > 0 {
        out.extend(std::iter::repeat_n('>', depth));
        out.push(' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(message: &str) -> Layout {
        Layout::of(&Structure::of(message.replace('\n', "\r\n").as_bytes()))
    }

    #[test]
    fn texts_and_attachments() {
        assert_eq!(layout("\nhello\n"), Layout { text: vec![0], html: vec![0], attachments: vec![] });
        let alternative = "Content-Type: multipart/alternative; boundary=b\n\n--b\n\nplain\n--b\n\
                           Content-Type: text/html\n\n<p>x\n--b--\n";
        assert_eq!(layout(alternative), Layout { text: vec![1], html: vec![2], attachments: vec![] });
        let only = "Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>x\n--b--\n";
        assert_eq!(layout(only), Layout { text: vec![1], html: vec![1], attachments: vec![] });
        let mixed = "Content-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: multipart/related; boundary=r\n\n\
                     --r\nContent-Type: text/html\n\n<p>x\n--r\nContent-Type: image/png\nContent-ID: <a>\n\nx\n--r--\n\
                     --m\nContent-Type: text/plain; name=\"notes.txt\"\n\nx\n--m\nContent-Type: message/rfc822\n\n\
                     Subject: y\n\nz\n--m\nContent-Type: text/plain\n\nfooter\n--m--\n";
        let found = layout(mixed);
        assert_eq!(found, Layout { text: vec![2, 7], html: vec![2, 7], attachments: vec![3, 4, 5] });
        let file = "Content-Type: text/html\nContent-Disposition: attachment; filename=x.html\n\n<p>\n";
        assert_eq!(layout(file).attachments, [0]);
        for (kind, is_shown) in
            [("text/enriched", true), ("text/unheard-of", true), ("text/calendar", false), ("a/b", false)]
        {
            assert_eq!(layout(&format!("Content-Type: {kind}\n\nx\n")).text.len(), usize::from(is_shown), "{kind}");
        }
    }

    fn within(message: &Bytes, index: usize) -> Option<Bytes> {
        inner(message, index).map(|(bytes, _)| bytes)
    }

    #[test]
    fn messages_within_messages_are_found() {
        let way = |text: &str| Within::try_from(text.to_owned());
        assert_eq!(way("").map(|way| way.is_empty()), Ok(true));
        assert_eq!(way("3.2").map(|way| way.to_string()), Ok("3.2".to_owned()));
        for wrong in ["x", "-1", "1..2", ".", &"1.".repeat(DEEPEST + 1)] {
            assert!(way(wrong).is_err(), "{wrong}");
        }
        let outer = Bytes::from_static(
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
            Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogYQ0KDQp0ZXh0DQo=\r\n--b--\r\n",
        );
        let first = within(&outer, 2).unwrap();
        assert!(first.starts_with(b"Content-Type: message/rfc822\r\n"));
        assert_eq!(within(&first, 0).unwrap(), "Subject: a\r\n\r\ntext\r\n");
        assert_eq!((within(&outer, 1), within(&outer, 99)), (None, None));
    }

    #[test]
    fn flowed_text_is_joined() {
        assert_eq!(unflow("a \nb\n> c \n> d\n>> e \nf\n-- \nann \n", false), "a b\n> c d\n>> e \nf\n-- \nann ");
        assert_eq!(unflow("日 \n本\n", true), "日本\n");
        assert_eq!(unflow(" >not a quote\n", false), ">not a quote\n");
    }

    #[test]
    fn a_page_that_says_nothing_else_is_read_as_its_head_has_it() {
        let read = |head: &str, page: &[u8]| {
            let message = [format!("{head}\r\n\r\n").as_bytes(), page].concat();
            let structure = Structure::of(&message);
            text(&structure, &structure.parts()[0], 1000).0
        };
        let page = b"<meta http-equiv=x content=\"text/html; CHARSET=windows-1251\">\xcf\xf0";
        assert!(read("Content-Type: text/html", page).ends_with(">Пр"));
        assert!(read("Content-Type: text/html; charset=koi8-r", page).ends_with(">оП"), "the field says it first");
        assert!(read("Content-Type: text/plain", page).ends_with(">Ïð"), "only pages have heads");
        assert!(read("Content-Type: text/html", "<meta charset='windows-1251'>Пр".as_bytes()).ends_with(">Пр"));
    }
}
