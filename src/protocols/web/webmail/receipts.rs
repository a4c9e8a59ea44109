//! Receipts (RFC 8098): a sender asks to be notified that a message was displayed. The user decides once: afterwards the
//! message has `$MDNSent` (RFC 3503), whatever was decided and in whichever program.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;

use super::Room;
use super::answer::{Answer, Problem, Wish};
use super::build::Correspondent;
use super::door::Reader;
use super::envelope::clean;
use super::people::may_use;
use super::read::{ids, people};
use super::reasons;
use super::send::{mail, not_taken};
use super::source;
use crate::foundations::address::{Address, ReversePath};
use crate::foundations::ids::MailId;
use crate::foundations::mail::compose::{self, Charset};
use crate::foundations::mail::{HeaderSection, Message, Uid, UnchangedSince, encoded_text};
use crate::protocols::web::caller::Caller;
use crate::protocols::web::token::fresh;
use crate::storage::mailbox::{Access, FlagChange, FlagOperation, Flags, Keyword, Row, View};

/// RFC 8098 §2.1.
const WANTED: &str = "Disposition-Notification-To";

/// The keyword of a message whose receipt was decided about (RFC 3503 §3).
fn decided() -> Answer<Keyword> {
    Keyword::parse("$MDNSent").map_err(|error| Problem::ours(&error))
}

/// Whom a message asks to tell that it was displayed.
pub(super) fn wanted(header: &HeaderSection<'_>) -> Option<String> {
    // RFC 8098 §2.1: several addresses ask for as many letters to people who may know nothing of it.
    let mut asking = people(header, WANTED, 2).0.into_iter();
    match (asking.next(), asking.next()) {
        (Some(one), None) if one.address.parse::<Address>().is_ok() => Some(one.address),
        _ => None,
    }
}

/// Whether the user is still to be asked.
pub(super) fn is_open(view: &View, row: &Row) -> bool {
    let is_decided = decided().is_ok_and(|keyword| view.keywords().names(row.keywords).any(|known| *known == keyword));
    !is_decided && !row.flags.contains(Flags::DRAFT)
}

/// The user's decision.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deciding {
    folder: String,
    uid: u32,
    /// What people read of the receipt; without it none is sent.
    receipt: Option<Letter>,
}

/// The page writes it in its language.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Letter {
    from: Correspondent,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    text: String,
}

/// Sends a receipt, or notes that none is to be sent.
pub(super) async fn decide(
    State(room): State<Arc<Room>>,
    Extension(caller): Extension<Caller>,
    reader: Reader,
    Wish(wish): Wish<Deciding>,
) -> Answer<Response> {
    let view = reader.open(&wish.folder, Access::ReadWrite).await?;
    let opened = source::open(&room, &view, wish.uid).await?;
    let facts = opened.block(|bytes| {
        let header = HeaderSection::of(bytes);
        let text = |name: &str| header.first(name).map(|field| clean(&field.text()));
        let message_id = text("Message-ID").and_then(|text| ids(&text).next());
        (wanted(&header), message_id, text("Original-Recipient"))
    });
    let (to, message_id, original) = facts.await?;
    drop(opened);
    let row = source::row(&view, wish.uid)?;
    let to = to.filter(|_| is_open(&view, &row)).ok_or_else(|| Problem::of(&reasons::NO_RECEIPT_WANTED))?;
    let Some(letter) = wish.receipt else {
        take(&view, &row).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let to: Address = to.parse().map_err(|_| Problem::of(&reasons::NO_RECEIPT_WANTED))?;
    let from = letter.from.parsed()?;
    may_use(&room, &reader, &from).await?;
    let receipt = Receipt { letter: &letter, from: &from, to: &to, message_id, original };
    let message = Message::new(receipt.build(&room)?);
    let mut mail = mail(&room, &caller, &reader, (from.clone(), vec![to.clone()]), message);
    // RFC 8098 §3: so that nothing ever answers it.
    mail.envelope.reverse_path = ReversePath::Null;
    let tasks = room.needs.tasks.clone();
    // If the browser disconnects midway, no receipt may be marked as sent that was not.
    let work = tasks.spawn(async move {
        // Before it is sent: who is faster, here or with another program, is the only one.
        take(&view, &row).await?;
        if let Err(refusal) = room.needs.submitting.submit(mail, &reader.login).await {
            give_back(&view, row.uid).await;
            return Err(not_taken(refusal));
        }
        Ok(())
    });
    work.await??;
    Ok(Json(serde_json::json!({ "to": to.to_string() })).into_response())
}

/// Sets the keyword, unless somebody else has changed the message since it was looked at.
async fn take(view: &View, row: &Row) -> Answer<()> {
    let change = FlagChange {
        operation: FlagOperation::Add,
        flags: Flags::NONE,
        keywords: vec![decided()?],
        unchanged_since: Some(UnchangedSince::ModSeq(row.mod_seq)),
    };
    let stored = view.store_flags(&[row.uid], &change).await?;
    if stored.uids().contains(&row.uid) { Ok(()) } else { Err(Problem::of(&reasons::MESSAGE_CHANGED)) }
}

async fn give_back(view: &View, uid: Uid) {
    let Ok(keyword) = decided() else { return };
    let change = FlagChange {
        operation: FlagOperation::Remove,
        flags: Flags::NONE,
        keywords: vec![keyword],
        unchanged_since: None,
    };
    if let Err(error) = view.store_flags(&[uid], &change).await {
        log::warn!("webmail: a receipt was not sent, but is marked as sent: {error}");
    }
}

/// A receipt before it is written.
struct Receipt<'a> {
    letter: &'a Letter,
    from: &'a Address,
    to: &'a Address,
    /// The Message-ID of the message that was displayed.
    message_id: Option<String>,
    /// The value of its Original-Recipient.
    original: Option<String>,
}

impl Receipt<'_> {
    /// RFC 8098 §3: a report of two parts; the message itself does not go back.
    fn build(&self, room: &Room) -> Answer<Vec<u8>> {
        let now = room.needs.clock.now();
        let boundary = fresh()?;
        let hostname = room.needs.hostname.get();
        let mut out = format!("Date: {}\r\n", compose::date(now));
        out += &compose::addresses("From", [(self.letter.from.name.as_str(), self.from)], Charset::Ascii);
        out += &compose::addresses("To", [("", self.to)], Charset::Ascii);
        out += &compose::field("Subject", &clean(&self.letter.subject), Charset::Ascii);
        out += &format!("Message-ID: <{}@{hostname}>\r\n", MailId::generate(now));
        if let Some(id) = &self.message_id {
            out += &compose::field("In-Reply-To", id, Charset::Ascii);
            out += &compose::field("References", id, Charset::Ascii);
        }
        // RFC 3834 §5: a person has pressed a button, but nobody is to answer.
        out += "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n";
        out += &format!(
            "Content-Type: multipart/report; report-type=disposition-notification;\r\n\tboundary=\"{boundary}\"\r\n\r\n"
        );
        let (text, encoding) = encoded_text(&self.letter.text);
        out += &format!(
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{text}\r\n"
        );
        out += &format!("--{boundary}\r\nContent-Type: message/disposition-notification\r\n\r\n");
        out += &format!("Reporting-UA: {hostname}; Postrider\r\n");
        if let Some(original) = self.original.as_ref().filter(|text| text.is_ascii() && text.len() < LONGEST) {
            out += &compose::field("Original-Recipient", original, Charset::Ascii);
        }
        out += &format!("Final-Recipient: rfc822;{}\r\n", self.from);
        if let Some(id) = &self.message_id {
            out += &compose::field("Original-Message-ID", id, Charset::Ascii);
        }
        // RFC 8098 §3.2.6.
        out += "Disposition: manual-action/MDN-sent-manually; displayed\r\n";
        out += &format!("\r\n--{boundary}--\r\n");
        Ok(out.into_bytes())
    }
}

/// Longest Original-Recipient that is sent back, in octets.
const LONGEST: usize = 500;
