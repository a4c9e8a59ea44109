//! Whether a message has attachments, from its BODYSTRUCTURE (RFC 9051 §9): lists must not open messages.

use crate::foundations::mail::content::Disposition;

/// A parenthesised list, or a word of any kind; quotation marks are taken off, escapes are not.
#[derive(Debug)]
enum Node<'a> {
    List(Vec<Node<'a>>),
    Word(&'a [u8]),
}

/// Levels of parentheses that are followed; deeper ones hold no part that the page would show.
const DEEPEST: usize = 400;

/// Whether a BODYSTRUCTURE speaks of something that readers see as a file.
pub(super) fn has_attachment(structure: &[u8]) -> bool {
    let mut rest = structure;
    node(&mut rest, 0).is_some_and(|whole| holds_file(&whole, true))
}

/// Calls itself no deeper than [`DEEPEST`].
fn node<'a>(rest: &mut &'a [u8], depth: usize) -> Option<Node<'a>> {
    *rest = rest.trim_ascii_start();
    if let Some(inner) = rest.strip_prefix(b"(") {
        if depth == DEEPEST {
            return None;
        }
        *rest = inner;
        let mut list = Vec::new();
        loop {
            *rest = rest.trim_ascii_start();
            if let Some(after) = rest.strip_prefix(b")") {
                *rest = after;
                return Some(Node::List(list));
            }
            list.push(node(rest, depth + 1)?);
        }
    }
    let (word, after) = match rest.first()? {
        b'"' => quoted(&rest[1..])?,
        b'{' => literal(&rest[1..])?,
        _ => {
            let end = rest.iter().position(|octet| matches!(octet, b' ' | b'(' | b')')).unwrap_or(rest.len());
            rest.split_at_checked(end.max(1))?
        }
    };
    *rest = after;
    Some(Node::Word(word))
}

fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    let end = text.iter().position(|octet| {
        let ends = *octet == b'"' && !escaped;
        escaped = *octet == b'\\' && !escaped;
        ends
    })?;
    Some((&text[..end], &text[end + 1..]))
}

fn literal(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|octet| *octet == b'}')?;
    let length: usize = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
    text[end + 1..].strip_prefix(b"\r\n")?.split_at_checked(length)
}

impl Node<'_> {
    fn list(&self) -> Option<&[Self]> {
        if let Self::List(nodes) = self { Some(nodes) } else { None }
    }

    fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(wanted.as_bytes()))
    }
}

/// Calls itself no deeper than [`DEEPEST`]. `first` is whether the part is the first in its multipart.
fn holds_file(part: &Node<'_>, first: bool) -> bool {
    match part.list() {
        Some(fields @ [Node::List(_), ..]) => {
            let parts = fields.iter().take_while(|field| field.list().is_some());
            parts.enumerate().any(|(n, part)| holds_file(part, n == 0))
        }
        Some(fields) => is_file(fields, first),
        None => false,
    }
}

/// The names of all files that a BODYSTRUCTURE speaks of, also within messages, as readers see them.
pub(super) fn file_names(structure: &[u8]) -> Vec<String> {
    let mut rest = structure;
    let mut names = Vec::new();
    if let Some(whole) = node(&mut rest, 0) {
        collect_names(&whole, &mut names);
    }
    names
}

/// Calls itself no deeper than [`DEEPEST`].
fn collect_names(part: &Node<'_>, names: &mut Vec<String>) {
    match part.list() {
        Some(fields @ [Node::List(_), ..]) => {
            fields.iter().take_while(|field| field.list().is_some()).for_each(|part| collect_names(part, names));
        }
        Some(fields @ [media, _, parameters, ..]) => {
            let is_message = fields.get(7).is_some_and(|field| field.list().is_some());
            let place = if is_message { 11 } else { 8 + usize::from(media.is("text")) };
            let disposition = fields.get(place).and_then(Node::list).and_then(|given| given.get(1));
            let given = disposition.and_then(|given| named(given, "filename"));
            names.extend(given.or_else(|| named(parameters, "name")));
            if let Some(inner) = fields.get(8).filter(|_| is_message) {
                collect_names(inner, names);
            }
        }
        Some(_) | None => {}
    }
}

/// A parameter as text, whichever way it was written (RFC 2231 §3, §4; RFC 2047).
fn named(parameters: &Node<'_>, name: &str) -> Option<String> {
    if !has(parameters, name) {
        return None;
    }
    // As it stood in the header, which has a reader already.
    let mut field = b"x".to_vec();
    for pair in parameters.list()?.chunks_exact(2) {
        let [Node::Word(key), Node::Word(value)] = pair else { continue };
        let quote: &[u8] = if key.ends_with(b"*") { b"" } else { b"\"" };
        field.extend([b"; ", *key, b"=", quote, value, quote].concat());
    }
    Disposition::read(&field)?.parameters.text(name)
}

/// As [`Layout`](super::source::Layout) parts texts and files, but for what surrounds the part.
fn is_file(fields: &[Node<'_>], first: bool) -> bool {
    let [media, subtype, parameters, id, ..] = fields else { return false };
    if subtype.list().is_some() {
        // A multipart without parts.
        return false;
    }
    let is_message = fields.get(7).is_some_and(|field| field.list().is_some());
    let is_text = media.is("text");
    let place = if is_message { 11 } else { 8 + usize::from(is_text) };
    let disposition = fields.get(place).and_then(Node::list).unwrap_or_default();
    if is_message || disposition.first().is_some_and(|word| word.is("attachment")) {
        return true;
    }
    let is_named = has(parameters, "name") || disposition.get(1).is_some_and(|given| has(given, "filename"));
    match media {
        _ if is_text => is_named && !first,
        // A part that the text can name is usually a picture that the text shows.
        _ if media.is("image") => id.is("NIL"),
        _ if media.is("message") || media.is("multipart") => is_named,
        _ => !SIGNATURES.iter().any(|known| subtype.is(known)),
    }
}

/// Whether there is a parameter, in one piece or more (RFC 2231 §3).
fn has(parameters: &Node<'_>, name: &str) -> bool {
    let names = parameters.list().unwrap_or_default().iter().step_by(2);
    names.into_iter().any(|given| match given {
        Node::Word(word) => {
            word.split(|octet| *octet == b'*').next().is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
        }
        Node::List(_) => false,
    })
}

/// Parts beside a text that belong to it.
const SIGNATURES: [&str; 4] = ["pkcs7-signature", "x-pkcs7-signature", "pgp-signature", "pgp-encrypted"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::mail::Summary;

    #[test]
    fn names_of_files_are_read() {
        let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n\
            --b\r\nContent-Type: application/pdf; name=\"=?utf-8?q?=C3=9Cbersicht=2Epdf?=\"\r\n\r\nx\r\n\
            --b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment;\r\n filename*0*=utf-8''gr%C3%BC;\r\n filename*1=\"n \\\"x.csv\"\r\n\r\nx\r\n\
            --b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: image/png; name=inner.png\r\n\r\nx\r\n\
            --b\r\nContent-Type: image/gif\r\n\r\nx\r\n--b--\r\n";
        let structure = Summary::of(message.as_bytes()).body_structure;
        assert_eq!(file_names(&structure), ["Übersicht.pdf", "grün \"x.csv", "inner.png"]);
        for broken in [&b""[..], b"(", b"((\"a\" \"b\" (\"name\"))", b"(\"a\" \"b\" (\"name\" NIL))", b")"] {
            file_names(broken);
        }
    }

    #[test]
    fn files_are_seen() {
        let of = |part: &str| {
            let text = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n--b\n";
            Summary::of(format!("{text}{part}\n--b--\n").replace('\n', "\r\n").as_bytes()).body_structure
        };
        for (part, wanted) in [
            ("Content-Type: text/plain\n\nfooter", false),
            ("Content-Type: application/pdf\nContent-Disposition: attachment\n\nx", true),
            ("Content-Type: application/pdf\nContent-Disposition: inline; filename=\"a \\\"(.pdf\"\n\nx", true),
            ("Content-Type: application/pdf\n\nx", true),
            ("Content-Type: text/plain; name=notes.txt\n\nx", true),
            ("Content-Type: text/csv\nContent-Disposition: inline;\n filename*0=a;\n filename*1=b\n\nx", true),
            ("Content-Type: image/png; name=a.png\nContent-ID: <a>\nContent-Disposition: inline\n\nx", false),
            ("Content-Type: image/png; name=a.png\nContent-ID: <a>\nContent-Disposition: attachment\n\nx", true),
            ("Content-Type: image/png; name=a.png\nContent-Disposition: inline\n\nx", true),
            ("Content-Type: message/rfc822\n\nSubject: y\n\nz", true),
            ("Content-Type: message/delivery-status\n\nReporting-MTA: dns; x", false),
            ("Content-Type: application/pgp-signature\n\nx", false),
            ("Content-Type: application/pgp-signature\nContent-Disposition: attachment\n\nx", true),
            ("Content-Type: text/plain\nContent-Description: f\u{fc}r {9} (\"attachment\" \"\n\nx", false),
        ] {
            assert_eq!(has_attachment(&of(part)), wanted, "{part}");
        }
        for (message, wanted) in [("\r\nhello", false), ("Content-Type: application/pdf\r\n\r\nx", true), ("", false)] {
            assert_eq!(has_attachment(&Summary::of(message.as_bytes()).body_structure), wanted, "{message}");
        }
        for broken in [&b""[..], b"(", b"((((", b"(\"text\" \"plain", b"({99}\r\nx", b")", b"(NIL NIL NIL NIL)"] {
            has_attachment(broken);
        }
        assert!(!has_attachment(&[b'('; 100_000]));
    }
}
