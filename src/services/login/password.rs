//! Stored passwords: `{SCHEME}hash`, or a hash that says itself what it is.

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use sha_crypt::{PasswordHashRef, ShaCrypt};

use crate::foundations::random::NoRandomness;
use crate::foundations::secret::Secret;

/// Octets of a password that bcrypt looks at; what follows is ignored by every implementation.
const BCRYPT_SEES: usize = 72;
/// Longest password that is checked at all. SHA-crypt's work grows with the square of it.
const LONGEST: usize = 512;
/// The most work a stored hash may ask for: hashes come from a database that others may write.
const MOST_BCRYPT: u32 = 17;
const MOST_SHA_ROUNDS: u32 = 5_000_000;
const MOST_ARGON2_KIB: u32 = 1 << 20;
const MOST_ARGON2_PASSES: u32 = 64;

/// What would be a hash, and what makes one.
const HASHES: &str = "known schemes are {BLF-CRYPT}, {SHA512-CRYPT}, {SHA256-CRYPT}, {ARGON2ID} and {ARGON2I}, and \
     `postrider user hash` makes one";

/// A way of hashing passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// bcrypt (`$2a$`, `$2b$`, `$2y$`) with its cost.
    Bcrypt {
        /// Logarithm of the number of rounds.
        cost: u32,
    },
    /// SHA-crypt with SHA-512 (`$6$`).
    Sha512Crypt,
    /// SHA-crypt with SHA-256 (`$5$`).
    Sha256Crypt,
    /// Argon2id.
    Argon2id,
    /// Argon2i.
    Argon2i,
}

/// A stored hash, or a password to be stored, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// No password has been set.
    #[error("no password has been set")]
    Missing,
    /// Somebody has put a sign before the hash that nothing matches.
    #[error("it is locked: its hash begins with `!` or `*`")]
    Locked,
    /// Neither a hash nor a scheme: perhaps the password itself, so nothing of it is told.
    #[error("it is not the hash of a password; {HASHES}")]
    NoHash,
    /// The scheme in braces, or the mark of crypt(3), is another program's and none of ours.
    #[error("the scheme {0} is not supported; {HASHES}")]
    Scheme(String),
    /// What follows the scheme is not a hash of it.
    #[error("it is not a complete hash of its scheme; {HASHES}")]
    Malformed,
    /// The hash asks for more work or memory than any honest one.
    #[error("the hash asks for too much work; `postrider user hash` makes one that does not")]
    TooCostly,
    /// A new password of no characters.
    #[error("the password is empty")]
    Empty,
    /// A new password longer than bcrypt looks at.
    #[error("the password has more than 71 octets; bcrypt would ignore the rest")]
    TooLong,
    /// A password with a NUL, at which others' bcrypt stops reading.
    #[error("the password holds a NUL character")]
    Nul,
    /// A new hash could not be made for lack of random numbers.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

/// Splits `{SCHEME}hash`.
fn split(stored: &str) -> (Option<String>, &str) {
    match stored.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((scheme, hash)) => (Some(scheme.to_ascii_uppercase()), hash),
        None => (None, stored),
    }
}

/// What kind of hash this is, and whether it can be checked at all.
pub fn recognise(stored: &str) -> Result<Scheme, Unusable> {
    let (word, hash) = split(stored.trim_end());
    let scheme = by_its_mark(hash);
    let fits = match (word.as_deref(), scheme) {
        // Dovecot's {CRYPT} is whatever crypt(3) knows, and its default.
        (None | Some("CRYPT"), Some(_))
        | (Some("BLF-CRYPT"), Some(Scheme::Bcrypt { .. }))
        | (Some("SHA512-CRYPT"), Some(Scheme::Sha512Crypt))
        | (Some("SHA256-CRYPT"), Some(Scheme::Sha256Crypt))
        | (Some("ARGON2ID"), Some(Scheme::Argon2id))
        | (Some("ARGON2I"), Some(Scheme::Argon2i)) => scheme,
        _ => None,
    };
    match (fits, word) {
        (Some(scheme), _) => within_limits(scheme, hash),
        (None, _) if matches!(hash, "" | "!" | "*") => Err(Unusable::Missing),
        (None, _) if hash.starts_with(['!', '*']) => Err(Unusable::Locked),
        (None, Some(word)) if KNOWN.contains(&&*word) => Err(Unusable::Malformed),
        (None, None) if MARKS.iter().any(|mark| hash.starts_with(*mark)) => Err(Unusable::Malformed),
        (None, _) => Err(claimed(stored).map_or(Unusable::NoHash, Unusable::Scheme)),
    }
}

/// The scheme that a stored hash claims, for people.
pub fn scheme_word(stored: &str) -> String {
    claimed(stored).unwrap_or_else(|| "hash without a scheme".to_owned())
}

/// What stands in braces, or else the mark of crypt(3). What no program has may be part of a password that was stored as it
/// is, so it is not told.
fn claimed(stored: &str) -> Option<String> {
    let (word, hash) = split(stored.trim_end());
    let Some(word) = word else {
        let hash = hash.trim_start_matches(['!', '*']);
        return MARKS.iter().chain(&OTHER_MARKS).find(|mark| hash.starts_with(**mark)).map(|mark| (*mark).to_owned());
    };
    // Dovecot writes how it is encoded behind a full stop.
    let (name, encoding) = word.split_once('.').unwrap_or((&*word, "HEX"));
    let is_known = KNOWN.contains(&name) || OTHERS.contains(&name);
    (is_known && matches!(encoding, "HEX" | "B64" | "BASE64")).then(|| format!("{{{word}}}"))
}

const KNOWN: [&str; 6] = ["CRYPT", "BLF-CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "ARGON2ID", "ARGON2I"];
/// How hashes of these begin where no scheme stands before them.
const MARKS: [&str; 7] = ["$2a$", "$2b$", "$2y$", "$6$", "$5$", "$argon2id$", "$argon2i$"];
/// What Dovecot and LDAP servers have besides.
const OTHERS: [&str; 29] = [
    "PLAIN",
    "CLEAR",
    "CLEARTEXT",
    "PLAIN-TRUNC",
    "DES-CRYPT",
    "MD5",
    "MD5-CRYPT",
    "SMD5",
    "LDAP-MD5",
    "PLAIN-MD4",
    "PLAIN-MD5",
    "CRAM-MD5",
    "HMAC-MD5",
    "DIGEST-MD5",
    "SHA",
    "SHA1",
    "SSHA",
    "SHA256",
    "SSHA256",
    "SHA512",
    "SSHA512",
    "PBKDF2",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
    "NTLM",
    "LANMAN",
    "OTP",
    "SKEY",
    "RPA",
];
/// What crypt(3) and others have besides.
const OTHER_MARKS: [&str; 9] = ["$1$", "$2$", "$2x$", "$7$", "$y$", "$gy$", "$md5", "$sha1$", "$argon2d$"];

fn by_its_mark(hash: &str) -> Option<Scheme> {
    let mark = hash.strip_prefix('$')?.split_once('$')?.0;
    match mark {
        "2a" | "2b" | "2y" => {
            let cost = hash.get(4..6)?.parse().ok()?;
            Some(Scheme::Bcrypt { cost })
        }
        "6" => Some(Scheme::Sha512Crypt),
        "5" => Some(Scheme::Sha256Crypt),
        "argon2id" => Some(Scheme::Argon2id),
        "argon2i" => Some(Scheme::Argon2i),
        _ => None,
    }
}

fn within_limits(scheme: Scheme, hash: &str) -> Result<Scheme, Unusable> {
    let (most, asked) = match scheme {
        Scheme::Bcrypt { cost } => {
            hash.parse::<bcrypt::HashParts>().map_err(|_| Unusable::Malformed)?;
            (MOST_BCRYPT, cost)
        }
        Scheme::Sha512Crypt | Scheme::Sha256Crypt => {
            let fields: Vec<&str> = hash.split('$').collect();
            let rounds = fields.get(2).and_then(|field| field.strip_prefix("rounds="));
            let wanted = if rounds.is_some() { 5 } else { 4 };
            if fields.len() != wanted {
                return Err(Unusable::Malformed);
            }
            (MOST_SHA_ROUNDS, rounds.map_or(Ok(5000), str::parse).map_err(|_| Unusable::Malformed)?)
        }
        Scheme::Argon2id | Scheme::Argon2i => {
            let parsed = argon2::PasswordHash::new(hash).map_err(|_| Unusable::Malformed)?;
            let parameters = argon2::Params::try_from(&parsed).map_err(|_| Unusable::Malformed)?;
            if parameters.t_cost() > MOST_ARGON2_PASSES {
                return Err(Unusable::TooCostly);
            }
            (MOST_ARGON2_KIB, parameters.m_cost())
        }
    };
    if asked > most { Err(Unusable::TooCostly) } else { Ok(scheme) }
}

/// Whether this is the password of the stored hash. Takes as long as the hash was meant to take: never call it on an
/// async thread. Comparisons are constant-time.
pub fn check(stored: &str, password: &Secret<String>) -> Result<bool, Unusable> {
    let scheme = recognise(stored)?;
    let (_, hash) = split(stored.trim_end());
    if is_hopeless(password) {
        return Ok(false);
    }
    let password = password.expose().as_bytes();
    match scheme {
        // Longer passwords are cut as by every other bcrypt, or users that move in with one could not log in.
        Scheme::Bcrypt { .. } => bcrypt::verify(password, hash).map_err(|_| Unusable::Malformed),
        Scheme::Sha512Crypt | Scheme::Sha256Crypt => {
            let hash = PasswordHashRef::new(hash).map_err(|_| Unusable::Malformed)?;
            right_or_wrong(ShaCrypt::default().verify_password(password, hash))
        }
        Scheme::Argon2id | Scheme::Argon2i => right_or_wrong(Argon2::default().verify_password(password, hash)),
    }
}

/// Whether no hash can have this password, so that none is computed.
pub(super) fn is_hopeless(password: &Secret<String>) -> bool {
    let password = password.expose().as_bytes();
    password.len() > LONGEST || password.contains(&0)
}

fn right_or_wrong(result: Result<(), argon2::password_hash::Error>) -> Result<bool, Unusable> {
    match result {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(_) => Err(Unusable::Malformed),
    }
}

/// A new hash, `{BLF-CRYPT}$2y$…`, as Dovecot writes it. Takes its time: never call it on an async thread.
pub fn hash(password: &Secret<String>, cost: u32) -> Result<Secret<String>, Unusable> {
    let bytes = password.expose().as_bytes();
    match bytes.len() {
        0 => return Err(Unusable::Empty),
        // Seventy-two octets and the closing NUL: the last one would be cut.
        BCRYPT_SEES.. => return Err(Unusable::TooLong),
        _ if bytes.contains(&0) => return Err(Unusable::Nul),
        _ => {}
    }
    let parts = bcrypt::hash_with_result(bytes, cost.clamp(4, 16)).map_err(|_| NoRandomness)?;
    Ok(Secret::new(format!("{{BLF-CRYPT}}{}", parts.format_for_version(bcrypt::Version::TwoY))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    /// Written by `doveadm pw` and by crypt(3), all for the password `pencil`.
    const FOREIGN: &[&str] = &[
        "{BLF-CRYPT}$2y$05$fY0HNyaK43SdohacMjrmoOINBSfVqBVEAFkltBS5ZYKVjQaCqRr7G",
        "$2a$04$abcdefghijklmnopqrstuu/FyAyuZSl3DbPdvio4KrIBdz2k2yhV2",
        "{CRYPT}$2b$04$abcdefghijklmnopqrstuu/FyAyuZSl3DbPdvio4KrIBdz2k2yhV2",
        "{SHA512-CRYPT}$6$uFn73MTWUKsR39qB$IYtSJqLtonmoOReV1Ub.3fWhjUHNlzL4.YGBm1X5x7GtDWi/P3iKbFppw7zyXGvmxH1FXkkuSlIBrbSb4564V.",
        "$6$rounds=1000$saltstring$Dst5SzMCiLiSWQN0EnEgf8DNbHOJRybf7gWFoq4HhaAWnZcpnsBwYgTSajPGyhfsjkr51qmiDafX//8bUiGTO1",
        "{SHA256-CRYPT}$5$5n0s2Ar/QwmqlFVW$soTGWgpSiHLau00qT5GWedvZWj1AQ6Y0BJPKu1H9DuD",
        "{CRYPT}$5$saltstring$wuJ45iOx5v450rU6JtvcL8/irPJiQfTgbn.aeqNlOqB",
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$ZQJIyVTjGLXn/FwDWHYeWw$hc3occ6cx507ZtdGQIQc3FqrlsVNY7cWtPlhaB2ylzU",
        "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$0l/GMccSi1o6HtpUtzqJdQ$pfaEl2gCjTHqmpRBXw7puF12p1hZQvanOlwOSHU4JV8",
    ];

    #[test]
    fn checks_what_others_wrote() {
        for stored in FOREIGN {
            assert_eq!(check(stored, &secret("pencil")), Ok(true), "{stored}");
            for wrong in ["", "Pencil", "pencil ", "pencil\0", &"p".repeat(600)] {
                assert_eq!(check(stored, &secret(wrong)), Ok(false), "{stored} {wrong}");
            }
        }
    }

    #[test]
    fn refuses_what_it_cannot_check() {
        let bcrypt = "$2y$04$1GTbYMv9PFxDip5WdCZI5eko6wt04WVxBj77fd0Xh3VHkloF.x0.u";
        let scheme = |text: &str| Unusable::Scheme(text.to_owned());
        for (stored, wanted) in [
            (String::new(), Unusable::Missing),
            ("!".to_owned(), Unusable::Missing),
            ("{BLF-CRYPT}!".to_owned(), Unusable::Missing),
            ("{BLF-CRYPT}".to_owned(), Unusable::Missing),
            ("{SHA512-CRYPT}!$6$salt$hash".to_owned(), Unusable::Locked),
            ("*$6$salt$hash".to_owned(), Unusable::Locked),
            ("{PLAIN}pencil".to_owned(), scheme("{PLAIN}")),
            ("{SSHA512}AAAA".to_owned(), scheme("{SSHA512}")),
            (format!("{{BLF-CRYPT.HEX}}{bcrypt}"), scheme("{BLF-CRYPT.HEX}")),
            ("pencil".to_owned(), Unusable::NoHash),
            ("$1$salt$hash".to_owned(), scheme("$1$")),
            (bcrypt.replace("$2y$", "$2x$"), scheme("$2x$")),
            (format!("{{SHA512-CRYPT}}{bcrypt}"), Unusable::Malformed),
            (bcrypt[..59].to_owned(), Unusable::Malformed),
            (bcrypt.replace("$04$", "$é$"), Unusable::Malformed),
            (bcrypt.replace("$04$", "$31$"), Unusable::TooCostly),
            ("$6$rounds=999999999$salt$hash".to_owned(), Unusable::TooCostly),
            ("$6$rounds=x$salt$hash".to_owned(), Unusable::Malformed),
            ("$6$salt".to_owned(), Unusable::Malformed),
            ("$argon2id$v=19$m=4194304,t=3,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo".to_owned(), Unusable::TooCostly),
            ("$argon2id$v=19$m=65536,t=999,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo".to_owned(), Unusable::TooCostly),
            ("$argon2id$nonsense".to_owned(), Unusable::Malformed),
            ("{".to_owned(), Unusable::NoHash),
        ] {
            assert_eq!(check(&stored, &secret("pencil")), Err(wanted), "{stored}");
        }
        assert_eq!(check(&format!("{{CRYPT}}{bcrypt}"), &secret("benchpass")), Ok(true));
        assert_eq!(check(&format!("{{blf-crypt}}{bcrypt}\n"), &secret("benchpass")), Ok(true));
    }

    #[test]
    fn a_password_in_the_place_of_a_hash_is_told_as_such_and_not_shown() {
        for plain in
            ["secret words", "{secret}words", "$secret$words", "{BLF-CRYPT}secret words", "{PLAIN}secret words"]
        {
            let told = recognise(plain).unwrap_err().to_string();
            assert!(told.contains("{BLF-CRYPT}, {SHA512-CRYPT}") && told.contains("`postrider user hash`"), "{told}");
            assert!(!told.to_lowercase().contains("secret") && !told.contains("words"), "{told}");
        }
        assert!(recognise("secret words").unwrap_err().to_string().starts_with("it is not the hash of a password"));
    }

    #[test]
    fn says_which_scheme_a_hash_claims() {
        for (stored, wanted) in [
            ("{ssha512}AAAA", "{SSHA512}"),
            ("{SHA512-CRYPT}!", "{SHA512-CRYPT}"),
            ("$1$salt$hash", "$1$"),
            ("!$6$salt$hash", "$6$"),
            ("{argon2id.b64}AAAA", "{ARGON2ID.B64}"),
            ("{pencil}sharp", "hash without a scheme"),
            ("$pencil$sharp", "hash without a scheme"),
            ("pencil", "hash without a scheme"),
            ("*", "hash without a scheme"),
        ] {
            assert_eq!(scheme_word(stored), wanted, "{stored}");
        }
    }

    #[test]
    fn makes_hashes_that_it_and_others_know() {
        let made = hash(&secret("Grüße"), 4).unwrap();
        assert!(made.expose().starts_with("{BLF-CRYPT}$2y$04$"));
        assert_eq!(check(made.expose(), &secret("Grüße")), Ok(true));
        assert_eq!(recognise(made.expose()), Ok(Scheme::Bcrypt { cost: 4 }));
        assert_eq!(hash(&secret(""), 4), Err(Unusable::Empty));
        assert_eq!(hash(&secret("a\0b"), 4), Err(Unusable::Nul));
        assert_eq!(hash(&secret(&"x".repeat(72)), 4), Err(Unusable::TooLong));
        assert!(hash(&secret(&"x".repeat(71)), 4).is_ok());
    }

    #[test]
    fn long_passwords_are_cut_as_by_others() {
        let long = bcrypt::hash("x".repeat(80), 4).unwrap();
        assert_eq!(check(&long, &secret(&"x".repeat(80))), Ok(true));
        assert_eq!(check(&long, &secret(&"x".repeat(72))), Ok(true));
        assert_eq!(check(&long, &secret(&"x".repeat(71))), Ok(false));
    }
}
