//! One message: what the page shows of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Asked};
use super::build::{Answers, notifies};
use super::door::Reader;
use super::envelope::{Person, clean, shown};
use super::html::{self, Remote, content_id};
use super::list::flags;
use super::priority::Priority;
use super::receipts;
use super::serve::LARGEST_WISH;
use super::source::{self, Layout, Opened, Within};
use super::unsubscribing::Unsubscribing;
use crate::foundations::address::{Address, Domain};
use crate::foundations::mail::addresses::{self, Entry, MAX_ENTRIES};
use crate::foundations::mail::{HeaderDate, HeaderSection, Structure, own_results, results_of};
use crate::protocols::web::form;
use crate::services::filter::{SpamReason, spam_reasons};
use crate::storage::mailbox::{Access, Flags};

/// Which message.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Place {
    pub(super) folder: String,
    pub(super) uid: u32,
    pub(super) uid_validity: Option<u32>,
    /// The message attached to it that is meant, if it is not the message itself.
    #[serde(default)]
    pub(super) within: Within,
}

/// A message for the page.
#[derive(Serialize)]
struct Message {
    folder: String,
    uid: u32,
    uid_validity: u32,
    /// Where in that message it is, if it is attached to it.
    within: String,
    flags: Vec<&'static str>,
    size: u64,
    arrived: i64,
    #[serde(flatten)]
    facts: Facts,
}

/// The contents of a message.
#[derive(Debug, Default, Serialize)]
struct Facts {
    from: Vec<Person>,
    sender: Vec<Person>,
    reply_to: Vec<Person>,
    to: Vec<Person>,
    cc: Vec<Person>,
    bcc: Vec<Person>,
    /// Whether there are more of them than are given.
    people_cut: bool,
    subject: String,
    /// The Date field, in milliseconds.
    sent: Option<i64>,
    message_id: Option<String>,
    references: Vec<String>,
    /// The text for people.
    text: String,
    /// Whether the text was cut.
    cut: bool,
    /// Whether there is HTML, and how many images of others it names.
    html: bool,
    /// Whether the HTML was cut.
    html_cut: bool,
    remote_images: usize,
    attachments: Vec<Attachment>,
    /// Results of sender authentication, such as `spf=pass`.
    authentication: Vec<String>,
    spam: Option<Spam>,
    /// For drafts: the message they answer.
    answers: Option<Answers>,
    /// The list that it came by (RFC 2369 §3.4).
    list_post: Option<String>,
    /// How to get no more of it.
    unsubscribe: Option<Unsubscribing>,
    /// Who asks to be told that it was displayed, while the user has not decided about it.
    receipt: Option<String>,
    /// Whether it requests a receipt: for drafts, which keep the request.
    asks_receipt: bool,
    /// How urgent it is, if not normal.
    priority: Option<Priority>,
    /// For drafts: whether a delivery notification is requested.
    notify: bool,
}

/// A part that is not text.
#[derive(Debug, Serialize)]
pub(super) struct Attachment {
    pub(super) part: usize,
    pub(super) name: String,
    #[serde(rename = "type")]
    kind: String,
    size: usize,
    /// Whether the text shows it itself.
    pub(super) inline: bool,
}

/// The filter's verdict.
#[derive(Debug, Serialize)]
struct Spam {
    score: Option<String>,
    flagged: bool,
    reasons: Vec<SpamReason>,
}

pub(super) async fn message(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(at): Asked<Place>,
) -> Answer<Response> {
    let view = reader.open(&at.folder, Access::ReadOnly).await?;
    source::same(&view, at.uid_validity)?;
    let opened = source::open(&room, &view, at.uid).await?.inside(&at.within).await?;
    let (hostname, limits) = (room.needs.hostname.get(), Limits::of(&room, &opened, &at.within));
    let mut facts = opened.block(move |bytes| facts(bytes, &hostname, limits)).await?;
    let own = reader.account.address.to_string();
    let is_open = receipts::is_open(&view, &opened.row);
    facts.receipt = facts.receipt.filter(|to| is_open && !to.eq_ignore_ascii_case(&own));
    if !at.within.is_empty() {
        facts.prove_nothing();
    }
    let message = Message {
        folder: at.folder,
        uid: at.uid,
        uid_validity: u32::from(view.uid_validity()),
        within: at.within.to_string(),
        flags: flags(&opened.row),
        size: if at.within.is_empty() { opened.row.size } else { opened.bytes.len() as u64 },
        arrived: opened.row.internal_date.unix_millis(),
        facts,
    };
    Ok(Json(message).into_response())
}

impl Facts {
    /// Takes away what only a message that came here by itself can say. In one that is attached to another, whoever sent that has
    /// written all of it, with our name in it if they like.
    fn prove_nothing(&mut self) {
        self.authentication.clear();
        (self.spam, self.unsubscribe, self.receipt, self.answers) = (None, None, None, None);
        self.notify = false;
    }
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    text: usize,
    html: usize,
    /// People of one field.
    people: usize,
}

impl Limits {
    /// Of a draft all is given that can have been written here, so that nothing of it is lost when it is gone on with.
    fn of(room: &Room, opened: &Opened, within: &Within) -> Self {
        let settings = room.needs.settings.get();
        let is_draft = within.is_empty() && opened.row.flags.contains(Flags::DRAFT);
        let least = if is_draft { LARGEST_DRAFT } else { 0 };
        let people = if is_draft { MOST_PEOPLE_OF_DRAFT } else { MAX_ENTRIES };
        Self { text: settings.text.len().max(least), html: settings.html.len().max(least), people }
    }
}

fn facts(bytes: &Bytes, hostname: &Domain, limits: Limits) -> Facts {
    let structure = Structure::of(bytes);
    let header = HeaderSection::of(bytes);
    let layout = Layout::of(&structure);
    let text = |name: &str| header.first(name).map(|field| clean(&field.text()));
    let (shown, cut) = plain(&structure, &layout, limits.text);
    let page = markup(&structure, &layout, limits.html, Remote::Blocked, |_| String::new());
    let mut people_cut = false;
    let mut people = |name: &str| {
        let (people, is_cut) = people(&header, name, limits.people);
        people_cut |= is_cut;
        people
    };
    Facts {
        from: people("From"),
        sender: people("Sender"),
        reply_to: people("Reply-To"),
        to: people("To"),
        cc: people("Cc"),
        bcc: people("Bcc"),
        people_cut,
        subject: text("Subject").unwrap_or_default(),
        sent: header.first("Date").and_then(|field| HeaderDate::read(field.body)).map(|date| date.seconds * 1000),
        message_id: text("Message-ID").filter(|id| id.len() <= LONGEST_ID),
        references: references(&header),
        text: shown,
        cut,
        html: page.is_some(),
        html_cut: page.as_ref().is_some_and(|page| page.cut),
        remote_images: page.map_or(0, |page| page.remote_images),
        attachments: attachments(&structure, &layout),
        authentication: authentication(&header, hostname),
        spam: spam(&header),
        answers: Answers::read(&header),
        list_post: list_post(&header),
        unsubscribe: Unsubscribing::read(&header, hostname),
        receipt: receipts::wanted(&header),
        asks_receipt: header.first("Disposition-Notification-To").is_some(),
        priority: Priority::read(&header),
        notify: notifies(&header),
    }
}

/// The mailboxes of a field, at most so many, and whether there may be more.
pub(super) fn people(header: &HeaderSection<'_>, name: &str, most: usize) -> (Vec<Person>, bool) {
    let (mut people, mut is_cut) = (Vec::new(), false);
    for field in header.all(name) {
        let entries = addresses::read_at_most(field.body, most.saturating_add(1));
        is_cut |= entries.len() > most;
        let mailboxes = entries.iter().filter_map(|entry| match entry {
            Entry::Mailbox(mailbox) => Some(shown(mailbox)),
            Entry::GroupStart(_) | Entry::GroupEnd => None,
        });
        people.extend(mailboxes.filter(|person| !person.address.is_empty()));
        if people.len() > most {
            people.truncate(most);
            return (people, true);
        }
    }
    (people, is_cut)
}

/// The message ids that an answer must refer to (RFC 5322 §3.6.4): References, or else In-Reply-To.
fn references(header: &HeaderSection<'_>) -> Vec<String> {
    let field = header.first("References").or_else(|| header.first("In-Reply-To"));
    let text = field.map(|field| field.text()).unwrap_or_default();
    let ids: Vec<String> = ids(&text).collect();
    ids[ids.len().saturating_sub(MOST_REFERENCES)..].to_vec()
}

/// The message ids in a text, with their brackets.
pub(super) fn ids(text: &str) -> impl Iterator<Item = String> + '_ {
    let ids = text.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(id, _)| id.trim());
    let good = |id: &&str| !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|octet| octet.is_ascii_graphic());
    ids.filter(good).map(|id| format!("<{id}>"))
}

/// The address that a message to its list goes to: the first of List-Post by mail (RFC 2369 §3.4, RFC 6068 §2).
fn list_post(header: &HeaderSection<'_>) -> Option<String> {
    let text = header.first("List-Post")?.text();
    let mut named = text.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(uri, _)| uri.trim());
    let address = named.find_map(|uri| {
        let is_mail = uri.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
        is_mail.then(|| uri[7..].split('?').next().unwrap_or_default())
    })?;
    let address: Address = content_id(address).parse().ok()?;
    Some(address.to_string())
}

/// The text for readers of plain text, and whether something of it was left out.
fn plain(structure: &Structure<'_>, layout: &Layout, limit: usize) -> (String, bool) {
    let (mut whole, mut cut) = (String::new(), false);
    for index in &layout.text {
        let part = &structure.parts()[*index];
        let (text, is_cut) = source::text(structure, part, limit.saturating_sub(whole.len()));
        let text =
            if part.content.is_exactly("text", "html") { crate::foundations::mail::html::to_text(&text) } else { text };
        if !whole.is_empty() && !whole.ends_with('\n') {
            whole.push('\n');
        }
        whole.extend(text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')));
        cut |= is_cut;
    }
    (whole, cut)
}

/// The cleaned HTML of a message; `None` when it has only plain text. `address` gives the address of a part.
fn markup(
    structure: &Structure<'_>,
    layout: &Layout,
    limit: usize,
    remote: Remote,
    address: impl Fn(usize) -> String,
) -> Option<html::Clean> {
    let is_html = |index: &usize| structure.parts()[*index].content.is_exactly("text", "html");
    if !layout.html.iter().any(is_html) {
        return None;
    }
    let (mut body, mut cut) = (String::new(), false);
    for index in &layout.html {
        let (text, is_cut) = source::text(structure, &structure.parts()[*index], limit.saturating_sub(body.len()));
        if is_html(index) {
            body.push_str(&text);
        } else {
            body.push_str(&format!("<pre>{}</pre>", form::text(&text)));
        }
        cut |= is_cut;
    }
    let with_id = structure.parts().iter().enumerate().filter_map(|(index, part)| {
        let picture = html::PICTURES.contains(&source::kind(part).as_str());
        let id = part.fields.id.filter(|_| picture)?;
        Some((content_id(&String::from_utf8_lossy(id)), address(index)))
    });
    let parts: HashMap<String, String> = with_id.collect();
    let mut cleaned = html::clean(&body, parts, remote);
    if cut && !cleaned.cut {
        cleaned.markup.push_str(html::REST);
        cleaned.cut = true;
    }
    Some(cleaned)
}

/// The parts of a message that are no text.
pub(super) fn attachments_of(message: &[u8]) -> Vec<Attachment> {
    let structure = Structure::of(message);
    attachments(&structure, &Layout::of(&structure))
}

pub(super) fn attachments(structure: &Structure<'_>, layout: &Layout) -> Vec<Attachment> {
    let shown = shown_in_text(structure, layout);
    let is_shown = |id: &[u8]| shown.contains(&content_id(&String::from_utf8_lossy(id)));
    let attachment = |index: &usize| {
        let part = &structure.parts()[*index];
        Attachment {
            part: *index,
            name: super::parts::file_name(structure, *index),
            kind: source::kind(part),
            size: source::octets(structure, part, usize::MAX).len(),
            inline: part.content.is("image") && part.fields.id.is_some_and(is_shown),
        }
    };
    layout.attachments.iter().take(MOST_ATTACHMENTS).map(attachment).collect()
}

/// The Content-IDs that the HTML names (RFC 2392). A picture may have one and yet be a file: some programs give one to all.
fn shown_in_text(structure: &Structure<'_>, layout: &Layout) -> HashSet<String> {
    let pages = layout.html.iter().map(|index| &structure.parts()[*index]);
    let mut shown = HashSet::new();
    for page in pages.filter(|part| part.content.is_exactly("text", "html")) {
        let text = source::text(structure, page, LONGEST_PAGE).0;
        // ASCII only, so that places are the same in both.
        let lower = text.to_ascii_lowercase();
        for (at, scheme) in lower.match_indices("cid:").take(MOST_ATTACHMENTS * 4) {
            let rest = &text[at + scheme.len()..];
            let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')' | '&');
            shown.insert(content_id(&rest[..rest.find(ends).unwrap_or(rest.len())]));
        }
    }
    shown
}

/// What this server has found (RFC 8601 §2.2); the results of others prove nothing.
fn authentication(header: &HeaderSection<'_>, hostname: &Domain) -> Vec<String> {
    let Some(ours) = own_results(header.fields(), hostname.as_str()) else { return Vec::new() };
    let results = results_of(&ours, hostname.as_str()).unwrap_or_default();
    results.into_iter().filter(|result| result.contains('=')).map(clean).take(20).collect()
}

fn spam(header: &HeaderSection<'_>) -> Option<Spam> {
    let text = |name: &str| header.first(name).map(|field| clean(&field.text()));
    let flag = text("X-Spam-Flag")?;
    let reasons = text("X-Spam-Reason").map_or_else(Vec::new, |field| spam_reasons(&field));
    Some(Spam { score: text("X-Spam-Score"), flagged: flag.eq_ignore_ascii_case("yes"), reasons })
}

/// Which page of a message.
#[derive(Deserialize)]
pub(super) struct PageQuestion {
    folder: String,
    uid: u32,
    uid_validity: Option<u32>,
    #[serde(default)]
    within: Within,
    #[serde(default)]
    images: u8,
}

/// The HTML of a message as a page for a frame.
pub(super) async fn page(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(asked): Asked<PageQuestion>,
) -> Answer<Response> {
    let view = reader.open(&asked.folder, Access::ReadOnly).await?;
    source::same(&view, asked.uid_validity)?;
    let opened = source::open(&room, &view, asked.uid).await?.inside(&asked.within).await?;
    let remote = if asked.images == 1 { Remote::Shown } else { Remote::Blocked };
    let limit = Limits::of(&room, &opened, &asked.within).html;
    let place = super::parts::query(&reader, &view, asked.uid, &asked.within);
    let cleaned = opened.block(move |bytes| {
        let structure = Structure::of(bytes);
        let address = |part: usize| format!("part?{place}&part={part}&inline=1");
        markup(&structure, &Layout::of(&structure), limit, remote, address).map(|page| page.markup)
    });
    let page = html::page(&cleaned.await?.unwrap_or_default());
    let headers = [(header::CONTENT_SECURITY_POLICY, html::policy(remote)), (header::X_FRAME_OPTIONS, "SAMEORIGIN")];
    Ok((reader.kept_of(asked.uid_validity), headers, Html(page)).into_response())
}

/// Limit on a text that can have been written here: sanitised markup is longer than what the page sent.
const LARGEST_DRAFT: usize = 2 * LARGEST_WISH;
/// Addresses of one field of a draft that are given: more than anybody writes to, and few enough to be held.
const MOST_PEOPLE_OF_DRAFT: usize = 100_000;
const MOST_ATTACHMENTS: usize = 500;
/// Octets of HTML that are looked through for names of pictures.
const LONGEST_PAGE: usize = 8 << 20;
/// Message ids that an answer carries on.
const MOST_REFERENCES: usize = 50;
/// RFC 5322 §2.1.1: what fits on a line.
const LONGEST_ID: usize = 900;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_below_how_the_message_came_are_not_ours() {
        let host: Domain = "mail.example.test".parse().unwrap();
        let results = "Authentication-Results: mail.example.test; dmarc=pass header.from=bank.test\r\n";
        let received = "Received: from x\r\n\tby mail.example.test with ESMTP\r\n\tid 1; x\r\n";
        let shown = |header: String| authentication(&HeaderSection::of(header.as_bytes()), &host);
        assert_eq!(shown(format!("{results}{received}\r\n")), ["dmarc=pass header.from=bank.test"]);
        assert!(shown(format!("{received}{results}\r\n")).is_empty());
    }

    #[test]
    fn pictures_that_no_text_shows_are_files() {
        let message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n\
            <img src=\"CID:a%40x\"><img src='cid:b+@x'>\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <a@x>\r\n\r\nA\r\n\
            --b\r\nContent-Type: image/png\r\nContent-ID: <b+@x>\r\nContent-Disposition: attachment\r\n\r\nB\r\n--b\r\n\
            Content-Type: image/jpeg; name=\"c.jpg\"\r\nContent-ID: <f_c>\r\nContent-Disposition: attachment\r\n\r\nC\r\n--b--\r\n";
        let inline: Vec<bool> = attachments_of(message).iter().map(|file| file.inline).collect();
        assert_eq!(inline, [true, true, false]);
    }

    #[test]
    fn it_is_said_of_each_text_whether_it_was_cut() {
        let message = b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n\
            four\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>fourteen</b>\r\n--b--\r\n";
        let hostname = "mail.example.test".parse().unwrap();
        for (text, html, wanted) in [(4, 15, (false, false)), (3, 15, (true, false)), (4, 14, (false, true))] {
            let facts = facts(&Bytes::from_static(message), &hostname, Limits { text, html, people: 1 });
            assert_eq!((facts.cut, facts.html_cut), wanted, "{text} {html}");
        }
    }

    #[test]
    fn a_page_that_is_cut_ends_by_saying_so() {
        let structure = Structure::of(b"Content-Type: text/html\r\n\r\n<p>One</p><p>Two</p>");
        let page = |limit| {
            let layout = Layout::of(&structure);
            markup(&structure, &layout, limit, Remote::Blocked, |_| String::new()).unwrap()
        };
        let (whole, part) = (page(1_000), page(10));
        assert!(!whole.cut && whole.markup == "<p>One</p><p>Two</p>", "{}", whole.markup);
        assert!(part.cut && part.markup == format!("<p>One</p>{}", html::REST), "{}", part.markup);
    }

    #[test]
    fn it_is_said_whether_people_are_missing() {
        let all = |fields: &str, most: usize| {
            let (people, is_cut) = people(&HeaderSection::of(fields.as_bytes()), "To", most);
            (people.into_iter().map(|person| person.address).collect::<Vec<_>>().join(" "), is_cut)
        };
        let two = "To: Ann <a@x.test>,\r\n b@x.test\r\n";
        assert_eq!(all(two, 2), ("a@x.test b@x.test".to_owned(), false));
        assert_eq!(all(two, 1), ("a@x.test".to_owned(), true));
        assert_eq!(all("To: a@x.test\r\nTo: b@x.test\r\n", 1), ("a@x.test".to_owned(), true));
        assert_eq!(all("Cc: a@x.test\r\n", 1), (String::new(), false));
    }

    #[test]
    fn lists_are_written_to() {
        for (field, wanted) in [
            ("<mailto:list@host.test>", Some("list@host.test")),
            ("<https://host.test/new>, <MAILTO:a%2Bb@host.test?subject=x> (list)", Some("a+b@host.test")),
            ("NO (announcements only)", None),
            ("<mailto:nobody>", None),
        ] {
            let message = format!("List-Post: {field}\r\n\r\n");
            assert_eq!(list_post(&HeaderSection::of(message.as_bytes())).as_deref(), wanted, "{field}");
        }
    }
}
