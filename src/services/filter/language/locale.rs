//! Character sets that only some countries use, as SpamAssassin's `ok_locales` divides them.

/// A group of character sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locale {
    /// Alphabets that all mail programs use; never foreign.
    Western,
    /// Shift JIS and its kin.
    Japanese,
    /// EUC-KR and its kin.
    Korean,
    /// Cyrillic.
    Russian,
    /// TIS-620 and its kin.
    Thai,
    /// GB 2312, Big5 and their kin.
    Chinese,
}

impl Locale {
    /// By the word of `ok_locales`.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "en" => Self::Western,
            "ja" => Self::Japanese,
            "ko" => Self::Korean,
            "ru" => Self::Russian,
            "th" => Self::Thai,
            "zh" => Self::Chinese,
            _ => return None,
        })
    }

    /// The group that a character set belongs to. UTF-8 and what nobody has heard of is foreign to nobody.
    pub fn of_charset(charset: &str) -> Self {
        let name: String =
            charset.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
        if begins(&["eucjp", "iso2022jp", "shiftjis", "sjis", "xsjis", "jis", "cp932", "windows31j", "mskanji"]) {
            Self::Japanese
        } else if begins(&["euckr", "iso2022kr", "ksc", "cp949", "uhc", "johab", "windows949"]) {
            Self::Korean
        } else if begins(&["koi8", "iso88595", "windows1251", "cp1251", "cp866", "ibm866", "xmaccyrillic"]) {
            Self::Russian
        } else if begins(&["tis620", "iso885911", "windows874", "cp874"]) {
            Self::Thai
        } else if begins(&["gb2312", "gb18030", "gbk", "big5", "euctw", "hz", "iso2022cn", "cp936", "cp950"]) {
            Self::Chinese
        } else {
            Self::Western
        }
    }
}

/// Whether the character set belongs to a group that is not among these; never without groups.
pub fn is_far_away(charset: &str, near: &[Locale]) -> bool {
    let locale = Locale::of_charset(charset);
    !near.is_empty() && locale != Locale::Western && !near.contains(&locale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_sets_are_near_or_far() {
        let near = [Locale::Western, Locale::Russian];
        for (charset, far) in [
            ("utf-8", false),
            ("ISO-8859-1", false),
            ("windows-1252", false),
            ("x-unknown", false),
            ("KOI8-R", false),
            ("gb2312", true),
            ("Big5-HKSCS", true),
            ("iso-2022-jp", true),
            ("euc-kr", true),
            ("tis-620", true),
        ] {
            assert_eq!(is_far_away(charset, &near), far, "{charset}");
            assert!(!is_far_away(charset, &[]), "{charset}");
        }
    }
}
