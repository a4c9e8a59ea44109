use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::foundations::hexadecimal::hexadecimal;
use crate::foundations::random::{self, NoRandomness};
use crate::foundations::secret::Secret;

/// What makes a link impossible to guess: 256 random bits, so no guesses are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(Secret<String>);

/// In octets.
const LENGTH: usize = 32;

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn random() -> Result<Self, NoRandomness> {
        Ok(Self(Secret::new(URL_SAFE_NO_PAD.encode(random::octets::<LENGTH>()?))))
    }

    /// From a link.
    pub fn parse(text: &str) -> Option<Self> {
        let decoded = URL_SAFE_NO_PAD.decode(text).ok()?;
        (decoded.len() == LENGTH).then(|| Self(Secret::new(text.to_owned())))
    }

    /// As it stands in a link. Whoever has it can set the user's password.
    pub const fn expose(&self) -> &String {
        self.0.expose()
    }

    /// What is stored of it.
    pub(super) fn digest(&self) -> String {
        hexadecimal(digest(&SHA256, self.expose().as_bytes()).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_tokens_are_read() {
        let token = Token::random().unwrap();
        assert_eq!(Token::parse(token.expose()), Some(token.clone()));
        assert_ne!(Token::random().unwrap(), token);
        for bad in ["", "../..", "YWJj", &format!("{}A", token.expose()), &token.expose()[1..]] {
            assert_eq!(Token::parse(bad), None, "{bad}");
        }
        assert_eq!(token.digest().len(), 64);
    }
}
