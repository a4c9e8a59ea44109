//! Status responses and their codes (RFC 9051 §7.1).

use super::Out;
use crate::foundations::mail::{MailboxId, ModSeq, SequenceSet, Uid, UidValidity};

/// The kinds of status responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The command was not understood or came at the wrong time.
    Bad,
    /// The connection is about to be closed.
    Bye,
    /// It failed.
    No,
    /// It succeeded.
    Ok,
}

impl Condition {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bad => "BAD",
            Self::Bye => "BYE",
            Self::No => "NO",
            Self::Ok => "OK",
        }
    }
}

/// Response codes with arguments; plain ones are [`Code::Word`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// `APPENDUID` (RFC 4315).
    AppendUid(UidValidity, SequenceSet<Uid>),
    /// `BADEVENT` (RFC 5465), with the supported events.
    BadEvent(&'static [&'static str]),
    /// `BADCHARSET`, with the supported charsets.
    BadCharset(&'static [&'static str]),
    /// `BADURL` (RFC 4469 §4.1), with the command's first URL that does not resolve.
    BadUrl(String),
    /// `CAPABILITY`.
    Capability(String),
    /// `COPYUID` (RFC 4315): epoch, UIDs there, new UIDs, in pairs.
    CopyUid(UidValidity, SequenceSet<Uid>, SequenceSet<Uid>),
    /// `HIGHESTMODSEQ` (RFC 7162).
    HighestModSeq(ModSeq),
    /// `MAILBOXID` (RFC 8474).
    MailboxId(MailboxId),
    /// `METADATA LONGENTRIES` (RFC 5464 §4.2.1): the size of the largest value that was left out.
    LongEntries(u64),
    /// `METADATA MAXSIZE` (RFC 5464 §4.3): the largest value allowed.
    MaxSize(u64),
    /// `MODIFIED` (RFC 7162 §3.1.3), sequence numbers or UIDs as the command had them.
    Modified(String),
    /// `NOUPDATE` (RFC 5267 §4.3.1), with the tag of the search whose result is not followed.
    NoUpdate(String),
    /// `PERMANENTFLAGS`.
    PermanentFlags(Vec<String>),
    /// `UIDNEXT`.
    UidNext(Uid),
    /// `UIDVALIDITY`.
    UidValidity(UidValidity),
    /// `UNSEEN` (RFC 3501): the first such sequence number.
    Unseen(u32),
    /// A code without arguments, such as `TRYCREATE` (RFC 9051 §7.1, RFC 5530).
    Word(&'static str),
}

impl Code {
    fn write(&self, out: &mut Out) {
        match self {
            Self::AppendUid(validity, uids) => out.raw("APPENDUID ").display(validity).raw(" ").display(uids),
            Self::BadEvent(known) => out.raw("BADEVENT ").words(known.iter().copied()),
            Self::BadCharset(known) => out.raw("BADCHARSET ").words(known.iter().copied()),
            Self::BadUrl(url) => out.raw("BADURL ").url(url),
            Self::Capability(capabilities) => out.raw("CAPABILITY ").raw(capabilities),
            Self::CopyUid(validity, from, to) => {
                out.raw("COPYUID ").display(validity).raw(" ").display(from).raw(" ").display(to)
            }
            Self::HighestModSeq(mod_seq) => out.raw("HIGHESTMODSEQ ").display(mod_seq),
            Self::MailboxId(id) => out.raw("MAILBOXID (").display(id).raw(")"),
            Self::LongEntries(octets) => out.raw("METADATA LONGENTRIES ").number(*octets),
            Self::MaxSize(octets) => out.raw("METADATA MAXSIZE ").number(*octets),
            Self::Modified(set) => out.raw("MODIFIED ").raw(set),
            // A tag contains nothing that needs escaping in a quoted string.
            Self::NoUpdate(tag) => out.raw("NOUPDATE ").string(tag),
            Self::PermanentFlags(flags) => out.raw("PERMANENTFLAGS ").words(flags.iter().map(String::as_str)),
            Self::UidNext(uid) => out.raw("UIDNEXT ").display(uid),
            Self::UidValidity(validity) => out.raw("UIDVALIDITY ").display(validity),
            Self::Unseen(number) => out.raw("UNSEEN ").number(*number),
            Self::Word(word) => out.raw(word),
        };
    }
}

impl Out {
    /// `tag OK [CODE] text`, or another condition.
    pub fn tagged(&mut self, tag: &str, condition: Condition, code: Option<&Code>, text: &str) -> &mut Self {
        self.raw(tag).raw(" ").condition(condition, code, text)
    }

    /// `* OK [CODE] text`, or another condition.
    pub fn untagged(&mut self, condition: Condition, code: Option<&Code>, text: &str) -> &mut Self {
        self.raw("* ").condition(condition, code, text)
    }

    /// `+ text`: the client may continue.
    pub fn continuation(&mut self, text: &str) -> &mut Self {
        self.raw("+ ").resp_text(text).line_end()
    }

    fn condition(&mut self, condition: Condition, code: Option<&Code>, text: &str) -> &mut Self {
        self.raw(condition.as_str()).raw(" ");
        if let Some(code) = code {
            self.raw("[");
            code.write(self);
            self.raw("] ");
        }
        self.resp_text(text).line_end()
    }

    /// A URL as the client wrote it, with characters not allowed there percent-encoded (RFC 3986 §2.1).
    fn url(&mut self, url: &str) -> &mut Self {
        for octet in url.bytes() {
            match octet {
                b'!'..=b'~' if !matches!(octet, b']' | b'\\' | b'"') => self.raw([octet]),
                octet => self.display(format_args!("%{octet:02X}")),
            };
        }
        self
    }

    /// ```abnf
    /// text = 1*(TEXT-CHAR / UTF8-2 / UTF8-3 / UTF8-4)
    /// ```
    /// Characters that cannot appear in a line, or that this client has not enabled, are replaced.
    fn resp_text(&mut self, text: &str) -> &mut Self {
        if text.is_empty() {
            return self.raw(".");
        }
        for c in text.chars() {
            let fits = matches!(c, ' '..='~') || self.utf8_texts && !c.is_ascii() && !c.is_control();
            self.raw(if fits { c } else { '?' }.encode_utf8(&mut [0; 4]));
        }
        self
    }
}
