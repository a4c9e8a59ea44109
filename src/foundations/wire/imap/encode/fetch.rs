//! FETCH responses (RFC 9051 §7.5.2).

use chrono::{DateTime, FixedOffset};

use super::{Out, without_nul};
use crate::foundations::mail::{EmailId, ModSeq, SequenceNumber, ThreadId, Uid};
use crate::foundations::wire::imap::date::write_date_time;
use crate::foundations::wire::imap::fetch::{Section, SectionText};

/// Writes one FETCH response, item by item, straight into the output.
#[derive(Debug)]
pub struct FetchWriter<'o> {
    out: &'o mut Out,
    separator: &'static [u8],
}

impl Out {
    /// Begins `* n FETCH (`.
    pub fn fetch(&mut self, number: SequenceNumber) -> FetchWriter<'_> {
        self.raw(b"* ").number(number.get()).raw(b" FETCH (");
        FetchWriter { out: self, separator: b"" }
    }

    /// The name of a section with its brackets, such as `[1.2.HEADER]`, as it stands in a response.
    pub fn section(&mut self, section: &Section) -> &mut Self {
        self.raw("[").display(&section.part);
        let dot = if section.part.0.is_empty() || section.text == SectionText::Whole { "" } else { "." };
        self.raw(dot);
        match &section.text {
            SectionText::Whole => {}
            SectionText::Header => _ = self.raw("HEADER"),
            SectionText::HeaderFields(names) => self.raw("HEADER.FIELDS ").field_names(names),
            SectionText::HeaderFieldsNot(names) => self.raw("HEADER.FIELDS.NOT ").field_names(names),
            SectionText::Mime => _ = self.raw("MIME"),
            SectionText::Text => _ = self.raw("TEXT"),
        }
        self.raw("]")
    }

    /// `<n>`: where a partial begins.
    pub fn origin(&mut self, origin: Option<u64>) -> &mut Self {
        match origin {
            Some(origin) => self.raw("<").number(origin).raw(">"),
            None => self,
        }
    }

    fn field_names(&mut self, names: &[String]) {
        self.list(names, |out, name| {
            out.astring(name);
        });
    }
}

impl<'o> FetchWriter<'o> {
    /// Writes further items into a response that has been begun by hand; the separator goes before the first.
    pub const fn within(out: &'o mut Out, separator: &'static str) -> Self {
        Self { out, separator: separator.as_bytes() }
    }

    /// Begins an item; its value follows through the output this returns.
    fn item(&mut self, name: &str) -> &mut Out {
        let separator = std::mem::replace(&mut self.separator, b" ");
        self.out.raw(separator).raw(name)
    }

    /// `UID n`.
    pub fn uid(&mut self, uid: Uid) -> &mut Self {
        self.item("UID ").number(uid.get());
        self
    }

    /// `FLAGS (…)`.
    pub fn flags<'f>(&mut self, flags: impl IntoIterator<Item = &'f str>) -> &mut Self {
        self.item("FLAGS ").words(flags);
        self
    }

    /// `MODSEQ (n)` (RFC 7162 §3.1.4.2).
    pub fn mod_seq(&mut self, mod_seq: ModSeq) -> &mut Self {
        self.item("MODSEQ (").number(mod_seq.get()).raw(b")");
        self
    }

    /// `INTERNALDATE "…"`.
    pub fn internal_date(&mut self, at: DateTime<FixedOffset>) -> &mut Self {
        write_date_time(at, self.item("INTERNALDATE ").buffer());
        self
    }

    /// `SAVEDATE "…"`, or NIL (RFC 8514).
    pub fn save_date(&mut self, at: Option<DateTime<FixedOffset>>) -> &mut Self {
        let out = self.item("SAVEDATE ");
        match at {
            Some(at) => write_date_time(at, out.buffer()),
            None => _ = out.raw("NIL"),
        }
        self
    }

    /// `EMAILID (…)` (RFC 8474).
    pub fn email_id(&mut self, id: EmailId) -> &mut Self {
        self.item("EMAILID (").display(id).raw(")");
        self
    }

    /// `THREADID (…)` (RFC 8474).
    pub fn thread_id(&mut self, id: ThreadId) -> &mut Self {
        self.item("THREADID (").display(id).raw(")");
        self
    }

    /// `RFC822.SIZE n`.
    pub fn size(&mut self, octets: u64) -> &mut Self {
        self.item("RFC822.SIZE ").number(octets);
        self
    }

    /// `PREVIEW "…"` (RFC 8970).
    pub fn preview(&mut self, text: &str) -> &mut Self {
        self.item("PREVIEW ").string(text);
        self
    }

    /// An item whose value is in its wire form already, such as `ENVELOPE`.
    pub fn ready(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.item(name).raw(b" ").raw(value);
        self
    }

    /// An item that is written out, with a literal as its value.
    pub fn literal(&mut self, name: &[u8], value: &[u8]) -> &mut Self {
        let separator = std::mem::replace(&mut self.separator, b" ");
        self.out.raw(separator).raw(name).raw(b" ").literal_header(value.len() as u64).raw(&*without_nul(value));
        self
    }

    /// Closes the response.
    pub fn end(self) {
        self.out.raw(b")\r\n");
    }
}
