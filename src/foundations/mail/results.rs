//! Reading Authentication-Results fields (RFC 8601 §2.2).
//!
//! Values come from strangers and may be quoted, semicolons included: a reader that splits at every semicolon can be
//! told anything.

use std::borrow::Cow;

use super::Field;

/// The name of the host that wrote a field, without comments and quotes; empty when there is none.
pub fn author_of_results(text: &str) -> Cow<'_, str> {
    let text = after_comments(text);
    match text.strip_prefix('"') {
        Some(quoted) => Cow::Owned(unquoted(quoted).trim().to_owned()),
        None => {
            let name = text.split(|c: char| c.is_whitespace() || matches!(c, ';' | '(')).next();
            Cow::Borrowed(name.unwrap_or_default().trim())
        }
    }
}

/// The content of a quoted string, after its opening quote (RFC 5322 §3.2.4), with backslashes resolved.
fn unquoted(quoted: &str) -> String {
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => value.extend(chars.next()),
            c => value.push(c),
        }
    }
    value
}

/// The results in a field that this host has written; `None` when another host has, or none is named.
pub fn results_of<'t>(text: &'t str, host: &str) -> Option<Vec<&'t str>> {
    if !author_of_results(text).eq_ignore_ascii_case(host) {
        return None;
    }
    Some(results_in(text).skip(1).collect())
}

/// The results that this host has found, as they are written: encoded words in them are nobody's words. They are above the field
/// that says how the message came here. From a client whose mail is not checked, a field below that may be anybody's; above are only
/// those of our own processes, which pass mail on by LMTP.
pub fn own_results<'a>(fields: impl Iterator<Item = Field<'a>>, host: &str) -> Option<String> {
    for field in fields {
        if field.is("Received") && !is_passed_on(&field, host) {
            return None;
        }
        if field.is("Authentication-Results") {
            let text = String::from_utf8_lossy(&field.value()).into_owned();
            if results_of(&text, host).is_some() {
                return Some(text);
            }
        }
    }
    None
}

/// Whether a Received field, whose lines this host has written, is that of a message that came by LMTP.
fn is_passed_on(field: &Field<'_>, host: &str) -> bool {
    let text = String::from_utf8_lossy(field.body);
    let mut by = text.lines().filter_map(|line| line.trim().strip_prefix("by "));
    let mut words = by.next().unwrap_or_default().split(' ');
    words.next() == Some(host) && words.next() == Some("with") && words.next().is_some_and(|with| with.contains("LMTP"))
}

/// The parts between semicolons outside quotes and comments, trimmed.
pub fn results_in(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut depth, mut escaped) = (false, 0_u32, false);
    let parts = text.split(move |c: char| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match c {
            '\\' => escaped = quoted || depth > 0,
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            ';' => return !quoted && depth == 0,
            _ => {}
        }
        false
    });
    parts.map(str::trim)
}

/// The text after leading blanks and comments (RFC 5322 §3.2.2).
fn after_comments(text: &str) -> &str {
    let mut rest = text.trim_start();
    while rest.starts_with('(') {
        let (mut depth, mut escaped) = (0_u32, false);
        let end = rest.char_indices().find(|(_, c)| {
            match c {
                _ if std::mem::take(&mut escaped) => {}
                '\\' => escaped = true,
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let Some((end, _)) = end else { return "" };
        rest = rest[end + 1..].trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_author_of_a_field_is_told() {
        for (text, wanted) in [
            ("mx.test; spf=pass", "mx.test"),
            (" mx.test 1; spf=pass", "mx.test"),
            ("mx.test\u{a0}1; spf=pass", "mx.test"),
            ("\u{a0}mx.test; spf=pass", "mx.test"),
            ("\"mx.test\" 1; none", "mx.test"),
            ("\"mx\\.te\\st\" 1; none", "mx.test"),
            ("\"m\\\"x; y\"; none", "m\"x; y"),
            ("\"mx.test\\", "mx.test"),
            ("(a (b\\)) c) mx.test(d); none", "mx.test"),
            ("mx.test", "mx.test"),
            ("; spf=pass", ""),
            ("(never closed mx.test; spf=pass", ""),
            ("", ""),
        ] {
            assert_eq!(author_of_results(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_value_in_quotes_is_no_result() {
        let text = "mx.test; spf=none (a;b \\) ;) smtp.mailfrom=\"\\\"x; dmarc=pass\\\"@far.test\"; dmarc=fail";
        let wanted =
            ["spf=none (a;b \\) ;) smtp.mailfrom=\"\\\"x; dmarc=pass\\\"@far.test\"", "dmarc=fail"].map(str::to_owned);
        assert_eq!(results_of(text, "MX.test").unwrap(), wanted);
        assert_eq!(results_of(text, "other.test"), None);
        assert_eq!(results_of("mx.test; a=\"b; c=d", "mx.test").unwrap(), ["a=\"b; c=d"]);
    }
}
