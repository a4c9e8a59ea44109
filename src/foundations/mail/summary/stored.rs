//! The stored form: a version, then numbers in groups of seven bits and strings after their lengths.

use super::message_id::thread;
use super::{Kept, KeptFields, ListedFields, SearchFields, Summary, listed};
use crate::foundations::mail::section::{Entry, Kind, Sections};
use crate::foundations::mail::{ContentDigest, HeaderDate, ThreadId};

impl Summary {
    /// Changes whenever the form, or what [`Summary::of`] makes of a message, changes.
    pub const VERSION: u8 = 4;

    /// Appends a compact form for storage, which [`Summary::read`] understands.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(Self::VERSION);
        for bytes in [&self.envelope, &self.body, &self.body_structure] {
            write_bytes(bytes, out);
        }
        self.sections.write(out);
        match self.sent {
            None => out.push(0),
            Some(HeaderDate { seconds, offset }) => {
                out.push(1);
                out.extend_from_slice(&seconds.to_le_bytes());
                out.extend_from_slice(&offset.to_le_bytes());
            }
        }
        let fields = &self.fields;
        for text in [
            &fields.from,
            &fields.to,
            &fields.cc,
            &fields.bcc,
            &fields.subject,
            &fields.message_id,
            &fields.in_reply_to,
            &self.preview,
        ] {
            write_bytes(text.as_bytes(), out);
        }
        write_number(fields.references.len() as u64, out);
        for id in &fields.references {
            write_bytes(id.as_bytes(), out);
        }
        out.push(match self.listed.as_ref().map(|listed| listed.kept) {
            None => 0,
            Some(Kept::Usual) => 1,
            Some(Kept::All) => 2,
            Some(Kept::NoMore) => 3,
        });
        write_bytes(self.listed.as_ref().map_or(&[][..], |listed| &listed.octets[..]), out);
        out.extend_from_slice(&self.digest.0);
    }

    /// Reads the stored form; `None` when it is of another version or damaged: compute it again then.
    pub fn read(stored: &[u8]) -> Option<Self> {
        let mut reader = Reader::of_summary(stored)?;
        let [envelope, body, body_structure] =
            [reader.bytes()?.to_vec(), reader.bytes()?.to_vec(), reader.bytes()?.to_vec()];
        let sections = reader.sections()?;
        let sent = reader.date()?;
        let mut fields = SearchFields {
            from: reader.text()?,
            to: reader.text()?,
            cc: reader.text()?,
            bcc: reader.text()?,
            subject: reader.text()?,
            message_id: reader.text()?,
            in_reply_to: reader.text()?,
            references: Vec::new(),
        };
        let preview = reader.text()?;
        for _ in 0..reader.number()? {
            fields.references.push(reader.text()?);
        }
        let listed = reader.listed()?.map(|(kept, octets)| KeptFields { kept, octets: octets.to_vec() });
        let digest = ContentDigest(reader.array()?);
        reader.rest.is_empty().then_some(Self {
            envelope,
            body,
            body_structure,
            sections,
            sent,
            fields,
            preview,
            listed,
            digest,
        })
    }

    /// What FETCH needs from a stored summary, by position; `None` when it is of another version or damaged.
    pub fn stored(stored: &[u8]) -> Option<StoredSummary<'_>> {
        let mut reader = Reader::of_summary(stored)?;
        let (envelope, body, body_structure) = (reader.bytes()?, reader.bytes()?, reader.bytes()?);
        reader.skip_sections()?;
        reader.date()?;
        let (_from, _to, _cc, _bcc, _subject) =
            (reader.bytes()?, reader.bytes()?, reader.bytes()?, reader.bytes()?, reader.bytes()?);
        let (message_id, in_reply_to, preview) = (reader.str()?, reader.str()?, reader.str()?);
        let mut first_reference = "";
        for place in 0..reader.number()? {
            match place {
                0 => first_reference = reader.str()?,
                _ => _ = reader.bytes()?,
            }
        }
        let listed = reader.listed()?.map(|(kept, octets)| ListedFields::new(kept, octets));
        let digest = ContentDigest(reader.array()?);
        let ids = [first_reference, in_reply_to, message_id];
        reader.rest.is_empty().then_some(StoredSummary { envelope, body, body_structure, preview, listed, digest, ids })
    }

    /// The size of the header that a stored summary needs to have the fields that few programs ask for; `None` when there are no
    /// more to be had.
    pub fn lacks(stored: &[u8]) -> Option<u64> {
        if Self::stored(stored)?.listed?.is_full() {
            return None;
        }
        Self::read(stored)?.sections.entries.first().map(|message| message.body)
    }

    /// A stored summary with those fields of the header.
    pub fn extended(stored: &[u8], header: &[u8]) -> Vec<u8> {
        let Some(usual) = Self::read(stored) else { return stored.to_vec() };
        let mut out = Vec::new();
        Self { listed: listed::all_of(header), ..usual }.write(&mut out);
        out
    }
}

/// A stored summary as FETCH reads it, without copying.
#[derive(Debug, Clone, Copy)]
pub struct StoredSummary<'a> {
    /// As [`Summary::envelope`].
    pub envelope: &'a [u8],
    /// As [`Summary::body`].
    pub body: &'a [u8],
    /// As [`Summary::body_structure`].
    pub body_structure: &'a [u8],
    /// As [`Summary::preview`].
    pub preview: &'a str,
    /// The fields that lists of messages show; `None` when they are not kept.
    pub listed: Option<ListedFields<'a>>,
    /// As [`Summary::digest`].
    pub digest: ContentDigest,
    /// What identifies the thread.
    ids: [&'a str; 3],
}

impl StoredSummary<'_> {
    /// As [`Summary::thread`].
    pub fn thread(&self) -> ThreadId {
        let [first_reference, in_reply_to, message_id] = self.ids;
        thread(first_reference, in_reply_to, message_id, self.digest)
    }
}

impl Sections {
    /// Appends a compact form for storage, which [`Sections::read`] understands.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_number(self.entries.len() as u64, out);
        for (index, entry) in (0_u64..).zip(&self.entries) {
            write_number(entry.start, out);
            write_number(entry.body - entry.start, out);
            write_number(entry.end - entry.body, out);
            let kind = match entry.kind {
                Kind::Leaf => 0,
                Kind::Multipart => 1,
                Kind::Message => 2,
            };
            write_number((u64::from(entry.next) - index) << 2 | kind, out);
        }
    }

    /// Reads the stored form; `None` when it is damaged.
    pub fn read(stored: &[u8]) -> Option<Self> {
        let mut reader = Reader { rest: stored };
        let sections = reader.sections()?;
        reader.rest.is_empty().then_some(sections)
    }
}

pub(super) fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        // The low seven bits fit into an octet.
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_number(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// At the beginning of these octets.
    pub const fn at(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// Behind the version of one of our summaries; `None` for another version.
    pub fn of_summary(stored: &'a [u8]) -> Option<Self> {
        let mut reader = Self { rest: stored };
        (reader.octet()? == Summary::VERSION).then_some(reader)
    }

    /// What has not been read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The date of a summary.
    pub fn date(&mut self) -> Option<Option<HeaderDate>> {
        Some(match self.octet()? {
            0 => None,
            _ => Some(HeaderDate {
                seconds: i64::from_le_bytes(self.array()?),
                offset: i16::from_le_bytes(self.array()?),
            }),
        })
    }

    /// Skips the positions of parts.
    pub fn skip_sections(&mut self) -> Option<()> {
        let count = self.number()?;
        for _ in 0..count {
            for _ in 0..4 {
                self.number()?;
            }
        }
        Some(())
    }

    /// The kept fields, if they are.
    fn listed(&mut self) -> Option<Option<(Kept, &'a [u8])>> {
        let kept = match self.octet()? {
            0 => None,
            1 => Some(Kept::Usual),
            2 => Some(Kept::All),
            3 => Some(Kept::NoMore),
            _ => return None,
        };
        self.bytes().map(|bytes| kept.map(|kept| (kept, bytes)))
    }

    /// One octet.
    pub fn octet(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*first)
    }

    /// A number.
    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..63).step_by(7) {
            let octet = self.octet()?;
            number |= u64::from(octet & 0x7f) << shift;
            if octet < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// Octets after their length.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn str(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn text(&mut self) -> Option<String> {
        self.str().map(str::to_owned)
    }

    fn sections(&mut self) -> Option<Sections> {
        let count = self.number()?;
        // Each entry takes four octets at least.
        if count > self.rest.len() as u64 / 4 {
            return None;
        }
        let mut entries = Vec::with_capacity(usize::try_from(count).ok()?);
        for index in 0..count {
            let start = self.number()?;
            let body = start.checked_add(self.number()?)?;
            let end = body.checked_add(self.number()?)?;
            let last = self.number()?;
            let kind = match last & 3 {
                0 => Kind::Leaf,
                1 => Kind::Multipart,
                2 => Kind::Message,
                _ => return None,
            };
            let next = index.checked_add(last >> 2)?;
            // A part ends after itself, and one that contains others contains at least one.
            let least = index + if kind == Kind::Leaf { 1 } else { 2 };
            if next < least || next > count {
                return None;
            }
            entries.push(Entry { start, body, end, kind, next: u32::try_from(next).ok()? });
        }
        Some(Sections { entries })
    }
}
