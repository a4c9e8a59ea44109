//! Letters of different scripts that look alike.

use unicode_normalization::UnicodeNormalization as _;

/// What kind of letter a character is, as far as look-alikes are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Plain Latin, with accents.
    Latin,
    /// Cyrillic.
    Cyrillic,
    /// Greek.
    Greek,
    /// Latin letters in disguise: mathematical, full-width, enclosed, small capitals.
    Disguised,
}

/// The script of a letter; `None` for what is no letter or of no script that is confused with Latin.
pub fn script(c: char) -> Option<Script> {
    match c {
        'A'..='Z' | 'a'..='z' | '\u{c0}'..='\u{24f}' => Some(Script::Latin),
        '\u{370}'..='\u{3ff}' => Some(Script::Greek),
        '\u{400}'..='\u{52f}' => Some(Script::Cyrillic),
        '\u{1d400}'..='\u{1d7ff}'
        | '\u{ff21}'..='\u{ff5a}'
        | '\u{24b6}'..='\u{24e9}'
        | '\u{1f130}'..='\u{1f189}'
        | '\u{1d00}'..='\u{1d2b}' => Some(Script::Disguised),
        _ => None,
    }
}

/// The first word that mixes Latin with letters that look like it, or is written in disguised letters.
pub fn mixed_word(text: &str) -> Option<&str> {
    if text.is_ascii() {
        return None;
    }
    // Beside such letters, Latin ones are often written as wide as they are.
    let is_east_asian = is_east_asian(text);
    let is_meant = |c: &char| !(is_east_asian && matches!(c, '\u{ff21}'..='\u{ff5a}'));
    text.split(|c: char| !c.is_alphanumeric() && c != '\u{24b6}').filter(|w| !w.is_ascii()).find(|word| {
        let mut latin = 0;
        let mut foreign = 0;
        let mut disguised = 0;
        for c in word.chars().filter(is_meant) {
            match script(c) {
                Some(Script::Latin) if c.is_ascii() => latin += 1,
                Some(Script::Cyrillic | Script::Greek) => foreign += 1,
                Some(Script::Disguised) => disguised += 1,
                _ => {}
            }
        }
        // One Greek letter beside Latin ones is a unit or a formula.
        (latin >= 2 && foreign >= 1 && latin + foreign >= 4 && !is_inflected(word)) || disguised >= 3
    })
}

/// Whether a text has Chinese, Japanese or Korean letters.
pub fn is_east_asian(text: &str) -> bool {
    text.chars().any(|c| matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}'))
}

/// Whether a Latin word has an ending of another language, as in `SMSки`: nobody takes it for a Latin word. At least one of its
/// letters looks like no Latin one.
fn is_inflected(word: &str) -> bool {
    let stem = word.trim_end_matches(|c: char| matches!(script(c), Some(Script::Cyrillic | Script::Greek)));
    let ending = &word[stem.len()..];
    let is_distinct = ending.chars().any(|c| {
        matches!(c, 'б'..='д' | 'ж'..='н' | 'п' | 'т' | 'ф' | 'ц'..='я' | 'δ' | 'λ' | 'ξ' | 'π' | 'σ' | 'ς' | 'φ' | 'ψ')
    });
    is_distinct && stem.chars().all(|c| !matches!(script(c), Some(Script::Cyrillic | Script::Greek)))
}

/// The Latin letter that a Cyrillic or Greek one is taken for.
fn likeness(c: char) -> Option<char> {
    Some(match c {
        '\u{430}' | '\u{410}' | '\u{3b1}' | '\u{391}' => 'a',
        '\u{412}' | '\u{392}' => 'b',
        '\u{441}' | '\u{421}' | '\u{3f2}' => 'c',
        '\u{501}' => 'd',
        '\u{435}' | '\u{415}' | '\u{395}' => 'e',
        '\u{4bb}' | '\u{41d}' | '\u{397}' => 'h',
        '\u{456}' | '\u{406}' | '\u{3b9}' | '\u{399}' => 'i',
        '\u{458}' | '\u{408}' => 'j',
        '\u{43a}' | '\u{41a}' | '\u{3ba}' | '\u{39a}' => 'k',
        '\u{4cf}' | '\u{4c0}' => 'l',
        '\u{41c}' | '\u{39c}' => 'm',
        '\u{39d}' => 'n',
        '\u{43e}' | '\u{41e}' | '\u{3bf}' | '\u{39f}' => 'o',
        '\u{440}' | '\u{420}' | '\u{3c1}' | '\u{3a1}' => 'p',
        '\u{51b}' | '\u{51a}' => 'q',
        '\u{455}' | '\u{405}' => 's',
        '\u{422}' | '\u{3a4}' => 't',
        '\u{475}' | '\u{3bd}' => 'v',
        '\u{51d}' | '\u{51c}' => 'w',
        '\u{445}' | '\u{425}' | '\u{3a7}' => 'x',
        '\u{443}' | '\u{4af}' | '\u{423}' | '\u{3a5}' => 'y',
        '\u{396}' => 'z',
        _ => return None,
    })
}

/// A text as it is read: without what nobody sees, and with plain letters and marks in place of those that look like them.
pub fn as_read(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    text.nfkc().filter(|c| !is_invisible(*c)).map(|c| likeness(c).unwrap_or(c)).collect()
}

/// Top-level domains of countries whose people write in these scripts. Names in them are not meant to be taken for Latin ones.
const CYRILLIC_COUNTRIES: &[&str] =
    &["ba", "bg", "by", "kg", "kz", "me", "mk", "mn", "rs", "ru", "su", "tj", "ua", "uz"];
const GREEK_COUNTRIES: &[&str] = &["cy", "gr"];

/// Whether this Cyrillic or Greek letter is to be expected below a top-level domain.
fn is_at_home(letter: char, top: &str) -> bool {
    match script(letter) {
        Some(Script::Cyrillic) => CYRILLIC_COUNTRIES.contains(&top),
        Some(Script::Greek) => GREEK_COUNTRIES.contains(&top),
        _ => false,
    }
}

/// A host whose name looks like another, in Unicode: a label of it mixes scripts, or can be read as Latin although it is not, while its
/// top-level domain is Latin and not of a country where people write so.
pub fn lookalike(host: &str) -> Option<String> {
    if host.is_ascii() && !host.contains("xn--") {
        return None;
    }
    let (name, _) = idna::domain_to_unicode(host);
    let top = name.rsplit('.').next().unwrap_or_default();
    let seems_latin = |label: &str| {
        let letters: Vec<char> = label.chars().filter(|c| c.is_alphabetic()).collect();
        letters.len() >= 3
            && letters.iter().any(|c| !c.is_ascii())
            && letters.iter().all(|c| c.is_ascii() || likeness(*c).is_some())
            && !letters.iter().all(|c| is_at_home(*c, top))
    };
    let found = name.split('.').any(|label| mixed_word(label).is_some() || (top.is_ascii() && seems_latin(label)));
    found.then_some(name)
}

/// Whether a character takes no room on the screen.
pub const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}'
            | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_people_read_them() {
        for (text, wanted) in [
            ("PayPal", "PayPal"),
            ("P\u{430}yP\u{430}l", "PayPal"),
            ("Pay\u{200b}Pal", "PayPal"),
            ("\u{ff30}ay\u{1d5b3}al", "PayTal"),
            ("boss\u{ff20}bank\u{ff0e}test", "boss@bank.test"),
            ("Gr\u{fc}\u{df}e", "Gr\u{fc}\u{df}e"),
        ] {
            assert_eq!(as_read(text), wanted, "{text}");
        }
    }

    #[test]
    fn hosts_that_look_like_others_are_found() {
        for (host, found) in [
            ("apple.com", false),
            ("xn--80ak6aa92e.com", true),
            ("\u{430}\u{440}\u{440}\u{4cf}\u{435}.com", true),
            ("xn--pple-43d.com", true),
            ("\u{430}p\u{440}\u{4cf}\u{435}.com", true),
            ("xn--bcher-kva.example", false),
            // A word of its own, and a top-level domain in the same letters.
            ("\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}.com", false),
            ("\u{43e}\u{441}\u{430}.\u{440}\u{444}", false),
            // A country where people write so.
            ("\u{440}\u{43e}\u{441}\u{430}.bg", false),
            ("\u{3ba}\u{3bf}\u{3b9}\u{3bd}\u{3bf}.com.gr", false),
            ("\u{440}\u{43e}\u{441}\u{430}.gr", true),
            ("\u{430}p\u{440}\u{4cf}\u{435}.bg", true),
        ] {
            assert_eq!(lookalike(host).is_some(), found, "{host}");
        }
    }

    #[test]
    fn finds_mixed_words() {
        for (text, wanted) in [
            ("Your Pаypal account", Some("Pаypal")),
            ("Привет мир", None),
            ("Grüße aus Köln", None),
            ("5 µm and π, 3 Ω", None),
            ("две SMSки, PDFом", None),
            ("PayPаl", Some("PayPаl")),
            ("Appleа", Some("Appleа")),
            ("VIДGRA", Some("VIДGRA")),
            ("【ＰＤＦ】ＡＮＡマイレージ", None),
            ("ＦＲＥＥ money", Some("ＦＲＥＥ")),
            ("𝐅𝐫𝐞𝐞 money", Some("𝐅𝐫𝐞𝐞")),
            ("plain", None),
        ] {
            assert_eq!(mixed_word(text), wanted, "{text}");
        }
    }
}
