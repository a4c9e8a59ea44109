//! Turns a program's input into a message with its envelope. Pure.

use std::collections::HashSet;

use super::address_list::{Item, has_domain, items};
use super::options::{LoneDot, Options};
use super::{Failure, sysexits};
use crate::foundations::address::{Address, Domain, ReversePath};
use crate::foundations::mail::{Field, HeaderSection, compose};

/// Fields whose addresses are completed, also in their Resent- form.
const OF_ADDRESSES: [&str; 6] = ["From", "Sender", "Reply-To", "To", "Cc", "Bcc"];
const OF_RECIPIENTS: [&str; 3] = ["To", "Cc", "Bcc"];

/// A message and its envelope.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) sender: ReversePath,
    pub(super) recipients: Vec<Address>,
    /// Its lines end in CRLF.
    pub(super) message: Vec<u8>,
}

impl Letter {
    /// `host` completes addresses without a domain; `own` is the address the server gives the program's user.
    pub(super) fn new(input: &[u8], options: &Options, host: &Domain, own: &Address) -> Result<Self, Failure> {
        let text = lines(input, options.lone_dot);
        let header_end = header_end(&text);
        let header = HeaderSection::of(&text[..header_end]);
        let mut recipients = Vec::new();
        for argument in &options.recipients {
            addresses(argument.as_bytes(), host, &mut recipients)?;
        }
        if options.from_header {
            for field in recipient_fields(header) {
                addresses(field.body, host, &mut recipients)?;
            }
        }
        let mut seen = HashSet::new();
        recipients.retain(|address| seen.insert(address.key()));
        if recipients.is_empty() {
            return Err(Failure::new(sysexits::DATAERR, "no recipient in the arguments or in the message"));
        }
        let sender = match options.sender.as_deref().map(str::trim) {
            None => ReversePath::Address(own.clone()),
            Some("" | "<>") => ReversePath::Null,
            Some(sender) => ReversePath::Address(only(sender, host)?),
        };
        let mut message = Vec::with_capacity(text.len() + 256);
        if let Some(name) = options.name.as_deref().filter(|_| header.first("From").is_none()) {
            let field = compose::addresses("From", [(name, own)], compose::Charset::Ascii);
            message.extend_from_slice(field.as_bytes());
        }
        header.fields().for_each(|field| complete(&field, host, &mut message));
        // An empty line ends the header, even an empty one.
        if !text[header_end..].starts_with(b"\r\n") {
            message.extend_from_slice(b"\r\n");
        }
        message.extend_from_slice(&text[header_end..]);
        Ok(Self { sender, recipients, message })
    }
}

/// The same lines, each ended by CRLF, up to a lone dot if that ends the message. A lone CR, which programs print to
/// overwrite a line on a terminal, ends a line: no server would accept it.
fn lines(input: &[u8], lone_dot: LoneDot) -> Vec<u8> {
    let mut text = Vec::with_capacity(input.len() + input.len() / 32);
    let mut rest = input;
    // The line that begins a message in an mbox.
    if rest.starts_with(b"From ") {
        rest = &rest[memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1)..];
    }
    while !rest.is_empty() {
        let end = memchr::memchr2(b'\r', b'\n', rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        if line == b"." && lone_dot == LoneDot::End {
            break;
        }
        text.extend_from_slice(line);
        text.extend_from_slice(b"\r\n");
        let behind = &rest[line.len()..];
        rest = behind.strip_prefix(b"\r\n").or_else(|| behind.get(1..)).unwrap_or_default();
    }
    text
}

/// Where the fields end: at an empty line, or at something other than a field.
fn header_end(text: &[u8]) -> usize {
    let section = HeaderSection::of(text);
    let stranger = section.fields().find(|field| field.name.is_empty());
    stranger.map_or(section.lines().len(), |field| field.range.start)
}

/// RFC 5322 §3.6.6: for a resent message, those of the Resent- fields.
fn recipient_fields(header: HeaderSection<'_>) -> impl Iterator<Item = Field<'_>> {
    let is_of = |field: &Field<'_>, prefix: &str| OF_RECIPIENTS.iter().any(|name| field.is(&format!("{prefix}{name}")));
    let is_resent = header.fields().any(|field| is_of(&field, "Resent-"));
    header.fields().filter(move |field| is_of(field, if is_resent { "Resent-" } else { "" }))
}

fn addresses(list: &[u8], host: &Domain, found: &mut Vec<Address>) -> Result<(), Failure> {
    for item in items(list) {
        let (Item::Address(at) | Item::Other(at)) = &item;
        let text = String::from_utf8_lossy(&list[at.clone()]);
        let whole = if has_domain(text.as_bytes()) { text.into_owned() } else { format!("{text}@{host}") };
        let address = match item {
            Item::Address(_) => whole.parse().ok(),
            Item::Other(_) => None,
        };
        found.push(address.ok_or_else(|| no_address(&list[at.clone()]))?);
    }
    Ok(())
}

fn only(text: &str, host: &Domain) -> Result<Address, Failure> {
    let mut found = Vec::new();
    addresses(text.as_bytes(), host, &mut found)?;
    match (found.pop(), found.is_empty()) {
        (Some(address), true) => Ok(address),
        _ => Err(no_address(text.as_bytes())),
    }
}

fn no_address(text: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(text);
    Failure::new(sysexits::DATAERR, format!("`{}` is not an address", text.escape_debug()))
}

/// Writes the field, adding the domain to each address without one.
fn complete(field: &Field<'_>, host: &Domain, out: &mut Vec<u8>) {
    let is_of = |prefix: &str| OF_ADDRESSES.iter().any(|name| field.is(&format!("{prefix}{name}")));
    if !is_of("") && !is_of("Resent-") {
        out.extend_from_slice(field.raw);
        return;
    }
    out.extend_from_slice(&field.raw[..field.raw.len() - field.body.len()]);
    let mut from = 0;
    for item in items(field.body) {
        if let Item::Address(at) = item
            && !has_domain(&field.body[at.clone()])
        {
            out.extend_from_slice(&field.body[from..at.end]);
            out.extend_from_slice(format!("@{host}").as_bytes());
            from = at.end;
        }
    }
    out.extend_from_slice(&field.body[from..]);
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn letter(arguments: &str, input: &str) -> Result<Letter, Failure> {
        let options = Options::parse(arguments.split_whitespace().map(OsString::from))?;
        Letter::new(input.as_bytes(), &options, &"h.test".parse().unwrap(), &"me@h.test".parse().unwrap())
    }

    fn text(arguments: &str, input: &str) -> String {
        String::from_utf8(letter(arguments, input).unwrap().message).unwrap()
    }

    #[test]
    fn lines_end_as_smtp_wants_them() {
        for (arguments, input, wanted) in [
            ("a", "S: x\n\nb\n.\nc\n", "S: x\r\n\r\nb\r\n"),
            ("-i a", "S: x\n\nb\n.\nc\n", "S: x\r\n\r\nb\r\n.\r\nc\r\n"),
            ("-oi a", "S: x\r\n\r\nb\r\n\r\n..\r\n", "S: x\r\n\r\nb\r\n\r\n..\r\n"),
            ("a", "S: x\n\n10%\r20%\rdone", "S: x\r\n\r\n10%\r\n20%\r\ndone\r\n"),
            ("a", "From me Sat Nov 28\nS: x\n\nb\n", "S: x\r\n\r\nb\r\n"),
            // Without a header, without a body, with text where a field should be.
            ("a", "only text\n", "\r\nonly text\r\n"),
            ("a", "S: x\n", "S: x\r\n\r\n"),
            ("a", "", "\r\n"),
            ("a", "\ntext\n", "\r\ntext\r\n"),
            ("a", "S: x\ntext\nT: y\n", "S: x\r\n\r\ntext\r\nT: y\r\n"),
        ] {
            assert_eq!(text(arguments, input), wanted, "{arguments:?} {input:?}");
        }
    }

    #[test]
    fn addresses_get_a_domain() {
        let input = "From: root (Cron Daemon)\nTo: Ann <ann>,\n bob@b.test\nX-To: root\nBcc:\n\nTo: body\n";
        let wanted = "From: root@h.test (Cron Daemon)\r\nTo: Ann <ann@h.test>,\r\n bob@b.test\r\nX-To: root\r\nBcc:\r\n\r\nTo: body\r\n";
        assert_eq!(text("root", input), wanted);
    }

    #[test]
    fn recipients_are_those_that_are_asked_for() {
        let all = "To: ann, Bob <bob@b.test>\nCc: friends: c@c.test;\nBcc: d@d.test\n\n";
        let resent = format!("Resent-To: r@r.test\n{all}");
        for (arguments, input, wanted) in [
            ("root x@x.test", all, "root@h.test x@x.test"),
            ("-t", all, "ann@h.test bob@b.test c@c.test d@d.test"),
            ("-t x@x.test Ann@H.test", all, "x@x.test Ann@H.test bob@b.test c@c.test d@d.test"),
            ("-t", resent.as_str(), "r@r.test"),
            ("a,b@b.test", all, "a@h.test b@b.test"),
        ] {
            let found: Vec<_> = letter(arguments, input).unwrap().recipients.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" ").to_lowercase(), wanted.to_lowercase(), "{arguments}");
        }
        for (arguments, input) in
            [("-t", "Subject: x\n\n"), ("-t", "To: ann smith\n\n"), ("a@", all), ("-f a,b c", all)]
        {
            assert_eq!(letter(arguments, input).unwrap_err().code, sysexits::DATAERR, "{arguments} {input}");
        }
    }

    #[test]
    fn the_sender_is_who_is_named() {
        let sender = |arguments: &str| letter(arguments, "").unwrap().sender.to_string();
        assert_eq!(sender("x"), "<me@h.test>");
        assert_eq!(sender("-f root x"), "<root@h.test>");
        assert_eq!(sender("-f <ann@a.test> x"), "<ann@a.test>");
        assert_eq!(sender("-f <> x"), "<>");
        assert_eq!(text("-FCron x", ""), "From: \"Cron\" <me@h.test>\r\n\r\n");
        assert_eq!(text("-FCron x", "From: a@a.test\n\n"), "From: a@a.test\r\n\r\n");
    }
}
