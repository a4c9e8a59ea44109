//! Attachments of a message: fetched from where they are, and written as its parts (RFC 2045, RFC 2183).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Room;
use super::answer::{Answer, Problem};
use super::door::Reader;
use super::envelope::clean;
use super::parts::{file_name, percent};
use super::source::{self, Within};
use super::{reasons, signatures};
use crate::foundations::mail::{HeaderSection, Kind, Structure};
use crate::storage::mailbox::Access;

const MOST_FILES: usize = 100;

/// A file that goes along.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Named", untagged)]
pub(super) enum Attached {
    /// One that was uploaded.
    Upload { upload: String },
    /// A part of a message in the mailbox.
    Part { folder: String, uid: u32, within: Within, part: usize },
    /// A whole message.
    Message { folder: String, uid: u32 },
    /// A picture in the signature of an address.
    Signature { signature: String, cid: String },
}

/// One of these, as the page names it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(default, deserialize_with = "given")]
    upload: Option<String>,
    #[serde(default, deserialize_with = "given")]
    folder: Option<String>,
    #[serde(default, deserialize_with = "given")]
    uid: Option<u32>,
    #[serde(default, deserialize_with = "given")]
    part: Option<usize>,
    #[serde(default)]
    within: Within,
    #[serde(default, deserialize_with = "given")]
    signature: Option<String>,
    #[serde(default, deserialize_with = "given")]
    cid: Option<String>,
}

/// A parameter that is present has a value: an invalid part must not become the whole message.
fn given<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

impl TryFrom<Named> for Attached {
    type Error = &'static str;

    fn try_from(named: Named) -> Result<Self, Self::Error> {
        match named {
            Named { upload: Some(upload), folder: None, uid: None, part: None, within, signature: None, cid: None }
                if within.is_empty() =>
            {
                Ok(Self::Upload { upload })
            }
            Named { upload: None, folder: Some(folder), uid: Some(uid), part, within, signature: None, cid: None } => {
                match part {
                    Some(part) => Ok(Self::Part { folder, uid, within, part }),
                    None if within.is_empty() => Ok(Self::Message { folder, uid }),
                    None => Err(WANTED),
                }
            }
            Named {
                upload: None,
                folder: None,
                uid: None,
                part: None,
                within,
                signature: Some(signature),
                cid: Some(cid),
            } if within.is_empty() => Ok(Self::Signature { signature, cid }),
            _ => Err(WANTED),
        }
    }
}

const WANTED: &str = "an attachment is an `upload`, or a `folder` and a `uid`, perhaps with a `part` (and `within`), or a \
                      `signature` and a `cid`";

/// A file ready to go along.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) octets: Bytes,
}

impl File {
    /// The part with its header; with a Content-ID when a text shows it.
    pub(super) fn write(&self, cid: Option<&str>, out: &mut String) {
        let parameters = file_parameters(&self.name);
        // RFC 2046 §5.2.1: a message is not encoded; what could not travel so goes as a mere file.
        let message = (self.kind == "message/rfc822").then(|| std::str::from_utf8(&self.octets).ok()).flatten();
        if let Some(message) = message.filter(|message| travels(message)) {
            out.push_str(&format!(
                "Content-Type: message/rfc822\r\nContent-Disposition: attachment;{parameters}\r\n\r\n{message}"
            ));
            return;
        }
        let kind = if is_kind(&self.kind) { &self.kind } else { "application/octet-stream" };
        let place = match cid {
            Some(cid) => format!("Content-ID: <{cid}>\r\nContent-Disposition: inline"),
            None => "Content-Disposition: attachment".to_owned(),
        };
        out.push_str(&format!(
            "Content-Type: {kind}\r\n{place};{parameters}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        ));
        out.reserve(self.octets.len() * 4 / 3 + self.octets.len() / 28);
        for chunk in self.octets.chunks(57) {
            STANDARD.encode_string(chunk, out);
            out.push_str("\r\n");
        }
    }
}

/// Whether a message can stand in another as it is, over any way.
fn travels(message: &str) -> bool {
    message.is_ascii()
        && !message.contains('\0')
        && message.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n']))
}

/// `type/subtype` of something that needs no structure.
fn is_kind(kind: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && word.len() < 80
            && word.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-+._".contains(&octet))
    };
    let parts = kind.split_once('/');
    parts.is_some_and(|(media, subtype)| word(media) && word(subtype) && !matches!(media, "multipart" | "message"))
}

/// The name of a file as parameters (RFC 2231 §3, §4), each on its own line.
fn file_parameters(name: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\') || c == ' ';
    let name: String = clean(name).replace(['/', '\\'], "_");
    let name = if name.is_empty() { "file".to_owned() } else { name };
    if name.chars().all(plain) && name.len() <= 60 {
        return format!("\r\n\tfilename=\"{name}\"");
    }
    let encoded = format!("utf-8''{}", percent(&name));
    let mut parts: Vec<String> = vec![String::new()];
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        // Never within an encoded octet.
        let unit = if rest.starts_with('%') { 3 } else { 1 };
        let (now, later) = rest.split_at(unit.min(rest.len()));
        if parts.last().is_some_and(|part| part.len() + unit > 60) {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(now);
        }
        rest = later;
    }
    if let [only] = parts.as_slice() {
        return format!("\r\n\tfilename*={only}");
    }
    let lines: Vec<String> = parts.iter().enumerate().map(|(n, part)| format!("\r\n\tfilename*{n}*={part}")).collect();
    lines.join(";")
}

/// Fetches attachments from uploads and from messages.
pub(super) async fn files(room: &Arc<Room>, reader: &Reader, attached: &[&Attached]) -> Answer<Vec<File>> {
    if attached.len() > MOST_FILES {
        return Err(Problem::of(&reasons::TOO_MANY_ATTACHMENTS).with("most", MOST_FILES));
    }
    let limit = room.needs.settings.get().message.len();
    let (mut files, mut size) = (Vec::with_capacity(attached.len()), 0_usize);
    for one in attached {
        let file = match *one {
            Attached::Upload { upload } => {
                let found = room.uploads.get(&reader.account.address.key(), upload);
                let found = found.ok_or_else(|| Problem::of(&reasons::UPLOAD_GONE))?;
                File { name: found.name, kind: found.kind, octets: found.octets }
            }
            Attached::Part { folder, uid, within, part } => {
                from_message(room, reader, (folder, *uid, within), Some(*part)).await?
            }
            Attached::Message { folder, uid } => {
                from_message(room, reader, (folder, *uid, &Within::default()), None).await?
            }
            Attached::Signature { signature, cid } => {
                let found = signatures::stored(room, reader, signature, cid).await?;
                let (kind, octets) = found.ok_or_else(|| Problem::of(&reasons::ATTACHMENT_GONE))?;
                File { name: "signature".to_owned(), kind, octets }
            }
        };
        size = size.saturating_add(file.octets.len() / 3 * 4);
        if size > limit {
            return Err(too_large(room));
        }
        files.push(file);
    }
    Ok(files)
}

/// The answer to a message that is too large.
pub(super) fn too_large(room: &Room) -> Problem {
    let most = room.needs.settings.get().message;
    Problem::of(&reasons::LETTER_TOO_LARGE).with("most", most)
}

async fn from_message(
    room: &Arc<Room>,
    reader: &Reader,
    (folder, uid, within): (&str, u32, &Within),
    part: Option<usize>,
) -> Answer<File> {
    let view = reader.open(folder, Access::ReadOnly).await?;
    let opened = source::open(room, &view, uid).await?.inside(within).await?;
    let found = opened.block(move |bytes| {
        let structure = Structure::of(bytes);
        let Some(index) = part else {
            let subject =
                HeaderSection::of(bytes).first("Subject").map(|field| clean(&field.text())).unwrap_or_default();
            let name = if subject.is_empty() { "message.eml".to_owned() } else { format!("{subject}.eml") };
            return Some(File { name, kind: "message/rfc822".to_owned(), octets: bytes.clone() });
        };
        let part = structure.parts().get(index).filter(|part| part.kind != Kind::Multipart)?;
        let octets = Bytes::from(source::octets(&structure, part, usize::MAX).into_owned());
        Some(File { name: file_name(&structure, index), kind: source::kind(part), octets })
    });
    found.await?.ok_or_else(|| Problem::of(&reasons::ATTACHMENT_GONE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back() {
        for text in [
            r#"{"upload":"x"}"#,
            r#"{"folder":"A","uid":1,"within":"3.2","part":2}"#,
            r#"{"folder":"A","uid":1}"#,
            r#"{"signature":"ann@a.test","cid":"x@webmail"}"#,
        ] {
            let one: Attached = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&one).unwrap(), text);
        }
    }

    #[test]
    fn a_part_that_is_none_is_not_the_whole_message() {
        let read = |text: &str| serde_json::from_str::<Attached>(text);
        assert!(matches!(read(r#"{"upload":"x"}"#), Ok(Attached::Upload { .. })));
        assert!(matches!(read(r#"{"folder":"INBOX","uid":1,"part":2}"#), Ok(Attached::Part { part: 2, .. })));
        assert!(matches!(read(r#"{"folder":"INBOX","uid":1}"#), Ok(Attached::Message { .. })));
        for wrong in [
            r#""part":-1"#,
            r#""part":"2""#,
            r#""part":1.5"#,
            r#""part":null"#,
            r#""prat":2"#,
            r#""upload":"x""#,
            r#""within":"2""#,
            r#""signature":"ann@a.test","cid":"x@webmail""#,
        ] {
            assert!(read(&format!(r#"{{"folder":"INBOX","uid":1,{wrong}}}"#)).is_err(), "{wrong}");
        }
    }
}
