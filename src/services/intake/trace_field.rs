//! The Received field.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::foundations::address::Domain;
use crate::foundations::mail::{Mail, Peer, date};

// RFC 5321 §4.4
// Time-stamp-line = "Received:" FWS Stamp CRLF
// Stamp = From-domain By-domain Opt-info [CFWS] ";" FWS date-time
// Opt-info = [Via] [With] [ID] [For] [Additional-Registered-Clauses]

/// The field this host adds to a message, with its CRLF.
pub(super) fn received(mail: &Mail, hostname: &Domain) -> String {
    let origin = &mail.origin;
    let mut field = String::with_capacity(240);
    // Writing to a String cannot fail.
    field.push_str("Received: ");
    if !origin.hello.is_empty() {
        let _ = write!(field, "from {}", plain(&origin.hello));
        match origin.peer {
            Peer::Tcp(_) => {
                if let Some(ip) = origin.peer.ip() {
                    let _ = write!(field, " ({})", literal(ip));
                }
            }
            Peer::Unix => field.push_str(" (local socket)"),
            Peer::Internal => {}
        }
        field.push_str("\r\n\t");
    }
    let _ = write!(field, "by {hostname} with {}", origin.with);
    if let Some(tls) = &origin.tls {
        // The cipher's name comes from our TLS library, not from the peer.
        let _ = write!(field, " ({} {})", tls.version, tls.cipher);
    }
    let _ = write!(field, "\r\n\tid {}", mail.id);
    // RFC 5321 §7.6: with several recipients the field would tell each about the others.
    if let [only] = mail.envelope.recipients.as_slice()
        && (mail.envelope.smtputf8 || !only.address.needs_smtputf8())
    {
        let _ = write!(field, "\r\n\tfor <{}>", only.address);
    }
    let _ = write!(field, ";\r\n\t{}\r\n", date::write(origin.at.local()));
    field
}

/// The client's name in ASCII, so that the field may stand in any message.
fn plain(hello: &str) -> Cow<'_, str> {
    if hello.is_ascii() {
        return hello.into();
    }
    hello.parse::<Domain>().map_or("unknown".into(), |domain| domain.to_string().into())
}

/// RFC 5321 §4.1.3
fn literal(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::address::ReversePath;
    use crate::foundations::clock::Timestamp;
    use crate::foundations::ids::{MailId, SessionId};
    use crate::foundations::mail::{Envelope, Extras, Message, Origin, Recipient, TlsFacts, With};

    #[test]
    fn says_who_how_and_when() {
        let at = Timestamp::from_unix_seconds(1_700_000_000);
        let mut mail = Mail {
            id: MailId::generate(at),
            origin: Origin {
                session: SessionId::generate(at),
                peer: Peer::Tcp("[2001:db8::1]:1".parse().unwrap()),
                local: None,
                hello: "client.example".to_owned(),
                with: With::Esmtp(Extras { tls: true, login: true, utf8: false }),
                tls: Some(TlsFacts {
                    version: "TLSv1.3",
                    cipher: "TLS13_AES_256_GCM_SHA384".to_owned(),
                    server_name: None,
                }),
                login: None,
                at,
            },
            envelope: Envelope::plain(ReversePath::Null, vec![Recipient::plain("ann@example.test".parse().unwrap())]),
            message: Message::new(""),
        };
        let hostname: Domain = "mail.example.test".parse().unwrap();
        let field = received(&mail, &hostname);
        let start = format!(
            "Received: from client.example ([IPv6:2001:db8::1])\r\n\tby mail.example.test with ESMTPSA \
             (TLSv1.3 TLS13_AES_256_GCM_SHA384)\r\n\tid {}\r\n\tfor <ann@example.test>;\r\n\t",
            mail.id
        );
        assert!(field.starts_with(&start), "{field}");
        assert!(field.ends_with("\r\n") && field.lines().all(|line| line.len() < 78), "{field}");
        mail.envelope.recipients.push(Recipient::plain("bob@example.test".parse().unwrap()));
        mail.origin.hello = "b\u{fc}cher.example".to_owned();
        let field = received(&mail, &hostname);
        assert!(field.starts_with("Received: from xn--bcher-kva.example (") && !field.contains("for <"), "{field}");
    }
}
