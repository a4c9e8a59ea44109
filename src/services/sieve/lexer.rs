//! The lexical grammar (RFC 5228 §8.1).

use super::Mistake;
use super::parser::MAX_MISTAKES;
use super::syntax::{Position, a_number, a_string, the_tag};
use crate::foundations::said::{IntoValue, Value, said};

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// In lower case.
    Identifier(String),
    /// After the colon, in lower case.
    Tag(String),
    Number(u64),
    Text(String),
    /// One of `[](){},;`.
    Mark(char),
    End,
}

impl Token {
    /// What it is, for people.
    pub(super) fn noun(&self) -> Value {
        match self {
            Self::Identifier(name) => format!("'{name}'").into_value(),
            Self::Tag(tag) => the_tag(tag).into_value(),
            Self::Number(_) => a_number().into_value(),
            Self::Text(_) => a_string().into_value(),
            Self::Mark(mark) => format!("'{mark}'").into_value(),
            Self::End => said!("sieve-the-end", "the end of the script").into_value(),
        }
    }
}

/// A comment with its markers, and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Comment<'a> {
    pub(super) at: Position,
    pub(super) text: &'a str,
}

/// Longest identifier or tag in octets.
const MAX_IDENTIFIER: usize = 64;

/// Splits a script into tokens. Anything else is a mistake and is left out.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    position: Position,
    /// The skipped comments, if they are wanted.
    pub(super) comments: Option<Vec<Comment<'a>>>,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0, position: Position { line: 1, column: 1 }, comments: None }
    }

    /// Offset of the next octet.
    pub(super) const fn offset(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn step(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        if next == '\n' {
            self.position = Position { line: self.position.line.saturating_add(1), column: 1 };
        } else {
            self.position.column = self.position.column.saturating_add(1);
        }
        Some(next)
    }

    fn step_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.step();
        }
        &self.text[start..self.at]
    }

    /// The next token, with the position and offset where it begins.
    pub(super) fn next(&mut self, mistakes: &mut Vec<Mistake>) -> (Position, usize, Token) {
        loop {
            self.skip_blanks(mistakes);
            let (position, start) = (self.position, self.at);
            let Some(first) = self.peek() else { return (position, start, Token::End) };
            if mistakes.len() >= MAX_MISTAKES {
                return (position, start, Token::End);
            }
            let token = match first {
                '"' => self.quoted(position, mistakes),
                '0'..='9' => self.number(position, mistakes),
                ':' => {
                    self.step();
                    match self.identifier() {
                        "" => {
                            let said = said!("sieve-bare-colon", "a colon must be followed by the name of a tag");
                            mistakes.push(Mistake::at(position, said));
                            None
                        }
                        name => Some(Token::Tag(self.checked(name, position, mistakes))),
                    }
                }
                'a'..='z' | 'A'..='Z' | '_' => self.word(position, mistakes),
                '[' | ']' | '(' | ')' | '{' | '}' | ',' | ';' => {
                    self.step();
                    Some(Token::Mark(first))
                }
                _ => {
                    // One mistake for a whole run of invalid characters.
                    let run = self.step_while(|c| {
                        !c.is_ascii_alphanumeric() && !c.is_whitespace() && !"_\"#:[](){},;/".contains(c)
                    });
                    if run.is_empty() {
                        self.step();
                    }
                    let shown: String = if run.is_empty() { first.to_string() } else { run.chars().take(20).collect() };
                    let said = said!(
                        "sieve-stray",
                        "'{text}' is not part of a command; strings are written in quotation marks",
                        text = shown.escape_debug()
                    );
                    mistakes.push(Mistake::at(position, said));
                    None
                }
            };
            if let Some(token) = token {
                return (position, start, token);
            }
        }
    }

    /// Blanks, `# comments` and `/* comments */` (RFC 5228 §2.3).
    fn skip_blanks(&mut self, mistakes: &mut Vec<Mistake>) {
        loop {
            self.step_while(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
            let (position, start) = (self.position, self.at);
            if self.rest().starts_with('#') {
                self.step_while(|c| c != '\n');
            } else if self.rest().starts_with("/*") {
                let end = self.rest().find("*/").map_or(self.text.len(), |end| self.at + end + 2);
                if !self.text[..end].ends_with("*/") || end - self.at < 4 {
                    let said = said!("sieve-comment-open", "this comment has no end; expected '*/'");
                    mistakes.push(Mistake::at(position, said));
                }
                while self.at < end {
                    self.step();
                }
            } else {
                return;
            }
            if let Some(comments) = &mut self.comments {
                comments.push(Comment { at: position, text: self.text[start..self.at].trim_end() });
            }
        }
    }

    fn identifier(&mut self) -> &'a str {
        self.step_while(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    fn checked(&self, name: &str, position: Position, mistakes: &mut Vec<Mistake>) -> String {
        if name.len() > MAX_IDENTIFIER {
            let said = said!(
                "sieve-name-long",
                "this name is too long; the maximum is {most} characters",
                most = MAX_IDENTIFIER
            );
            mistakes.push(Mistake::at(position, said));
        }
        name.chars().take(MAX_IDENTIFIER).collect::<String>().to_ascii_lowercase()
    }

    /// An identifier, or `text:` and what follows it.
    fn word(&mut self, position: Position, mistakes: &mut Vec<Mistake>) -> Option<Token> {
        let name = self.identifier();
        if name.eq_ignore_ascii_case("text") && self.peek() == Some(':') {
            self.step();
            return self.multi_line(position, mistakes);
        }
        Some(Token::Identifier(self.checked(name, position, mistakes)))
    }

    /// ```text
    /// number     = 1*DIGIT [ QUANTIFIER ]      ; RFC 5228 §8.1
    /// QUANTIFIER = "K" / "M" / "G"
    /// ```
    fn number(&mut self, position: Position, mistakes: &mut Vec<Mistake>) -> Option<Token> {
        let digits = self.step_while(|c| c.is_ascii_digit());
        let shift = match self.peek() {
            Some('k' | 'K') => 10,
            Some('m' | 'M') => 20,
            Some('g' | 'G') => 30,
            _ => 0,
        };
        if shift > 0 {
            self.step();
        }
        let more = self.identifier();
        if !more.is_empty() {
            let said = said!(
                "sieve-number-unit",
                "'{more}' must not follow a number; only K, M or G may, for 1024, its square and its cube",
                more
            );
            mistakes.push(Mistake::at(position, said));
        }
        let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
        if number.is_none() {
            let said = said!("sieve-number-large", "this number is too large; {most} is the largest", most = u64::MAX);
            mistakes.push(Mistake::at(position, said));
        }
        Some(Token::Number(number.unwrap_or(u64::MAX)))
    }

    /// RFC 5228 §2.4.2: a backslash makes the next character stand for itself.
    fn quoted(&mut self, position: Position, mistakes: &mut Vec<Mistake>) -> Option<Token> {
        self.step();
        let mut text = String::new();
        loop {
            match self.step() {
                Some('"') => return Some(Token::Text(text)),
                Some('\\') => text.extend(self.step()),
                Some('\0') => {
                    let said = said!("sieve-nul", "this string contains a NUL character, which is not allowed");
                    mistakes.push(Mistake::at(position, said));
                }
                Some('\n') if !text.ends_with('\r') => text.push_str("\r\n"),
                Some(other) => text.push(other),
                None => {
                    let said = said!("sieve-string-open", "this string has no end; expected a quotation mark");
                    mistakes.push(Mistake::at(position, said));
                    return None;
                }
            }
        }
    }

    /// ```text
    /// multi-line = "text:" *(SP / HTAB) (hash-comment / CRLF) *(multiline-literal / multiline-dotstart) "." CRLF
    /// ```
    /// After `text:`. Lines may end in LF alone, and are taken as ending in CRLF.
    fn multi_line(&mut self, position: Position, mistakes: &mut Vec<Mistake>) -> Option<Token> {
        self.step_while(|c| c == ' ' || c == '\t');
        if self.peek() == Some('#') {
            self.step_while(|c| c != '\n');
        }
        self.step_while(|c| c == '\r');
        if self.peek() != Some('\n') {
            let said = said!("sieve-text-begins", "the text must begin on the line after 'text:'");
            mistakes.push(Mistake::at(position, said));
            return None;
        }
        self.step();
        let mut text = String::new();
        while self.peek().is_some() {
            let line = self.step_while(|c| c != '\n');
            let ended = self.step().is_some();
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line == "." {
                return Some(Token::Text(text));
            }
            // RFC 5228 §2.4.2: a dot at the beginning of a line is doubled.
            text.push_str(if line.starts_with("..") { &line[1..] } else { line });
            if ended {
                text.push_str("\r\n");
            }
        }
        let said = said!("sieve-text-open", "this text has no end; expected a line with only a dot");
        mistakes.push(Mistake::at(position, said));
        None
    }
}
