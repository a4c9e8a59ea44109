//! The language of a message.

use std::cell::OnceCell;
use std::ops::Range;

use whatlang::{Detector, Info};

use super::Language;
use crate::services::filter::LanguageSettings;
use crate::services::filter::view::{Aside, AsideKind, View};

/// The language of one message, recognised on first use.
#[derive(Debug)]
pub struct Reading<'m> {
    view: &'m View<'m>,
    settings: &'m LanguageSettings,
    found: OnceCell<Option<Found>>,
}

#[derive(Debug)]
struct Found {
    language: Language,
    info: Info,
}

/// Letters of a piece of text that is analysed separately.
const PIECE: usize = 60;
/// Most pieces.
const MAX_PIECES: usize = 12;
/// How much more text than is needed to recognise a language is searched for one that is read.
const SEARCHED: usize = 8;
/// How sure one has to be that a piece is in a language that is read.
const SURE_OF_PIECE: f64 = 0.5;

impl<'m> Reading<'m> {
    /// Nothing is analysed yet.
    pub const fn new(view: &'m View<'m>, settings: &'m LanguageSettings) -> Self {
        Self { view, settings, found: OnceCell::new() }
    }

    /// The language of what the author has written; `None` when that is too short or in doubt.
    pub fn language(&self) -> Option<Language> {
        self.found().map(|found| found.language)
    }

    /// The result so far; does not analyse anything.
    pub fn noted(&self) -> Option<Language> {
        self.found.get()?.as_ref().map(|found| found.language)
    }

    /// The language, when somebody who reads these languages cannot read the message. An empty list does not mean that nothing
    /// is read: without languages there is no answer and no work.
    pub fn unread(&self, reads: &[Language]) -> Option<Language> {
        if reads.is_empty() {
            return None;
        }
        let found = self.found()?;
        let lang = found.info.lang();
        if reads.iter().any(|language| language.covers(lang, found.info.script())) {
            return None;
        }
        // Recognised among all languages: among few, another one in the same script would be taken for the one that is read.
        let detector = Detector::new();
        let room = self.settings.text.len().saturating_mul(SEARCHED);
        if is_partly_read(&self.own(room), &detector, reads) {
            return None;
        }
        // A reply to something that the recipient could read.
        let quotes = self.view.aside.iter().filter(|piece| piece.kind == AsideKind::Quote);
        let quoted = self.text(quotes.map(|piece| piece.range.clone()), room);
        if quoted.letters >= PIECE && is_partly_read(&quoted, &detector, reads) {
            return None;
        }
        Some(found.language)
    }

    fn found(&self) -> Option<&Found> {
        let look = || {
            let own = self.own(self.settings.text.len());
            if own.letters < self.settings.letters {
                return None;
            }
            let info = Detector::new().detect(&own.text)?;
            let language = Language::of(info.lang())?;
            (info.confidence() >= self.settings.confidence).then_some(Found { language, info })
        };
        self.found.get_or_init(look).as_ref()
    }

    /// What the author has written, a line per paragraph.
    fn own(&self, room: usize) -> Text {
        self.text(outside(&self.view.aside, self.view.body.len()), room)
    }

    /// The words in these ranges of the body, without the subject, at most this many octets.
    fn text(&self, ranges: impl Iterator<Item = Range<usize>>, room: usize) -> Text {
        let body = &self.view.body;
        let subject = body.find('\n').map_or(0, |at| at + 1);
        let mut text = Text::default();
        for range in ranges {
            let range = range.start.max(subject)..range.end;
            for line in body.get(range).unwrap_or_default().lines() {
                text.add(line, room);
                if text.text.len() >= room {
                    return text;
                }
            }
        }
        text
    }
}

/// What is not in any of the pieces, which are in order.
fn outside(pieces: &[Aside], length: usize) -> impl Iterator<Item = Range<usize>> {
    let starts = std::iter::once(0).chain(pieces.iter().map(|piece| piece.range.end));
    let ends = pieces.iter().map(|piece| piece.range.start).chain([length]);
    starts.zip(ends).map(|(start, end)| start..end)
}

/// Whether a quarter of a text or more is in one of the languages.
fn is_partly_read(text: &Text, detector: &Detector, reads: &[Language]) -> bool {
    let (mut all, mut read) = (0, 0);
    for piece in pieces(text) {
        all += piece.letters;
        let by_words = detector.detect(&piece.text).filter(|info| info.confidence() >= SURE_OF_PIECE);
        let script = whatlang::detect_script(&piece.text);
        if by_words.is_some_and(|info| reads.iter().any(|language| language.covers(info.lang(), info.script())))
            || script.is_some_and(|script| reads.iter().any(|language| language.is_only_letters(script)))
        {
            read += piece.letters;
        }
    }
    all > 0 && read * 4 >= all
}

/// Paragraphs, short ones together with what follows them.
fn pieces(text: &Text) -> Vec<Text> {
    let least = PIECE.max(text.letters / MAX_PIECES);
    let mut pieces = Vec::new();
    let mut piece = Text::default();
    for line in text.text.lines() {
        piece.add(line, usize::MAX);
        if piece.letters >= least {
            pieces.push(std::mem::take(&mut piece));
        }
    }
    pieces.push(piece);
    pieces
}

#[derive(Debug, Default)]
struct Text {
    text: String,
    letters: usize,
}

impl Text {
    /// Adds the words of a line, as long as there is room.
    fn add(&mut self, line: &str, room: usize) {
        for word in line.split_whitespace().filter(|word| is_word(word)) {
            let Some(left) = room.checked_sub(self.text.len()).filter(|left| *left > 0) else { break };
            let word = &word[..word.floor_char_boundary(left)];
            self.letters += word.chars().map(letters).sum::<usize>();
            self.text.push_str(word);
            self.text.push(' ');
        }
        self.text.push('\n');
    }
}

/// How many letters of an alphabet a character stands for: a Chinese, Japanese or Korean one says as much as several.
fn letters(c: char) -> usize {
    match c {
        '\u{2e80}'.. if c.is_alphabetic() => 3,
        _ => usize::from(c.is_alphabetic()),
    }
}

/// Addresses, numbers, file names and the like say nothing about a language.
fn is_word(word: &str) -> bool {
    let odd = |b: u8| b.is_ascii_digit() || b"@/\\_=<>{}|#$%&+*~^`".contains(&b);
    let too_long = word.is_ascii() && word.len() > LONGEST_WORD;
    !too_long && !word.bytes().any(odd)
}

/// Longest word of plain ASCII; longer ones are keys, hashes and the like.
const LONGEST_WORD: usize = 30;
