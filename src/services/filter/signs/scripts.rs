//! Letters of different scripts that look alike.

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
    let is_east_asian =
        text.chars().any(|c| matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}'));
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
