//! `mime` (RFC 5703 §4): looking into the header fields of parts.

use super::fields::HELD;
use crate::foundations::mail::Kind;
use crate::foundations::mail::content::{ContentType, Disposition, Parameters};
use crate::foundations::said::said;
use crate::services::sieve::check::Arguments;
use crate::services::sieve::program::{Value, texts};
use crate::services::sieve::run::{Content, Halt, Run};

/// The tags of `mime`.
#[derive(Debug)]
pub(super) struct Mime {
    /// All parts inside as well.
    any_child: bool,
    pub(super) piece: Piece,
}

/// What of a field with a type and parameters is looked at (RFC 5703 §4.2).
#[derive(Debug)]
pub(super) enum Piece {
    Whole,
    Type,
    Subtype,
    ContentType,
    Parameters(Vec<Value>),
}

impl Mime {
    /// Takes `:mime` and what goes with it; `pieces` says whether the tags that look into a field are allowed.
    pub(super) fn read(arguments: &mut Arguments<'_, '_>, pieces: bool) -> Option<Self> {
        let mime = arguments.tag("mime", "mime");
        let any_child = arguments.tag("anychild", "mime");
        let mut found = Vec::new();
        if pieces {
            found.extend(arguments.tag("type", "mime").map(|at| (at, Piece::Type)));
            found.extend(arguments.tag("subtype", "mime").map(|at| (at, Piece::Subtype)));
            found.extend(arguments.tag("contenttype", "mime").map(|at| (at, Piece::ContentType)));
            if let Some(names) = arguments.tag_values("param", "mime") {
                let at = names.first().map_or(arguments.call.at, |(at, _)| *at);
                found.push((at, Piece::Parameters(names.into_iter().map(|(_, name)| name).collect())));
            }
        }
        if let Some((at, _)) = found.get(1) {
            arguments.wrong_at(*at, said!("sieve-pieces", "use only one of :type, :subtype, :contenttype, :param"));
        }
        if mime.is_none()
            && let Some(at) = any_child.or(found.first().map(|(at, _)| *at))
        {
            let said = said!("sieve-needs-mime", "this tag looks into parts and is only used with ':mime'");
            arguments.wrong_at(at, said);
        }
        mime?;
        let piece = found.into_iter().next().map_or(Piece::Whole, |(_, piece)| piece);
        Some(Self { any_child: any_child.is_some(), piece })
    }

    /// The parts whose headers are looked at: that of the loop or the message, and with `:anychild` all inside it.
    pub(super) fn parts(&self, run: &Run<'_, '_>) -> Vec<usize> {
        let first = run.part.unwrap_or(0);
        let end =
            if self.any_child { run.content.parts().get(first).map_or(first + 1, |part| part.next) } else { first + 1 };
        (first..end).collect()
    }
}

impl Piece {
    pub(super) fn of(&self, body: &[u8], run: &mut Run<'_, '_>) -> Result<Vec<String>, Halt> {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let content = ContentType::read(body);
        // A field without a slash has a type alone, as Content-Disposition has.
        let first = || Disposition::read(body).map(|disposition| text(disposition.word));
        let value = match self {
            Self::Whole => Some(text(body)),
            Self::Type => content.map(|content| text(content.media)).or_else(first),
            Self::Subtype => Some(content.map_or_else(String::new, |content| text(content.subtype))),
            Self::ContentType => {
                content.map(|content| format!("{}/{}", text(content.media), text(content.subtype))).or_else(first)
            }
            Self::Parameters(names) => {
                let names = texts(names, run)?;
                let mut of = |parameters: &Parameters<'_>| -> Result<Vec<String>, Halt> {
                    let mut found = Vec::new();
                    for value in names.iter().filter_map(|name| parameters.text(name)) {
                        // All are held: the same parameter as often as it is named.
                        run.spend(HELD + value.len())?;
                        found.push(value);
                    }
                    Ok(found)
                };
                return match (content, Disposition::read(body)) {
                    (Some(content), _) => of(&content.parameters),
                    (None, Some(disposition)) => of(&disposition.parameters),
                    (None, None) => Ok(Vec::new()),
                };
            }
        };
        Ok(value.into_iter().collect())
    }
}

/// The type of a part, as far as it matters here.
#[derive(Debug, Clone)]
pub(super) struct PartType {
    media: String,
    subtype: String,
    pub(super) charset: String,
    pub(super) boundary: String,
}

impl PartType {
    pub(super) fn of(run: &Run<'_, '_>, index: usize) -> Self {
        Self::read(&run.content, index)
    }

    fn read(content: &Content, index: usize) -> Self {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).to_ascii_lowercase();
        let kind = content.parts().get(index).map(|part| part.kind);
        let field = content.part_field(index, "Content-Type").and_then(ContentType::read);
        let Some(field) = field else {
            // RFC 2046 §5.1.5: in a digest the default is another one.
            let (media, subtype) = if kind == Some(Kind::Message) { ("message", "rfc822") } else { ("text", "plain") };
            return Self {
                media: media.to_owned(),
                subtype: subtype.to_owned(),
                charset: "us-ascii".to_owned(),
                boundary: String::new(),
            };
        };
        Self {
            media: text(field.media),
            subtype: text(field.subtype),
            charset: field.parameters.raw("charset").map_or_else(|| "us-ascii".to_owned(), text),
            boundary: field
                .parameters
                .raw("boundary")
                .map_or_else(String::new, |b| String::from_utf8_lossy(b).into_owned()),
        }
    }

    pub(super) fn is_text(&self) -> bool {
        self.media == "text" || self.is_xhtml()
    }

    fn is_xhtml(&self) -> bool {
        self.media == "application" && self.subtype == "xhtml+xml"
    }

    pub(super) fn is_html(&self) -> bool {
        self.media == "text" && self.subtype == "html" || self.is_xhtml()
    }

    /// RFC 5173 §5.2: a type fits all its subtypes, `type/subtype` only itself, and the empty string everything.
    pub(super) fn fits(&self, wanted: &str) -> bool {
        let wanted = wanted.to_ascii_lowercase();
        match wanted.split_once('/') {
            _ if wanted.is_empty() => true,
            Some((media, subtype)) => {
                !media.is_empty() && !subtype.is_empty() && media == self.media && subtype == self.subtype
            }
            None => wanted == self.media,
        }
    }
}
