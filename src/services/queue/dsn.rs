//! Delivery status notifications: RFC 3461, RFC 3464, RFC 6533.

use std::fmt::Write as _;

use crate::foundations::address::{Address, Domain};
use crate::foundations::clock::Timestamp;
use crate::foundations::ids::MailId;
use crate::foundations::mail::compose::{Charset, Report as Multipart, Returned, date, field};
use crate::foundations::mail::{DsnReturn, Envelope, HeaderSection, Message};
use crate::foundations::wire::smtp::encode_embedded_unicode;
use crate::storage::spool::{Action, PendingReport, Queued, Report};

/// What a notification is made of.
pub(super) struct Notification<'a> {
    /// Whom it is about.
    pub(super) pending: &'a PendingReport,
    /// Who gets it: the sender, or the postmaster instead.
    pub(super) to: &'a Address,
    /// Our name.
    pub(super) from: &'a Domain,
    /// Its own name.
    pub(super) id: MailId,
    pub(super) at: Timestamp,
    /// The message it is about, if it can be read.
    pub(super) message: Option<&'a Message>,
    /// Largest message returned whole, and most of a header that is returned.
    pub(super) returned_size: usize,
}

/// The worst action among a report's recipients, in a word for events.
pub(super) fn headline(pending: &PendingReport) -> &'static str {
    word(worst(pending))
}

fn worst(pending: &PendingReport) -> Action {
    let severity = |action| match action {
        Action::Failed => 0,
        Action::Delayed => 1,
        Action::Expanded | Action::Relayed => 2,
        Action::Delivered => 3,
    };
    reports(pending).map(|(_, report)| report.action).min_by_key(|action| severity(*action)).unwrap_or(Action::Failed)
}

fn reports(pending: &PendingReport) -> impl Iterator<Item = (&Queued, &Report)> {
    pending.recipients.iter().filter_map(|recipient| Some((recipient, recipient.report.as_ref()?)))
}

const fn word(action: Action) -> &'static str {
    match action {
        Action::Failed => "failed",
        Action::Delayed => "delayed",
        Action::Delivered => "delivered",
        Action::Relayed => "relayed",
        Action::Expanded => "expanded",
    }
}

/// Marks what tells of a notification that could not be delivered, on whatever ways it goes.
const DOUBLE_BOUNCE: &str = "X-Postrider-Double-Bounce";

/// Whether a message tells of a notification that could not be delivered.
pub(super) fn is_double_bounce(message: &Message) -> bool {
    HeaderSection::of(&message.bytes()).first(DOUBLE_BOUNCE).is_some()
}

/// The Message-ID of a notification of this name.
pub(super) fn message_id(id: MailId, host: &Domain) -> String {
    format!("<{id}@{host}>")
}

/// The whole notification with CRLF line ends.
pub(super) fn compose(notification: &Notification<'_>) -> Vec<u8> {
    let header = header(notification);
    let explanation = explanation(notification);
    let status = status(notification);
    let bytes = notification.message.map(Message::bytes);
    let returned = match &bytes {
        None => Returned::Nothing,
        Some(bytes)
            if returns_all(&notification.pending.entry.envelope, worst(notification.pending))
                && bytes.len() <= notification.returned_size =>
        {
            Returned::Message(bytes)
        }
        Some(bytes) => Returned::Header(cut(HeaderSection::of(bytes).lines(), notification.returned_size)),
    };
    let report = Multipart {
        report_type: "delivery-status",
        header: &header,
        explanation: &explanation,
        status: &status,
        returned,
    };
    report.build(&format!("{}.report", notification.id))
}

/// Whether a notification returns the whole message. RFC 3461 §4.3: RET counts for failures; otherwise the header is enough.
fn returns_all(envelope: &Envelope, worst: Action) -> bool {
    // RFC 8689 §5: what requires TLS is returned as with RET=HDRS, because the way back may have none.
    worst == Action::Failed && envelope.dsn.ret != Some(DsnReturn::Headers) && !envelope.require_tls
}

/// At most so many octets, in whole lines.
fn cut(lines: &[u8], most: usize) -> &[u8] {
    if lines.len() <= most {
        return lines;
    }
    let end = memchr::memrchr(b'\n', &lines[..most]).map_or(0, |at| at + 1);
    &lines[..end]
}

fn header(notification: &Notification<'_>) -> String {
    let host = notification.from;
    let mut header = String::new();
    let mut add = |name: &str, text: &str| header.push_str(&field(name, text, Charset::Utf8));
    add("From", &format!("Mail Delivery System <MAILER-DAEMON@{host}>"));
    add("To", &format!("<{}>", notification.to));
    add("Subject", subject(notification));
    add("Date", &date(notification.at));
    add("Message-ID", &message_id(notification.id, host));
    // RFC 3834 §5: keeps vacation programs from answering.
    add("Auto-Submitted", "auto-replied");
    if is_about_notification(notification) {
        add(DOUBLE_BOUNCE, "yes");
    }
    if let Some(id) = &notification.pending.entry.message_id {
        add("In-Reply-To", id);
        add("References", id);
    }
    header
}

/// Most octets of what others have said on one line: there are servers that refuse lines of more than 998 (RFC 5322 §2.1.1), and
/// a notification that is refused reaches nobody.
const LONGEST_TEXT: usize = 700;

fn subject(notification: &Notification<'_>) -> &'static str {
    if is_about_notification(notification) {
        return "A notification could not be delivered";
    }
    match worst(notification.pending) {
        Action::Failed => "Your message could not be delivered",
        Action::Delayed => "Your message is delayed",
        Action::Delivered => "Your message was delivered",
        Action::Relayed | Action::Expanded => "Your message was passed on",
    }
}

fn is_about_notification(notification: &Notification<'_>) -> bool {
    notification.pending.entry.envelope.reverse_path.address().is_none()
}

/// What people read.
fn explanation(notification: &Notification<'_>) -> String {
    let mut text = format!("This is the mail server {}.\r\n\r\n", notification.from);
    if is_about_notification(notification) {
        text.push_str("The notification below has no sender to report to, so this report goes to you instead.\r\n\r\n");
    }
    for action in [Action::Failed, Action::Delayed, Action::Delivered, Action::Relayed, Action::Expanded] {
        let about: Vec<_> = reports(notification.pending).filter(|(_, report)| report.action == action).collect();
        if about.is_empty() {
            continue;
        }
        text.push_str(&introduction(action, notification));
        for (recipient, report) in about {
            let _ = write!(text, "\r\n  <{}>\r\n", printable(&recipient.recipient.address.to_string()));
            if let Some(original) = &recipient.recipient.original
                && original.address != recipient.recipient.address.to_string()
            {
                let _ = write!(text, "    (you wrote to {})\r\n", printable(&original.address));
            }
            if matches!(action, Action::Failed | Action::Delayed) {
                reason(&mut text, report);
            }
        }
        text.push_str("\r\n");
    }
    text
}

fn introduction(action: Action, notification: &Notification<'_>) -> String {
    match action {
        Action::Failed => "Your message could not be delivered to the following recipients. It will not be tried \
                           again;\r\nthey have not received it.\r\n"
            .to_owned(),
        Action::Delayed => {
            // The settings may have changed since it was known.
            let delayed = reports(notification.pending).filter(|(_, report)| report.action == Action::Delayed);
            let until = delayed.map(|(recipient, _)| recipient.expires_at).max();
            let until = until.unwrap_or(notification.at);
            format!(
                "Your message has not yet reached the following recipients. You need not do anything: it will be\r\n\
                 tried again until {}.\r\n",
                date(until)
            )
        }
        Action::Delivered => "Your message is in the mailboxes of the following recipients.\r\n".to_owned(),
        Action::Relayed => "Your message was passed on to where the mail of the following recipients goes. No \
                            further report\r\nwill say whether it reaches the mailbox.\r\n"
            .to_owned(),
        Action::Expanded => "Your message was passed on to the members of the following addresses.\r\n".to_owned(),
    }
}

fn reason(text: &mut String, report: &Report) {
    let Some(diagnostic) = &report.diagnostic else { return };
    let (kind, words) = diagnostic.split_once("; ").unwrap_or(("", diagnostic));
    let words = printable(words);
    let _ = match (&report.remote, kind) {
        (Some(remote), "smtp") => write!(text, "    {remote} answered: {words}\r\n"),
        _ => write!(text, "    {words}\r\n"),
    };
}

/// Without control characters, so that no reply can start a line of its own, and no longer than fits on one.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len().min(LONGEST_TEXT));
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if printable.len() + c.len_utf8() > LONGEST_TEXT {
            printable.push_str("...");
            break;
        }
        printable.push(c);
    }
    printable
}

/// What programs read.
fn status(notification: &Notification<'_>) -> String {
    let mut status = message_status(notification);
    for (recipient, report) in reports(notification.pending) {
        status.push_str("\r\n");
        status.push_str(&recipient_status(recipient, report));
    }
    status
}

/// RFC 3464 §2.2
fn message_status(notification: &Notification<'_>) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| status_field(&mut out, name, value);
    let entry = &notification.pending.entry;
    line("Reporting-MTA", &format!("dns; {}", notification.from));
    if let Some(id) = &entry.envelope.dsn.envelope_id {
        line("Original-Envelope-Id", id);
    }
    line("Arrival-Date", &date(entry.received_at));
    out
}

/// RFC 3464 §2.3
fn recipient_status(recipient: &Queued, report: &Report) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| status_field(&mut out, name, value);
    if let Some(original) = &recipient.recipient.original {
        line("Original-Recipient", &typed(&original.address_type, &original.address));
    }
    let address = recipient.recipient.address.to_string();
    let kind = if recipient.recipient.address.needs_smtputf8() { "utf-8" } else { "rfc822" };
    line("Final-Recipient", &typed(kind, &address));
    line("Action", word(report.action));
    line("Status", &report.status);
    if let Some(remote) = &report.remote {
        line("Remote-MTA", &format!("dns; {remote}"));
    }
    if let Some(diagnostic) = &report.diagnostic {
        line("Diagnostic-Code", diagnostic);
    }
    line("Last-Attempt-Date", &date(report.at));
    if report.action == Action::Delayed {
        line("Will-Retry-Until", &date(recipient.expires_at));
    }
    out
}

/// A field of the report. They are structured: only ends of line must be kept out of their values.
fn status_field(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, "{name}: {}\r\n", ascii(&printable(value)));
}

/// An address with its type. RFC 6533 §3: what is not ASCII is written as utf-8-addr-xtext, so that the report is readable
/// for programs that know nothing of UTF-8.
fn typed(kind: &str, address: &str) -> String {
    let kind: String = kind.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    if !kind.eq_ignore_ascii_case("utf-8") {
        return format!("{kind}; {address}");
    }
    format!("utf-8; {}", encode_embedded_unicode(address))
}

/// A remote's words in another script become question marks: this part of the report is ASCII.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

#[cfg(test)]
#[path = "dsn_tests.rs"]
mod tests;
