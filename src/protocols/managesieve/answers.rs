//! What a client reads about its scripts.

use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::wire::managesieve::{Code, Reply, string};
use crate::services::sieve::Mistake;
use crate::storage::scripts::{Entry, Error};

/// Most mistakes that are told at once.
const MOST: usize = 50;

/// Mistakes or warnings, one a line (RFC 5804 §2.6 wants a text that helps the user).
pub(super) fn lines(mistakes: &[Mistake]) -> String {
    let mut lines: Vec<String> = mistakes.iter().take(MOST).map(ToString::to_string).collect();
    if mistakes.len() > MOST {
        lines.push(format!("and {} more", mistakes.len() - MOST));
    }
    lines.join("\r\n")
}

/// What is said of a script that compiles.
pub(super) fn fine(what: &'static str, warnings: &[Mistake]) -> Reply {
    match warnings {
        [] => Reply::ok(what),
        warnings => Reply::ok(lines(warnings)).coded(Code::Warnings),
    }
}

/// The lines of LISTSCRIPTS (RFC 5804 §2.7).
pub(super) fn list(scripts: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    for script in scripts {
        string(script.name.as_str().as_bytes(), &mut out);
        out.extend_from_slice(if script.active { b" ACTIVE\r\n" } else { b"\r\n" });
    }
    out
}

/// Why the store did not do something.
pub(super) fn refused(error: &Error) -> Reply {
    let code = match error.kind() {
        Kind::NotFound => Some(Code::NonExistent),
        Kind::Exists => Some(Code::AlreadyExists),
        Kind::TooMany => Some(Code::QuotaMaxScripts),
        Kind::TooLarge => Some(Code::QuotaMaxSize),
        Kind::OverQuota => Some(Code::Quota),
        Kind::NoPermission => match error {
            Error::IsActive(_) => Some(Code::Active),
            _ => Some(Code::TryLater),
        },
        Kind::Invalid => None,
        Kind::AuthenticationFailed | Kind::Corrupt | Kind::NoSpace | Kind::Temporary => Some(Code::TryLater),
    };
    let text = match error {
        // Paths are for the log.
        Error::File(_) | Error::BadUser(_) | Error::Closing => {
            "The scripts are unavailable right now; try again later".to_owned()
        }
        told => sentence(&told.to_string()),
    };
    let reply = Reply::no(text);
    match code {
        Some(code) => reply.coded(code),
        None => reply,
    }
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// Why somebody may not log in.
pub(super) fn unknown(refusal: &Refusal) -> Reply {
    let reply = Reply::no(refusal.public.clone());
    match refusal.kind {
        Kind::AuthenticationFailed | Kind::NotFound | Kind::NoPermission | Kind::Invalid => reply,
        _ => reply.coded(Code::TryLater),
    }
}
