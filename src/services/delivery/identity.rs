//! Which message it is, and whether its sender is the real one.

use aws_lc_rs::digest::{Context, SHA256, digest};

use crate::foundations::address::Domain;
use crate::foundations::hexadecimal::hexadecimal;
use crate::foundations::mail::{HeaderSection, Mail, Message, results_of};

/// What tells a message from others, over repeated deliveries and when it comes back: who sent it, its Message-ID, and what it
/// says, since some senders give every message the same Message-ID. Without a Message-ID it is the whole message.
pub(super) fn identity(mail: &Mail, message: &Message) -> String {
    let bytes = message.bytes();
    let header = HeaderSection::of(&bytes);
    let Some(id) = header.first("Message-ID") else {
        return hexadecimal(digest(&SHA256, mail.message.original()).as_ref());
    };
    let mut said = Context::new(&SHA256);
    // Not what hosts on the way add or rewrite.
    for name in ["From", "Date", "Subject"] {
        header.first(name).into_iter().for_each(|field| said.update(&field.value()));
        said.update(b"\n");
    }
    said.update(&bytes[header.body_start()..]);
    let said = hexadecimal(said.finish().as_ref());
    format!("{} {} {said}", mail.envelope.reverse_path, String::from_utf8_lossy(&id.value()).trim())
}

/// Whether the sender of the envelope is the real one: a user of ours, or shown by SPF or DMARC, as the filter has noted in
/// the field that only it may write in our name (RFC 8601 §5).
pub(super) fn is_believed(mail: &Mail, message: &Message, hostname: &Domain) -> bool {
    if mail.origin.login.is_some() {
        return true;
    }
    let Some(sender) = mail.envelope.reverse_path.address() else { return false };
    let bytes = message.bytes();
    let header = HeaderSection::of(&bytes);
    let domain = sender.domain().as_str();
    let shows = |text: &str| {
        results_of(text, hostname.as_str()).map(|results| {
            results.into_iter().any(|result| {
                result.starts_with("spf=pass smtp.mailfrom=")
                    || result.starts_with("dmarc=pass") && result.ends_with(&format!("header.from={domain}"))
            })
        })
    };
    header.all("Authentication-Results").find_map(|field| shows(&field.text())).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::address::ReversePath;
    use crate::foundations::clock::Timestamp;
    use crate::foundations::ids::{MailId, SessionId};
    use crate::foundations::mail::{BodyKind, DsnWish, Envelope, Origin};

    #[test]
    fn only_shown_senders_are_believed() {
        let at = Timestamp::from_unix_seconds(1);
        let mail = Mail {
            id: MailId::generate(at),
            origin: Origin::internal(SessionId::generate(at), at),
            envelope: Envelope {
                reverse_path: ReversePath::Address("eve@far.test".parse().unwrap()),
                recipients: vec![],
                body: BodyKind::SevenBit,
                smtputf8: false,
                require_tls: false,
                dsn: DsnWish::default(),
            },
            message: Message::new(""),
        };
        let host: Domain = "mail.example.test".parse().unwrap();
        for (field, believed) in [
            ("mail.example.test;\r\n\tspf=pass smtp.mailfrom=eve@far.test;\r\n\tdkim=none", true),
            (
                "mail.example.test;\r\n\tspf=none smtp.mailfrom=eve@far.test;\r\n\tdmarc=pass (p=none) header.from=far.test",
                true,
            ),
            ("mail.example.test;\r\n\tdmarc=pass (p=none) header.from=other.test", false),
            ("mail.example.test;\r\n\tspf=pass smtp.helo=far.test;\r\n\tspf=fail smtp.mailfrom=eve@far.test", false),
            ("mx.elsewhere.test;\r\n\tspf=pass smtp.mailfrom=eve@far.test", false),
            ("mail.example.test;\r\n\tspf=fail smtp.mailfrom=\"\\\"x; spf=pass smtp.mailfrom=\\\"@far.test\"", false),
        ] {
            let message = Message::new(format!("Authentication-Results: {field}\r\nSubject: x\r\n\r\n").into_bytes());
            assert_eq!(is_believed(&mail, &message, &host), believed, "{field}");
        }
        assert!(!is_believed(&mail, &Message::new("Subject: x\r\n\r\n"), &host));
    }
}
