//! Which message it is, and whether its sender and its author are the real ones.

use aws_lc_rs::digest::{Context, SHA256, digest};

use crate::foundations::address::{Address, Domain};
use crate::foundations::hexadecimal::hexadecimal;
use crate::foundations::mail::addresses::{self, Entry};
use crate::foundations::mail::{Field, Fields, HeaderSection, Mail, Message, Who, own_results, results_of};

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
    let ours = own_results(header.fields(), hostname.as_str());
    let ours = ours.as_deref().and_then(|results| results_of(results, hostname.as_str()));
    if ours.is_some_and(|results| has_logged_in(&results, sender)) {
        return true;
    }
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

/// The only author of a message, if it is known that they have written it: a user of ours who was logged in, or somebody for whose
/// very domain DMARC has passed or, without a policy, a signature or SPF. Of local parts only that domain knows.
pub(super) fn known_author(mail: &Mail, hostname: &Domain) -> Option<Address> {
    let [added, original] = mail.message.pieces();
    let section = HeaderSection::of(original);
    let fields = || Fields::new(added).chain(section.fields());
    let author = only_author(fields().filter(|field| field.is("From")))?;
    if let Some(login) = &mail.origin.login {
        let is_own = login.who == Who::User && login.address.key() == author.key();
        return is_own.then_some(author);
    }
    let results = own_results(fields(), hostname.as_str())?;
    let results = results_of(&results, hostname.as_str())?;
    (has_logged_in(&results, &author) || shows(&results, author.domain().as_str())).then_some(author)
}

/// Whether the author was logged in at the process of ours that has taken the message in (RFC 8601 §2.7.4).
fn has_logged_in(results: &[&str], author: &Address) -> bool {
    results.iter().filter(|result| result.starts_with("auth=pass ")).any(|result| {
        let login = property(result, "smtp.auth").and_then(|login| login.parse::<Address>().ok());
        login.is_some_and(|login| login.key() == author.key())
    })
}

fn only_author<'a>(mut fields: impl Iterator<Item = Field<'a>>) -> Option<Address> {
    let (field, other) = (fields.next()?, fields.next());
    let mut entries = addresses::read(field.body).into_iter();
    match (other, entries.next(), entries.next()) {
        (None, Some(Entry::Mailbox(author)), None) => author.address().parse().ok(),
        _ => None,
    }
}

/// Whether results show that a message is from a domain.
fn shows(results: &[&str], domain: &str) -> bool {
    let has = |method: &str, name: &str| {
        results.iter().filter(|result| result.starts_with(method)).any(|result| {
            let value = property(result, name);
            value.is_some_and(|value| value.rsplit('@').next().is_some_and(|of| of.eq_ignore_ascii_case(domain)))
        })
    };
    let dmarc = results.iter().filter(|result| result.starts_with("dmarc="));
    let has_no_policy = dmarc.clone().count() == 1 && dmarc.clone().all(|result| result.starts_with("dmarc=none"));
    has("dmarc=pass", "header.from")
        || has_no_policy && (has("dkim=pass", "header.d") || has("spf=pass", "smtp.mailfrom"))
}

/// A property of a result, outside comments and quoted texts, of which others may have chosen the words.
fn property(result: &str, name: &str) -> Option<String> {
    let (mut quoted, mut depth) = (false, 0_u32);
    let mut plain = String::with_capacity(result.len());
    for c in result.chars() {
        match c {
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            c if !quoted && depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let found = plain.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    found.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::address::ReversePath;
    use crate::foundations::clock::Timestamp;
    use crate::foundations::ids::{MailId, SessionId};
    use crate::foundations::mail::{Envelope, Login, Origin};
    use crate::services::filter::carried;

    fn mail(message: &str) -> Mail {
        let at = Timestamp::from_unix_seconds(1);
        Mail {
            id: MailId::generate(at),
            origin: Origin::internal(SessionId::generate(at), at),
            envelope: Envelope::plain(ReversePath::Address("eve@far.test".parse().unwrap()), vec![]),
            message: Message::new(message.to_owned()),
        }
    }

    #[test]
    fn an_author_is_known_by_what_this_host_has_found() {
        let host: Domain = "mail.example.test".parse().unwrap();
        let known = |message: &str| known_author(&mail(message), &host).map(|author| author.to_string());
        let results = |found: &str| format!("Authentication-Results: mail.example.test;\r\n\t{found}\r\n");
        let from = "From: Bob <Bob@far.test>\r\n\r\nx\r\n";
        for (found, is_known) in [
            ("spf=fail smtp.mailfrom=x@y.test;\r\n\tdmarc=pass (p=none) header.from=far.test", true),
            ("dmarc=pass (p=none) header.from=other.test", false),
            ("dkim=pass header.d=far.test header.s=s;\r\n\tdmarc=none header.from=far.test", true),
            ("dkim=pass header.d=other.test header.s=s;\r\n\tdmarc=none header.from=far.test", false),
            ("dkim=pass (header.d=far.test) header.d=other.test;\r\n\tdmarc=none", false),
            ("dkim=pass header.s=\"x header.d=far.test\" header.d=other.test;\r\n\tdmarc=none", false),
            ("spf=pass smtp.mailfrom=bounce@far.test;\r\n\tdmarc=none", true),
            ("spf=pass smtp.mailfrom=@sub.far.test;\r\n\tdmarc=none", false),
            ("spf=pass smtp.helo=far.test;\r\n\tdmarc=none", false),
            ("dkim=pass header.d=far.test;\r\n\tdmarc=fail (p=none) header.from=far.test", false),
            ("dkim=pass header.d=far.test;\r\n\tdmarc=temperror header.from=far.test", false),
            ("spf=pass smtp.mailfrom=bounce@far.test", false),
        ] {
            assert_eq!(known(&(results(found) + from)).is_some(), is_known, "{found}");
        }
        let pass = results("dmarc=pass (p=none) header.from=far.test");
        assert_eq!(known(&format!("{pass}{from}")).as_deref(), Some("Bob@far.test"));
        let here = |with: &str| format!("Received: from x\r\n\tby mail.example.test with {with}\r\n\tid 1;\r\n\tx\r\n");
        for (text, is_known) in [
            (format!("Delivered-To: a@x.test\r\n{}{pass}{}{from}", here("LMTP"), here("ESMTPS")), true),
            // From a client that is not checked.
            (format!("{}{pass}{from}", here("ESMTPS")), false),
            (format!("{}{pass}{from}", here("LMTP").replace("mail.example", "mx.other")), false),
            (format!("{}{pass}{from}", here("SMTP").replace("from x", "from by mail.example.test with LMTP")), false),
            (pass.replace("mail.example", "mx.other") + from, false),
            (format!("{pass}From: eve@far.test\r\n{from}"), false),
            (format!("{pass}From: eve@far.test, bob@far.test\r\n\r\nx"), false),
            (format!("{pass}\r\nx"), false),
            (from.to_owned(), false),
        ] {
            assert_eq!(known(&text).is_some(), is_known, "{text}");
        }
        // What an encoded word would say, if it were one.
        let word = results("iprev=pass (=?utf-8?q?=29=3Bdmarc=3Dpass_header.from=3Dfar.test?=) policy.iprev=192.0.2.1");
        assert_eq!(known(&format!("{word}{from}")), None);
        // Our own users write as themselves only, also to the process that owns the mailboxes.
        let mut own = mail(from);
        for (login, is_known) in [("bob@far.test", true), ("eve@far.test", false)] {
            own.origin.login = Some(Login::user(login.parse().unwrap()));
            assert_eq!(known_author(&own, &host).is_some(), is_known, "{login}");
            own.envelope.reverse_path = ReversePath::Address(login.parse().unwrap());
            let field = carried::login(&own, &host);
            let passed_on = format!("{}{field}{}{from}", here("LMTP"), here("ESMTPSA"));
            assert_eq!(known(&passed_on).is_some(), is_known, "{passed_on}");
            // Another sender must not reveal whose account that is.
            own.envelope.reverse_path = ReversePath::Address("sales@far.test".parse().unwrap());
            assert_eq!(carried::login(&own, &host), "");
        }
        let forged = "Authentication-Results: mail.example.test; auth=pass smtp.auth=bob@far.test\r\n";
        assert_eq!(known(&format!("{}{}{forged}{from}", here("LMTP"), here("ESMTPS"))), None);
    }

    #[test]
    fn only_shown_senders_are_believed() {
        let mail = mail("");
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
        // Users of ours whose mail has waited in the queue. Only above what says how it came is that our own word.
        let login =
            |user: &str| format!("Authentication-Results: mail.example.test;\r\n\tauth=pass smtp.auth={user}\r\n");
        let received = "Received: from x\r\n\tby mail.example.test with ESMTPSA\r\n\tid 1;\r\n\tx\r\n";
        for (header, believed) in [
            (format!("{}{received}", login("eve@far.test")), true),
            (format!("{}{received}", login("bob@far.test")), false),
            (format!("{received}{}", login("eve@far.test")), false),
        ] {
            assert_eq!(is_believed(&mail, &Message::new(format!("{header}\r\n")), &host), believed, "{header}");
        }
    }
}
