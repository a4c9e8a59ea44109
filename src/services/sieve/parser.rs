//! The grammar (RFC 5228 §8.2): tokens to [`Call`]s. After a mistake, parsing continues at the next command.

use super::lexer::{Comment, Lexer, Token};
use super::syntax::{Argument, Call, Given, Position};
use super::{Mistake, SieveSettings};
use crate::foundations::said::{Said, said};

/// Reads a whole script.
pub(super) fn parse(text: &str, settings: &SieveSettings, mistakes: &mut Vec<Mistake>) -> Vec<Call> {
    read(text, settings, mistakes, None).0
}

/// The same with the comments, in order.
pub(super) fn parse_with_comments<'a>(
    text: &'a str,
    settings: &SieveSettings,
    mistakes: &mut Vec<Mistake>,
) -> (Vec<Call>, Vec<Comment<'a>>) {
    read(text, settings, mistakes, Some(Vec::new()))
}

fn read<'a>(
    text: &'a str,
    settings: &SieveSettings,
    mistakes: &mut Vec<Mistake>,
    comments: Option<Vec<Comment<'a>>>,
) -> (Vec<Call>, Vec<Comment<'a>>) {
    // A byte order mark is not part of the script.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lexer = Lexer::new(text);
    lexer.comments = comments;
    let (at, start, token) = lexer.next(mistakes);
    let mut parser =
        Parser { text, lexer, token, at, start, end: 0, settings, mistakes, depth: 0, calls: 0, stopped: false };
    let mut calls = parser.commands();
    while parser.token != Token::End && !parser.stopped {
        // Only a brace can end the commands before the end of the script.
        parser.mistake(said!("sieve-closes-nothing", "this '}' closes nothing"));
        parser.advance();
        calls.extend(parser.commands());
    }
    (calls, parser.lexer.comments.unwrap_or_default())
}

struct Parser<'a, 'm> {
    text: &'a str,
    lexer: Lexer<'a>,
    token: Token,
    at: Position,
    /// Offset where the token begins, and where the one before it ended.
    start: usize,
    end: usize,
    settings: &'m SieveSettings,
    mistakes: &'m mut Vec<Mistake>,
    depth: u32,
    calls: u32,
    /// A limit was reached: parsing stops.
    stopped: bool,
}

/// Most mistakes that are collected; nobody reads more at once.
pub(super) const MAX_MISTAKES: usize = 100;

/// Deepest nesting that the settings can allow.
const MAX_NESTING: u32 = 100;

/// Most arguments of one command or test.
const MAX_ARGUMENTS: usize = 32;

impl Parser<'_, '_> {
    fn advance(&mut self) {
        self.end = self.lexer.offset();
        (self.at, self.start, self.token) = self.lexer.next(self.mistakes);
        if self.mistakes.len() >= MAX_MISTAKES {
            self.stop();
        }
    }

    fn stop(&mut self) {
        self.stopped = true;
        self.token = Token::End;
    }

    fn mistake(&mut self, said: Said) {
        if !self.stopped {
            self.mistakes.push(Mistake::at(self.at, said));
        }
    }

    fn is_mark(&self, mark: char) -> bool {
        self.token == Token::Mark(mark)
    }

    /// Consumes the character if it is next.
    fn take(&mut self, mark: char) -> bool {
        let is_next = self.is_mark(mark);
        if is_next {
            self.advance();
        }
        is_next
    }

    /// Commands up to a `}`, which is not consumed, or the end.
    fn commands(&mut self) -> Vec<Call> {
        let mut calls = Vec::new();
        loop {
            match &self.token {
                Token::End | Token::Mark('}') => return calls,
                Token::Identifier(_) => calls.extend(self.command()),
                Token::Mark(';') => {
                    self.mistake(said!("sieve-no-command", "expected a command before this ';'"));
                    self.advance();
                }
                other => {
                    let noun = other.noun();
                    self.mistake(said!("sieve-command-wanted", "expected a command here, but found {noun}", noun));
                    self.advance();
                    self.skip_command();
                }
            }
        }
    }

    /// ```text
    /// command = identifier arguments (";" / block)      ; RFC 5228 §8.2
    /// ```
    fn command(&mut self) -> Option<Call> {
        let mut call = self.call()?;
        if self.is_mark('{') {
            call.block = Some(self.block());
        } else if !self.take(';') {
            let noun = self.token.noun();
            self.mistake(said!(
                "sieve-command-unended",
                "expected ';' or a block after '{name}', but found {noun}",
                name = &call.name,
                noun
            ));
            // If it looks like the next command, only the semicolon is missing.
            if !matches!(self.token, Token::Identifier(_)) {
                self.skip_command();
            }
        }
        Some(call)
    }

    fn block(&mut self) -> Vec<Call> {
        let opened = self.at;
        if !self.deeper() {
            self.skip_block();
            return Vec::new();
        }
        self.advance();
        let calls = self.commands();
        self.depth -= 1;
        if !self.take('}') && !self.stopped {
            let said = said!(
                "sieve-block-open",
                "this '{' is never closed; expected '}' before {noun}",
                noun = self.token.noun()
            );
            self.mistakes.push(Mistake::at(opened, said));
        }
        calls
    }

    /// Whether one more level of nesting is allowed.
    fn deeper(&mut self) -> bool {
        // Checking and running recurse as deep as the script is nested: the stack must be large enough, whatever the settings say.
        let most = self.settings.nesting.min(MAX_NESTING);
        if self.depth >= most {
            self.mistake(said!(
                "sieve-nesting",
                "blocks and tests are nested too deeply; the maximum is {most} levels",
                most
            ));
            return false;
        }
        self.depth += 1;
        true
    }

    /// ```text
    /// arguments = *argument [ test / test-list ]
    /// test      = identifier arguments
    /// ```
    fn call(&mut self) -> Option<Call> {
        let Token::Identifier(name) = &self.token else { return None };
        let (name, at, start) = (name.clone(), self.at, self.start);
        self.calls += 1;
        if self.calls > self.settings.commands {
            self.mistake(said!(
                "sieve-script-long",
                "the script is too long; the maximum is {most} commands and tests",
                most = self.settings.commands
            ));
            self.stop();
            return None;
        }
        self.advance();
        let arguments = self.arguments(&name)?;
        let shown = shown(&self.text[start..self.end.max(start)]);
        let mut call = Call { name, at, arguments, tests: Vec::new(), is_list: false, block: None, shown };
        if matches!(self.token, Token::Identifier(_)) {
            if !self.deeper() {
                self.skip_test();
                return Some(call);
            }
            call.tests.extend(self.call());
            self.depth -= 1;
        } else if self.is_mark('(') {
            call.is_list = true;
            self.test_list(&mut call);
        }
        Some(call)
    }

    fn test_list(&mut self, call: &mut Call) {
        if !self.deeper() {
            self.skip_test();
            return;
        }
        self.advance();
        loop {
            if !matches!(self.token, Token::Identifier(_)) {
                let noun = self.token.noun();
                self.mistake(said!("sieve-test-wanted", "expected a test here, but found {noun}", noun));
                self.skip_to(&[')', '{', ';', '}']);
                break;
            }
            call.tests.extend(self.call());
            if !self.take(',') {
                break;
            }
        }
        self.depth -= 1;
        if !self.take(')') {
            let noun = self.token.noun();
            self.mistake(said!(
                "sieve-tests-unended",
                "expected ',' or ')' in the list of tests, but found {noun}",
                noun
            ));
            self.skip_to(&['{', ';', '}']);
        }
    }

    /// `None` after a mistake; then the command has been skipped.
    fn arguments(&mut self, name: &str) -> Option<Vec<Argument>> {
        let mut arguments = Vec::new();
        loop {
            let at = self.at;
            let value = match std::mem::replace(&mut self.token, Token::End) {
                Token::Number(number) => Given::Number(number),
                Token::Tag(tag) => Given::Tag(tag),
                Token::Text(text) => Given::Text(text),
                Token::Mark('[') => {
                    self.advance();
                    Given::Texts(self.string_list()?)
                }
                other => {
                    self.token = other;
                    return Some(arguments);
                }
            };
            if !matches!(value, Given::Texts(_)) {
                self.advance();
            }
            if arguments.len() >= MAX_ARGUMENTS {
                let said = said!(
                    "sieve-many-arguments",
                    "'{name}' has too many arguments; the maximum is {most}",
                    name,
                    most = MAX_ARGUMENTS
                );
                self.mistakes.push(Mistake::at(at, said));
                self.skip_command();
                return None;
            }
            arguments.push(Argument { at, value });
        }
    }

    /// After the `[`.
    fn string_list(&mut self) -> Option<Vec<(Position, String)>> {
        let mut texts = Vec::new();
        loop {
            match std::mem::replace(&mut self.token, Token::End) {
                Token::Text(text) => {
                    texts.push((self.at, text));
                    self.advance();
                }
                other => {
                    let noun = other.noun();
                    self.token = other;
                    self.mistake(said!("sieve-string-wanted", "expected a string in the list, but found {noun}", noun));
                    self.skip_command();
                    return None;
                }
            }
            if self.take(']') {
                return Some(texts);
            }
            if !self.take(',') {
                let noun = self.token.noun();
                self.mistake(said!(
                    "sieve-strings-unended",
                    "expected ',' or ']' in the list of strings, but found {noun}",
                    noun
                ));
                self.skip_command();
                return None;
            }
        }
    }

    /// Skips to the end of the command, its semicolon or block, but not beyond the enclosing block.
    fn skip_command(&mut self) {
        self.skip_to(&[';', '{', '}']);
        match self.token {
            Token::Mark('{') => self.skip_block(),
            Token::Mark(';') => self.advance(),
            _ => {}
        }
    }

    fn skip_test(&mut self) {
        self.skip_to(&['{', ';', '}']);
    }

    fn skip_to(&mut self, marks: &[char]) {
        while !matches!(&self.token, Token::End) && !matches!(&self.token, Token::Mark(mark) if marks.contains(mark)) {
            self.advance();
        }
    }

    /// Skips a block whose `{` is next.
    fn skip_block(&mut self) {
        let mut depth = 0_u32;
        loop {
            match self.token {
                Token::Mark('{') => depth = depth.saturating_add(1),
                Token::Mark('}') => depth = depth.saturating_sub(1),
                Token::End => return,
                _ => {}
            }
            self.advance();
            if depth == 0 {
                return;
            }
        }
    }
}

/// The text of a call on one line, cut to the length of a trace line.
fn shown(text: &str) -> String {
    const LONGEST: usize = 100;
    let mut shown = String::new();
    for word in text.split_whitespace() {
        if !shown.is_empty() {
            shown.push(' ');
        }
        shown.push_str(word);
        if shown.len() > LONGEST {
            shown.truncate(shown.floor_char_boundary(LONGEST));
            shown.push('…');
            break;
        }
    }
    shown
}
