//! Message ids as threading compares them (RFC 5256 §3).

use std::borrow::Cow;

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

/// The compared form of what stands between angle brackets; `None` when it is no message id.
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

#[cfg(test)]
mod tests {
    use super::*;

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
