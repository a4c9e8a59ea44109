use crate::foundations::settings::ByteSize;

/// A size as an argument.
pub(super) fn size(text: &str) -> Result<ByteSize, &'static str> {
    ByteSize::parse(text).filter(|size| !size.is_empty()).ok_or("a size such as 500M or 5G is wanted")
}

/// A size for people: at most three digits before the unit.
#[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
pub(super) fn rounded(octets: u64) -> String {
    let units = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    match units.into_iter().find(|(_, shift)| octets >= 1 << shift) {
        Some((unit, shift)) if octets.trailing_zeros() >= shift => format!("{}{unit}", octets >> shift),
        Some((unit, shift)) => format!("{:.1}{unit}", octets as f64 / (1u64 << shift) as f64),
        None => octets.to_string(),
    }
}

/// The same within a sentence, where a bare number would be one of anything.
pub(super) fn amount(octets: u64) -> String {
    match octets {
        1 => "1 octet".to_owned(),
        0..1024 => format!("{octets} octets"),
        _ => rounded(octets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_understood() {
        for (octets, shown, told) in [
            (0, "0", "0 octets"),
            (1, "1", "1 octet"),
            (1023, "1023", "1023 octets"),
            (1536, "1.5K", "1.5K"),
            (5 << 30, "5G", "5G"),
            (256 << 20, "256M", "256M"),
        ] {
            assert_eq!((rounded(octets).as_str(), amount(octets).as_str()), (shown, told));
        }
        assert_eq!(size("256M").unwrap().get(), 256 << 20);
        assert_eq!(size("256 MiB"), size("256M"));
        assert!(size("0").is_err() && size("5X").is_err());
    }
}
