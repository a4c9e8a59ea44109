//! BODY and BODYSTRUCTURE (RFC 9051 §7.5.2).

use super::envelope::EnvelopeFields;
use super::strings::{nstring, number, string};
use crate::foundations::mail::Structure;
use crate::foundations::mail::content::{self, ContentType, Disposition, Parameters};
use crate::foundations::mail::header::unfold;
use crate::foundations::mail::section::Kind;
use crate::foundations::mail::structure::Part;

/// Whether extension data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extensions {
    /// BODYSTRUCTURE.
    With,
    /// BODY.
    Without,
}

/// Writes the structure of the whole message.
pub(super) fn write(structure: &Structure<'_>, extensions: Extensions, out: &mut Vec<u8>) {
    Writer { structure, extensions, out }.part(0);
}

struct Writer<'a, 's, 'o> {
    structure: &'s Structure<'a>,
    extensions: Extensions,
    out: &'o mut Vec<u8>,
}

impl<'a> Writer<'a, '_, '_> {
    /// ```text
    /// body = "(" (body-type-1part / body-type-mpart) ")"      ; RFC 9051 §9
    /// ```
    /// Calls itself no deeper than `structure::MAX_DEPTH`.
    fn part(&mut self, index: usize) {
        let part = &self.structure.parts()[index];
        self.out.push(b'(');
        if part.kind == Kind::Multipart {
            self.multipart(index, part);
        } else {
            self.single(index, part);
        }
        self.out.push(b')');
    }

    /// ```text
    /// body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart]
    /// body-ext-mpart  = body-fld-param [SP body-fld-dsp [SP body-fld-lang [SP body-fld-loc *(SP body-extension)]]]
    /// ```
    fn multipart(&mut self, index: usize, part: &Part<'a>) {
        for child in self.structure.children(index) {
            self.part(child);
        }
        self.out.push(b' ');
        string(part.content.subtype, self.out);
        if self.extensions == Extensions::With {
            self.out.push(b' ');
            parameters(&part.content.parameters, None, self.out);
            self.common_extensions(part);
        }
    }

    /// ```text
    /// body-type-1part = (body-type-basic / body-type-msg / body-type-text) [SP body-ext-1part]
    /// body-fields     = body-fld-param SP body-fld-id SP body-fld-desc SP body-fld-enc SP body-fld-octets
    /// body-type-msg   = media-message SP body-fields SP envelope SP body SP body-fld-lines
    /// body-type-text  = media-text SP body-fields SP body-fld-lines
    /// body-ext-1part  = body-fld-md5 [SP body-fld-dsp [SP body-fld-lang [SP body-fld-loc *(SP body-extension)]]]
    /// ```
    fn single(&mut self, index: usize, part: &Part<'a>) {
        let ContentType { media, subtype, parameters: given } = &part.content;
        let is_text = part.content.is("text");
        string(media, self.out);
        self.out.push(b' ');
        string(subtype, self.out);
        self.out.push(b' ');
        // RFC 2045 §5.2: without a charset, text is US-ASCII.
        parameters(given, is_text.then_some((b"charset", b"us-ascii")), self.out);
        for body in [part.fields.id, part.fields.description] {
            self.field(body);
        }
        self.out.push(b' ');
        let encoding = part.fields.encoding.map(content::word).filter(|word| !word.is_empty());
        // RFC 2045 §6.1: 7bit is the default.
        string(encoding.unwrap_or(b"7bit"), self.out);
        number(part.end - part.body, b" ", self.out);
        if part.kind == Kind::Message {
            self.out.push(b' ');
            let inner = &self.structure.parts()[index + 1];
            EnvelopeFields::of(self.structure.header(inner)).write(self.out);
            self.out.push(b' ');
            self.part(index + 1);
        }
        if is_text || part.kind == Kind::Message {
            number(part.lines, b" ", self.out);
        }
        if self.extensions == Extensions::With {
            self.field(part.fields.md5);
            self.common_extensions(part);
        }
    }

    /// Disposition, language and location, each after a blank.
    fn common_extensions(&mut self, part: &Part<'a>) {
        match part.fields.disposition.and_then(Disposition::read) {
            Some(disposition) => {
                self.out.extend_from_slice(b" (");
                string(disposition.word, self.out);
                self.out.push(b' ');
                parameters(&disposition.parameters, None, self.out);
                self.out.push(b')');
            }
            None => self.out.extend_from_slice(b" NIL"),
        }
        self.out.push(b' ');
        languages(part.fields.language, self.out);
        self.field(part.fields.location);
    }

    /// A blank and a field's value; NIL when the field is absent.
    fn field(&mut self, body: Option<&[u8]>) {
        self.out.push(b' ');
        nstring(body.map(unfold).as_deref(), self.out);
    }
}

/// ```text
/// body-fld-param = "(" string SP string *(SP string SP string) ")" / nil
/// ```
/// The default is written when no parameter of its name is given.
fn parameters(given: &Parameters<'_>, default: Option<(&[u8], &[u8])>, out: &mut Vec<u8>) {
    let default = default.filter(|(name, _)| !given.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)));
    let start = out.len();
    for (name, value) in given.iter().chain(default) {
        out.push(if out.len() == start { b'(' } else { b' ' });
        string(name, out);
        out.push(b' ');
        string(value, out);
    }
    out.extend_from_slice(if out.len() == start { b"NIL" } else { b")" });
}

/// ```text
/// body-fld-lang = nstring / "(" string *(SP string) ")"
/// ```
fn languages(body: Option<&[u8]>, out: &mut Vec<u8>) {
    let tags: Vec<&[u8]> = body
        .into_iter()
        .flat_map(|body| body.split(|b| *b == b','))
        .map(content::word)
        .filter(|tag| !tag.is_empty())
        .take(MAX_LANGUAGES)
        .collect();
    match &tags[..] {
        [] => out.extend_from_slice(b"NIL"),
        [one] => string(one, out),
        [first, rest @ ..] => {
            out.push(b'(');
            string(first, out);
            for tag in rest {
                out.push(b' ');
                string(tag, out);
            }
            out.push(b')');
        }
    }
}

/// Most languages of one part that are told.
const MAX_LANGUAGES: usize = 100;
