//! Random numbers of the system.

/// The system's source of random numbers failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers; try again")]
pub struct NoRandomness;

/// Octets that nobody can guess.
///
/// # Errors
/// The system's source of random numbers failed.
pub fn octets<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut octets = [0; N];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| NoRandomness)?;
    Ok(octets)
}

/// A number that tells two names of the same moment apart. Never a secret: it is zero where the system gives no random
/// numbers, and then the time alone makes the difference.
pub fn distinction() -> u64 {
    octets().map_or(0, u64::from_le_bytes)
}
