//! Looking up the keys that the signatures and seals of a message refer to.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::{DomainKey, VerifySignature};
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::{AuthenticatedMessage, DnsError, Error, ResolverCache, Txt};

use super::tag;
use super::verify::once_each;
use crate::foundations::dns::{ErrorKind, Resolver};

/// The keys a message refers to, by name with its final dot.
pub struct Keys(HashMap<String, Key>);

/// What is known about a key.
pub struct Key {
    txt: Txt,
    /// Why the record has no usable key.
    pub flaw: Option<&'static str>,
    /// `t=y`.
    pub is_test: bool,
}

impl Key {
    const fn none(error: Error) -> Self {
        Self { txt: Txt::Error(error), flaw: None, is_test: false }
    }
}

impl Keys {
    /// Asks for all of them at the same time; one that is missing after `patience` counts as a failure of the DNS.
    pub async fn fetch(resolver: &dyn Resolver, message: &AuthenticatedMessage<'_>, patience: Duration) -> Self {
        let mut names: Vec<String> = message.dkim_headers.iter().map(|h| h.header.domain_key()).collect();
        names.extend(message.ams_headers.last().map(|h| h.header.domain_key()));
        names.extend(message.as_headers.iter().map(|h| h.header.domain_key()));
        for name in &mut names {
            name.make_ascii_lowercase();
        }
        names.sort_unstable();
        names.dedup();
        let late = |_| Key::none(Error::Dns(DnsError::Resolver("no answer in time".to_owned())));
        let fetched = names
            .iter()
            .map(|name| async move { tokio::time::timeout(patience, key(resolver, name)).await.unwrap_or_else(late) });
        let found = join_all(fetched).await;
        Self(names.into_iter().zip(found).collect())
    }

    /// The key of a signature.
    pub fn of(&self, signature: &mail_auth::dkim::Signature) -> Option<&Key> {
        self.0.get(&signature.domain_key().to_ascii_lowercase())
    }
}

async fn key(resolver: &dyn Resolver, name: &str) -> Key {
    let none = || Key::none(Error::Dns(DnsError::RecordNotFound(ResponseCode::NXDomain)));
    match resolver.txt(&in_ascii(name.trim_end_matches('.'))).await {
        Ok(answer) => {
            let mut result = none();
            for text in &answer.records {
                if let Some(flaw) = unfit(text) {
                    result = Key { flaw: Some(flaw), ..none() };
                    continue;
                }
                match DomainKey::parse(text.as_bytes()) {
                    Ok(key) => {
                        let is_test = listed(text, b"t").is_some_and(|mut flags| flags.any(|flag| flag == "y"));
                        return Key { txt: Txt::DomainKey(Arc::new(key)), flaw: None, is_test };
                    }
                    Err(error) => result = Key::none(error),
                }
            }
            result
        }
        // An impossible name is the signer's choice and not a temporary error, which would exempt the message from the policy.
        Err(error) if error.is_absence() || error.kind == ErrorKind::InvalidName => none(),
        Err(error) => Key::none(Error::Dns(DnsError::Resolver(error.kind.to_string()))),
    }
}

/// A name in the form of the DNS, for comparisons (RFC 8616 §5).
pub fn in_ascii(name: &str) -> String {
    match name.is_ascii() {
        true => name.to_ascii_lowercase(),
        false => idna::domain_to_ascii(name).unwrap_or_else(|_| name.to_lowercase()),
    }
}

/// Why a record is ignored although it has a key (RFC 6376 §3.6.1, §6.1.2).
fn unfit(record: &str) -> Option<&'static str> {
    let lacks = |name, wanted: &[&str]| {
        listed(record, name)
            .is_some_and(|mut values| !values.any(|value| wanted.iter().any(|w| value.eq_ignore_ascii_case(w))))
    };
    if once_each(record.as_bytes()).is_none() {
        Some("a tag of the key's record is repeated")
    } else if lacks(b"s", &["*", "email"]) {
        Some("the key is not for mail")
    } else if lacks(b"h", &["sha256"]) {
        // RFC 8301 §3.1: it is the only one that counts.
        Some("the key is not for SHA-256")
    } else {
        None
    }
}

/// The values of a tag, separated by colons.
fn listed(record: &str, name: &[u8]) -> Option<impl Iterator<Item = String>> {
    let list = tag(record.as_bytes(), name)?;
    Some(list.split(':').map(str::to_owned).collect::<Vec<_>>().into_iter())
}

impl ResolverCache<Box<str>, Txt> for Keys {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let found = self.0.iter().find(|(key, _)| {
            let key: Box<str> = key.as_str().into();
            key.borrow() == name
        });
        // Names that are not here are not needed: reports to signers are not sent from here.
        let none = Txt::Error(Error::Dns(DnsError::RecordNotFound(ResponseCode::NXDomain)));
        Some(found.map_or(none, |(_, key)| key.txt.clone()))
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}
