//! The fields of final delivery.

use bytes::BytesMut;

use crate::foundations::address::{Address, ReversePath};
use crate::foundations::mail::{Fields, HeaderSection, Message, Visits};
use crate::services::routing::LocalRecipient;

/// A message made ready to be stored for several recipients.
#[derive(Debug)]
pub(super) struct Ready {
    message: Message,
    return_path: String,
    visits: Visits,
}

impl Ready {
    /// Removes Return-Path fields (copying the message only if there are any), and notes in which mailboxes it has
    /// been.
    pub(super) fn new(message: &Message, reverse_path: &ReversePath) -> Self {
        let [added, original] = message.pieces();
        let section = HeaderSection::of(original);
        let mut visits = Visits::default();
        let mut stale = false;
        for field in Fields::new(added).chain(section.fields()) {
            stale |= field.is("Return-Path");
            visits.note(&field);
        }
        let message = if stale { without_return_path(added, original) } else { message.clone() };
        Self { message, return_path: format!("Return-Path: {reverse_path}\r\n"), visits }
    }

    /// How often the message has been in this mailbox before.
    pub(super) fn visits(&self, account: &Address) -> usize {
        self.visits.count(account)
    }

    /// The message as it goes into the recipient's mailbox.
    pub(super) fn message_for(&self, recipient: &LocalRecipient) -> Message {
        let mut lines = format!("{}Delivered-To: {}\r\n", self.return_path, recipient.account);
        if recipient.recipient.address.key() != recipient.account.key() {
            lines.push_str("X-Original-To: ");
            lines.push_str(&recipient.recipient.address.to_string());
            lines.push_str("\r\n");
        }
        self.message.with_prefix(lines.as_bytes())
    }
}

/// The message as it is passed on: without the field that only final delivery adds (RFC 5321 §4.4).
pub(super) fn passed_on(message: &Message) -> Message {
    let [added, original] = message.pieces();
    without_return_path(added, original)
}

fn without_return_path(added: &[u8], original: &[u8]) -> Message {
    let section = HeaderSection::of(original);
    let mut kept = BytesMut::with_capacity(original.len());
    for field in section.fields().filter(|field| !field.is("Return-Path")) {
        kept.extend_from_slice(field.raw);
    }
    kept.extend_from_slice(&original[section.lines().len()..]);
    let mut prefix = Vec::with_capacity(added.len());
    for field in Fields::new(added).filter(|field| !field.is("Return-Path")) {
        prefix.extend_from_slice(field.raw);
    }
    Message::new(kept.freeze()).with_prefix(&prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::mail::Recipient;

    fn recipient(account: &str, address: &str) -> LocalRecipient {
        LocalRecipient {
            account: account.parse().unwrap(),
            quota: None,
            tag: None,
            recipient: Recipient::plain(address.parse().unwrap()),
        }
    }

    fn text(message: &Message) -> String {
        String::from_utf8(message.bytes().to_vec()).unwrap()
    }

    #[test]
    fn fields_stand_in_front_and_old_ones_go() {
        let message = Message::new(
            "Return-Path: <x@y.test>\r\nSubject: a\r\nreturn-path:\r\n <z@y.test>\r\n\r\nReturn-Path: body\r\n",
        )
        .with_prefix(b"Received: here\r\n");
        let ready = Ready::new(&message, &ReversePath::Null);
        assert_eq!(
            text(&ready.message_for(&recipient("ann@example.test", "Ann@example.test"))),
            "Return-Path: <>\r\nDelivered-To: ann@example.test\r\nReceived: here\r\nSubject: a\r\n\r\nReturn-Path: body\r\n"
        );
        let message = Message::new("no header at all");
        let ready = Ready::new(&message, &ReversePath::Address("eve@x.test".parse().unwrap()));
        assert_eq!(
            text(&ready.message_for(&recipient("ann@example.test", "sales@example.test"))),
            "Return-Path: <eve@x.test>\r\nDelivered-To: ann@example.test\r\nX-Original-To: sales@example.test\r\nno header at all"
        );
    }

    #[test]
    fn a_message_that_was_in_the_mailbox_before_is_known() {
        let message = Message::new("Delivered-To: ANN@example.test\r\n\r\n");
        let ready = Ready::new(&message, &ReversePath::Null);
        assert_eq!(ready.visits(&"ann@example.test".parse().unwrap()), 1);
        assert_eq!(ready.visits(&"bob@example.test".parse().unwrap()), 0);
    }
}
