//! Notifications by mail (RFC 5436) to a `mailto` URI (RFC 6068).

use super::reply::{beginning, original, subject_line, with_text};
use crate::foundations::address::{Address, ReversePath};
use crate::foundations::mail::compose::{Charset, addresses, field};
use crate::foundations::said::{Said, said};
use crate::services::sieve::check::{is_field_name, mailbox};
use crate::services::sieve::outcome::{Action, FileCopy, Notification};
use crate::services::sieve::run::Run;

/// A `mailto` URI taken apart.
#[derive(Debug, Default)]
pub(super) struct Mailto {
    to: Vec<(String, Address)>,
    cc: Vec<(String, Address)>,
    subject: Option<String>,
    body: Option<String>,
    /// Further header fields that may be set.
    fields: Vec<(String, String)>,
}

/// Where recipients stand.
#[derive(Clone, Copy)]
enum Field {
    To,
    Cc,
}

/// What a script wants of a notification besides its URI.
pub(super) struct Wish {
    /// `:from`; unset, the account is the author.
    pub(super) from: Option<(String, Address)>,
    /// 1 is high, 3 is low.
    pub(super) importance: u8,
    /// `:message`.
    pub(super) message: Option<String>,
    /// `:fcc`.
    pub(super) copy: Option<FileCopy>,
}

/// Most recipients and header fields of one URI, and the longest one in octets.
const MAX_RECIPIENTS: usize = 8;
const MAX_FIELDS: usize = 16;
const MAX_URI: usize = 4096;

/// Fields that a URI must not set (RFC 5436 §2.7), and those that this server writes itself.
const RESERVED: &[&str] = &[
    "from",
    "sender",
    "reply-to",
    "return-path",
    "received",
    "auto-submitted",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
    "x-sieve",
    "x-priority",
    "importance",
    "precedence",
    "bcc",
    "resent-from",
    "resent-to",
    "resent-cc",
    "resent-bcc",
    "resent-sender",
    "resent-date",
    "resent-message-id",
    "dkim-signature",
    "authentication-results",
    "list-id",
];

impl Mailto {
    /// ```text
    /// mailtoURI = "mailto:" [ to ] [ hfields ]      ; RFC 6068 §2
    /// ```
    /// The error is a part of a sentence.
    pub(super) fn read(uri: &str) -> Result<Self, Said> {
        let rest = match uri.split_once(':') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("mailto") => rest,
            _ => {
                return Err(said!("mailto-only", "only mailto is supported, as in \"mailto:name@example.com\""));
            }
        };
        if uri.len() > MAX_URI {
            return Err(said!("mailto-long", "it is longer than {most} octets", most = MAX_URI));
        }
        let (to, fields) = match rest.split_once('?') {
            Some((to, fields)) => (to, Some(fields)),
            None => (rest, None),
        };
        let mut mailto = Self::default();
        let to = decode(to)?;
        if !to.trim().is_empty() {
            mailto.add_recipients(&to, Field::To)?;
        }
        for pair in fields.into_iter().flat_map(|fields| fields.split('&')) {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| said!("mailto-pair", "'{pair}' in it is not of the form name=value", pair))?;
            mailto.add_field(&decode(name)?, decode(value)?)?;
        }
        if mailto.to.is_empty() && mailto.cc.is_empty() {
            return Err(said!("mailto-nobody", "it names no recipient"));
        }
        Ok(mailto)
    }

    fn add_recipients(&mut self, list: &str, field: Field) -> Result<(), Said> {
        for text in split_list(list) {
            let text = text.trim();
            let recipient = mailbox(text)
                .map_err(|why| said!("mailto-address", "'{text}' in it is not an address: {why}", text, why))?;
            let is_known = self.to.iter().chain(&self.cc).any(|(_, known)| known.key() == recipient.1.key());
            if is_known {
                continue;
            }
            if self.to.len() + self.cc.len() >= MAX_RECIPIENTS {
                return Err(said!("mailto-many", "it has more than {most} recipients", most = MAX_RECIPIENTS));
            }
            match field {
                Field::To => self.to.push(recipient),
                Field::Cc => self.cc.push(recipient),
            }
        }
        Ok(())
    }

    fn add_field(&mut self, name: &str, value: String) -> Result<(), Said> {
        if !is_field_name(name) {
            return Err(said!(
                "mailto-field",
                "'{name}' in it is not the name of a header field",
                name = name.escape_debug()
            ));
        }
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "to" => return self.add_recipients(&value, Field::To),
            "cc" => return self.add_recipients(&value, Field::Cc),
            "body" => self.body = self.body.take().or(Some(value)),
            _ if value.contains(['\r', '\n', '\0']) => {
                return Err(said!("mailto-lines", "the value of '{name}' in it contains line ends", name));
            }
            "subject" => self.subject = self.subject.take().or(Some(value)),
            reserved if RESERVED.contains(&reserved) => {}
            _ if self.fields.len() >= MAX_FIELDS => {
                return Err(said!("mailto-fields", "it has more than {most} header fields", most = MAX_FIELDS));
            }
            _ => {
                let mut letters = lower.chars();
                let name = letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect();
                self.fields.push((name, value));
            }
        }
        Ok(())
    }
}

/// The addresses of a decoded list. RFC 6068 §2: a comma that belongs to an address is percent-encoded, and stands within
/// quotation marks (RFC 5322 §3.2.4).
fn split_list(list: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    list.split(move |character: char| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match character {
            _ if was_escaped => {}
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            ',' => return !is_quoted,
            _ => {}
        }
        false
    })
}

/// RFC 3986 §2.1.
fn decode(text: &str) -> Result<String, Said> {
    let mut octets = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(octet) = bytes.next() {
        if octet != b'%' {
            if octet <= b' ' || b"\"<>\\^`{|}#".contains(&octet) {
                return Err(said!(
                    "mailto-encode",
                    "'{character}' in it must be percent-encoded",
                    character = char::from(octet).escape_debug()
                ));
            }
            octets.push(octet);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(said!("mailto-percent", "a '%' in it is not followed by two hexadecimal digits"));
        };
        octets.extend(u8::try_from(high * 16 + low));
    }
    String::from_utf8(octets).map_err(|_| said!("mailto-utf-8", "a percent-encoded part of it is not valid UTF-8"))
}

/// RFC 5435 §3.4.
pub(super) fn importance(text: &str) -> Option<u8> {
    match text {
        "1" => Some(1),
        "2" => Some(2),
        "3" => Some(3),
        _ => None,
    }
}

/// Makes the notification; or, as a part of a sentence, says why there is none.
pub(super) fn compose(run: &Run<'_, '_>, mut uri: Mailto, wish: Wish) -> Result<Notification, String> {
    // RFC 5436 §2.7: the answer to a program would not end.
    if original(run, "Auto-Submitted").is_some_and(|text| !text.to_ascii_lowercase().starts_with("no")) {
        return Err("the message's Auto-Submitted field says that a program has sent it".to_owned());
    }
    let is_known = |address: &Address| {
        run.actions.iter().any(|action| match action {
            Action::Notify(other) => other.to.iter().any(|known| known.key() == address.key()),
            _ => false,
        })
    };
    uri.to.retain(|(_, address)| !is_known(address));
    uri.cc.retain(|(_, address)| !is_known(address));
    let to: Vec<Address> = uri.to.iter().chain(&uri.cc).map(|(_, address)| address.clone()).collect();
    if to.is_empty() {
        return Err("all its recipients are notified already".to_owned());
    }
    let Wish { from, importance, message, copy } = wish;
    let from = from.unwrap_or_else(|| (String::new(), run.situation.recipient.clone()));
    // RFC 5436 §2.7: `:message`, else the subject of the URI, else that of the message.
    let subject = message
        .or_else(|| uri.subject.take())
        .or_else(|| original(run, "Subject"))
        .unwrap_or_else(|| "Notification: no subject".to_owned());
    let fields = header(run, &uri, &from, &subject, importance);
    let sender = match run.situation.reverse_path {
        ReversePath::Null => ReversePath::Null,
        ReversePath::Address(_) => ReversePath::Address(from.1),
    };
    let body = uri.body.unwrap_or_else(|| "Notification of new message.\r\n".to_owned());
    Ok(Notification { from: sender, to, importance, message: with_text(fields, &body), copy })
}

/// The header fields of a notification (RFC 5436 §2.7).
fn header(run: &Run<'_, '_>, uri: &Mailto, from: &(String, Address), subject: &str, importance: u8) -> String {
    let owner = run.situation.account.to_string().replace('\\', "\\\\").replace('"', "\\\"");
    let keys: Vec<String> = uri.to.iter().chain(&uri.cc).map(|(_, address)| address.key()).collect();
    let mut fields = field("Auto-Submitted", &format!("auto-notified; owner-email=\"{owner}\""), Charset::Ascii);
    fields.push_str(&beginning(run, &keys.join(",")));
    fields.push_str("X-Sieve: Postrider\r\n");
    fields.push_str(&addresses("From", [(from.0.as_str(), &from.1)], Charset::Ascii));
    for (name, list) in [("To", &uri.to), ("Cc", &uri.cc)] {
        if !list.is_empty() {
            let list = list.iter().map(|(name, address)| (name.as_str(), address));
            fields.push_str(&addresses(name, list, Charset::Ascii));
        }
    }
    fields.push_str(&field("Subject", &subject_line(subject), Charset::Ascii));
    fields.push_str(match importance {
        1 => "X-Priority: 1 (Highest)\r\nImportance: High\r\n",
        3 => "X-Priority: 5 (Lowest)\r\nImportance: Low\r\n",
        _ => "X-Priority: 3 (Normal)\r\nImportance: Normal\r\n",
    });
    for (name, value) in &uri.fields {
        fields.push_str(&field(name, value, Charset::Ascii));
    }
    fields
}
