//! Contacts in files: vCards (RFC 2426, RFC 6350) and tables (RFC 4180), imported and exported.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use serde::Deserialize;

use super::Room;
use super::answer::{Answer, Asked, Problem, Wish};
use super::contacts::{Walk, books, default_book, draft, each, record, refused, unfit};
use super::csv::{self, Columns};
use super::door::Reader;
use super::reasons;
use super::source;
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::{Kind, Structure, charset, transfer};
use crate::services::dav::{Card, Particulars, etag};
use crate::storage::dav::{Condition, Draft, Error, Object};
use crate::storage::mailbox::Access;

/// Where contacts are.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Importing {
    /// In a part of a message.
    Part(Part),
    /// In a file that was uploaded.
    Upload(Uploaded),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    folder: String,
    uid: u32,
    part: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Uploaded {
    upload: String,
}

/// Most contacts that are taken from one file.
const MOST_IMPORTED: usize = 10_000;

/// What a file holds: contacts that can be stored, and how many cannot.
#[derive(Default)]
struct Read {
    drafts: Vec<Draft>,
    unfit: usize,
    /// Beyond the most that are taken.
    left: usize,
}

/// Takes the contacts of a file over. Those that are there already stay as they are.
pub(super) async fn import(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Wish(wish): Wish<Importing>,
) -> Answer<Response> {
    let now = room.needs.clock.now();
    let (settings, account) = (room.needs.dav.get(), &reader.account.address);
    let most = settings.object.len();
    let read = match wish {
        Importing::Part(at) => {
            let view = reader.open(&at.folder, Access::ReadOnly).await?;
            let opened = source::open(&room, &view, at.uid).await?;
            let read = opened.block(move |bytes| {
                let structure = Structure::of(bytes);
                let part = structure.parts().get(at.part).filter(|part| part.kind == Kind::Leaf)?;
                Some(contacts(&source::text(&structure, part, bytes.len()).0, most, now))
            });
            read.await?.ok_or_else(|| Problem::of(&reasons::NO_PART))?
        }
        Importing::Upload(Uploaded { upload }) => {
            let found = room.uploads.get(&account.key(), &upload);
            let found = found.ok_or_else(|| Problem::of(&reasons::UPLOAD_GONE))?;
            let work = move || contacts(&decoded(&found.octets), most, now);
            let read = tokio::task::spawn_blocking(work).await?;
            room.uploads.drop_all(&account.key(), std::iter::once(upload.as_str()));
            read
        }
    };
    if read.drafts.is_empty() && read.unfit == 0 {
        return Err(Problem::of(&reasons::NO_CONTACTS_IN_IT));
    }
    let book = default_book(books(&room, &reader).await?)?;
    let (mut added, mut known) = (0_usize, 0_usize);
    for draft in read.drafts {
        match room.needs.contacts.store(account, &book, &draft, &Condition::absent(), &settings.limits(), now).await {
            Ok(_) => {
                record(&room, &reader, "stored", &book, &draft.name);
                added += 1;
            }
            Err(Error::Condition | Error::UidTaken(_)) => known += 1,
            Err(error) => return Err(refused(error)),
        }
    }
    let told = serde_json::json!({ "added": added, "known": known, "unfit": read.unfit, "left": read.left });
    Ok(Json(told).into_response())
}

/// Text of whatever program: UTF-8, or UTF-16 with its mark, or else what Windows had before.
fn decoded(octets: &[u8]) -> String {
    let (encoding, mark) = encoding_rs::Encoding::for_bom(octets).unwrap_or((encoding_rs::UTF_8, 0));
    let octets = &octets[mark..];
    match encoding.decode_without_bom_handling_and_without_replacement(octets) {
        Some(text) => text.into_owned(),
        None => encoding_rs::WINDOWS_1252.decode_without_bom_handling(octets).0.into_owned(),
    }
}

/// The contacts in a text: cards, or else the lines of a table.
fn contacts(text: &str, most: usize, now: Timestamp) -> Read {
    let mut read = Read::default();
    let mut take = |draft: Answer<Draft>| match draft {
        _ if read.drafts.len() + read.unfit >= MOST_IMPORTED => read.left += 1,
        Ok(draft) => read.drafts.push(draft),
        Err(_) => read.unfit += 1,
    };
    let mut has_cards = false;
    for card in cards(text) {
        has_cards = true;
        take(taken_over(card, most, now));
    }
    if !has_cards {
        csv::contacts(text).into_iter().for_each(|contact| take(of_table(contact, now)));
    }
    read
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

/// A card as it is stored: unchanged, but with a UID; if that is impossible, rebuilt from what is shown of it.
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
    let shown = Particulars::of(&without_quoted_printable(card)).checked().map_err(unfit)?;
    draft(&name, &shown.card(&id, now))
}

/// A card with text where it has quoted-printable. Version 2.1 has that, as telephones write it, and later ones have not.
fn without_quoted_printable(card: &str) -> String {
    let mut out = String::with_capacity(card.len());
    let mut lines = card.lines();
    while let Some(line) = lines.next() {
        let (head, value) = line.split_once(':').unwrap_or((line, ""));
        let upper = head.to_ascii_uppercase();
        let parameters = upper.split(';').skip(1).map(str::trim);
        if !parameters.clone().any(|one| one.trim_start_matches("ENCODING=") == "QUOTED-PRINTABLE") {
            out.extend([line, "\r\n"]);
            continue;
        }
        let mut value = value.to_owned();
        while value.ends_with('=')
            && let Some(more) = lines.next()
        {
            value.extend(["\r\n", more]);
        }
        // By itself it would part the value.
        let value = value.replace("=3B", "\\;").replace("=3b", "\\;");
        let octets = transfer::decode(Some(&b"quoted-printable"[..]), value.as_bytes(), value.len());
        let label = parameters.clone().find_map(|one| one.strip_prefix("CHARSET=")).unwrap_or("UTF-8");
        let text = charset::decode(label.as_bytes(), &octets).replace("\r\n", "\n").replace('\n', "\\n");
        out.extend([head, ":", &text, "\r\n"]);
    }
    out
}

fn of_table(contact: Particulars, now: Timestamp) -> Answer<Draft> {
    let contact = contact.checked().map_err(unfit)?;
    let id = etag(format!("{contact:?}").as_bytes());
    draft(&format!("{id}.vcf"), &contact.card(&id, now))
}

/// In which form contacts are given out.
#[derive(Deserialize)]
pub(super) struct Form {
    form: Written,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Written {
    /// Each card as it is stored, with all that programs have written into it.
    Vcf,
    /// A table of the fields that the webmail shows.
    Csv,
}

/// All contacts as a file, read and written as they are taken: address books may hold more than fits into memory.
pub(super) async fn export(
    State(room): State<Arc<Room>>,
    reader: Reader,
    Asked(asked): Asked<Form>,
) -> Answer<Response> {
    let walk = Walk::begin(&room, &reader).await?;
    let (kind, name, body) = match asked.form {
        Written::Vcf => {
            let card =
                |_: &str, object: &Object| String::from_utf8_lossy(&object.content).trim_end().to_owned() + "\r\n";
            ("text/vcard; charset=utf-8", "attachment; filename=\"contacts.vcf\"", pieces(walk, String::new(), card))
        }
        Written::Csv => {
            // As many columns as the contact with most of something needs: that is known when all have been looked at.
            let columns = each(&room, &reader, |_, object| Columns::of(&shown(object))).await?;
            let columns = columns.into_iter().fold(Columns::default(), Columns::with);
            let line = move |_: &str, object: &Object| columns.line(&shown(object));
            let table = pieces(walk, columns.heading(), line);
            ("text/csv; charset=utf-8", "attachment; filename=\"contacts.csv\"", table)
        }
    };
    let headers =
        [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}

fn shown(object: &Object) -> Particulars {
    Particulars::of(&String::from_utf8_lossy(&object.content))
}

/// The heading, and the text of each contact.
fn pieces(walk: Walk, before: String, write: impl Fn(&str, &Object) -> String + Copy + Send + 'static) -> Body {
    let contacts = futures_util::stream::unfold(Some(walk), move |walk| async move {
        let mut walk = walk?;
        match walk.next(write).await {
            Ok(some) => some.map(|some| (Ok(some.concat()), Some(walk))),
            // The connection ends, so that nobody takes a part for the whole.
            Err(_) => Some((Err(std::io::Error::other("the contacts cannot be read any further")), None)),
        }
    });
    Body::from_stream(futures_util::stream::iter([Ok(before)]).chain(contacts))
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

    #[test]
    fn what_telephones_write_is_read() {
        let card = "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=B6rg;;;\r\n\
                    FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:J=C3=B6rg =\r\nM=C3=BCller\r\nTEL;CELL:1\r\n\
                    NOTE;quoted-printable;charset=iso-8859-1:gr=FCn=0D=0Ab=3Bc=\r\n\r\nORG:A=B\r\nEND:VCARD";
        let draft = taken_over(card, 10_000, Timestamp::from_unix_seconds(1_795_000_000)).unwrap();
        let read = Particulars::of(std::str::from_utf8(&draft.content).unwrap());
        assert_eq!((read.name.as_str(), read.note.as_str()), ("Jörg Müller", "grün\nb;c"));
        assert_eq!((read.telephones, read.organisation.as_str()), (vec!["1".to_owned()], "A=B"));
    }
}
