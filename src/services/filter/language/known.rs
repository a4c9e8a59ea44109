//! The languages that can be named in settings.

use whatlang::{Lang, Script};

use crate::foundations::settings::{Place, Problems, Setting, Shape};

/// A language.
#[derive(Clone, Copy)]
pub struct Language(&'static Entry);

#[derive(Debug)]
struct Entry {
    /// Its ISO 639-1 code; for some also other codes in use.
    codes: &'static [&'static str],
    name: &'static str,
    kind: Kind,
}

/// How a text in it is recognised.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// By its words.
    Known(Lang),
    /// By the letters alone.
    Letters(Script),
}

impl Language {
    /// The language of an ISO 639-1 code such as `de`.
    pub fn from_code(code: &str) -> Option<Self> {
        ENTRIES.iter().find(|entry| entry.codes.contains(&code)).map(Self)
    }

    /// The language for a recognition result.
    pub(super) fn of(found: Lang) -> Option<Self> {
        ENTRIES.iter().find(|entry| matches!(entry.kind, Kind::Known(lang) if lang == found)).map(Self)
    }

    /// Its ISO 639-1 code; of three letters where it has none of two.
    pub const fn code(self) -> &'static str {
        self.0.codes[0]
    }

    /// Its name in English.
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// What has to be recognised for it; `None` when it can be told from others by its letters only.
    pub(super) const fn lang(self) -> Option<Lang> {
        match self.0.kind {
            Kind::Known(lang) => Some(lang),
            Kind::Letters(_) => None,
        }
    }

    /// Whether it can be told from other languages of the same letters.
    pub const fn is_recognised(self) -> bool {
        self.lang().is_some()
    }

    /// Whether a text recognised as `found` in `script` may be in this language: it is that language, one
    /// that is often mistaken for it, or one known by its letters only.
    pub(super) fn covers(self, found: Lang, script: Script) -> bool {
        match self.0.kind {
            Kind::Known(lang) => lang == found || NEAR.iter().any(|near| near.contains(&lang) && near.contains(&found)),
            Kind::Letters(_) => self.is_only_letters(script),
        }
    }

    /// Whether only its script is known, and it is this one.
    pub(super) fn is_only_letters(self, script: Script) -> bool {
        matches!(self.0.kind, Kind::Letters(letters) if letters == script)
    }
}

impl PartialEq for Language {
    fn eq(&self, other: &Self) -> bool {
        self.code() == other.code()
    }
}

impl Eq for Language {}

impl std::fmt::Debug for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl std::fmt::Display for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl Setting for Language {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        let wanted = "the ISO 639-1 code of a language, such as \"en\", \"de\" or \"zh\"";
        let text = place.text(wanted, problems)?;
        Self::from_code(text).or_else(|| place.wrong(wanted, problems))
    }

    fn shape() -> Shape {
        Shape::Value("language")
    }

    fn write(&self) -> Option<String> {
        Some(format!("\"{}\"", self.code()))
    }
}

/// Languages so close that a reader of one understands the other, or that are confused in recognition: Serbian in Latin letters
/// almost always looks like Croatian.
const NEAR: &[&[Lang]] = &[
    &[Lang::Dan, Lang::Nob, Lang::Swe],
    &[Lang::Ces, Lang::Slk],
    &[Lang::Hrv, Lang::Srp, Lang::Slv],
    &[Lang::Ind, Lang::Jav],
    &[Lang::Nld, Lang::Afr],
    &[Lang::Hin, Lang::Mar, Lang::Nep],
];

const fn known(codes: &'static [&'static str], name: &'static str, lang: Lang) -> Entry {
    Entry { codes, name, kind: Kind::Known(lang) }
}

const fn letters(codes: &'static [&'static str], name: &'static str, script: Script) -> Entry {
    Entry { codes, name, kind: Kind::Letters(script) }
}

const ENTRIES: &[Entry] = &[
    known(&["af"], "Afrikaans", Lang::Afr),
    known(&["ak"], "Akan", Lang::Aka),
    known(&["am"], "Amharic", Lang::Amh),
    known(&["ar"], "Arabic", Lang::Ara),
    known(&["az"], "Azerbaijani", Lang::Aze),
    known(&["be"], "Belarusian", Lang::Bel),
    known(&["bg"], "Bulgarian", Lang::Bul),
    known(&["bn"], "Bengali", Lang::Ben),
    known(&["ca"], "Catalan", Lang::Cat),
    known(&["cs"], "Czech", Lang::Ces),
    known(&["cy"], "Welsh", Lang::Cym),
    known(&["da"], "Danish", Lang::Dan),
    known(&["de"], "German", Lang::Deu),
    known(&["el"], "Greek", Lang::Ell),
    known(&["en"], "English", Lang::Eng),
    known(&["eo"], "Esperanto", Lang::Epo),
    known(&["es"], "Spanish", Lang::Spa),
    known(&["et"], "Estonian", Lang::Est),
    known(&["fa"], "Persian", Lang::Pes),
    known(&["fi"], "Finnish", Lang::Fin),
    known(&["fr"], "French", Lang::Fra),
    known(&["gu"], "Gujarati", Lang::Guj),
    known(&["he", "iw"], "Hebrew", Lang::Heb),
    known(&["hi"], "Hindi", Lang::Hin),
    known(&["hr"], "Croatian", Lang::Hrv),
    known(&["hu"], "Hungarian", Lang::Hun),
    known(&["hy"], "Armenian", Lang::Hye),
    known(&["id", "in"], "Indonesian", Lang::Ind),
    known(&["it"], "Italian", Lang::Ita),
    known(&["ja"], "Japanese", Lang::Jpn),
    known(&["jv"], "Javanese", Lang::Jav),
    known(&["ka"], "Georgian", Lang::Kat),
    known(&["km"], "Khmer", Lang::Khm),
    known(&["kn"], "Kannada", Lang::Kan),
    known(&["ko"], "Korean", Lang::Kor),
    known(&["la"], "Latin", Lang::Lat),
    known(&["lt"], "Lithuanian", Lang::Lit),
    known(&["lv"], "Latvian", Lang::Lav),
    known(&["mk"], "Macedonian", Lang::Mkd),
    known(&["ml"], "Malayalam", Lang::Mal),
    known(&["mr"], "Marathi", Lang::Mar),
    known(&["my"], "Burmese", Lang::Mya),
    known(&["ne"], "Nepali", Lang::Nep),
    known(&["nl"], "Dutch", Lang::Nld),
    known(&["no", "nb", "nn"], "Norwegian", Lang::Nob),
    known(&["or"], "Oriya", Lang::Ori),
    known(&["pa"], "Punjabi", Lang::Pan),
    known(&["pl"], "Polish", Lang::Pol),
    known(&["pt"], "Portuguese", Lang::Por),
    known(&["ro"], "Romanian", Lang::Ron),
    known(&["ru"], "Russian", Lang::Rus),
    known(&["si"], "Sinhalese", Lang::Sin),
    known(&["sk"], "Slovak", Lang::Slk),
    known(&["sl"], "Slovene", Lang::Slv),
    known(&["sn"], "Shona", Lang::Sna),
    known(&["sr"], "Serbian", Lang::Srp),
    known(&["sv"], "Swedish", Lang::Swe),
    known(&["ta"], "Tamil", Lang::Tam),
    known(&["te"], "Telugu", Lang::Tel),
    known(&["th"], "Thai", Lang::Tha),
    known(&["tk"], "Turkmen", Lang::Tuk),
    known(&["tl"], "Tagalog", Lang::Tgl),
    known(&["tr"], "Turkish", Lang::Tur),
    known(&["uk"], "Ukrainian", Lang::Ukr),
    known(&["ur"], "Urdu", Lang::Urd),
    known(&["uz"], "Uzbek", Lang::Uzb),
    known(&["vi"], "Vietnamese", Lang::Vie),
    known(&["yi"], "Yiddish", Lang::Yid),
    known(&["zh"], "Chinese", Lang::Cmn),
    known(&["zu"], "Zulu", Lang::Zul),
    letters(&["br"], "Breton", Script::Latin),
    letters(&["bs"], "Bosnian", Script::Latin),
    letters(&["eu"], "Basque", Script::Latin),
    letters(&["fy"], "Frisian", Script::Latin),
    letters(&["ga"], "Irish", Script::Latin),
    letters(&["gd"], "Scottish Gaelic", Script::Latin),
    letters(&["gl"], "Galician", Script::Latin),
    letters(&["is"], "Icelandic", Script::Latin),
    letters(&["kk"], "Kazakh", Script::Cyrillic),
    letters(&["ky"], "Kyrgyz", Script::Cyrillic),
    letters(&["lb"], "Luxembourgish", Script::Latin),
    letters(&["mn"], "Mongolian", Script::Cyrillic),
    letters(&["ms"], "Malay", Script::Latin),
    letters(&["mt"], "Maltese", Script::Latin),
    letters(&["qu"], "Quechua", Script::Latin),
    letters(&["rm"], "Romansh", Script::Latin),
    letters(&["sa"], "Sanskrit", Script::Devanagari),
    letters(&["sco"], "Scots", Script::Latin),
    letters(&["sq"], "Albanian", Script::Latin),
    letters(&["sw"], "Swahili", Script::Latin),
    letters(&["tg"], "Tajik", Script::Cyrillic),
    letters(&["tt"], "Tatar", Script::Cyrillic),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_that_is_recognised_has_one_code() {
        for lang in Lang::all() {
            let language = Language::of(*lang).unwrap_or_else(|| panic!("{lang:?} has no code"));
            assert_eq!(Language::from_code(language.code()), Some(language));
        }
        let mut codes: Vec<&str> = ENTRIES.iter().flat_map(|entry| entry.codes).copied().collect();
        codes.sort_unstable();
        let count = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }

    #[test]
    fn who_reads_one_language_may_be_written_in_its_neighbours() {
        let covers = |code: &str, lang| Language::from_code(code).unwrap().covers(lang, lang_script(lang));
        for (code, found, is_covered) in [
            ("de", Lang::Deu, true),
            ("de", Lang::Nld, false),
            ("nn", Lang::Dan, true),
            ("cs", Lang::Slk, true),
            ("ru", Lang::Ukr, false),
            ("is", Lang::Swe, true),
            ("is", Lang::Rus, false),
        ] {
            assert_eq!(covers(code, found), is_covered, "{code} {found:?}");
        }
    }

    fn lang_script(lang: Lang) -> Script {
        if matches!(lang, Lang::Rus | Lang::Ukr) { Script::Cyrillic } else { Script::Latin }
    }
}
