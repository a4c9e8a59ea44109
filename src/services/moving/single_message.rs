//! One message from a file or from an mbox. Pure.

use std::borrow::Cow;

use super::SpecialFolders;
use super::importer::date_within;
use super::stored_message::StoredMessage;
use crate::foundations::clock::Timestamp;
use crate::foundations::mail::{HeaderSection, crlf, mbox};
use crate::storage::mailbox::{Flags, Keyword, MailboxSettings};

/// A message, ready to be stored.
#[derive(Debug)]
pub struct SingleMessage {
    /// As it was sent, with CRLF line ends.
    pub content: Vec<u8>,
    /// What the program that stored it had noted.
    pub flags: Flags,
    /// The same.
    pub keywords: Vec<Keyword>,
    /// When it arrived, if it or the line before it says so.
    pub date: Option<Timestamp>,
}

/// Reads a message, possibly with an mbox line before it. `None` if it is not a message.
pub fn single_message(octets: &[u8]) -> Option<SingleMessage> {
    // Only folders named by Gmail labels depend on these.
    let special_folders = SpecialFolders::of(&MailboxSettings::default());
    let is_wrapped = mbox::is_mbox(octets);
    let StoredMessage { flags, keywords, content, is_internal, .. } =
        StoredMessage::of(if is_wrapped { mbox::unwrap(octets) } else { octets.to_vec() }, &special_folders);
    if is_internal || !is_message(&content) {
        return None;
    }
    let separator = mbox::separator_date(octets).map(|date| Timestamp::from_unix_seconds(date.and_utc().timestamp()));
    let date = separator.or_else(|| date_within(&content));
    // RFC 5322 §2.1
    let changed = match crlf(&content) {
        Cow::Owned(changed) => Some(changed),
        Cow::Borrowed(_) => None,
    };
    let content = changed.unwrap_or(content);
    Some(SingleMessage { content, flags, keywords, date })
}

/// Whether it has a header with a field that messages have: pictures and office documents have none.
fn is_message(content: &[u8]) -> bool {
    let header = HeaderSection::of(content);
    FIELDS.iter().any(|name| header.first(name).is_some())
}

/// RFC 5322 §3.6, and what the first host on its way adds.
const FIELDS: [&str; 6] = ["From", "Date", "Subject", "To", "Message-ID", "Received"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, Flags, Option<i64>)> {
        let found = single_message(text.as_bytes())?;
        let date = found.date.map(Timestamp::unix_seconds);
        Some((String::from_utf8(found.content).unwrap(), found.flags, date))
    }

    #[test]
    fn a_message_is_as_it_was_sent() {
        let date = "Date: Thu, 01 Jan 1970 00:01:00 +0000";
        let cases = [
            (format!("{date}\n\n>From here\n\n"), format!("{date}\r\n\r\n>From here\r\n\r\n"), Flags::NONE, 60),
            (format!("{date}\r\n\r\na\nb"), format!("{date}\r\n\r\na\r\nb"), Flags::NONE, 60),
            (
                format!("From a@b Thu Jan  1 00:02:00 1970\n{date}\nStatus: RO\n\n>From here\n\n"),
                format!("{date}\r\n\r\nFrom here\r\n"),
                Flags::SEEN,
                120,
            ),
        ];
        for (text, content, flags, date) in cases {
            assert_eq!(read(&text), Some((content, flags, Some(date))), "{text}");
        }
    }

    #[test]
    fn what_is_no_message_is_told() {
        for text in [
            "",
            "\n",
            "Just words\n",
            "Note: words\n\nwords\n",
            "PK\u{3}\u{4}\u{0}From: x",
            "From a@b Thu Jan  1 00:02:00 1970\n\n",
        ] {
            assert!(read(text).is_none(), "{text:?}");
        }
    }
}
