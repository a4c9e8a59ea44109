//! The Authentication-Results field (RFC 8601).

use std::ops::Range;

use super::check::{Authentication, Client};
use super::dkim::{Chain, Findings};
use super::hello::Iprev;
use crate::foundations::mail::{HeaderSection, author_of_results};

/// The complete field, with its line end, to be put in front of the message.
pub fn header(authentication: &Authentication, client: &Client<'_>, hostname: &str) -> String {
    let mut results: Vec<String> = Vec::new();
    if let (Some(iprev), Some(address)) = (&authentication.iprev, client.address) {
        results.push(match iprev {
            Iprev::Pass(name) => format!("iprev=pass ({}) policy.iprev={}", comment(name), value(&address.to_string())),
            Iprev::Fail => format!("iprev=fail policy.iprev={}", value(&address.to_string())),
            Iprev::TempError => format!("iprev=temperror policy.iprev={}", value(&address.to_string())),
        });
    }
    if let Some(outcome) = &authentication.spf_hello {
        results.push(format!("spf={} smtp.helo={}", outcome.result.word(), value(client.hello)));
    }
    if let Some(outcome) = &authentication.spf {
        results.push(format!("spf={} smtp.mailfrom={}", outcome.result.word(), sender(client.reverse_path)));
    }
    if authentication.signatures.dkim.is_empty() {
        results.push("dkim=none".to_owned());
    }
    for signature in &authentication.signatures.dkim {
        let mut text = format!("dkim={}", signature.result.word());
        if let Some(reason) = &signature.reason {
            text.push_str(&format!(" ({})", comment(reason)));
        }
        for (name, property) in [
            ("d", signature.domain.as_str()),
            ("s", &signature.selector),
            ("a", signature.algorithm),
            ("b", &signature.head),
        ] {
            if !property.is_empty() {
                text.push_str(&format!(" header.{name}={}", value(property)));
            }
        }
        results.push(text);
    }
    let dmarc = &authentication.dmarc;
    if dmarc.domain.is_empty() {
        results.push(format!("dmarc={}", dmarc.result.word()));
    } else {
        results.push(format!(
            "dmarc={} (p={}) header.from={}",
            dmarc.result.word(),
            dmarc.policy.word(),
            value(&dmarc.domain)
        ));
    }
    match &authentication.signatures.arc {
        Chain::None => {}
        Chain::Pass { sealers, .. } => {
            let newest = sealers.last().map_or("", String::as_str);
            results.push(format!("arc=pass ({}) header.oldest-pass=0", comment(newest)));
        }
        Chain::Fail(reason) => results.push(format!("arc=fail ({})", comment(reason))),
    }
    format!("Authentication-Results: {};\r\n\t{}\r\n", value(hostname), results.join(";\r\n\t"))
}

/// What our seal may say, from our field; `None` when there is a broken chain: nobody believes what follows.
pub fn findings(authentication: &Authentication, header: &str) -> Option<Findings> {
    let sets = match &authentication.signatures.arc {
        Chain::None => 0,
        Chain::Pass { sealers, .. } => sealers.len(),
        Chain::Fail(_) => return None,
    };
    let results = header.strip_prefix("Authentication-Results:")?.trim().to_owned();
    Some(Findings { results, sets })
}

/// Fields that claim to be ours (RFC 8601 §5), as ranges of whole lines in the message. Every field that a reader could find is
/// checked, however many there are.
pub fn forged(header: &HeaderSection<'_>, hostname: &str) -> Vec<Range<usize>> {
    let claims = header.all("Authentication-Results").filter(|field| {
        let text = field.text();
        let author = author_of_results(&text);
        author.eq_ignore_ascii_case(hostname) || author.is_empty()
    });
    claims.map(|field| field.range).collect()
}

/// A sender. If the local part would have to be quoted, only the domain is given (RFC 8601 §2.2: the local part may be
/// left out): not every reader of the field understands quotes.
fn sender(path: &str) -> String {
    match path.rsplit_once('@') {
        Some((local, domain)) if local.is_empty() || !local.chars().all(is_token) => format!("@{}", value(domain)),
        _ => value(path),
    }
}

/// Characters that a value may contain without quotes.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-.^_`{|}~@".contains(c)
        || !c.is_ascii() && !c.is_whitespace() && !c.is_control()
}

/// A value as a token where that is possible, else quoted (RFC 8601 §2.2). What could end the quotes, or the result for a reader
/// that does not understand quotes, becomes a question mark, and so do control characters.
fn value(text: &str) -> String {
    let harmless = |c: char| if c.is_control() || matches!(c, '"' | '\\' | ';') { '?' } else { c };
    let clean = without_words(text.chars().take(256).map(harmless).collect());
    if !clean.is_empty() && clean.chars().all(is_token) {
        return clean;
    }
    format!("\"{clean}\"")
}

/// Text for a comment.
fn comment(text: &str) -> String {
    let harmless = |c: char| if c.is_ascii_graphic() && !"();\\".contains(c) || c == ' ' { c } else { '?' };
    without_words(text.chars().take(120).map(harmless).collect())
}

/// The text without the beginnings of encoded words (RFC 2047 §2), which many readers decode wherever they are: a client's name could
/// have results of its own in one.
fn without_words(text: String) -> String {
    if text.contains("=?") { text.replace("=?", "=-") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_ones_are_found() {
        let mail = "Authentication-Results: MX.example.test; spf=pass\r\nA: b\r\nAuthentication-Results: other.test; dmarc=pass\r\nauthentication-results:\r\n \"mx.example.test\" 1;\r\n dkim=pass\r\nX: y\r\n\r\nbody";
        let header = HeaderSection::of(mail.as_bytes());
        let found: Vec<&str> = forged(&header, "mx.example.test").into_iter().map(|r| &mail[r]).collect();
        assert_eq!(
            found,
            [
                "Authentication-Results: MX.example.test; spf=pass\r\n",
                "authentication-results:\r\n \"mx.example.test\" 1;\r\n dkim=pass\r\n"
            ]
        );
    }

    #[test]
    fn nothing_can_be_smuggled_into_the_field() {
        let word = "=?utf-8?q?x=29=22=3Bdmarc=3Dpass_header.from=3Dbank.test?=";
        for written in [value(word), comment(word), value("=\u{1}utf-8?q?x=3By?="), comment("=;utf-8?q?x=3By?=")] {
            let field = format!("X: {written}\r\n\r\n");
            let text = HeaderSection::of(field.as_bytes()).first("X").map(|field| field.text()).unwrap_or_default();
            assert_eq!(text, written);
        }
        assert_eq!(value("a\r\nX: y"), "\"a??X: y\"");
        assert_eq!(value("a;b\"c d"), "\"a?b?c d\"");
        assert_eq!(value("ann@example.test"), "ann@example.test");
        assert_eq!(comment("a);\r\nb"), "a????b");
        for (path, wanted) in [
            ("ann@example.test", "ann@example.test"),
            ("jörg+x@example.test", "jörg+x@example.test"),
            ("\"x; dmarc=pass (p=reject) header.from=bank.test; y\"@far.test", "@far.test"),
            ("\"a b\"@[IPv6:2001:db8::1]", "@\"[IPv6:2001:db8::1]\""),
        ] {
            assert_eq!(sender(path), wanted);
        }
    }
}
