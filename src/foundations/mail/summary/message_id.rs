//! Message ids as threading compares them (RFC 5256 §3).

use std::borrow::Cow;

use crate::foundations::mail::{ContentDigest, ThreadId};

/// The valid message ids of a field's value, in order and without angle brackets.
///
/// ```abnf
/// msg-id   = [CFWS] "<" id-left "@" id-right ">" [CFWS]
/// ```
/// RFC 5256 §3: quotation marks that need not be there make no difference; neither do blanks.
pub fn message_ids(value: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    value.split(|b| *b == b'<').skip(1).filter_map(|rest| {
        let end = memchr::memchr(b'>', rest)?;
        normalized(&rest[..end])
    })
}

/// The form in which the content of angle brackets is compared; `None` when it is no message id.
pub(super) fn normalized(id: &[u8]) -> Option<Cow<'_, [u8]>> {
    let at = memchr::memrchr(b'@', id)?;
    if at == 0 || at + 1 == id.len() {
        return None;
    }
    let is_plain = id.iter().all(|b| !b.is_ascii_whitespace() && !matches!(b, b'"' | b'\\'));
    if is_plain {
        return Some(Cow::Borrowed(id));
    }
    let mut plain = Vec::with_capacity(id.len());
    let mut octets = id.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => {}
            b'\\' => plain.extend(octets.next()),
            octet if octet.is_ascii_whitespace() => {}
            octet => plain.push(*octet),
        }
    }
    Some(Cow::Owned(plain))
}

/// The thread of a message starts with the first message that References names, else with the one it answers, else with
/// itself. Ids are given without angle brackets; invalid ones are ignored.
pub(super) fn thread(first_reference: &str, in_reply_to: &str, message_id: &str, content: ContentDigest) -> ThreadId {
    let first = [first_reference, in_reply_to, message_id].into_iter().find_map(|id| normalized(id.as_bytes()));
    first.map_or(ThreadId::alone(content), |id| ThreadId::begun_by(&id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_known_by_the_message_that_it_began_with() {
        let of = |header: &str| {
            let summary = crate::foundations::mail::Summary::of(format!("{header}\r\n{header}").as_bytes());
            let mut stored = Vec::new();
            summary.write(&mut stored);
            let thread = crate::foundations::mail::Summary::stored(&stored).map(|stored| stored.thread());
            assert_eq!(thread, Some(summary.thread()));
            summary.thread()
        };
        let first = of("Message-ID: <one@example.test>\r\n");
        for member in [
            "Message-ID: <\"one\"@example.test>\r\nSubject: copy\r\n",
            "Message-ID: <two@example.test>\r\nIn-Reply-To: <one@example.test>\r\n",
            "Message-ID: <three@example.test>\r\nIn-Reply-To: <two@example.test>\r\nReferences: <one@example.test>\r\n <two@example.test>\r\n",
            "References: nonsense <one@example.test>\r\n",
        ] {
            assert_eq!(of(member), first, "{member}");
        }
        for other in ["Message-ID: <two@example.test>\r\n", "Message-ID: one\r\n", "Subject: one\r\n", ""] {
            assert_ne!(of(other), first, "{other}");
        }
        assert_ne!(of("Subject: a\r\n"), of("Subject: b\r\n"), "nothing says that they belong together");
    }

    #[test]
    fn valid_ones_in_their_compared_form() {
        for (value, ids) in [
            ("<a@b>", &["a@b"][..]),
            ("<a@b> <c@d>\r\n <e@f>", &["a@b", "c@d", "e@f"]),
            ("<\"a\"@b> <\"a\\b\"@c> < d @ e >", &["a@b", "ab@c", "d@e"]),
            ("Your message of Monday <a@b>, he said", &["a@b"]),
            ("a@b", &[]),
            ("<a> <@b> <c@> <>", &[]),
            ("<a@b", &[]),
            ("<<a@b>>", &["a@b"]),
            ("", &[]),
        ] {
            let found: Vec<_> =
                message_ids(value.as_bytes()).map(|id| String::from_utf8_lossy(&id).into_owned()).collect();
            assert_eq!(found, ids, "{value}");
        }
    }
}
