//! The letter.

use crate::foundations::address::{Address, Domain, ReversePath};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::{MailId, SessionId};
use crate::foundations::mail::compose::{Charset, addresses, date, field, message_id};
use crate::foundations::mail::{BodyKind, Envelope, Mail, Message, Origin};
use crate::foundations::random::distinction;
use crate::storage::quarantine::Note;

/// What a letter says.
pub(super) struct Contents<'c> {
    /// Whose mail it is about.
    pub(super) to: &'c Address,
    /// Who writes, and is asked for what the queue holds.
    pub(super) from: &'c Address,
    /// Our name.
    pub(super) hostname: &'c Domain,
    /// The folder of the messages that the queue does not hold.
    pub(super) folder: &'c str,
    /// How long the queue holds a message, in words; `None` for ever.
    pub(super) lifetime: Option<String>,
    /// The messages, the oldest first.
    pub(super) notes: &'c [Note],
    /// Whether there are more than these.
    pub(super) more: bool,
}

impl Contents<'_> {
    /// The letter, without recipients in its envelope.
    pub(super) fn mail(&self, now: Timestamp) -> Mail {
        let text = self.text();
        let encoding = if text.is_ascii() { "7bit" } else { "8bit" };
        let charset = Charset::Ascii;
        let header = [
            addresses("From", [("Postrider", self.from)], charset),
            addresses("To", [("", self.to)], charset),
            field("Subject", &self.subject(), charset),
            format!("Date: {}\r\n", date(now)),
            format!("Message-ID: {}\r\n", message_id(now, distinction(), self.hostname)),
            // RFC 3834 §5: nobody's vacation answers it.
            "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n".to_owned(),
            format!("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"),
        ];
        Mail {
            id: MailId::generate(now),
            origin: Origin::internal(SessionId::generate(now), now),
            envelope: Envelope {
                body: BodyKind::of(text.as_bytes()),
                ..Envelope::plain(ReversePath::Null, Vec::new())
            },
            message: Message::new((header.concat() + &text.replace('\n', "\r\n")).into_bytes()),
        }
    }

    fn subject(&self) -> String {
        match (self.notes.len(), self.more) {
            (count, true) => format!("More than {count} messages were put into quarantine"),
            (1, false) => "1 message was put into quarantine".to_owned(),
            (count, false) => format!("{count} messages were put into quarantine"),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("These messages to {} look unwanted and were kept out of your inbox.\n", self.to);
        let (held, stored): (Vec<&Note>, Vec<&Note>) = self.notes.iter().partition(|note| note.entry.is_some());
        if !stored.is_empty() {
            text.push_str(&format!(
                "\nIn your folder \"{}\". To get one, move it into your inbox, with your mail program or in the webmail;\n\
                 the filter learns from that.\n",
                self.folder
            ));
            stored.iter().for_each(|note| entry(note, &mut text));
        }
        if !held.is_empty() {
            let until = match &self.lifetime {
                Some(lifetime) => format!(" They are deleted after {lifetime}."),
                None => String::new(),
            };
            text.push_str(&format!(
                "\nOn the server, where an administrator can release them. To get one, answer this letter ({}) and name\n\
                 its number.{until}\n",
                self.from
            ));
            held.iter().for_each(|note| entry(note, &mut text));
        }
        if self.more {
            text.push_str("\nThere are more, which are not listed.\n");
        }
        text
    }
}

fn entry(note: &Note, text: &mut String) {
    let score = format!("{:.1}", note.score);
    let lines = [
        ("From", note.author.as_str()),
        ("Subject", note.subject.as_str()),
        ("Date", note.sent.as_str()),
        ("Score", score.as_str()),
        ("Why", note.because.as_str()),
        ("Number", note.entry.as_deref().unwrap_or_default()),
    ];
    text.push('\n');
    for (name, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&format!("  {name}: {}\n", harmless(value)));
    }
}

/// A stranger's text, changed so that no mail program finds a link in it and it reverses no text direction.
fn harmless(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut text = text.replace(turns, " ").replace("://", ": //");
    // ASCII alone changes, so that the places are the same.
    let places: Vec<usize> = text.to_ascii_lowercase().match_indices("www.").map(|(at, _)| at + "www".len()).collect();
    places.into_iter().rev().for_each(|at| text.insert(at, ' '));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_have_written_is_no_link() {
        for (given, wanted) in [
            ("Grüße, see https://evil.test/", "Grüße, see https: //evil.test/"),
            ("HTTPS://Www.evil.test and ẞWWW.evil.test", "HTTPS: //Www .evil.test and ẞWWW .evil.test"),
            ("wwwww.evil.test www.www.x", "wwwww .evil.test www .www .x"),
            ("\u{202e}tset.live\u{2069}\u{2028}x", " tset.live  x"),
        ] {
            assert_eq!(harmless(given), wanted);
        }
    }

    #[test]
    fn says_what_where_and_how() {
        let note = |entry: Option<&str>| Note {
            mail: "m".to_owned(),
            noted_at: Timestamp::EPOCH,
            entry: entry.map(str::to_owned),
            author: "Eve <eve@elsewhere.test>".to_owned(),
            subject: "Grüße, see https://evil.test/".to_owned(),
            sent: "Thu, 1 Jan 2026 00:00:00 +0000".to_owned(),
            score: 9.25,
            because: "found: buy".to_owned(),
        };
        let (to, from) = ("ann@example.test".parse().unwrap(), "postmaster@mx.example.test".parse().unwrap());
        let hostname = "mx.example.test".parse().unwrap();
        let notes = [note(None), note(Some("0123456789ABCDEF"))];
        let lifetime = Some("30 days".to_owned());
        let contents = Contents {
            to: &to,
            from: &from,
            hostname: &hostname,
            folder: "Quarantine",
            lifetime,
            notes: &notes,
            more: true,
        };
        let mail = contents.mail(Timestamp::EPOCH);
        let bytes = mail.message.bytes();
        let text = String::from_utf8_lossy(&bytes);
        for part in [
            "Subject: More than 2 messages were put into quarantine\r\n",
            "Content-Transfer-Encoding: 8bit\r\n",
            "\r\nIn your folder \"Quarantine\".",
            "  From: Eve <eve@elsewhere.test>\r\n  Subject: Grüße, see https: //evil.test/\r\n",
            "  Score: 9.2\r\n  Why: found: buy\r\n",
            "answer this letter (postmaster@mx.example.test)",
            "  Number: 0123456789ABCDEF\r\n",
            "deleted after 30 days.",
            "There are more",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("://"));
    }
}
