//! Builds a message (RFC 5322, RFC 2045) from what a user has written on the page.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Problem, no_address};
use super::attached::{Attached, File, files};
use super::door::Reader;
use super::envelope::clean;
use super::multipart::Multipart;
use super::priority::Priority;
use super::read::ids;
use super::reasons;
use super::{html, plain};
use crate::foundations::address::Address;
use crate::foundations::budget::Share;
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::compose::{self, Charset};
use crate::foundations::mail::{HeaderSection, encoded_text};
use crate::protocols::web::token::digest;

/// What somebody has written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Letter {
    from: Correspondent,
    #[serde(default)]
    to: Vec<Correspondent>,
    #[serde(default)]
    cc: Vec<Correspondent>,
    #[serde(default)]
    bcc: Vec<Correspondent>,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    text: String,
    /// The formatted text, instead of `text`.
    #[serde(default)]
    html: Option<String>,
    /// Pictures in the formatted text.
    #[serde(default)]
    inline: Vec<Picture>,
    #[serde(default)]
    attachments: Vec<Attached>,
    in_reply_to: Option<String>,
    #[serde(default)]
    references: Vec<String>,
    pub(super) answers: Option<Answers>,
    /// Whether a receipt is asked for (RFC 8098).
    #[serde(default)]
    receipt: bool,
    /// How urgent it is, if not normal.
    #[serde(default)]
    priority: Option<Priority>,
    /// Whether its sender is to be told when it was delivered (RFC 3461).
    #[serde(default)]
    pub(super) notify: bool,
    /// For programs: the answer to an invitation. Only the server itself writes one.
    #[serde(skip)]
    calendar: Option<String>,
}

/// The answer to an invitation, as a letter.
pub(super) struct Replying {
    pub(super) from: Correspondent,
    pub(super) to: String,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) calendar: String,
    pub(super) in_reply_to: Option<String>,
    pub(super) answers: Answers,
}

impl From<Replying> for Letter {
    fn from(it: Replying) -> Self {
        Self {
            from: it.from,
            to: vec![Correspondent { name: String::new(), address: it.to }],
            cc: Vec::new(),
            bcc: Vec::new(),
            subject: it.subject,
            text: it.text,
            html: None,
            inline: Vec::new(),
            attachments: Vec::new(),
            in_reply_to: it.in_reply_to,
            references: Vec::new(),
            answers: Some(it.answers),
            receipt: false,
            priority: None,
            notify: false,
            calendar: Some(it.calendar),
        }
    }
}

/// Somebody in a field, as typed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Correspondent {
    #[serde(default)]
    pub(super) name: String,
    pub(super) address: String,
}

/// A picture in a formatted text, which names it by `cid:` and this name (RFC 2392).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Picture {
    cid: String,
    file: Attached,
}

/// What a message says, ready to be written.
#[derive(Debug)]
pub(super) struct Body {
    text: String,
    /// Cleaned.
    html: Option<String>,
    pictures: Vec<(String, File)>,
    files: Vec<File>,
    /// The answer to an invitation.
    calendar: Option<String>,
}

/// The message that is answered or forwarded, which is marked so once the answer has been sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answers {
    pub(super) kind: AnswerKind,
    pub(super) folder: String,
    pub(super) uid: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AnswerKind {
    Reply,
    Forward,
}

/// The field in which a draft keeps it. It never leaves: only drafts have it.
const ANSWERS: &str = "X-Postrider-Answers";

/// The same for drafts that request a delivery notification; for sent mail the envelope does.
const NOTIFY: &str = "X-Postrider-Notify";

/// Whether a draft is one of these.
pub(super) fn notifies(header: &HeaderSection<'_>) -> bool {
    header.first(NOTIFY).is_some()
}

impl Answers {
    /// Reads it from a draft.
    pub(super) fn read(header: &HeaderSection<'_>) -> Option<Self> {
        let text = header.first(ANSWERS)?.text();
        let mut words = text.splitn(3, ' ');
        let kind = match words.next()? {
            "reply" => AnswerKind::Reply,
            "forward" => AnswerKind::Forward,
            _ => return None,
        };
        Some(Self { kind, uid: words.next()?.parse().ok()?, folder: words.next()?.to_owned() })
    }

    fn field(&self) -> String {
        let kind = if self.kind == AnswerKind::Reply { "reply" } else { "forward" };
        compose::field(ANSWERS, &format!("{kind} {} {}", self.uid, self.folder), Charset::Ascii)
    }
}

/// What a message is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be gone on with: addresses may be half typed.
    Draft,
    /// To be sent.
    Sending,
}

/// Facts that a message takes from the moment in which it is built.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) at: Timestamp,
    /// With its angle brackets.
    pub(super) message_id: String,
    /// Hexadecimal digits that occur nowhere else.
    pub(super) boundary: String,
}

/// Everybody a letter is for.
pub(super) struct Addressed {
    pub(super) from: Address,
    pub(super) people: Vec<(String, Address)>,
}

impl Letter {
    /// Everybody it is for, each once and at most so many; refuses addresses that are none.
    pub(super) fn addressed(&self, most: u32) -> Answer<Addressed> {
        let mut people: Vec<(String, Address)> = Vec::new();
        let mut known = HashSet::new();
        for person in self.to.iter().chain(&self.cc).chain(&self.bcc) {
            let address = person.parsed()?;
            if known.insert(address.key()) {
                people.push((clean(&person.name), address));
            }
        }
        if people.len() > most as usize {
            return Err(Problem::of(&reasons::TOO_MANY_PEOPLE).with("most", most));
        }
        if people.is_empty() {
            return Err(Problem::of(&reasons::NOBODY));
        }
        Ok(Addressed { from: self.from.parsed()?, people })
    }

    /// The address it comes from.
    pub(super) fn sender(&self) -> Answer<Address> {
        self.from.parsed()
    }

    /// The names of uploads in it.
    pub(super) fn uploads(&self) -> impl Iterator<Item = &str> {
        let pictures = self.inline.iter().map(|picture| &picture.file);
        self.attachments.iter().chain(pictures).filter_map(|attached| match attached {
            Attached::Upload { upload } => Some(upload.as_str()),
            Attached::Part { .. } | Attached::Message { .. } | Attached::Signature { .. } => None,
        })
    }

    /// Memory to build it, released when the returned value is dropped.
    pub(super) async fn memory(&self, room: &Room, reader: &Reader) -> Answer<Share<String>> {
        let texts = self.text.len() + self.html.as_ref().map_or(0, String::len);
        let files = match self.inline.is_empty() && self.attachments.is_empty() {
            true => 0,
            false => room.needs.settings.get().message.len(),
        };
        let share = room.needs.bodies.work(&reader.account.address.key(), 2 * texts + files).await;
        share.ok_or_else(|| Problem::of(&reasons::TOO_MANY_LETTERS))
    }

    /// Tells it from other letters: who writes what to whom. Files count by their number, since the same file may be an upload first and
    /// part of a draft later.
    pub(super) fn digest(&self) -> String {
        let mut all = String::new();
        let mut add = |part: &str| {
            let _ = write!(all, "{}:{part}", part.len());
        };
        for people in [std::slice::from_ref(&self.from), &self.to, &self.cc, &self.bcc] {
            add(&people.len().to_string());
            people.iter().for_each(|one| add(&one.address));
        }
        add(&self.subject);
        // The text beside formatted text is made from it.
        add(self.html.as_ref().unwrap_or(&self.text));
        add(&self.attachments.len().to_string());
        digest(&all)
    }

    /// Fetches attachments and sanitises formatted text.
    pub(super) async fn body(&self, room: &Arc<Room>, reader: &Reader) -> Answer<Body> {
        if self.inline.iter().any(|picture| !is_content_id(&picture.cid)) {
            return Err(Problem::of(&reasons::PICTURE_NAME));
        }
        let whole: Vec<&Attached> = self.inline.iter().map(|picture| &picture.file).chain(&self.attachments).collect();
        let mut pictures = files(room, reader, &whole).await?;
        let files = pictures.split_off(self.inline.len());
        if pictures.iter().any(|file| !html::PICTURES.contains(&file.kind.as_str())) {
            return Err(Problem::of(&reasons::PICTURE_KIND));
        }
        let Some(html) = self.html.clone() else {
            let calendar = self.calendar.clone();
            return Ok(Body { text: self.text.clone(), html: None, pictures: Vec::new(), files, calendar });
        };
        let most = room.needs.settings.get().html;
        if !html::is_whole(&html) {
            return Err(Problem::of(&reasons::TOO_MANY_PARTS));
        }
        if html.len() as u64 > most.get() {
            return Err(Problem::of(&reasons::HTML_TOO_LARGE).with("most", most));
        }
        let names: Vec<String> = self.inline.iter().map(|picture| picture.cid.clone()).collect();
        let work = tokio::task::spawn_blocking(move || formatted(&html, names));
        let (html, text, names) = work.await?;
        Ok(Body { text, html: Some(html), pictures: names.into_iter().zip(pictures).collect(), files, calendar: None })
    }

    /// Writes the message with CRLF line ends.
    pub(super) fn build(&self, body: &Body, moment: &Moment, purpose: Purpose) -> Answer<Vec<u8>> {
        let mut out = self.header(moment, purpose)?;
        out.push_str("MIME-Version: 1.0\r\n");
        if body.files.is_empty() {
            body.write_texts(moment, &mut out);
            return Ok(out.into_bytes());
        }
        let mixed = Multipart::begin("mixed", moment.boundary.clone(), &mut out);
        body.write_texts(moment, &mut out);
        for file in &body.files {
            mixed.next(&mut out);
            file.write(None, &mut out);
        }
        mixed.end(&mut out);
        Ok(out.into_bytes())
    }

    fn header(&self, moment: &Moment, purpose: Purpose) -> Answer<String> {
        let mut out = format!("Date: {}\r\n", compose::date(moment.at));
        out.push_str(&list("From", std::slice::from_ref(&self.from), Purpose::Sending)?);
        for (name, people) in [("To", &self.to), ("Cc", &self.cc), ("Bcc", &self.bcc)] {
            if !people.is_empty() {
                out.push_str(&list(name, people, purpose)?);
            }
        }
        out.push_str(&compose::field("Subject", &clean(&self.subject), Charset::Ascii));
        out.push_str(&format!("Message-ID: {}\r\n", moment.message_id));
        let answered: Vec<String> = self.in_reply_to.iter().flat_map(|text| ids(text)).take(1).collect();
        if let Some(id) = answered.first() {
            out.push_str(&compose::field("In-Reply-To", id, Charset::Ascii));
        }
        // RFC 5322 §3.6.4: what the answered message refers to, and it itself.
        let mut references: Vec<String> =
            self.references.iter().flat_map(|text| ids(text)).take(MOST_REFERENCES).collect();
        references.retain(|id| !answered.contains(id));
        references.extend(answered);
        if !references.is_empty() {
            out.push_str(&compose::field("References", &references.join(" "), Charset::Ascii));
        }
        if self.receipt {
            let asking = Correspondent { name: String::new(), ..self.from.clone() };
            out.push_str(&list("Disposition-Notification-To", std::slice::from_ref(&asking), Purpose::Sending)?);
        }
        if let Some(priority) = self.priority {
            out.push_str(priority.fields());
        }
        if self.notify && purpose == Purpose::Draft {
            out.push_str(&compose::field(NOTIFY, "yes", Charset::Ascii));
        }
        if let Some(answers) = self.answers.as_ref().filter(|_| purpose == Purpose::Draft) {
            out.push_str(&answers.field());
        }
        Ok(out)
    }
}

impl Body {
    /// The text, or the formatted text with the plain one before it (RFC 2046 §5.1.4: the richest comes last) and its
    /// pictures behind it (RFC 2387); an answer to an invitation likewise.
    fn write_texts(&self, moment: &Moment, out: &mut String) {
        if self.html.is_none() && self.calendar.is_none() {
            return write_text("plain", &self.text, out);
        }
        // No boundary is the beginning of another: a reader might confuse them.
        let either = Multipart::begin("alternative", format!("e-{}", moment.boundary), out);
        write_text("plain", &self.text, out);
        either.next(out);
        match (&self.html, &self.calendar) {
            (Some(html), _) => self.write_page(html, moment, out),
            // RFC 6047 §2.4: the method is in the header, too.
            (None, Some(calendar)) => write_text("calendar; method=REPLY", calendar, out),
            (None, None) => {}
        }
        either.end(out);
    }

    /// The formatted text, with its pictures.
    fn write_page(&self, html: &str, moment: &Moment, out: &mut String) {
        if self.pictures.is_empty() {
            return write_text("html", html, out);
        }
        let related = Multipart::begin("related; type=\"text/html\"", format!("r-{}", moment.boundary), out);
        write_text("html", html, out);
        for (cid, file) in &self.pictures {
            related.next(out);
            file.write(Some(cid), out);
        }
        related.end(out);
    }
}

/// A text as a part.
fn write_text(kind: &str, text: &str, out: &mut String) {
    let (text, encoding) = encoded_text(text);
    out.push_str(&format!(
        "Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{text}"
    ));
}

/// Formatted text as it may leave: cleaned as that of others is when it is read, naming no picture but those that go along.
/// With the text of it, and the names of the pictures.
fn formatted(html: &str, names: Vec<String>) -> (String, String, Vec<String>) {
    let known: HashMap<String, String> = names.iter().map(|name| (name.clone(), format!("cid:{name}"))).collect();
    let cleaned = html::clean(html, known, html::Remote::Blocked).markup;
    let text = plain::text(&cleaned);
    let whole =
        format!("<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"></head><body>\n{cleaned}\n</body></html>\n");
    (whole, text, names)
}

/// A Content-ID without its brackets (RFC 2392 §2) that needs no encoding in a URL.
pub(super) fn is_content_id(text: &str) -> bool {
    let parts = text.split_once('@');
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-'))
    };
    text.len() <= 100 && parts.is_some_and(|(left, right)| word(left) && word(right))
}

impl Correspondent {
    pub(super) fn parsed(&self) -> Answer<Address> {
        let address = self.address.trim();
        address.parse().map_err(|error| no_address(address, &error))
    }
}

/// An address field. In a draft, incomplete addresses stay as typed.
fn list(name: &str, people: &[Correspondent], purpose: Purpose) -> Answer<String> {
    let parsed: Answer<Vec<Address>> = people.iter().map(Correspondent::parsed).collect();
    match (parsed, purpose) {
        (Ok(addresses), _) => {
            let names: Vec<String> = people.iter().map(|person| clean(&person.name)).collect();
            let pairs = names.iter().map(String::as_str).zip(&addresses);
            let charset = if addresses.iter().any(Address::needs_smtputf8) { Charset::Utf8 } else { Charset::Ascii };
            Ok(compose::addresses(name, pairs, charset))
        }
        (Err(_), Purpose::Draft) => {
            let typed = |person: &Correspondent| match clean(&person.name) {
                name if name.is_empty() => clean(&person.address),
                name => format!("{name} <{}>", clean(&person.address)),
            };
            let typed: Vec<String> = people.iter().map(typed).collect();
            Ok(compose::field(name, &typed.join(", "), Charset::Ascii))
        }
        (Err(problem), Purpose::Sending) => Err(problem),
    }
}

const MOST_REFERENCES: usize = 50;

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
