//! Writing the messages that scripts send: automatic replies and notifications.

use aws_lc_rs::digest::{SHA256, digest};

use crate::foundations::hexadecimal::hexadecimal;
use crate::foundations::mail::compose::{Charset, field};
use crate::foundations::mail::{CutInLines, HeaderSection, Message, SevenBit, cut_in_lines, date, encoded_words};
use crate::services::sieve::run::{Content, Run};

/// 64 hexadecimal digits that stand for these texts and no others.
pub(super) fn fingerprint(texts: &[&[u8]]) -> String {
    let mut whole = Vec::new();
    for text in texts {
        whole.extend_from_slice(&(text.len() as u64).to_be_bytes());
        whole.extend_from_slice(text);
    }
    hexadecimal(digest(&SHA256, &whole).as_ref())
}

/// The fields every message has, for the moment of this run. The Message-ID is derived from what the message answers, so that nothing
/// random is needed and yet no two are the same.
pub(super) fn beginning(run: &Run<'_, '_>, seed: &str) -> String {
    let situation = &run.situation;
    let now = situation.now;
    let unique = fingerprint(&[
        situation.account.key().as_bytes(),
        situation.reverse_path.to_string().as_bytes(),
        &now.timestamp_micros().to_be_bytes(),
        run.content.lines(),
        seed.as_bytes(),
    ]);
    let id = format!("<{}.sieve@{}>", &unique[..32], situation.hostname);
    let mut fields = field("Date", &date::write(now), Charset::Ascii);
    fields.push_str(&field("Message-ID", &id, Charset::Ascii));
    fields
}

/// The first field of that name of the message, as text.
pub(super) fn original(run: &Run<'_, '_>, name: &str) -> Option<String> {
    let fields = Content::fields(run.content.lines(), name);
    fields.first().map(|field| field.text().trim().to_owned()).filter(|text| !text.is_empty())
}

/// In-Reply-To and References, as RFC 5322 §3.6.4 makes them.
pub(super) fn threading(run: &Run<'_, '_>) -> String {
    let Some(id) = original(run, "Message-ID").filter(|id| id.len() <= MAX_ID) else { return String::new() };
    let references = original(run, "References").or_else(|| original(run, "In-Reply-To")).unwrap_or_default();
    // The oldest are the least important.
    let all: Vec<&str> = references.split_whitespace().filter(|id| id.len() <= MAX_ID).collect();
    let recent = &all[all.len().saturating_sub(MAX_REFERENCES)..];
    let references = recent.iter().copied().chain([id.as_str()]).collect::<Vec<_>>().join(" ");
    format!("{}{}", field("In-Reply-To", &id, Charset::Ascii), field("References", &references, Charset::Ascii))
}

/// Longest message id that is copied: a line cannot be longer.
const MAX_ID: usize = 900;
const MAX_REFERENCES: usize = 20;

/// A message of these fields and a text.
pub(super) fn with_text(mut fields: String, text: &str) -> Message {
    let transfer = if text.is_ascii() { "7bit" } else { "8bit" };
    fields.push_str("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n");
    fields.push_str(&field("Content-Transfer-Encoding", transfer, Charset::Ascii));
    fields.push_str("\r\n");
    push_lines(&mut fields, text);
    in_lines(fields)
}

/// A message of these fields and a MIME entity; only the content fields of the entity's header are used.
pub(super) fn with_entity(mut fields: String, entity: &str) -> Message {
    let section = HeaderSection::of(entity.as_bytes());
    fields.push_str("MIME-Version: 1.0\r\n");
    for field in section.fields() {
        if field.name.get(..8).is_some_and(|name| name.eq_ignore_ascii_case(b"content-")) {
            push_lines(&mut fields, &String::from_utf8_lossy(field.raw));
        }
    }
    fields.push_str("\r\n");
    push_lines(&mut fields, entity.get(section.body_start()..).unwrap_or_default());
    in_lines(fields)
}

/// The message; encoded, as far as possible, if its lines are longer than hosts must accept (RFC 5321 §4.5.3.1.6).
fn in_lines(message: String) -> Message {
    let message = Message::new(message);
    if cut_in_lines(message.original()) == CutInLines::Yes {
        return message;
    }
    let Ok(encoded) = SevenBit::of(message.bytes(), &[]) else { return message };
    let mut bytes = Vec::with_capacity(encoded.len());
    encoded.blocks().for_each(|block| bytes.extend_from_slice(&block));
    Message::new(bytes)
}

/// A subject from a script: encoded words in it are decoded, and its length is limited.
pub(super) fn subject_line(subject: &str) -> String {
    const LONGEST: usize = 256;
    let subject = encoded_words::decode(subject.as_bytes());
    match subject.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &subject[..end]),
        None => subject,
    }
}

fn push_lines(text: &mut String, lines: &str) {
    for line in lines.lines() {
        text.push_str(line);
        text.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::mail::{Structure, transfer};

    #[test]
    fn hosts_must_take_every_line() {
        for line in ["x".repeat(1500), "я".repeat(750), "short".to_owned(), "a\rb".to_owned()] {
            let text = format!("Hello\r\n{line}\r\n\r\nBye\r\n");
            let entity = format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{text}");
            let fields = || "Subject: x\r\n".to_owned();
            for message in [with_text(fields(), &text), with_entity(fields(), &entity)] {
                let bytes = message.bytes();
                assert_eq!(cut_in_lines(&bytes), CutInLines::Yes, "{message:?}");
                let structure = Structure::of(&bytes);
                let part = &structure.parts()[0];
                let read = transfer::decode(part.fields.encoding, structure.body(part), usize::MAX);
                assert_eq!(String::from_utf8_lossy(&read), text);
            }
        }
    }
}
