//! Random numbers from the system.

/// The system's source of random numbers failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system provides no random numbers; try again")]
pub struct NoRandomness;

/// Unpredictable octets.
///
/// # Errors
/// The system's source of random numbers failed.
pub fn octets<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut octets = [0; N];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| NoRandomness)?;
    Ok(octets)
}

/// A number that distinguishes names made at the same moment. Never a secret: it is zero when the system provides no
/// random numbers, and then only the time distinguishes them.
pub fn distinction() -> u64 {
    octets().map_or(0, u64::from_le_bytes)
}
