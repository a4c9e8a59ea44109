//! DKIM (RFC 6376, RFC 8463) and ARC (RFC 8617): canonical forms, hashes and signatures are mail-auth's; which signatures
//! are checked, where keys come from and what counts is decided here.

mod canonical;
mod keys;
mod lookup;
mod seal;
mod sign;
mod verify;

pub use keys::{Algorithm, KeyPair, generate, is_selector, record_of};
pub use seal::{Findings, Sealer};
pub use sign::{Error, Signer};
pub use verify::{Chain, DkimResult, Signature, Signatures, tag, verify};

#[cfg(test)]
mod tests;
