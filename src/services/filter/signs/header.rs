//! Signs in the header and in how the message arrived.

use super::scripts::{as_read, is_east_asian, is_invisible, lookalike, mixed_word};
use super::{is_address, number, registered};
use std::net::IpAddr;

use crate::services::filter::rules::{ClientName, Facts};
use crate::services::filter::view::is_public;

fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, d)| d)
}

/// The time the message came here: what the daemon knows, else the newest Received field that can be read.
fn received_at(facts: &Facts<'_>) -> Option<i64> {
    facts.received_at.or_else(|| {
        let newest = facts.view.field("Received")?;
        let text = newest.decoded();
        let date = text.rsplit_once(';')?.1;
        mail_parser::DateTime::parse_rfc822(date.trim()).map(|d| d.to_timestamp())
    })
}

/// The Date field lies a number of hours in the given range away from when the message came: positive is the future.
pub fn date_off(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let (low, high): (i64, i64) = (number(arguments, 0)?, number(arguments, 1)?);
    let date = mail_parser::DateTime::parse_rfc822(facts.view.value("Date"))?;
    let hours = (date.to_timestamp() - received_at(facts)?) / 3600;
    (hours >= low && hours < high).then(|| format!("{hours} h"))
}

/// An invalid Date field.
pub fn date_unreadable(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    let value = facts.view.field("Date")?.decoded();
    let readable = mail_parser::DateTime::parse_rfc822(value).is_some_and(|d| d.is_valid());
    (!readable).then(|| value.chars().take(40).collect())
}

/// A field that may occur only once occurs more often (RFC 5322 §3.6).
pub fn repeated(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    arguments.iter().find(|name| facts.view.all(name).nth(1).is_some()).cloned()
}

/// A mailing list, which may put itself in the author's place: the name or Reply-To then says who has written. It must not be a
/// stranger's, as far as anybody has looked.
fn is_list(facts: &Facts<'_>) -> bool {
    is_sent_by_list(facts) && (facts.shown.is_none() || !facts.is_stranger)
}

/// A message of a mailing list, or of whoever calls themselves one: its domain has sent the message.
pub fn sent_by_list(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    is_sent_by_list(facts).then(String::new)
}

/// Anybody can write this field. So the list's domain must have sent the message, as far as anybody has looked.
fn is_sent_by_list(facts: &Facts<'_>) -> bool {
    let Some(field) = facts.view.field("List-Id") else { return false };
    let Some(shown) = facts.shown else { return true };
    // RFC 2919 §3: a description may come before the identifier.
    let id = field.decoded().rsplit('<').next().unwrap_or_default();
    let id = id.split('>').next().unwrap_or_default().trim().to_ascii_lowercase();
    let list = registered(&id);
    let mut hosts = shown.iter().map(String::as_str).chain(facts.client_name.verified());
    list.contains('.') && hosts.any(|host| registered(host) == list)
}

/// A display name that is an address of another domain.
pub fn name_is_other_address(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    if is_list(facts) {
        return None;
    }
    let from = facts.view.field("From")?;
    let name = as_read(from.display_name());
    // In Japanese, such a sign stands between the names of a person and a company.
    let shown = name.split(|c: char| c.is_whitespace() || "<>()\"',;:".contains(c)).find(|w| {
        w.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && domain.contains('.') && !domain.contains('@') && !is_east_asian(domain)
        })
    })?;
    let (seen, real) = (domain_of(shown).to_lowercase(), domain_of(from.address()));
    (!real.is_empty() && registered(&seen) != registered(real)).then(|| format!("`{shown}` <{real}>"))
}

/// Names that phishers like to use, with the registered domains that may use them.
const BRANDS: &[(&str, &[&str])] = &[
    ("paypal", &["paypal.com", "paypal."]),
    ("amazon", &["amazon.", "amazonses.com", "amazon-", "aws."]),
    ("netflix", &["netflix.com"]),
    (
        "microsoft",
        &[
            "microsoft.com",
            "microsoftonline.com",
            "microsoftemail.com",
            "microsoftstoreemail.com",
            "office.com",
            "office365.com",
            "outlook.com",
        ],
    ),
    ("office 365", &["microsoft.com", "microsoftonline.com", "office.com", "office365.com"]),
    ("apple id", &["apple.com", "icloud.com"]),
    ("icloud", &["apple.com", "icloud.com"]),
    ("docusign", &["docusign.com", "docusign.net"]),
    ("dropbox", &["dropbox.com", "dropboxmail.com", "hellosign.com"]),
    ("dhl", &["dhl.", "dhl-", "deutschepost.de"]),
    ("fedex", &["fedex.com"]),
    ("usps", &["usps.com", "usps.gov"]),
    ("metamask", &["metamask.io"]),
    ("coinbase", &["coinbase.com"]),
    ("binance", &["binance.com"]),
    ("wells fargo", &["wellsfargo.com"]),
    ("bank of america", &["bankofamerica.com", "bofa.com"]),
    ("chase bank", &["chase.com"]),
    ("american express", &["americanexpress.com", "aexp.com"]),
    // People and newspapers have these names, too.
    ("norton lifelock", &["norton.com", "nortonlifelock.com", "gendigital.com"]),
    ("norton 360", &["norton.com", "nortonlifelock.com", "gendigital.com"]),
    ("norton antivirus", &["norton.com", "nortonlifelock.com", "gendigital.com"]),
    ("norton security", &["norton.com", "nortonlifelock.com", "gendigital.com"]),
    ("norton support", &["norton.com", "nortonlifelock.com", "gendigital.com"]),
    ("mcafee", &["mcafee.com"]),
    ("geek squad", &["bestbuy.com", "geeksquad.com"]),
    ("ledger live", &["ledger.com", "ledger.fr"]),
    ("ledger support", &["ledger.com", "ledger.fr"]),
    ("ledger wallet", &["ledger.com", "ledger.fr"]),
];

/// A well-known name in the display name, from a domain that has nothing to do with it. Exchange writes its reports (RFC 6522) in the
/// name of `Microsoft Outlook` at everybody's domain.
pub fn brand(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    if facts.view.parts.first().is_some_and(|part| part.is("multipart/report")) {
        return None;
    }
    let from = facts.view.field("From")?;
    let name = as_read(from.display_name()).to_lowercase();
    let domain = registered(domain_of(from.address()));
    if name.is_empty() || domain.is_empty() {
        return None;
    }
    BRANDS.iter().find_map(|(brand, domains)| {
        let at = name.find(brand)?;
        let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let whole = !letter(name[..at].chars().next_back()) && !letter(name[at + brand.len()..].chars().next());
        let own = domains.iter().any(|d| if d.ends_with(['.', '-']) { domain.starts_with(d) } else { domain == *d });
        (whole && !own).then(|| format!("`{brand}` <{domain}>"))
    })
}

/// The message claims to come from its own recipient.
pub fn from_is_recipient(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    let from = facts.view.from_address();
    if from.is_empty() || is_list(facts) {
        return None;
    }
    let to = facts.view.field("To").is_some_and(|f| f.address() == from);
    let only = facts.recipients.len() == 1 && facts.recipients[0] == from;
    (to || only).then(|| from.to_owned())
}

/// Replies go to a free mail service although the message came from elsewhere.
pub fn reply_to_elsewhere(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    if is_list(facts) {
        return None;
    }
    let reply = facts.view.field("Reply-To")?.address();
    let (reply_domain, from_domain) = (domain_of(reply), domain_of(facts.view.from_address()));
    let elsewhere = !reply_domain.is_empty() && registered(reply_domain) != registered(from_domain);
    (elsewhere && is_free(reply_domain)).then(|| reply.to_owned())
}

/// A field (`From`, `Reply-To`) with an address of a free mail service.
pub fn free_mail(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let address = facts.view.field(arguments.first()?)?.address();
    is_free(domain_of(address)).then(|| address.to_owned())
}

fn is_free(domain: &str) -> bool {
    // Not `live.example.com`, but the same service in other countries.
    let is_national = |start: &str| domain.starts_with(start) && registered(domain) == domain;
    FREE.binary_search(&domain).is_ok() || ["yahoo.", "hotmail.", "live.", "outlook."].into_iter().any(is_national)
}

/// Services where anyone gets an address at once; sorted.
const FREE: &[&str] = &[
    "126.com",
    "163.com",
    "aol.com",
    "fastmail.com",
    "fastmail.fm",
    "freemail.hu",
    "gmail.com",
    "gmx.at",
    "gmx.ch",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "icloud.com",
    "inbox.ru",
    "libero.it",
    "list.ru",
    "mail.com",
    "mail.ru",
    "msn.com",
    "naver.com",
    "orange.fr",
    "pm.me",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "rediffmail.com",
    "seznam.cz",
    "sina.com",
    "t-online.de",
    "tutanota.com",
    "tutanota.de",
    "virgilio.it",
    "web.de",
    "wp.pl",
    "ya.ru",
    "yandex.com",
    "yandex.ru",
    "ymail.com",
    "zoho.com",
];

/// A word of mixed scripts in the subject, the sender's name or the text, or a domain of the sender that looks like another one.
pub fn mixed_scripts(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let view = facts.view;
    let text = match arguments.first()?.as_str() {
        "subject" => view.value("Subject"),
        "from" => view.field("From").map_or("", |f| f.display_name()),
        "body" => &view.body,
        "from_domain" => return lookalike(domain_of(view.from_address())),
        _ => return None,
    };
    mixed_word(text).map(|w| w.chars().take(40).collect())
}

/// At least this many zero-width characters in the subject, the sender's name or the text.
pub fn invisible_characters(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let view = facts.view;
    let text = match arguments.first()?.as_str() {
        "subject" => view.value("Subject"),
        "from" => view.field("From").map_or("", |f| f.display_name()),
        "body" => &view.body,
        _ => return None,
    };
    if text.is_ascii() {
        return None;
    }
    let least: usize = number(arguments, 1)?;
    let words = text.split(|c: char| !(c.is_alphanumeric() || is_invisible(c))).filter(|word| !word.is_ascii());
    let count: usize = words.map(invisible_in).sum();
    (count >= least).then(|| count.to_string())
}

/// How many zero-width characters a word has between two ASCII letters, where they are not what Indic scripts and emoji need them for.
/// Soft hyphens in long words are what they are made for.
fn invisible_in(word: &str) -> usize {
    const SOFT_HYPHEN: char = '\u{ad}';
    let is_long = word.chars().filter(|c| c.is_alphanumeric()).count() >= LONG_WORD;
    let mut count = 0;
    let mut before = ' ';
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        if is_invisible(c) {
            let is_inside = before.is_ascii_alphanumeric()
                && chars.peek().is_some_and(|n| n.is_ascii_alphanumeric() || is_invisible(*n));
            count += usize::from(is_inside && !(is_long && c == SOFT_HYPHEN));
        } else {
            before = c;
        }
    }
    count
}

/// Letters of a word that may have to be divided.
const LONG_WORD: usize = 12;

/// A subject of at least so many letters, all of them capitals.
pub fn shouting(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let least: usize = number(arguments, 0)?;
    let subject = facts.view.value("Subject");
    let subject = subject.trim_start_matches("Re: ").trim_start_matches("RE: ");
    let letters = subject.chars().filter(|c| c.is_alphabetic()).count();
    let shouts = letters >= least && subject.contains(' ') && !subject.chars().any(char::is_lowercase);
    (shouts && subject.chars().any(char::is_uppercase)).then(String::new)
}

/// A field in base64 although it is plain ASCII.
pub fn encoded_needlessly(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let field = facts.view.field(arguments.first()?)?;
    let encoded = memchr::memmem::find(&field.raw, b"?B?").or_else(|| memchr::memmem::find(&field.raw, b"?b?"));
    (encoded.is_some() && field.decoded().is_ascii()).then(String::new)
}

/// Several octets outside ASCII in a row that are not UTF-8, in which a field may be written (RFC 6532 §3.2).
pub fn raw_octets(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let raw = &facts.view.field(arguments.first()?)?.raw;
    let several = raw.windows(3).any(|octets| octets.iter().all(|octet| !octet.is_ascii()));
    (several && std::str::from_utf8(raw).is_err()).then(String::new)
}

/// A local part that was not chosen by a person: long, and full of digits or without vowels.
pub fn random_local_part(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    let (local, _) = facts.view.from_address().split_once('@')?;
    if local.contains(['=', '+', '-', '.', '_']) || local.len() < 8 {
        return None;
    }
    let digits = local.bytes().filter(u8::is_ascii_digit).count();
    let changes = local.as_bytes().windows(2).filter(|w| w[0].is_ascii_digit() != w[1].is_ascii_digit()).count();
    let vowels = local.bytes().filter(|b| b"aeiouy".contains(b)).count();
    // `bschwarz` and `kschmidt` are names.
    let unspeakable = digits == 0 && vowels * 7 < local.len() && (vowels == 0 || local.len() > 12);
    let random = (digits >= 3 && changes >= 3) || unspeakable;
    random.then(|| local.to_owned())
}

/// The client greeted with a bare address, against RFC 5321 §4.1.3.
pub fn hello_is_address(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    (!facts.hello.starts_with('[') && is_address(facts.hello)).then(|| facts.hello.to_owned())
}

/// The client greeted with a name that cannot exist in the public DNS.
pub fn hello_without_dot(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    let plain = !facts.hello.is_empty() && !facts.hello.contains(['.', ':', '[']);
    (plain && facts.client.is_some_and(is_public)).then(|| facts.hello.to_owned())
}

/// The client's address has no name that leads back to it.
pub fn client_without_name(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    let outside = facts.client.filter(|ip| is_public(*ip))?;
    (facts.client_name == ClientName::Missing).then(|| outside.to_string())
}

/// Pieces of the names that providers give to their subscribers' lines.
const SUBSCRIBER: &[&str] = &[
    "dsl",
    "dial",
    "dynamic",
    "dyn",
    "ppp",
    "cable",
    "pool",
    "dhcp",
    "broadband",
    "client",
    "customer",
    "cust",
    "user",
    "modem",
    "catv",
    "ftth",
    "fiber",
    "pppoe",
    "dip",
    "dialup",
    "static",
    "host",
    "ip",
    "cpe",
    "res",
    "home",
    "wireless",
];

/// The client's name is that of a subscriber's line: it contains the address, or words such as `dsl`.
pub fn client_subscriber(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    let (name, address) = (facts.client_name.verified()?, facts.client?);
    let IpAddr::V4(v4) = address else { return None };
    let host = name.strip_suffix(registered(name))?;
    let numbers: Vec<&str> = host.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty()).collect();
    let octets = v4.octets();
    let own = octets.iter().filter(|o| numbers.iter().any(|n| n.trim_start_matches('0') == o.to_string())).count();
    let word = host.split(|c: char| !c.is_ascii_alphabetic()).any(|w| SUBSCRIBER.contains(&w));
    (own >= 3 || (own >= 2 && word) || (word && numbers.len() >= 3)).then(|| name.to_owned())
}

/// The client greets with the name of a large service that its own name does not belong to.
pub fn hello_borrowed(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    let hello = facts.hello.to_ascii_lowercase();
    let domain = registered(&hello);
    let known = is_free(domain) || BRANDS.iter().any(|(_, domains)| domains.contains(&domain));
    let own = match facts.client_name {
        ClientName::NotAsked => return None,
        ClientName::Missing => false,
        ClientName::Verified(name) => registered(name) == domain,
    };
    (known && !own).then_some(hello)
}

/// The host in the Message-ID is: `missing`, `address`, or `recipient` (the domain of a recipient).
pub fn message_id_host(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let id = facts.view.field("Message-ID")?.decoded().trim_matches(['<', '>', ' ']);
    let host = id.rsplit_once('@').map_or("", |(_, h)| h).to_lowercase();
    let holds = match arguments.first()?.as_str() {
        "missing" => host.is_empty(),
        "address" => is_address(&host),
        "recipient" => {
            !host.is_empty()
                && facts.recipients.iter().any(|r| domain_of(r) == host)
                && domain_of(facts.view.from_address()) != host
        }
        _ => false,
    };
    holds.then(|| id.chars().take(60).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        assert!(FREE.is_sorted());
    }
}
