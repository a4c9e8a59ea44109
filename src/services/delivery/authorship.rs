//! In whose name scripts may write: as no author but their owner, and with no findings of this server but its own.

use super::perform::Execution;
use crate::foundations::address::Address;
use crate::foundations::failure::Refusal;
use crate::foundations::mail::addresses::{self, Entry};
use crate::foundations::mail::compose::{self, Charset};
use crate::foundations::mail::{Field, HeaderSection, Message};
use crate::services::filter;
use crate::services::routing::Identity;

impl Execution<'_> {
    /// A letter that a script sends is its owner's: where it names somebody else as the author, it names the owner instead
    /// (RFC 5435 §3.3: such a `:from` is ignored). Otherwise any user could send signed mail as any other.
    pub(super) async fn in_own_name(&self, letter: &Message) -> Result<Message, Refusal> {
        let account = &self.item.recipient.account;
        let bytes = letter.bytes();
        let authors = authors(&HeaderSection::of(&bytes));
        let mut is_own = !authors.is_empty();
        for author in authors {
            let identity = match author {
                Some(author) => self.scripting.parts.routing.may_send_as(account, &author).await,
                None => Ok(Identity::Foreign),
            };
            is_own &= identity.map_err(Refusal::temporary)? != Identity::Foreign;
        }
        Ok(if is_own { letter.clone() } else { written_by(&bytes, account) })
    }

    /// The message that a script passes on, with the changes it has made. No script decides who its author is, or what this
    /// server has found out about it: with such changes it is passed on as it came.
    pub(super) fn without_new_claims<'m>(&'m self, edited: &'m Message) -> &'m Message {
        let came = self.item.message;
        if came == edited || adds_claims(came, edited, self.scripting.hostname().as_str()) { came } else { edited }
    }
}

/// The authors of a message; `None` for one who cannot be understood.
fn authors(header: &HeaderSection<'_>) -> Vec<Option<Address>> {
    let entries = header.all("From").flat_map(|field| addresses::read(field.body));
    let named = entries.filter_map(|entry| match entry {
        Entry::Mailbox(mailbox) => Some(mailbox.address().parse().ok()),
        // Programs show the name of a group, which may be anybody's address.
        Entry::GroupStart(_) => Some(None),
        Entry::GroupEnd => None,
    });
    named.collect()
}

/// The letter with the account as its author.
fn written_by(letter: &[u8], account: &Address) -> Message {
    let header = HeaderSection::of(letter);
    let mut written = compose::addresses("From", [("", account)], Charset::Ascii).into_bytes();
    for field in header.fields().filter(|field| !field.is("From") && !field.is("Sender")) {
        written.extend_from_slice(field.raw);
    }
    written.extend_from_slice(&letter[header.lines().len()..]);
    Message::new(written)
}

/// Whether a message names another author, or another finding of this server, than the one it was made from.
fn adds_claims(came: &Message, edited: &Message, hostname: &str) -> bool {
    let (came, edited) = (came.bytes(), edited.bytes());
    let known = claims(&came, hostname);
    claims(&edited, hostname).iter().any(|claim| !known.contains(claim))
}

/// The fields that say so.
fn claims<'m>(message: &'m [u8], hostname: &str) -> Vec<&'m [u8]> {
    let authors =
        HeaderSection::of(message).fields().filter(|field: &Field<'_>| field.is("From") || field.is("Sender"));
    let ours = filter::forged(message, hostname).into_iter().map(|lines| &message[lines]);
    authors.map(|field| field.raw).chain(ours).map(<[u8]>::trim_ascii_end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_author_gives_way() {
        let letter = b"Date: x\r\nFrom: Boss\r\n <boss@example.test>\r\nSender: boss@example.test\r\nTo: y\r\n\r\nFrom: body\r\n";
        let written = written_by(letter, &"ann@example.test".parse().unwrap());
        assert_eq!(written.bytes(), "From: ann@example.test\r\nDate: x\r\nTo: y\r\n\r\nFrom: body\r\n");
        for (field, count, known) in [
            ("From: a@x.test, Bob <b@x.test>\r\n", 2, 2),
            ("From: nobody\r\n", 1, 0),
            ("To: a@x.test\r\n", 0, 0),
            ("From: boss@x.test: a@x.test;\r\n", 2, 1),
        ] {
            let found = authors(&HeaderSection::of(field.as_bytes()));
            assert_eq!((found.len(), found.iter().flatten().count()), (count, known), "{field}");
        }
    }

    #[test]
    fn a_script_that_names_another_author_or_our_findings_adds_claims() {
        let message = |header: &str| Message::new(format!("{header}\r\nbody").into_bytes());
        let came = "Authentication-Results: mx.test; dmarc=fail\r\nFrom: a@x.test\r\nSubject: x\r\n";
        for (edited, claims) in [
            (came.to_owned(), false),
            (format!("X-Mine: y\r\n{came}"), false),
            (came.replace("Subject: x", "Subject: y"), false),
            ("From: a@x.test\r\nSubject: x\r\n".to_owned(), false),
            (came.replace("a@x.test", "boss@x.test"), true),
            (format!("{came}From: boss@x.test\r\n"), true),
            (format!("{came}Sender: boss@x.test\r\n"), true),
            (format!("Authentication-Results: mx.test; dmarc=pass\r\n{came}"), true),
            (format!("Authentication-Results: other.test; dmarc=pass\r\n{came}"), false),
            (format!("X-Spam-Flag: NO\r\n{came}"), true),
        ] {
            assert_eq!(adds_claims(&message(came), &message(&edited), "mx.test"), claims, "{edited}");
        }
    }
}
