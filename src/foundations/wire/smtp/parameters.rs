//! Parameters of MAIL and RCPT.

use std::fmt::Write as _;

use super::{SyntaxError, decode_embedded_unicode, decode_xtext, encode_embedded_unicode, encode_xtext};
use crate::foundations::mail::{BodyKind, DsnReturn, Notify, OriginalRecipient};

/// Longest ENVID, encoded (RFC 3461 §4.4).
const LONGEST_ENVELOPE_ID: usize = 100;
/// Longest ORCPT, encoded (RFC 3461 §4.2).
const LONGEST_ORIGINAL: usize = 500;

/// The parameters of MAIL that this server knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParameters {
    /// SIZE in octets (RFC 1870).
    pub size: Option<u64>,
    /// BODY (RFC 6152, RFC 3030).
    pub body: Option<BodyKind>,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// RET (RFC 3461 §4.3).
    pub ret: Option<DsnReturn>,
    /// ENVID, decoded (RFC 3461 §4.4).
    pub envelope_id: Option<String>,
    /// AUTH, decoded: the original submitter, `<>` when unknown (RFC 4954 §5).
    pub auth: Option<String>,
    /// REQUIRETLS (RFC 8689).
    pub require_tls: bool,
}

/// The parameters of RCPT that this server knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RcptParameters {
    /// NOTIFY (RFC 3461 §4.1).
    pub notify: Option<Notify>,
    /// ORCPT, decoded (RFC 3461 §4.2).
    pub original: Option<OriginalRecipient>,
}

// RFC 5321 §4.1.2
// Mail-parameters = esmtp-param *( SP esmtp-param )
// esmtp-param = esmtp-keyword [ "=" esmtp-value ]
// esmtp-value = 1*( %d33-60 / %d62-126 )

/// The parameters in `rest`, each with its value, if any.
fn parameters(rest: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    rest.split(' ').filter(|word| !word.is_empty()).map(|word| match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    })
}

/// Stores a value; a second one is an error.
fn once<T>(slot: &mut Option<T>, name: &'static str, value: Option<T>) -> Result<(), SyntaxError> {
    let value = value.ok_or(SyntaxError::ParameterValue(name))?;
    if slot.replace(value).is_some() { Err(SyntaxError::DuplicateParameter(name)) } else { Ok(()) }
}

/// Sets a flag; a second one or a value is an error.
fn flag(slot: &mut bool, name: &'static str, value: Option<&str>) -> Result<(), SyntaxError> {
    match value {
        Some(_) => Err(SyntaxError::ParameterValue(name)),
        None if *slot => Err(SyntaxError::DuplicateParameter(name)),
        None => {
            *slot = true;
            Ok(())
        }
    }
}

fn unknown(name: &str) -> SyntaxError {
    SyntaxError::UnknownParameter(name.chars().take(40).collect())
}

impl MailParameters {
    pub(super) fn parse(rest: &str) -> Result<Self, SyntaxError> {
        let mut found = Self::default();
        for (name, value) in parameters(rest) {
            match name.to_ascii_uppercase().as_str() {
                "SIZE" => once(&mut found.size, "SIZE", value.and_then(parse_size))?,
                "BODY" => once(&mut found.body, "BODY", value.and_then(parse_body))?,
                "SMTPUTF8" => flag(&mut found.smtputf8, "SMTPUTF8", value)?,
                "RET" => once(&mut found.ret, "RET", value.and_then(parse_return))?,
                "ENVID" => once(&mut found.envelope_id, "ENVID", value.and_then(parse_envelope_id))?,
                "AUTH" => once(&mut found.auth, "AUTH", value.and_then(decode_xtext).filter(|text| !text.is_empty()))?,
                "REQUIRETLS" => flag(&mut found.require_tls, "REQUIRETLS", value)?,
                _ => return Err(unknown(name)),
            }
        }
        Ok(found)
    }

    /// Appends ` NAME=value` for each parameter that is set.
    pub(super) fn write(&self, out: &mut String) {
        // Writing to a String cannot fail.
        if let Some(size) = self.size {
            let _ = write!(out, " SIZE={size}");
        }
        match self.body {
            Some(BodyKind::SevenBit) => out.push_str(" BODY=7BIT"),
            Some(BodyKind::EightBitMime) => out.push_str(" BODY=8BITMIME"),
            Some(BodyKind::BinaryMime) => out.push_str(" BODY=BINARYMIME"),
            None => {}
        }
        if self.smtputf8 {
            out.push_str(" SMTPUTF8");
        }
        match self.ret {
            Some(DsnReturn::Full) => out.push_str(" RET=FULL"),
            Some(DsnReturn::Headers) => out.push_str(" RET=HDRS"),
            None => {}
        }
        if let Some(id) = &self.envelope_id {
            let _ = write!(out, " ENVID={}", encode_xtext(id));
        }
        if let Some(auth) = &self.auth {
            let _ = write!(out, " AUTH={}", encode_xtext(auth));
        }
        if self.require_tls {
            out.push_str(" REQUIRETLS");
        }
    }
}

impl RcptParameters {
    pub(super) fn parse(rest: &str) -> Result<Self, SyntaxError> {
        let mut found = Self::default();
        for (name, value) in parameters(rest) {
            match name.to_ascii_uppercase().as_str() {
                "NOTIFY" => once(&mut found.notify, "NOTIFY", value.and_then(parse_notify))?,
                "ORCPT" => once(&mut found.original, "ORCPT", value.and_then(parse_original))?,
                _ => return Err(unknown(name)),
            }
        }
        Ok(found)
    }

    /// Appends ` NAME=value` for each parameter that is set.
    pub(super) fn write(&self, out: &mut String) {
        if let Some(notify) = self.notify {
            let words = [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
            let words: Vec<&str> = words.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
            out.push_str(" NOTIFY=");
            out.push_str(&if words.is_empty() { "NEVER".to_owned() } else { words.join(",") });
        }
        if let Some(original) = &self.original {
            // Writing to a String cannot fail.
            let address = match is_utf8(&original.address_type) {
                true => encode_embedded_unicode(&original.address),
                false => encode_xtext(&original.address),
            };
            let _ = write!(out, " ORCPT={};{address}", original.address_type);
        }
    }
}

// RFC 1870 §3
// size-value ::= 1*20DIGIT
fn parse_size(value: &str) -> Option<u64> {
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    // Twenty digits can exceed 64 bits; such a message is too large whatever the limit.
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

// RFC 6152 §2, RFC 3030 §3
// body-value ::= "7BIT" / "8BITMIME" / "BINARYMIME"
fn parse_body(value: &str) -> Option<BodyKind> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Some(BodyKind::SevenBit),
        "8BITMIME" => Some(BodyKind::EightBitMime),
        "BINARYMIME" => Some(BodyKind::BinaryMime),
        _ => None,
    }
}

/// What notifications should contain, as in RET.
// RFC 3461 §4.3
// ret-value = "FULL" / "HDRS"
pub fn parse_return(value: &str) -> Option<DsnReturn> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Some(DsnReturn::Full),
        "HDRS" => Some(DsnReturn::Headers),
        _ => None,
    }
}

fn parse_envelope_id(value: &str) -> Option<String> {
    if value.is_empty() || value.len() > LONGEST_ENVELOPE_ID { None } else { decode_xtext(value) }
}

/// Which notifications the sender wants, as in NOTIFY.
// RFC 3461 §4.1
// notify-esmtp-value = "NEVER" / 1#notify-list-element
// notify-list-element = "SUCCESS" / "FAILURE" / "DELAY"
pub fn parse_notify(value: &str) -> Option<Notify> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::NEVER);
    }
    let mut notify = Notify { explicit: true, ..Notify::NEVER };
    for word in value.split(',') {
        match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => notify.success = true,
            "FAILURE" => notify.failure = true,
            "DELAY" => notify.delay = true,
            _ => return None,
        }
    }
    Some(notify)
}

// RFC 3461 §4.2
// original-recipient-address = addr-type ";" xtext
// RFC 6533 §3: of the type utf-8, with \x{…} for what is not ASCII. Some write xtext here, too.
fn parse_original(value: &str) -> Option<OriginalRecipient> {
    let (address_type, address) = value.split_once(';').filter(|_| value.len() <= LONGEST_ORIGINAL)?;
    let atom = !address_type.is_empty() && address_type.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let decoded = decode_xtext(address).filter(|text| !text.is_empty())?;
    let address = if is_utf8(address_type) { decode_embedded_unicode(&decoded)? } else { decoded };
    atom.then(|| OriginalRecipient { address_type: address_type.to_owned(), address })
}

fn is_utf8(address_type: &str) -> bool {
    address_type.eq_ignore_ascii_case("utf-8")
}
