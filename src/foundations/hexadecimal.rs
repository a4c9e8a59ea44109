//! Octets as hexadecimal digits.

use std::fmt::Write as _;

/// Two digits for each octet, with small letters.
pub fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(2 * octets.len()), |mut text, octet| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_has_two_digits() {
        assert_eq!(hexadecimal(&[0, 1, 0xab, 0xff]), "0001abff");
        assert_eq!(hexadecimal(&[]), "");
    }
}
