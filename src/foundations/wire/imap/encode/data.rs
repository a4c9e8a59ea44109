//! Untagged responses about the server, mailboxes and searches (RFC 9051 §7.2, §7.3, §7.4).

use super::Out;
use crate::foundations::mail::{MailboxId, SequenceNumber, SequenceSet, Uid};
use crate::foundations::wire::imap::list::SpecialUse;
use crate::foundations::wire::imap::mailbox::StatusItem;
use crate::foundations::wire::imap::messages::Addressing;
use crate::foundations::wire::imap::name::NameEncoding;

/// Attributes of a mailbox in a LIST response (RFC 9051 §7.3.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListAttributes {
    /// Attributes such as `\HasChildren`, each with its backslash.
    pub words: Vec<&'static str>,
    /// Special uses.
    pub uses: Vec<SpecialUse>,
}

/// One LIST or LSUB response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListLine<'a> {
    /// Its attributes.
    pub attributes: &'a ListAttributes,
    /// The hierarchy delimiter; `None` is NIL.
    pub delimiter: Option<char>,
    /// The mailbox.
    pub name: &'a str,
    /// CHILDINFO `SUBSCRIBED` (RFC 5258 §4).
    pub child_subscribed: bool,
    /// OLDNAME (RFC 5465 §5.4): its previous name.
    pub old_name: Option<&'a str>,
}

/// One pair of a STATUS response; for MAILBOXID its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusValue(pub StatusItem, pub u64);

impl Out {
    /// `* LIST (attributes) "delimiter" name`.
    pub fn list_line(&mut self, response: &str, line: &ListLine<'_>, encoding: NameEncoding) -> &mut Self {
        let attributes = line.attributes;
        let words = attributes.words.iter().copied().chain(attributes.uses.iter().map(|special| special.as_str()));
        self.raw("* ").raw(response).raw(" ").words(words).raw(" ");
        match line.delimiter {
            Some(delimiter) => self.string(delimiter.to_string()),
            None => self.raw("NIL"),
        };
        self.raw(" ").mailbox(line.name, encoding);
        if line.child_subscribed {
            self.raw(" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
        }
        if let Some(old_name) = line.old_name {
            self.raw(" (\"OLDNAME\" (").mailbox(old_name, encoding).raw("))");
        }
        self.line_end()
    }

    /// `* STATUS name (ITEM value …)`.
    pub fn status(&mut self, name: &str, encoding: NameEncoding, values: &[StatusValue]) -> &mut Self {
        self.raw("* STATUS ").mailbox(name, encoding).raw(" ");
        self.list(values, |out, StatusValue(item, value)| {
            out.raw(item.as_str()).raw(" ");
            match item {
                StatusItem::MailboxId => out.raw("(").display(MailboxId::new(*value)).raw(")"),
                _ => out.number(*value),
            };
        });
        self.line_end()
    }

    /// `* FLAGS (flags)`.
    pub fn flags_line<'f>(&mut self, flags: impl IntoIterator<Item = &'f str>) -> &mut Self {
        self.raw("* FLAGS ").words(flags).line_end()
    }

    /// `* n EXISTS`.
    pub fn exists(&mut self, count: u32) -> &mut Self {
        self.raw("* ").number(count).raw(" EXISTS\r\n")
    }

    /// `* n RECENT` (RFC 3501 §7.3.2).
    pub fn recent(&mut self, count: u32) -> &mut Self {
        self.raw("* ").number(count).raw(" RECENT\r\n")
    }

    /// `* n EXPUNGE`.
    pub fn expunge(&mut self, number: SequenceNumber) -> &mut Self {
        self.raw("* ").number(number.get()).raw(" EXPUNGE\r\n")
    }

    /// `* VANISHED uids` (RFC 7162 §3.2.10): expunged just now.
    pub fn vanished(&mut self, uids: &SequenceSet<Uid>) -> &mut Self {
        self.raw("* VANISHED ").display(uids).line_end()
    }

    /// `* VANISHED (EARLIER) uids`: expunged before the client came back.
    pub fn vanished_earlier(&mut self, uids: &SequenceSet<Uid>) -> &mut Self {
        self.raw("* VANISHED (EARLIER) ").display(uids).line_end()
    }

    /// Begins `* ESEARCH (TAG "tag") UID` (RFC 4731 §3.1).
    pub fn esearch(&mut self, tag: &str, addressing: Addressing) -> &mut Self {
        self.raw("* ESEARCH (TAG ").string(tag).raw(")");
        if addressing == Addressing::Uid {
            self.raw(" UID");
        }
        self
    }

    /// `* ESEARCH (TAG "tag") UID REMOVEFROM (0 1:3) ADDTO (2 5 7 9)` (RFC 5267 §4.3.2): sets in their written form, each with
    /// its place in the result.
    pub fn esearch_update(
        &mut self,
        tag: &str,
        addressing: Addressing,
        removed: &[(u32, String)],
        added: &[(u32, String)],
    ) -> &mut Self {
        self.esearch(tag, addressing);
        for (word, runs) in [(" REMOVEFROM ", removed), (" ADDTO ", added)] {
            if !runs.is_empty() {
                self.raw(word).list(runs, |out, (place, set)| _ = out.number(*place).raw(" ").raw(set));
            }
        }
        self.line_end()
    }

    /// `* ENABLED names` (RFC 5161 §3.2).
    pub fn enabled(&mut self, names: &[&str]) -> &mut Self {
        self.raw("* ENABLED");
        for name in names {
            self.raw(" ").raw(name);
        }
        self.line_end()
    }

    /// `* ID (field value …)` (RFC 2971).
    pub fn id(&mut self, fields: &[(&str, &str)]) -> &mut Self {
        self.raw("* ID ");
        if fields.is_empty() {
            return self.raw("NIL").line_end();
        }
        self.list(fields, |out, (name, value)| {
            out.string(name).raw(" ").string(value);
        });
        self.line_end()
    }

    /// `* METADATA mailbox (entry value …)` (RFC 5464 §4.4.1).
    pub fn metadata<'e>(
        &mut self,
        mailbox: &str,
        encoding: NameEncoding,
        entries: impl IntoIterator<Item = (&'e str, Option<&'e [u8]>)>,
    ) -> &mut Self {
        self.raw("* METADATA ").mailbox(mailbox, encoding).raw(" ");
        self.list(entries, |out, (name, value)| {
            out.astring(name).raw(" ");
            match value {
                None => out.raw("NIL"),
                Some(value) if value.contains(&0) => out.literal8_header(value.len() as u64).raw(value),
                Some(value) => out.string(value),
            };
        });
        self.line_end()
    }

    /// `* METADATA mailbox entry …`: these entries have changed (RFC 5464 §4.4.2).
    pub fn metadata_changed<'e>(
        &mut self,
        mailbox: &str,
        encoding: NameEncoding,
        entries: impl IntoIterator<Item = &'e str>,
    ) -> &mut Self {
        self.raw("* METADATA ").mailbox(mailbox, encoding);
        for entry in entries {
            self.raw(" ").astring(entry);
        }
        self.line_end()
    }

    /// `* QUOTA root (STORAGE used limit …)` (RFC 9208 §5.1).
    pub fn quota(&mut self, root: &str, resources: &[(&str, u64, u64)]) -> &mut Self {
        self.raw("* QUOTA ").astring(root).raw(" ");
        self.list(resources, |out, (name, used, limit)| {
            out.raw(name).raw(" ").number(*used).raw(" ").number(*limit);
        });
        self.line_end()
    }

    /// `* QUOTAROOT mailbox roots` (RFC 9208 §5.2).
    pub fn quota_root(&mut self, mailbox: &str, encoding: NameEncoding, roots: &[&str]) -> &mut Self {
        self.raw("* QUOTAROOT ").mailbox(mailbox, encoding);
        for root in roots {
            self.raw(" ").astring(root);
        }
        self.line_end()
    }
}
