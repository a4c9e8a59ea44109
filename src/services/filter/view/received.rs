//! The hop by which a message came to this site, according to its Received fields.

use std::net::IpAddr;

use super::View;

/// Who handed the message to the outermost host of this site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The client's address.
    pub address: IpAddr,
    /// What it called itself; empty when that is not told.
    pub hello: String,
    /// Its name, verified by the host that wrote the field; `None` when it has none.
    pub name: Option<String>,
}

/// The newest hop from a public address: what stands above it was written within the site.
pub fn hop(view: &View<'_>) -> Option<Hop> {
    view.all("Received").take(10).find_map(|field| parse(field.decoded()))
}

/// Reads a field as Postfix, Sendmail, Exim, qmail and Exchange write it; `None` when it tells no public address.
fn parse(text: &str) -> Option<Hop> {
    let from = text.strip_prefix("from ")?;
    let end = [" by ", " with ", ";"].iter().filter_map(|w| from.find(w)).min().unwrap_or(from.len());
    let from = &from[..end];
    let (first, comment) = from.split_once(char::is_whitespace).unwrap_or((from, ""));
    let address = from.split(|c: char| c.is_whitespace() || "()[]=;,".contains(c)).find_map(|word| {
        let word = word.strip_prefix("IPv6:").unwrap_or(word);
        word.parse::<IpAddr>().ok()
    })?;
    if !is_public(address) {
        return None;
    }
    let told = ["HELO ", "helo=", "EHLO "]
        .iter()
        .find_map(|w| comment.split_once(w))
        .map(|(_, rest)| rest.split(|c: char| c.is_whitespace() || c == ')').next().unwrap_or_default().to_owned());
    // With `HELO` in the comment the first word is the client's name, otherwise what it called itself.
    let (hello, name) = match told {
        Some(hello) => (hello, Some(first)),
        None => {
            let inner = comment.trim_start().trim_start_matches('(');
            let name = inner.split(|c: char| c.is_whitespace() || "[()".contains(c)).next().filter(|n| !n.is_empty());
            (first.to_owned(), name)
        }
    };
    let name = name
        .map(|n| n.rsplit_once('@').map_or(n, |(_, host)| host).trim_end_matches('.').to_ascii_lowercase())
        .filter(|n| n.contains('.') && n.parse::<IpAddr>().is_err() && !n.starts_with('[') && n != "unknown");
    let forged = comment.contains("may be forged");
    Some(Hop { address, hello, name: name.filter(|_| !forged) })
}

/// Whether the address is one of the public Internet.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast())
                && !(a == 100 && (64..128).contains(&b))
                && a != 0
                && a < 240
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_others_write() {
        for (text, hello, name) in [
            (
                "from mail.a.test (mx.a.test [198.51.100.7]) by us.test (Postfix) with ESMTP id 1; Tue",
                "mail.a.test",
                Some("mx.a.test"),
            ),
            ("from mail.a.test (unknown [198.51.100.7]) by us.test", "mail.a.test", None),
            ("from hkem.com ([61.236.128.64]) by dogma.test (8.11.6/8.11.6) with ESMTP id g", "hkem.com", None),
            ("from x (root@lugh.a.test [194.125.145.45]) by b", "x", Some("lugh.a.test")),
            ("from x (adsl.a.test [194.125.145.45] (may be forged)) by b", "x", None),
            ("from unknown (HELO a.test) (198.51.100.7) by b with SMTP", "a.test", None),
            ("from mx.a.test (HELO a.test) (198.51.100.7) by b with SMTP", "a.test", Some("mx.a.test")),
            ("from mx.a.test ([198.51.100.7] helo=a.test) by b with esmtp", "a.test", Some("mx.a.test")),
            ("from [198.51.100.7] (helo=a.test) by b", "a.test", None),
            ("from a.test (mx.a.test. [IPv6:2001:db8::1]) by b", "a.test", Some("mx.a.test")),
        ] {
            let hop = parse(text).unwrap();
            assert_eq!((hop.hello.as_str(), hop.name.as_deref()), (hello, name), "{text}");
        }
        for text in ["from localhost (jalapeno [127.0.0.1]) by x", "from a (b [10.0.0.1]) by c", "by x with local", ""]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
