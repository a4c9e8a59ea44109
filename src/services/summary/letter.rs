//! The summary as a message.

use super::{Summary, SummarySettings};
use crate::foundations::address::{Address, ReversePath};
use crate::foundations::clock::Timestamp;
use crate::foundations::counted::counted;
use crate::foundations::ids::{MailId, SessionId};
use crate::foundations::mail::compose::{Charset, addresses, date, field, message_id};
use crate::foundations::mail::{BodyKind, Envelope, Mail, Message, Notify, Origin, Recipient};
use crate::foundations::random::distinction;

/// The letter to the configured recipient; `None` when there is none.
pub fn letter(summary: &Summary, settings: &SummarySettings, now: Timestamp) -> Option<Mail> {
    let to = settings.to.clone()?;
    let postmaster = || format!("postmaster@{}", summary.hostname).parse::<Address>().ok();
    let from = settings.from.clone().or_else(postmaster)?;
    let text = summary.to_string();
    let encoding = if text.is_ascii() { "7bit" } else { "8bit" };
    let id = MailId::generate(now);
    let charset = Charset::Ascii;
    let mut subject = format!(
        "{}: {}, {:.1} % unwanted",
        summary.hostname,
        counted(summary.spam.flow.received, "message"),
        summary.spam.unwanted_percent
    );
    if !summary.attention.is_empty() {
        subject += &format!("; {} to look at", counted(summary.attention.len() as u64, "problem"));
    }
    let header = [
        addresses("From", [("Postrider", &from)], charset),
        addresses("To", [("", &to)], charset),
        field("Subject", &subject, charset),
        format!("Date: {}\r\n", date(now)),
        format!("Message-ID: {}\r\n", message_id(now, distinction(), &summary.hostname)),
        // RFC 3834 §5: nobody's vacation answers it.
        "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n".to_owned(),
        format!("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"),
    ];
    let bytes = header.concat() + &lines(&text);
    let to = Recipient { address: to, notify: Notify::NEVER, original: None };
    Some(Mail {
        id,
        origin: Origin::internal(SessionId::generate(now), now),
        envelope: Envelope { body: BodyKind::of(text.as_bytes()), ..Envelope::plain(ReversePath::Null, vec![to]) },
        message: Message::new(bytes.into_bytes()),
    })
}

/// The text of a letter. What other servers have replied may be long, and a line has at most 998 octets (RFC 5322 §2.1.1).
fn lines(text: &str) -> String {
    let mut lines = String::with_capacity(text.len() + text.len() / 16);
    for line in text.lines() {
        let mut end = line.len();
        if end > LONGEST_LINE {
            end = LONGEST_LINE - CUT.len();
            while !line.is_char_boundary(end) {
                end -= 1;
            }
        }
        lines.push_str(&line[..end]);
        if end < line.len() {
            lines.push_str(CUT);
        }
        lines.push_str("\r\n");
    }
    lines
}

const LONGEST_LINE: usize = 998;
const CUT: &str = " [...]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_mail_may_have_it() {
        for (reply, is_cut) in [("x".repeat(998), false), ("x".repeat(999), true), ("é".repeat(1_000), true)] {
            let text = lines(&format!("Queue\n{reply}\n\nend\n"));
            let found: Vec<&str> = text.split("\r\n").collect();
            assert_eq!((found.len(), found[0], found[2], found[3], found[4]), (5, "Queue", "", "end", ""));
            assert!(found[1].len() <= LONGEST_LINE && found[1].len() > LONGEST_LINE - 10, "{}", found[1].len());
            assert_eq!(found[1].ends_with(CUT), is_cut);
        }
    }
}
