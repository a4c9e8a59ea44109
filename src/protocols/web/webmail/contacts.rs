//! The address books that other programs see by CardDAV.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Asked, Problem, Wish};
use super::door::Reader;
use super::envelope::Person;
use super::reasons;
use crate::foundations::address::Address;
use crate::foundations::event::{Event, EventKind};
use crate::protocols::web::token::fresh;
use crate::services::dav::{Card, DEFAULT_ADDRESS_BOOK, Member, Membership, Particulars, Unfit};
use crate::storage::dav::{Collection, Condition, Draft, Error, Object};

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
    /// Who is in a group, as far as there are addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<Person>,
}

/// All contacts, by name.
pub(super) async fn list(State(room): State<Arc<Room>>, reader: Reader) -> Answer<Response> {
    let read = each(&room, &reader, |book, object| {
        let card = String::from_utf8_lossy(&object.content);
        (line(book, object, &card), Membership::of(&card))
    });
    let mut lines = with_members(read.await?);
    lines.sort_by_cached_key(|line| (line.name.to_lowercase(), line.object.clone()));
    Ok(Json(serde_json::json!({ "contacts": lines })).into_response())
}

/// A way through the contacts of all address books, some at a time.
pub(super) struct Walk {
    room: Arc<Room>,
    account: Address,
    /// The books that are not read yet, the one that is being read first.
    books: VecDeque<Collection>,
    /// The last contact of that one.
    after: String,
}

impl Walk {
    pub(super) async fn begin(room: &Arc<Room>, reader: &Reader) -> Answer<Self> {
        let books = books(room, reader).await?.into();
        let account = reader.account.address.clone();
        Ok(Self { room: Arc::clone(room), account, books, after: String::new() })
    }

    /// The converted next contacts; `None` when there are no more.
    pub(super) async fn next<T: Send + 'static>(
        &mut self,
        make: impl Fn(&str, &Object) -> T + Copy + Send + 'static,
    ) -> Answer<Option<Vec<T>>> {
        // Reading whole address books takes memory and time, as a search does.
        let _turn = self.room.searches.take(&self.account).await;
        while let Some(book) = self.books.front() {
            let page = self.room.needs.contacts.page(book, &self.after, PAGE).await?;
            let Some(last) = page.last() else {
                self.books.pop_front();
                self.after.clear();
                continue;
            };
            self.after.clone_from(&last.info.name);
            let name = book.name.clone();
            let work = move || page.iter().map(|object| make(&name, object)).collect::<Vec<_>>();
            return Ok(Some(tokio::task::spawn_blocking(work).await?));
        }
        Ok(None)
    }
}

/// Each contact of all address books, converted.
pub(super) async fn each<T: Send + 'static>(
    room: &Arc<Room>,
    reader: &Reader,
    make: impl Fn(&str, &Object) -> T + Copy + Send + 'static,
) -> Answer<Vec<T>> {
    let (mut walk, mut made) = (Walk::begin(room, reader).await?, Vec::new());
    while let Some(some) = walk.next(make).await? {
        made.extend(some);
    }
    Ok(made)
}

/// Puts the members into groups, by the UIDs of all cards.
fn with_members(read: Vec<(Line, Membership)>) -> Vec<Line> {
    let person = |line: &Line| Some(Person { name: line.name.clone(), address: line.address.clone()? });
    let by_uid: HashMap<String, Person> =
        read.iter().filter_map(|(line, card)| Some((card.uid.clone(), person(line)?))).collect();
    let named = |member: Member| match member {
        Member::Address(address) => Some(Person { name: String::new(), address }),
        Member::Card(uid) => by_uid.get(&uid).cloned(),
    };
    let filled = read
        .into_iter()
        .map(|(line, card)| Line { members: card.members.into_iter().filter_map(named).collect(), ..line });
    filled.collect()
}

fn line(book: &str, object: &Object, card: &str) -> Line {
    let read = Particulars::of(card);
    Line {
        book: book.to_owned(),
        object: object.info.name.clone(),
        name: read.name,
        address: read.addresses.into_iter().next(),
        organisation: read.organisation,
        members: Vec::new(),
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
        Condition::unchanged(&self.etag)
    }
}

/// Stores a contact. In an existing one, only changed fields are rewritten.
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
            let id = fresh()?;
            let book = default_book(books(&room, &reader).await?)?;
            (book, Condition::absent(), draft(&format!("{id}.vcf"), &contact.card(&id, now))?)
        }
    };
    let (settings, account) = (needs.dav.get(), &reader.account.address);
    if draft.content.len() as u64 > settings.object.get() {
        return Err(Problem::of(&reasons::CONTACT_TOO_LARGE));
    }
    needs.contacts.store(account, &book, &draft, &condition, &settings.limits(), now).await.map_err(refused)?;
    record(&room, &reader, "stored", &book, &draft.name);
    let stored = serde_json::json!({ "book": book.name, "object": draft.name, "etag": draft.etag });
    Ok(Json(stored).into_response())
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

pub(super) async fn books(room: &Room, reader: &Reader) -> Answer<Vec<Collection>> {
    let limits = room.needs.dav.get().limits();
    Ok(room.needs.contacts.books(&reader.account.address, &limits, room.needs.clock.now()).await?)
}

/// Where new contacts go.
pub(super) fn default_book(mut books: Vec<Collection>) -> Answer<Collection> {
    let at = books.iter().position(|book| book.name == DEFAULT_ADDRESS_BOOK).unwrap_or_default();
    if books.is_empty() {
        return Err(Problem::of(&reasons::NO_ADDRESS_BOOK));
    }
    Ok(books.swap_remove(at))
}

async fn find(room: &Room, reader: &Reader, book: &str, object: &str) -> Answer<(Collection, Object)> {
    let gone = || Problem::of(&reasons::CONTACT_GONE);
    let book = books(room, reader).await?.into_iter().find(|one| one.name == book).ok_or_else(gone)?;
    let object = room.needs.contacts.contact(&book, object).await?.ok_or_else(gone)?;
    Ok((book, object))
}

pub(super) fn draft(name: &str, card: &str) -> Answer<Draft> {
    Card::read(card.as_bytes()).map(|read| read.draft(name, card.as_bytes())).map_err(unfit)
}

pub(super) fn unfit(unfit: Unfit) -> Problem {
    Problem::of(&reasons::CONTACT_UNFIT).with("why", unfit.said())
}

pub(super) fn refused(error: Error) -> Problem {
    match error {
        Error::Condition => Problem::of(&reasons::CONTACT_CHANGED),
        Error::NoObject | Error::NoCollection => Problem::of(&reasons::CONTACT_GONE),
        Error::TooManyObjects(_) | Error::Full(_) => Problem::of(&reasons::ADDRESS_BOOK_FULL),
        error => error.into(),
    }
}

/// As for other programs that change calendars and address books.
pub(super) fn record(room: &Room, reader: &Reader, what: &'static str, book: &Collection, object: &str) {
    let event = Event::new(room.needs.clock.now(), EventKind::CollectionChanged).session(reader.session);
    let event = event.subject(reader.account.address.to_string()).with("what", what);
    room.needs.journal.record(event.with("path", format!("{}/{object}", book.name)));
}
