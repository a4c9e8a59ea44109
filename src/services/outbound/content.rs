//! What is transmitted: the message as it is in the queue, or made fit for the next host.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::attempt::Form;
use super::needs::{Conversion, Manner, unfit};
use super::{Scope, Trouble};
use crate::foundations::mail::{Message, SevenBit, Unconvertible};
use crate::foundations::processor;
use crate::foundations::wire::smtp::{EnhancedStatus, Extensions};
use crate::services::filter::{Filter, Signatures};

/// Octets of the message written at a time, each block within its own limit.
const BLOCK: usize = 64 * 1024;

/// A message in the form in which it goes.
pub(super) enum Content {
    AsItIs(Message),
    Converted(Converted),
}

/// A message whose bodies are encoded.
pub(super) struct Converted {
    /// Our signatures over what is sent.
    signatures: Vec<u8>,
    rest: SevenBit,
    /// The domains whose signatures do not fit any more.
    broken: Vec<String>,
}

impl Converted {
    /// Encodes what must be, and signs it where it was signed here. Its work grows with the length of the message.
    async fn of(message: Bytes, filter: Option<&Filter>) -> Result<Self, Unconvertible> {
        let known = match filter {
            Some(filter) => Some(filter.signatures(&message).await),
            None => None,
        };
        let rest = SevenBit::of(message, known.as_ref().map_or(&[][..], Signatures::fields))?;
        let broken = known.as_ref().map_or_else(Vec::new, |known| known.foreign().to_vec());
        let signatures = match known.filter(Signatures::has_ours) {
            // A signature wants all of it at once; it is let go before anything is sent.
            Some(ours) => {
                let mut whole = Vec::with_capacity(rest.len());
                rest.blocks().for_each(|block| whole.extend_from_slice(&block));
                ours.renewed(&Message::new(whole)).into_bytes()
            }
            None => Vec::new(),
        };
        Ok(Self { signatures, rest, broken })
    }
}

impl Content {
    /// The message in the form that it needs, and the manner with its size.
    pub(super) async fn of(
        message: Message,
        manner: &mut Manner,
        offered: &Extensions,
        filter: Option<Arc<Filter>>,
    ) -> Result<Self, Trouble> {
        let content = match manner.conversion {
            Conversion::None => Self::AsItIs(message),
            Conversion::Needed | Conversion::Wanted => {
                let (whole, runtime) = (message.bytes(), Handle::current());
                let work = move || runtime.block_on(Converted::of(whole, filter.as_deref()));
                let made = processor::in_turn(work).await.map_err(|error| {
                    let text = format!("The message could not be converted: {error}");
                    Trouble::ours(EnhancedStatus::new(4, 3, 0), text, Scope::Message)
                })?;
                match made {
                    Ok(made) => Self::Converted(made),
                    Err(_) if manner.conversion == Conversion::Wanted => Self::AsItIs(message),
                    Err(why) => return Err(unfit(&why)),
                }
            }
        };
        manner.measure(content.len(), offered)?;
        Ok(content)
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::AsItIs(message) => message.len(),
            Self::Converted(made) => made.signatures.len() + made.rest.len(),
        }
    }

    /// All of it, block by block.
    pub(super) fn blocks(&self) -> Box<dyn Iterator<Item = Cow<'_, [u8]>> + Send + '_> {
        match self {
            Self::AsItIs(message) => {
                Box::new(message.pieces().into_iter().flat_map(|piece| piece.chunks(BLOCK)).map(Cow::Borrowed))
            }
            Self::Converted(made) => {
                let signatures = Some(&made.signatures[..]).filter(|lines| !lines.is_empty()).map(Cow::Borrowed);
                Box::new(signatures.into_iter().chain(made.rest.blocks().map(|block| Cow::Owned(block.into()))))
            }
        }
    }

    /// What the result says of it.
    pub(super) fn form(&self) -> Form {
        match self {
            Self::AsItIs(_) => Form::AsItCame,
            Self::Converted(made) => Form::SevenBit { broken: made.broken.join(", ") },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::clock::SystemClock;
    use crate::foundations::secret::Secret;
    use crate::foundations::settings::Live;
    use crate::services::filter::authentication::dkim::{Algorithm, Signer, generate};
    use crate::services::filter::{DkimKeySettings, FilterSettings};

    #[tokio::test]
    async fn what_was_signed_here_is_signed_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key.pem");
        std::fs::write(&file, generate(Algorithm::Rsa).unwrap().private.expose()).unwrap();
        let mut settings = FilterSettings::default();
        let (domain, selector) = (Some("example.test".parse().unwrap()), "s".to_owned());
        settings.dkim.keys = vec![DkimKeySettings { domain, selector, file: file.clone() }];
        let filter = Filter::new(Live::new(settings), Arc::new(SystemClock));
        let plain = Message::new("From: ann@example.test\r\nSubject: a\r\n\r\ngr\u{fc}n\r\n");
        let key = Secret::new(std::fs::read_to_string(&file).unwrap());
        let signer = Signer::new("example.test".parse().unwrap(), "s", &key, &file).unwrap();
        let signed = plain.with_prefix(signer.sign(&plain).unwrap().as_bytes());
        let foreign = b"ARC-Seal: i=1; a=rsa-sha256; d=other.test; s=x; cv=none; b=eA==\r\n";
        let whole = signed.with_prefix(foreign).bytes();
        let made = Converted::of(whole, Some(&filter)).await.unwrap();
        let content = Content::Converted(made);
        assert_eq!(content.form(), Form::SevenBit { broken: "other.test".to_owned() });
        let sent = content.blocks().map(Cow::into_owned).collect::<Vec<_>>().concat();
        assert_eq!(sent.len(), content.len());
        assert!(sent.ends_with(b"\r\n\r\ngr=C3=BCn\r\n") && sent.starts_with(b"DKIM-Signature: "));
        // One signature, and it fits what is sent.
        let found = filter.signatures(&sent).await;
        assert!(found.has_ours() && found.fields().len() == 1);
        // Without the old one in its place.
        assert_eq!(memchr::memmem::find_iter(&sent, b"DKIM-Signature:").count(), 1);
    }
}
