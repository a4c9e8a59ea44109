//! The address books, which other programs see by CardDAV.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Asked, Problem, Wish};
use super::door::Reader;
use super::source;
use crate::foundations::clock::Timestamp;
use crate::foundations::event::{Event, EventKind};
use crate::foundations::mail::{Kind, Structure};
use crate::protocols::web::token::fresh;
use crate::services::dav::{Card, DEFAULT_ADDRESS_BOOK, Particulars, Unfit, etag};
use crate::storage::dav::{Collection, Condition, Draft, Error, Object};
use crate::storage::mailbox::Access;

/// Contacts that are read at a time, each of at most `dav.object`.
const PAGE: u32 = 50;

/// A contact in the list.
#[derive(Serialize)]
struct Line {
    book: String,
    object: String,
    name: String,
    address: Option<String>,
    organisation: String,
}

/// All contacts, by name.
pub(super) async fn list(State(room): State<Arc<Room>>, reader: Reader) -> Answer<Response> {
    // Reading whole address books takes memory and time, as a search does.
    let _turn = room.searches.acquire().await;
    let mut lines = Vec::new();
    for book in books(&room, &reader).await? {
        let mut after = String::new();
        loop {
            let page = room.needs.contacts.page(&book, &after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.info.name);
            let name = book.name.clone();
            let read = move || page.iter().map(|object| line(&name, object)).collect::<Vec<_>>();
            lines.extend(tokio::task::spawn_blocking(read).await?);
        }
    }
    lines.sort_by_cached_key(|line| (line.name.to_lowercase(), line.object.clone()));
    Ok(Json(serde_json::json!({ "contacts": lines })).into_response())
}

fn line(book: &str, object: &Object) -> Line {
    let read = Particulars::of(&String::from_utf8_lossy(&object.content));
    Line {
        book: book.to_owned(),
        object: object.info.name.clone(),
        name: read.name,
        address: read.addresses.into_iter().next(),
        organisation: read.organisation,
    }
}

/// Which contact.
#[derive(Deserialize)]
pub(super) struct Question {
    book: String,
    object: String,
}

/// One contact.
pub(super) async fn show(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(asked): Asked<Question>,
) -> Answer<Response> {
    let (_, object) = find(&room, &reader, &asked.book, &asked.object).await?;
    let contact = Particulars::of(&String::from_utf8_lossy(&object.content));
    let shown =
        serde_json::json!({ "book": asked.book, "object": asked.object, "etag": object.info.etag, "contact": contact });
    Ok(Json(shown).into_response())
}

/// A contact as it is to be. A new one has no name yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saving {
    contact: Particulars,
    #[serde(default)]
    changes: Option<Known>,
}

/// A contact as the page knows it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    book: String,
    object: String,
    etag: String,
}

impl Known {
    fn condition(&self) -> Condition {
        Condition { is: Some(vec![self.etag.clone()]), is_not: None }
    }
}

/// Stores a contact. Of one that is there, only what was changed is written anew.
pub(super) async fn save(State(room): State<Arc<Room>>, reader: Reader, Wish(wish): Wish<Saving>) -> Answer<Response> {
    let (needs, now) = (&room.needs, room.needs.clock.now());
    let contact = wish.contact.checked().map_err(unfit)?;
    let (book, condition, draft) = match &wish.changes {
        Some(known) => {
            let (book, object) = find(&room, &reader, &known.book, &known.object).await?;
            let card = contact.written_into(&String::from_utf8_lossy(&object.content), now);
            (book, known.condition(), draft(&known.object, &card)?)
        }
        None => {
            let id = fresh().ok_or_else(|| Problem::ours(&"there is no randomness to be had"))?;
            let book = default_book(books(&room, &reader).await?)?;
            let anew = Condition { is: None, is_not: Some(vec!["*".to_owned()]) };
            (book, anew, draft(&format!("{id}.vcf"), &contact.card(&id, now))?)
        }
    };
    let (settings, account) = (needs.dav.get(), &reader.account.address);
    if draft.content.len() as u64 > settings.object.get() {
        return Err(Problem::too_large("This contact is too large; shorten its note."));
    }
    needs.contacts.store(account, &book, &draft, &condition, &settings.limits(), now).await.map_err(refused)?;
    record(&room, &reader, "stored", &book, &draft.name);
    let stored = serde_json::json!({ "book": book.name, "object": draft.name, "etag": draft.etag });
    Ok(Json(stored).into_response())
}

/// Which part of a message has contacts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Importing {
    folder: String,
    uid: u32,
    part: usize,
}

/// Most contacts that are taken from one file.
const MOST_IMPORTED: usize = 1_000;

/// Takes the contacts of an attached file over. Those that are there already stay as they are.
pub(super) async fn import(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Wish(at): Wish<Importing>,
) -> Answer<Response> {
    let view = reader.open(&at.folder, Access::ReadOnly).await?;
    let opened = source::open(&room, &view, at.uid).await?;
    let now = room.needs.clock.now();
    let (settings, account) = (room.needs.dav.get(), &reader.account.address);
    let most = settings.object.len();
    let read = opened.block(move |bytes| {
        let structure = Structure::of(bytes);
        let part = structure.parts().get(at.part).filter(|part| part.kind == Kind::Leaf)?;
        let (text, _) = source::text(&structure, part, bytes.len());
        Some(cards(&text).take(MOST_IMPORTED).map(|card| taken_over(card, most, now)).collect::<Vec<_>>())
    });
    let drafts = read.await?.ok_or_else(|| Problem::missing("The message has no such part."))?;
    if drafts.is_empty() {
        return Err(Problem::bad("This file has no contacts."));
    }
    let book = default_book(books(&room, &reader).await?)?;
    let (mut added, mut known) = (0_usize, 0_usize);
    for draft in drafts {
        let draft = draft?;
        let anew = Condition { is: None, is_not: Some(vec!["*".to_owned()]) };
        match room.needs.contacts.store(account, &book, &draft, &anew, &settings.limits(), now).await {
            Ok(_) => {
                record(&room, &reader, "stored", &book, &draft.name);
                added += 1;
            }
            Err(Error::Condition | Error::UidTaken(_)) => known += 1,
            Err(error) => return Err(refused(error)),
        }
    }
    Ok(Json(serde_json::json!({ "added": added, "known": known })).into_response())
}

/// The cards in a file.
fn cards(text: &str) -> impl Iterator<Item = &str> {
    // The octets stand where they stood.
    let (upper, mut at) = (text.to_ascii_uppercase(), 0);
    std::iter::from_fn(move || {
        let start = at + upper[at..].find("BEGIN:VCARD")?;
        at = start + upper[start..].find("END:VCARD")? + "END:VCARD".len();
        text.get(start..at)
    })
}

/// A card as it is stored: as it came, with a UID if it has none; what cannot be stored so, by what is shown of it.
fn taken_over(card: &str, most: usize, now: Timestamp) -> Answer<Draft> {
    // The same file twice is the same contacts.
    let id = etag(card.as_bytes());
    let (name, content) = (format!("{id}.vcf"), format!("{card}\r\n"));
    let with_uid = content.replacen('\n', &format!("\nUID:{id}\r\n"), 1);
    let fitting = [content, with_uid].into_iter().filter(|content| content.len() <= most);
    for content in fitting {
        if let Ok(read) = Card::read(content.as_bytes()) {
            return Ok(read.draft(&name, content.as_bytes()));
        }
    }
    let shown = Particulars::of(card).checked().map_err(unfit)?;
    draft(&name, &shown.card(&id, now))
}

/// Removes a contact.
pub(super) async fn remove(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Wish(known): Wish<Known>,
) -> Answer<StatusCode> {
    let (book, _) = find(&room, &reader, &known.book, &known.object).await?;
    let (limits, account) = (room.needs.dav.get().limits(), &reader.account.address);
    let removed = room.needs.contacts.remove(account, &book, &known.object, &known.condition(), &limits).await;
    removed.map_err(refused)?;
    record(&room, &reader, "removed", &book, &known.object);
    Ok(StatusCode::NO_CONTENT)
}

async fn books(room: &Room, reader: &Reader) -> Answer<Vec<Collection>> {
    let limits = room.needs.dav.get().limits();
    Ok(room.needs.contacts.books(&reader.account.address, &limits, room.needs.clock.now()).await?)
}

/// Where new contacts go.
fn default_book(mut books: Vec<Collection>) -> Answer<Collection> {
    let at = books.iter().position(|book| book.name == DEFAULT_ADDRESS_BOOK).unwrap_or_default();
    if books.is_empty() {
        return Err(Problem::missing("There is no address book."));
    }
    Ok(books.swap_remove(at))
}

async fn find(room: &Room, reader: &Reader, book: &str, object: &str) -> Answer<(Collection, Object)> {
    let gone = || Problem::missing("This contact is not there any more.");
    let book = books(room, reader).await?.into_iter().find(|one| one.name == book).ok_or_else(gone)?;
    let object = room.needs.contacts.contact(&book, object).await?.ok_or_else(gone)?;
    Ok((book, object))
}

fn draft(name: &str, card: &str) -> Answer<Draft> {
    Card::read(card.as_bytes()).map(|read| read.draft(name, card.as_bytes())).map_err(unfit)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unfit(unfit: Unfit) -> Problem {
    Problem::bad(format!("This contact cannot be stored: {unfit}."))
}

fn refused(error: Error) -> Problem {
    match error {
        Error::Condition => {
            Problem::new(StatusCode::CONFLICT, "Another program has changed this contact. Open it again.")
        }
        Error::NoObject | Error::NoCollection => Problem::missing("This contact is not there any more."),
        Error::TooManyObjects(_) | Error::Full(_) => {
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "Your address book is full. Remove a contact first.")
        }
        error => error.into(),
    }
}

/// As for other programs that change calendars and address books.
pub(super) fn record(room: &Room, reader: &Reader, what: &'static str, book: &Collection, object: &str) {
    let event = Event::new(room.needs.clock.now(), EventKind::CollectionChanged).session(reader.session);
    let event = event.subject(reader.account.address.to_string()).with("what", what);
    room.needs.journal.record(event.with("path", format!("{}/{object}", book.name)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_of_files_are_taken_over() {
        const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_000_000);
        let file = "junk\r\nBEGIN:VCARD\r\nVERSION:3.0\r\nUID:own\r\nFN:Ann\r\nEMAIL:ann@x.test\r\nEND:VCARD\r\n\
                    begin:vcard\nVERSION:4.0\nFN:Bob\nBDAY:19700101\nend:vcard\n\
                    BEGIN:VCARD\r\nVERSION:2.1\r\nFN:Old\r\nTEL;HOME:1\r\nEND:VCARD\r\nBEGIN:VCARD\r\nFN:cut";
        let drafts: Vec<Draft> = cards(file).map(|card| taken_over(card, 10_000, NOW).unwrap()).collect();
        let texts: Vec<String> = drafts.iter().map(|one| String::from_utf8_lossy(&one.content).into_owned()).collect();
        assert_eq!(drafts.len(), 3, "{texts:?}");
        assert_eq!(drafts[0].uid, "own");
        assert!(texts[1].contains("BDAY:19700101") && texts[1].contains("UID:"), "{texts:?}");
        assert!(
            texts[2].contains("VERSION:3.0") && texts[2].contains("FN:Old") && texts[2].contains("TEL:1"),
            "{texts:?}"
        );
        assert!(taken_over("BEGIN:VCARD\r\nEND:VCARD", 10_000, NOW).is_err());
    }
}
