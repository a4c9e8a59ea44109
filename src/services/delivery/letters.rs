//! What delivery itself has to say on behalf of scripts.

use std::fmt::Write as _;
use std::time::Duration;

use crate::foundations::address::{Address, Domain, ReversePath};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::{MailId, SessionId};
use crate::foundations::mail::compose::{Charset, Report, Returned, addresses, date, field, message_id};
use crate::foundations::mail::{BodyKind, Envelope, HeaderSection, Mail, Message, Notify, Origin, Recipient};
use crate::foundations::random::distinction;
use crate::services::routing::LocalRecipient;

/// A user is not told of failures again before this time.
pub(super) const TOLD_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest reason in a reply, in characters.
const LONGEST_REASON: usize = 400;

/// The reason of a refusal on one line of ASCII (RFC 5321 §4.2). A reason in another script would be question marks, so
/// a sentence of ours takes its place.
pub(super) fn reason_line(reason: &str) -> String {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.is_ascii() && !line.is_empty() && !line.chars().any(char::is_control) {
        true => line.chars().take(LONGEST_REASON).collect(),
        false => "The recipient does not want this message".to_owned(),
    }
}

/// Longest line of a letter: hosts may refuse longer ones (RFC 5321 §4.5.3.1.6).
const LONGEST_LINE: usize = 900;

/// Tells the sender of a message why its recipient refuses it (RFC 5429 §2.2.1, RFC 8098). `None` where the reason has lines that
/// hosts may refuse.
pub(super) fn rejection(
    message: &Message,
    recipient: &LocalRecipient,
    to: &Address,
    reason: &str,
    hostname: &Domain,
    now: Timestamp,
) -> Option<Message> {
    if reason.lines().any(|line| line.len() > LONGEST_LINE) {
        return None;
    }
    let (charset, bytes) = (Charset::Ascii, message.bytes());
    let section = HeaderSection::of(&bytes);
    let subject = section.first("Subject").map_or_else(String::new, |field| field.text());
    let header = [
        addresses("From", [("", &recipient.account)], charset),
        addresses("To", [("", to)], charset),
        field("Subject", &format!("Rejected: {subject}"), charset),
        format!("Date: {}\r\n", date(now)),
        format!("Message-ID: {}\r\n", message_id(now, distinction(), hostname)),
        // RFC 3834 §5.
        "Auto-Submitted: auto-replied (rejected)\r\n".to_owned(),
    ];
    let header = header.concat();
    let explanation =
        format!("The recipient's mail filter has refused your message. The reason given is:\r\n\r\n{reason}\r\n");
    let address = &recipient.recipient.address;
    let kind = if address.needs_smtputf8() { "utf-8" } else { "rfc822" };
    let mut status = format!("Reporting-UA: {hostname}; Postrider\r\nFinal-Recipient: {kind}; {address}\r\n");
    let id = section.first("Message-ID").map(|field| String::from_utf8_lossy(&field.value()).trim().to_owned());
    if let Some(id) = id.filter(|id| id.is_ascii() && id.len() <= LONGEST_LINE) {
        let _ = write!(status, "Original-Message-ID: {id}\r\n");
    }
    status.push_str("Disposition: automatic-action/MDN-sent-automatically; deleted\r\n");
    let report = Report {
        report_type: "disposition-notification",
        header: &header,
        explanation: &explanation,
        status: &status,
        returned: Returned::Header(&bytes),
    };
    Some(Message::new(report.build(&format!("{}.rejected", MailId::generate(now)))))
}

/// A letter as it is sent.
pub(super) fn mail(message: &Message, to: Vec<Address>, reverse_path: ReversePath, now: Timestamp) -> Mail {
    let smtputf8 = to.iter().any(Address::needs_smtputf8);
    let recipient = |address| Recipient { address, notify: Notify::NEVER, original: None };
    Mail {
        id: MailId::generate(now),
        origin: Origin::internal(SessionId::generate(now), now),
        envelope: Envelope {
            body: BodyKind::of(&message.bytes()),
            smtputf8,
            ..Envelope::plain(reverse_path, to.into_iter().map(recipient).collect())
        },
        message: message.clone(),
    }
}

/// A letter of the server to one of its users, who reads it under this name.
pub(super) fn to_user(account: &Address, from: (&str, &Domain), subject: &str, text: &str, now: Timestamp) -> Message {
    let (charset, (name, hostname)) = (Charset::Ascii, from);
    let from = format!("MAILER-DAEMON@{hostname}").parse::<Address>().unwrap_or_else(|_| account.clone());
    let header = [
        addresses("From", [(name, &from)], charset),
        addresses("To", [("", account)], charset),
        field("Subject", subject, charset),
        format!("Date: {}\r\n", date(now)),
        format!("Message-ID: {}\r\n", message_id(now, distinction(), hostname)),
        // RFC 3834 §5.
        "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n".to_owned(),
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n".to_owned(),
    ];
    Message::new((header.concat() + &text.replace('\n', "\r\n")).into_bytes())
}

/// Tells a user that a script has failed.
pub(super) fn failure(account: &Address, script: &str, why: &str, hostname: &Domain, now: Timestamp) -> Message {
    let printable = |text: &str| -> String { text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect() };
    let text = format!(
        "The Sieve script `{}`, which files your mail, could not be run:\n\n    {}\n\n\
         Your mail is not lost: while the script does not work, messages go to your inbox.\n\
         Please correct the script. You get this notice at most once a day.\n",
        printable(script),
        printable(why)
    );
    to_user(account, ("Mail filter", hostname), "Your mail filter does not work", &text, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_one_line() {
        assert_eq!(reason_line("I moved.\r\n  Write to\tanother"), "I moved. Write to another");
        assert_eq!(reason_line("Umgezogen, Grüße"), "The recipient does not want this message");
        assert_eq!(reason_line(&"x".repeat(900)).len(), LONGEST_REASON);
    }

    #[test]
    fn a_failure_is_told_in_a_whole_message() {
        let message = failure(
            &"ann@example.test".parse().unwrap(),
            "main",
            "line 3: too\r\nmuch",
            &"mail.example.test".parse().unwrap(),
            Timestamp::from_unix_seconds(1),
        );
        let text = String::from_utf8(message.bytes().to_vec()).unwrap();
        assert!(text.contains("line 3: too  much") && text.contains("Auto-Submitted: auto-generated\r\n"), "{text}");
    }
}
