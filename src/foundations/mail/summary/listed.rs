//! The header fields that mail programs ask for when they show a list of messages, octet by octet: with them
//! `BODY[HEADER.FIELDS (…)]` is answered without opening the message.

use super::stored::{Reader, write_number};
use crate::foundations::mail::HeaderSection;

/// The fields that are kept: what Apple Mail, Thunderbird, K-9, FairEmail, mutt, Evolution and Roundcube ask for,
/// except the long ones used only to verify a message's origin. Their order is part of the stored form: changing it
/// requires a new [`Summary::VERSION`](super::Summary::VERSION).
const NAMES: [&str; 44] = [
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
];

/// Most octets of fields kept for one message; when it has more, none are kept and the message is opened instead.
const MOST: usize = 16 << 10;

/// Some of the names whose fields are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedNames(u64);

impl ListedNames {
    /// A set of names, in any case; `None` when the fields of one of them are not kept.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<Self> {
        let place = |name: &str| NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
        names.into_iter().try_fold(Self(0), |set, name| Some(Self(set.0 | 1 << place(name)?)))
    }

    /// Every name.
    pub const fn all() -> Self {
        Self((1 << NAMES.len()) - 1)
    }
}

/// The kept fields of one message, in the octets that [`Summary::write`](super::Summary::write) has made.
#[derive(Debug, Clone, Copy)]
pub struct ListedFields<'a>(&'a [u8]);

impl<'a> ListedFields<'a> {
    pub(super) const fn new(stored: &'a [u8]) -> Self {
        Self(stored)
    }

    /// Appends the fields of these names in their order in the message, and the empty line, which is there in any case
    /// (RFC 9051 §6.4.5.1).
    pub fn write(self, names: ListedNames, out: &mut Vec<u8>) {
        let mut reader = Reader::at(self.0);
        while let (Some(place), Some(field)) = (reader.octet(), reader.bytes()) {
            if names.0 & 1_u64.checked_shl(place.into()).unwrap_or(0) != 0 {
                out.extend_from_slice(field);
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The fields of a header that are kept, in their stored form; `None` when they are too long.
pub(super) fn of(header: &[u8]) -> Option<Vec<u8>> {
    let mut stored = Vec::new();
    for field in HeaderSection::of(header).fields() {
        let Some(place) = NAMES.iter().position(|name| field.is(name)) else { continue };
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
    fn names_fit_into_a_set() {
        assert!(NAMES.len() < 64);
        assert_eq!(ListedNames::of(NAMES), Some(ListedNames::all()));
    }
}
