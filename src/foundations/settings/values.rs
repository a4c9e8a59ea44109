//! Values that settings are made of, besides numbers, words and texts.

use std::time::Duration;

/// A span of time, written `"30s"`, `"5m"`, `"4h"`, `"5d"`, `"250ms"`, `"2w"` or a combination such as `"1h30m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

impl Span {
    /// Whole milliseconds.
    pub const fn millis(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }
    /// Whole seconds.
    pub const fn seconds(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }
    /// Whole minutes.
    pub const fn minutes(n: u64) -> Self {
        Self::seconds(n * 60)
    }
    /// Whole hours.
    pub const fn hours(n: u64) -> Self {
        Self::minutes(n * 60)
    }
    /// Whole days of 24 hours.
    pub const fn days(n: u64) -> Self {
        Self::hours(n * 24)
    }
    /// As the standard library has it.
    pub const fn duration(self) -> Duration {
        self.0
    }
    /// From the written form; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim();
        let mut total = 0u64;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: u64 = rest[..digits].parse().ok()?;
            let unit = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
            let factor: u64 = match &rest[digits..digits + unit] {
                "ms" => 1,
                "s" => 1_000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 604_800_000,
                _ => return None,
            };
            total = total.checked_add(number.checked_mul(factor)?)?;
            rest = &rest[digits + unit..];
        }
        Some(Self::millis(total))
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut left = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if left >= size {
                write!(f, "{}{unit}", left / size)?;
                left %= size;
            }
        }
        Ok(())
    }
}

/// A number of octets, written `"50M"`, `"1.5G"`, `"64K"` (powers of 1024) or a bare number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// Octets.
    pub const fn bytes(n: u64) -> Self {
        Self(n)
    }
    /// Kibibytes.
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }
    /// Mebibytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }
    /// Gibibytes.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }
    /// The number of octets.
    pub const fn get(self) -> u64 {
        self.0
    }
    /// The number of octets as a length in memory; the largest possible on machines that cannot address it.
    pub fn len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
    /// Whether it is zero.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// From the written form; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.bytes().take_while(|c| c.is_ascii_digit() || *c == b'.').count();
        let (number, unit) = text.split_at(digits);
        let (whole, fraction) = match number.split_once('.') {
            Some((_, fraction)) if !(1..=3).contains(&fraction.len()) => return None,
            Some(parts) => parts,
            None => (number, ""),
        };
        let shift = match unit.trim_start().to_ascii_uppercase().as_str() {
            // There are no parts of octets.
            "" | "B" if fraction.is_empty() => 0,
            "K" | "KB" | "KIB" => 10,
            "M" | "MB" | "MIB" => 20,
            "G" | "GB" | "GIB" => 30,
            "T" | "TB" | "TIB" => 40,
            _ => return None,
        };
        let parts = 10u128.pow(u32::try_from(fraction.len()).ok()?);
        let part = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? };
        let number = u128::from(whole.parse::<u64>().ok()?) * parts + u128::from(part);
        u64::try_from((number << shift) / parts).ok().map(Self)
    }
}

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (unit, shift) in [("T", 40), ("G", 30), ("M", 20), ("K", 10)] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_round_trip() {
        for (text, span) in [
            ("30s", Span::seconds(30)),
            ("5m", Span::minutes(5)),
            ("1h30m", Span::minutes(90)),
            ("5d", Span::days(5)),
            ("250ms", Span::millis(250)),
        ] {
            assert_eq!(Span::parse(text), Some(span));
            assert_eq!(span.to_string(), text);
        }
        for text in ["", "5", "m", "5x", "-3s", "5m3", "99999999999999999999s"] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_round_trip() {
        for (text, size) in [("50M", ByteSize::mib(50)), ("1000", ByteSize::bytes(1000)), ("5G", ByteSize::gib(5))] {
            assert_eq!(ByteSize::parse(text), Some(size));
            assert_eq!(size.to_string(), text);
        }
        for text in ["", "M", "-1", "99999999999T", "1.5", "1.5B", ".5G", "1.G", "1..5G", "1.2345G", "1.5X"] {
            assert_eq!(ByteSize::parse(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_as_tables_show_them_are_read() {
        for (text, size) in [
            ("1.5G", ByteSize::mib(1536)),
            ("4.8K", ByteSize::bytes(4915)),
            ("0.25 MiB", ByteSize::kib(256)),
            ("2.000T", ByteSize::gib(2048)),
        ] {
            assert_eq!(ByteSize::parse(text), Some(size), "{text}");
        }
    }
}
