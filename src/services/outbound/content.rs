//! What is transmitted: the message as it stands in the queue, or made fit for the next host.

use std::borrow::Cow;

use super::attempt::Form;
use super::needs::{Conversion, Manner, unfit};
use super::{Scope, Trouble};
use crate::foundations::mail::{Message, SevenBit};
use crate::foundations::processor;
use crate::foundations::wire::smtp::{EnhancedStatus, Extensions};

/// Octets of the message written at a time, each block within its own limit.
const BLOCK: usize = 64 * 1024;

/// A message in the form in which it goes.
pub(super) enum Content {
    AsItIs(Message),
    Converted(SevenBit),
}

impl Content {
    /// The message in the form that it needs, and the manner with its size.
    pub(super) async fn of(message: Message, manner: &mut Manner, offered: &Extensions) -> Result<Self, Trouble> {
        let content = match manner.conversion {
            Conversion::None => Self::AsItIs(message),
            Conversion::Needed | Conversion::Wanted => {
                let whole = message.bytes();
                // Two passes over all of it.
                let made = processor::in_turn(move || SevenBit::of(whole, &[])).await;
                let made = made.map_err(|error| {
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
            Self::Converted(made) => made.len(),
        }
    }

    /// All of it, block by block.
    pub(super) fn blocks(&self) -> Box<dyn Iterator<Item = Cow<'_, [u8]>> + Send + '_> {
        match self {
            Self::AsItIs(message) => {
                Box::new(message.pieces().into_iter().flat_map(|piece| piece.chunks(BLOCK)).map(Cow::Borrowed))
            }
            Self::Converted(made) => Box::new(made.blocks().map(|block| Cow::Owned(block.into()))),
        }
    }

    /// What the result says of it.
    pub(super) const fn form(&self) -> Form {
        match self {
            Self::AsItIs(_) => Form::AsItCame,
            Self::Converted(_) => Form::SevenBit,
        }
    }
}
