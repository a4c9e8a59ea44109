//! The header fields that mail programs ask for when they show a list of messages, octet by octet: with them
//! `BODY[HEADER.FIELDS (…)]` is answered without opening the message.

use super::stored::{Reader, write_number};
use crate::foundations::mail::HeaderSection;

/// The fields that can be kept: what Apple Mail, Thunderbird, K-9, Delta Chat, mutt, Evolution, Roundcube and Outlook Express ask
/// for. Their order is part of the stored form: changing it requires a new [`Summary::VERSION`](super::Summary::VERSION), but not
/// adding others at the end.
const NAMES: [&str; 67] = [
    "Date",
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Subject",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Description",
    "Content-Class",
    "Priority",
    "X-Priority",
    "Importance",
    "Lines",
    "Newsgroups",
    "Followup-To",
    "List-Id",
    "List-Post",
    "List-Subscribe",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Mailing-List",
    "X-Mailing-List",
    "Disposition-Notification-To",
    "Return-Receipt-To",
    "Return-Path",
    "Delivered-To",
    "X-Original-To",
    "X-Label",
    "X-Mailer",
    "User-Agent",
    "Organization",
    "Auto-Submitted",
    "Precedence",
    "X-Spam-Flag",
    "X-Uniform-Type-Identifier",
    "X-Universally-Unique-Identifier",
    "X-K9mail-Identity",
    // From here on they are kept only of messages of which somebody has asked for one: some are long, and few programs do.
    "Authentication-Results",
    "DKIM-Signature",
    "Received-SPF",
    "BIMI-Indicator",
    "BIMI-Location",
    "X-BIMI-Indicator-Hash",
    "X-Spam-Status",
    "X-Forefront-Antispam-Report",
    "Chat-Version",
    "Chat-Is-Post-Message",
    "Autocrypt-Setup-Message",
    "X-Microsoft-Original-Message-ID",
    "X-Draft-Info",
    "Mail-Followup-To",
    "Mail-Reply-To",
    "X-Calendar-Attachment",
    "X-Loop",
    "X-List",
    "X-BeenThere",
    "Originator",
    "X-Ref",
    "X-MSMail-Priority",
    "X-MSOESRec",
];
/// How many of them are always kept.
const USUAL: usize = 44;

/// Most octets of fields kept for one message; when it has more, none are kept and the message is opened instead.
const MOST: usize = 16 << 10;

/// Which of the fields of a message are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Those that most programs ask for.
    Usual,
    /// All that can be.
    All,
    /// The usual ones, because all would be too long.
    NoMore,
}

/// The kept fields of one message in their stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFields {
    /// Which these are.
    pub kept: Kept,
    /// The fields.
    pub octets: Vec<u8>,
}

/// Some of the names whose fields can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedNames(u128);

impl ListedNames {
    /// A set of names, in any case; `None` when the fields of one of them are never kept.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<Self> {
        let place = |name: &str| NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
        names.into_iter().try_fold(Self(0), |set, name| Some(Self(set.0 | 1 << place(name)?)))
    }

    /// Every name.
    pub const fn all() -> Self {
        Self((1 << NAMES.len()) - 1)
    }

    /// Whether their fields are kept of every message.
    pub const fn are_usual(self) -> bool {
        self.0 >> USUAL == 0
    }
}

/// The kept fields of one message, in the octets that [`Summary::write`](super::Summary::write) has made.
#[derive(Debug, Clone, Copy)]
pub struct ListedFields<'a> {
    kept: Kept,
    octets: &'a [u8],
}

impl<'a> ListedFields<'a> {
    pub(super) const fn new(kept: Kept, octets: &'a [u8]) -> Self {
        Self { kept, octets }
    }

    /// Whether the fields of these names are here, as far as the message has them.
    pub fn has(self, names: ListedNames) -> bool {
        self.kept == Kept::All || names.are_usual()
    }

    /// Whether reading the message again would find no more to keep.
    pub(super) fn is_full(self) -> bool {
        self.kept != Kept::Usual
    }

    /// Appends the fields of these names in their order in the message, and the empty line, which is there in any case
    /// (RFC 9051 §6.4.5.1).
    pub fn write(self, names: ListedNames, out: &mut Vec<u8>) {
        let mut reader = Reader::at(self.octets);
        while let (Some(place), Some(field)) = (reader.octet(), reader.bytes()) {
            if names.0 & 1_u128.checked_shl(place.into()).unwrap_or(0) != 0 {
                out.extend_from_slice(field);
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The usual fields of a header; `None` when they are too long to be kept.
pub(super) fn of(header: &[u8]) -> Option<KeptFields> {
    stored(header, &NAMES[..USUAL]).map(|octets| KeptFields { kept: Kept::Usual, octets })
}

/// All fields of a header that can be kept, or the usual ones if all are too long.
pub(super) fn all_of(header: &[u8]) -> Option<KeptFields> {
    match stored(header, &NAMES) {
        Some(octets) => Some(KeptFields { kept: Kept::All, octets }),
        None => of(header).map(|usual| KeptFields { kept: Kept::NoMore, ..usual }),
    }
}

/// The fields of these names; `None` when they are too long.
fn stored(header: &[u8], names: &[&str]) -> Option<Vec<u8>> {
    let mut stored = Vec::new();
    for field in HeaderSection::of(header).fields() {
        let Some(place) = names.iter().position(|name| field.is(name)) else { continue };
        // A header that ends without a line end gets one when its fields are shown.
        let end: &[u8] = if field.raw.ends_with(b"\n") { b"" } else { b"\r\n" };
        // There are far fewer than 256 names.
        stored.push(place as u8);
        write_number((field.raw.len() + end.len()) as u64, &mut stored);
        stored.extend_from_slice(field.raw);
        stored.extend_from_slice(end);
        if stored.len() > MOST {
            return None;
        }
    }
    Some(stored)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::mail::Summary;

    fn answered(message: &[u8], names: &[&str]) -> Option<Vec<u8>> {
        let mut stored = Vec::new();
        Summary::of(message).write(&mut stored);
        let mut out = Vec::new();
        Summary::stored(&stored)?.listed?.write(ListedNames::of(names.iter().copied())?, &mut out);
        Some(out)
    }

    #[test]
    fn fields_come_as_they_stand() {
        let message = b"X: 1\r\nto:  a,\r\n\tb\r\nSubject : c\r\nTO: d\r\n continued\r\nDate: x\r\n\r\nTo: body\r\n";
        let wanted = b"to:  a,\r\n\tb\r\nTO: d\r\n continued\r\n\r\n";
        assert_eq!(answered(message, &["To"]).unwrap(), wanted);
        assert_eq!(answered(message, &["SUBJECT", "date", "From"]).unwrap(), b"Subject : c\r\nDate: x\r\n\r\n");
        assert_eq!(answered(b"Subject: no end", &["Subject"]).unwrap(), b"Subject: no end\r\n\r\n");
        assert_eq!(answered(b"", &["Subject"]).unwrap(), b"\r\n");
        assert_eq!(answered(message, &["X"]), None);
    }

    #[test]
    fn too_many_are_not_kept() {
        let message = "To: somebody@example.test\r\n".repeat(1_000);
        assert_eq!(answered(message.as_bytes(), &["To"]), None);
    }

    #[test]
    fn fields_that_few_programs_ask_for_are_kept_once_somebody_has() {
        let long = "x".repeat(MOST);
        for (value, known) in [("y", true), (&long[..], false)] {
            let message = format!("Subject: c\r\nDKIM-Signature: {value}\r\n\r\n");
            let mut usual = Vec::new();
            Summary::of(format!("{message}text").as_bytes()).write(&mut usual);
            assert_eq!(Summary::lacks(&usual), Some(message.len() as u64), "{value}");
            let full = Summary::extended(&usual, message.as_bytes());
            assert_eq!(Summary::lacks(&full), None, "{value}");
            let [with, without] = [&full, &usual].map(|stored| Summary::read(stored).unwrap());
            assert_eq!(Summary { listed: None, ..with }, Summary { listed: None, ..without });
            for (stored, knows) in [(&usual, false), (&full, known)] {
                let listed = Summary::stored(stored).unwrap().listed.unwrap();
                let [subject, signature] =
                    [["Subject"], ["dkim-signature"]].map(|names| ListedNames::of(names).unwrap());
                assert!(subject.are_usual() && !signature.are_usual());
                assert!(listed.has(subject) && listed.has(signature) == knows, "{value}");
                let mut out = Vec::new();
                listed.write(subject, &mut out);
                assert_eq!(out, b"Subject: c\r\n\r\n");
            }
        }
        // There is nothing more to be had from a message whose usual fields are too long.
        let mut stored = Vec::new();
        Summary::of("To: somebody@example.test\r\n".repeat(1_000).as_bytes()).write(&mut stored);
        assert_eq!((Summary::lacks(&stored), Summary::lacks(b"damaged")), (None, None));
        assert_eq!(Summary::extended(b"damaged", b""), b"damaged");
    }

    #[test]
    fn names_fit_into_a_set() {
        assert!(NAMES.len() < 128);
        assert_eq!(ListedNames::of(NAMES), Some(ListedNames::all()));
        assert_eq!(ListedNames::of(NAMES[..USUAL].iter().copied()).map(ListedNames::are_usual), Some(true));
    }
}
