//! The settings that mail programs ask for by themselves, so that people need to know their address and nothing else.
//!
//! Pure: [`Offer`] is made of the listeners, and says in the words of each program where mail is read and sent for an
//! address: [`Offer::thunderbird`] in Mozilla's format (Thunderbird, K-9, Evolution and others), [`Offer::outlook`] in
//! Microsoft's, [`Offer::apple`] as a profile for Apple's devices. Promises: an answer is the same whether an address exists or not. Called by the site of `protocols::web`.

mod apple;
mod offer;
mod outlook;
mod settings;
mod thunderbird;

pub use offer::{Offer, Protection, Server, ServerKind};
pub use outlook::asked_address;
pub use settings::AutoconfigSettings;
