//! The extensions that a server announces in its reply to EHLO or LHLO.

use super::Reply;

/// The extensions a server announced. Unknown ones are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extensions {
    /// The name by which the server greets (RFC 5321 §4.1.1.1).
    pub host: String,
    /// SIZE (RFC 1870): the largest message in octets, `Some(0)` when it names no limit.
    pub size: Option<u64>,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// BINARYMIME (RFC 3030).
    pub binary_mime: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// STARTTLS (RFC 3207).
    pub start_tls: bool,
    /// REQUIRETLS (RFC 8689).
    pub require_tls: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// AUTH (RFC 4954): the mechanisms in upper case, at most 32.
    pub auth: Vec<String>,
    /// LIMITS (RFC 9422).
    pub limits: Limits,
}

/// LIMITS of a server (RFC 9422 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// MAILMAX: transactions in one session.
    pub mails: Option<u32>,
    /// RCPTMAX: recipients in one transaction.
    pub recipients: Option<u32>,
    /// RCPTDOMAINMAX: domains of recipients in one session.
    pub domains: Option<u32>,
}

impl Extensions {
    /// Reads a successful reply to EHLO or LHLO; its first line is the server's greeting (RFC 5321 §4.1.1.1).
    pub fn parse(reply: &Reply) -> Self {
        let first = reply.lines().next().unwrap_or_default();
        let host = first.split_ascii_whitespace().next().unwrap_or_default().to_owned();
        let mut found = Self { host, ..Self::default() };
        for line in reply.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            match keyword.as_str() {
                "SIZE" => found.size = Some(words.next().and_then(|size| size.parse().ok()).unwrap_or(0)),
                "PIPELINING" => found.pipelining = true,
                "8BITMIME" => found.eight_bit_mime = true,
                "SMTPUTF8" => found.smtputf8 = true,
                "CHUNKING" => found.chunking = true,
                "BINARYMIME" => found.binary_mime = true,
                "DSN" => found.dsn = true,
                "STARTTLS" => found.start_tls = true,
                "REQUIRETLS" => found.require_tls = true,
                "ENHANCEDSTATUSCODES" => found.enhanced_status_codes = true,
                "AUTH" => found.mechanisms(words),
                "LIMITS" => words.for_each(|word| found.limits.read(word)),
                // quirk_auth_equals: `AUTH=LOGIN PLAIN` of servers older than RFC 2554.
                _ => {
                    if let Some(first) = keyword.strip_prefix("AUTH=") {
                        found.mechanisms(std::iter::once(first).chain(words));
                    }
                }
            }
        }
        found
    }

    /// Whether a mechanism of AUTH is offered.
    pub fn offers_auth(&self, mechanism: &str) -> bool {
        self.auth.iter().any(|offered| offered.eq_ignore_ascii_case(mechanism))
    }

    fn mechanisms<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        for word in words.filter(|word| !word.is_empty()) {
            if self.auth.len() < 32 && !self.offers_auth(word) {
                self.auth.push(word.to_ascii_uppercase());
            }
        }
    }
}

impl Limits {
    fn read(&mut self, word: &str) {
        let Some((name, value)) = word.split_once('=') else { return };
        let value = value.parse().ok().filter(|limit| *limit > 0);
        match name.to_ascii_uppercase().as_str() {
            "MAILMAX" => self.mails = value,
            "RCPTMAX" => self.recipients = value,
            "RCPTDOMAINMAX" => self.domains = value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_servers_announce() {
        let reply = Reply::plain(250, "PIPELINING.example.test")
            .line("size 52428800")
            .line("AUTH PLAIN login")
            .line("AUTH=PLAIN LOGIN")
            .line("LIMITS RCPTMAX=100 MAILMAX=0 x")
            .line("X-UNKNOWN 1")
            .line("8BITMIME")
            .line("STARTTLS");
        let found = Extensions::parse(&reply);
        assert_eq!(found.size, Some(52_428_800));
        assert_eq!(found.auth, ["PLAIN", "LOGIN"]);
        assert_eq!(found.limits, Limits { mails: None, recipients: Some(100), domains: None });
        assert!(found.eight_bit_mime && found.start_tls && !found.pipelining && !found.dsn);
    }
}
