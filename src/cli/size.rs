use crate::foundations::settings::ByteSize;

/// A size as an argument.
pub(super) fn size(text: &str) -> Result<ByteSize, &'static str> {
    ByteSize::parse(text).filter(|size| !size.is_empty()).ok_or("expected a size such as 500M or 5G")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundations::counted::rounded;

    #[test]
    fn what_is_printed_is_understood() {
        for octets in [1, 1023, 1536, 256 << 20, 5 << 30] {
            assert_eq!(size(&rounded(octets)).unwrap().get(), octets);
        }
        assert_eq!(size("256M").unwrap().get(), 256 << 20);
        assert_eq!(size("256 MiB"), size("256M"));
        assert!(size("0").is_err() && size("5X").is_err());
    }
}
