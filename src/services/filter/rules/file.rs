//! Reading rule files.

use std::collections::BTreeMap;

use super::directives::{WITHOUT_EFFECT, is_built_in, is_feature};
use super::lists::Lists;
use crate::services::filter::language::{Language, Locale};

/// A line of a rule file that is not in force as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// How bad it is.
    pub severity: Severity,
    /// The directive and the name it is about.
    pub subject: String,
    /// Why, and what to do instead.
    pub reason: String,
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {} `{}`: {}", self.file, self.line, self.severity, self.subject, self.reason)
    }
}

/// How bad a complaint is, from harmless to wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Skipped knowingly: it is under a condition that does not hold here.
    Skipped,
    /// Known, and without effect in this server.
    WithoutEffect,
    /// In force, but not exactly as written.
    Changed,
    /// Not in force: the line cannot be used.
    Unusable,
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Skipped => "skipped",
            Self::WithoutEffect => "without effect",
            Self::Changed => "changed",
            Self::Unusable => "not usable",
        })
    }
}

/// What a rule tests, as written.
#[derive(Debug, Clone)]
pub struct Definition {
    /// `header`, `body`, `rawbody`, `full`, `uri`, `meta` or `mimeheader`.
    pub kind: Kind,
    /// What follows the name.
    pub test: String,
    /// Where it stands.
    pub file: String,
    /// Where it stands.
    pub line: usize,
}

/// The kinds of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A header field.
    Header,
    /// The text as a reader sees it.
    Body,
    /// The text without rendering.
    RawBody,
    /// The whole message.
    Full,
    /// Links.
    Uri,
    /// Other rules.
    Meta,
    /// The header of a MIME part.
    MimeHeader,
}

impl Kind {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "header" => Self::Header,
            "body" => Self::Body,
            "rawbody" => Self::RawBody,
            "full" => Self::Full,
            "uri" => Self::Uri,
            "meta" => Self::Meta,
            "mimeheader" => Self::MimeHeader,
            _ => return None,
        })
    }
}

/// `tflags` of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// Every match counts, not only the first.
    pub multiple: bool,
    /// Most matches that count.
    pub max_hits: Option<usize>,
    /// It needs the network.
    pub network: bool,
    /// It speaks for the message.
    pub nice: bool,
    /// It is about what was learned.
    pub learned: bool,
    /// It must not make the filter learn.
    pub no_learn: bool,
    /// A body rule that leaves the subject out.
    pub no_subject: bool,
}

/// What `score` says about a rule.
#[derive(Debug)]
pub struct Score {
    /// For the four cases: neither network nor classifier, network, classifier, both.
    pub numbers: [f64; 4],
    /// The file of the first line that sets it.
    pub file: String,
    /// That line.
    pub line: usize,
}

/// The content of rule files, before it is compiled.
#[derive(Debug, Default)]
pub struct Definitions {
    /// Rules by name; a later definition replaces an earlier one.
    pub rules: BTreeMap<String, Definition>,
    /// Scores by the name of their rule.
    pub scores: BTreeMap<String, Score>,
    /// Sentences for people.
    pub descriptions: BTreeMap<String, String>,
    /// `tflags`.
    pub flags: BTreeMap<String, Flags>,
    /// Addresses and hosts with a good or bad name.
    pub lists: Lists,
    /// `use_bayes 0`.
    pub without_classifier: bool,
    /// `ok_languages`; none stands for all.
    pub ok_languages: Vec<Language>,
    /// `ok_locales`; none stands for all.
    pub ok_locales: Vec<Locale>,
    /// What was found wrong.
    pub complaints: Vec<Complaint>,
}

/// The version that `if (version >= ...)` is compared with.
const VERSION: f64 = 4.000_002;

impl Definitions {
    /// Adds a file; later lines take precedence over earlier ones.
    pub fn read(&mut self, file: &str, text: &str) {
        let mut conditions: Vec<Condition> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = without_comment(line);
            if line.is_empty() {
                continue;
            }
            let mut place = Place { file, line: number + 1, definitions: self };
            place.line_of(line, &mut conditions);
        }
        if !conditions.is_empty() {
            let mut place = Place { file, line: text.lines().count(), definitions: self };
            place.complain(Severity::Unusable, "endif", "a condition is not closed".to_owned());
        }
    }
}

/// A condition that is still open.
struct Condition {
    /// Whether the following lines are in force; `None` for a condition that is not understood: then neither branch is.
    holds: Option<bool>,
}

impl Condition {
    fn is_met(&self) -> bool {
        self.holds == Some(true)
    }
}

struct Place<'d> {
    file: &'d str,
    line: usize,
    definitions: &'d mut Definitions,
}

impl Place<'_> {
    fn complain(&mut self, severity: Severity, subject: &str, reason: String) {
        let subject = subject.chars().take(80).collect();
        self.definitions.complaints.push(Complaint {
            file: self.file.to_owned(),
            line: self.line,
            severity,
            subject,
            reason,
        });
    }

    fn line_of(&mut self, line: &str, conditions: &mut Vec<Condition>) {
        let (word, rest) = split_word(line);
        match word {
            "ifplugin" => {
                let skipped = conditions.iter().any(|c| !c.is_met());
                let holds = is_built_in(rest);
                if !skipped && !holds {
                    let reason =
                        "the section is for a SpamAssassin plugin; what it does is built in here, or not available"
                            .to_owned();
                    self.complain(Severity::Skipped, &format!("ifplugin {rest}"), reason);
                }
                conditions.push(Condition { holds: Some(holds) });
            }
            "if" => {
                let holds = condition(rest);
                if holds == Some(false) && conditions.iter().all(Condition::is_met) {
                    self.complain(Severity::Skipped, line, "the condition does not hold here".to_owned());
                }
                if holds.is_none() {
                    self.complain(
                        Severity::Unusable,
                        line,
                        "the condition is not understood; its section is skipped, and the `else` section too"
                            .to_owned(),
                    );
                }
                conditions.push(Condition { holds });
            }
            "else" => match conditions.last_mut() {
                Some(condition) => condition.holds = condition.holds.map(|holds| !holds),
                None => self.complain(Severity::Unusable, word, "there is no condition before it".to_owned()),
            },
            "endif" => {
                if conditions.pop().is_none() {
                    self.complain(Severity::Unusable, word, "there is no condition before it".to_owned());
                }
            }
            _ if conditions.iter().any(|c| !c.is_met()) => {}
            "lang" => {
                let (language, rest) = split_word(rest);
                if language.starts_with("en") {
                    let (word, rest) = split_word(rest);
                    self.directive(word, rest);
                }
            }
            _ => self.directive(word, rest),
        }
    }

    fn directive(&mut self, word: &str, rest: &str) {
        if let Some(kind) = Kind::of(word) {
            return self.rule(kind, word, rest);
        }
        match word {
            "score" => self.score(rest),
            "describe" => {
                let (name, text) = split_word(rest);
                self.definitions.descriptions.insert(name.to_owned(), text.to_owned());
            }
            "tflags" => self.flags(rest),
            "use_bayes" | "use_bayes_rules" => self.definitions.without_classifier = rest.trim() == "0",
            "ok_languages" => self.languages(rest),
            "ok_locales" => self.locales(rest),
            _ => {
                if self.definitions.lists.add(word, rest) {
                    return;
                }
                match WITHOUT_EFFECT.iter().find(|(names, _)| names.contains(&word)) {
                    Some((_, reason)) => self.complain(Severity::WithoutEffect, word, (*reason).to_owned()),
                    None => self.complain(Severity::Unusable, word, "this directive is unknown".to_owned()),
                }
            }
        }
    }

    fn rule(&mut self, kind: Kind, word: &str, rest: &str) {
        let (name, test) = split_word(rest);
        if !is_name(name) {
            let reason = format!("`{name}` is not a name: letters, digits and underscores, not beginning with a digit");
            return self.complain(Severity::Unusable, word, reason);
        }
        if test.is_empty() {
            return self.complain(Severity::Unusable, name, "the rule tests nothing".to_owned());
        }
        let definition = Definition { kind, test: test.to_owned(), file: self.file.to_owned(), line: self.line };
        self.definitions.rules.insert(name.to_owned(), definition);
    }

    fn score(&mut self, rest: &str) {
        let (name, numbers) = split_word(rest);
        let relative = numbers.contains('(');
        let parsed: Result<Vec<f64>, _> =
            numbers.split_whitespace().map(|n| n.trim_matches(['(', ')']).parse::<f64>()).collect();
        let parsed = parsed.ok().filter(|n| n.iter().all(|n| n.is_finite()));
        let scores = match parsed.as_deref() {
            Some([one]) => [*one; 4],
            Some([a, b, c, d]) => [*a, *b, *c, *d],
            _ => {
                let reason = format!("expected one number or four, not `{numbers}`");
                return self.complain(Severity::Unusable, &format!("score {name}"), reason);
            }
        };
        if relative && !self.definitions.scores.contains_key(name) {
            // SpamAssassin rejects such a line, too: the rule keeps its default score.
            let reason = "there is no earlier score to add this to; write the whole score, without brackets".to_owned();
            return self.complain(Severity::Unusable, &format!("score {name}"), reason);
        }
        let first = || Score { numbers: scores, file: self.file.to_owned(), line: self.line };
        let entry = self.definitions.scores.entry(name.to_owned()).or_insert_with(first);
        for (slot, score) in entry.numbers.iter_mut().zip(scores) {
            *slot = if relative { *slot + score } else { score };
        }
    }

    fn flags(&mut self, rest: &str) {
        let (name, words) = split_word(rest);
        let mut flags = self.definitions.flags.get(name).copied().unwrap_or_default();
        for word in words.split_whitespace() {
            match word {
                "multiple" => flags.multiple = true,
                "net" => flags.network = true,
                "nice" => flags.nice = true,
                "learn" => flags.learned = true,
                "noautolearn" => flags.no_learn = true,
                "nosubject" => flags.no_subject = true,
                "publish" | "nopublish" | "userconf" | "autolearn_force" | "ips_only" | "domains_only" | "a" | "ns"
                | "notrim" | "noawl" => {}
                _ => match word.strip_prefix("maxhits=").and_then(|n| n.parse().ok()) {
                    Some(most) => flags.max_hits = Some(most),
                    None => {
                        self.complain(Severity::Unusable, &format!("tflags {name}"), format!("`{word}` is not a flag"))
                    }
                },
            }
        }
        self.definitions.flags.insert(name.to_owned(), flags);
    }

    /// `all`, or codes; a later line replaces an earlier one.
    fn languages(&mut self, rest: &str) {
        let mut languages = Vec::new();
        let mut all = false;
        for word in rest.split_whitespace() {
            // `zh.big5` is Chinese in a character set of its own.
            let code = word.split(['.', '_', '-']).next().unwrap_or_default().to_ascii_lowercase();
            match Language::from_code(&code) {
                Some(language) => {
                    if !language.is_recognised() {
                        let reason = format!(
                            "{} cannot be distinguished from other languages in the same script; none of them counts as unwanted",
                            language.name()
                        );
                        self.complain(Severity::Changed, &format!("ok_languages {word}"), reason);
                    }
                    languages.push(language);
                }
                None if code == "all" => all = true,
                None => {
                    let reason = "it is not the code of a language that is known here".to_owned();
                    self.complain(Severity::Unusable, &format!("ok_languages {word}"), reason);
                }
            }
        }
        if all {
            languages.clear();
        } else if languages.is_empty() {
            let reason = "no language is left, so every language counts as wanted".to_owned();
            self.complain(Severity::Unusable, "ok_languages", reason);
        }
        self.definitions.ok_languages = languages;
    }

    /// `all`, or words for groups of character sets.
    fn locales(&mut self, rest: &str) {
        let mut locales = Vec::new();
        let mut all = false;
        for word in rest.split_whitespace() {
            match Locale::from_word(&word.to_ascii_lowercase()) {
                Some(locale) => locales.push(locale),
                None if word.eq_ignore_ascii_case("all") => all = true,
                None => {
                    let reason = "expected one of en, ja, ko, ru, th, zh or all".to_owned();
                    self.complain(Severity::Unusable, &format!("ok_locales {word}"), reason);
                }
            }
        }
        if all {
            locales.clear();
        }
        self.definitions.ok_locales = locales;
    }
}

/// `if (version >= 3.004)`, `if plugin(...)`, `if can(...)`, joined by `&&`, `||` and `!`; `None` when not understood.
fn condition(text: &str) -> Option<bool> {
    let mut simple = String::new();
    let mut rest = text;
    // Functions about parts of SpamAssassin that do not exist here are false.
    while let Some(at) =
        ["plugin", "can", "has", "local_tests_only"].iter().filter_map(|f| rest.find(f).map(|n| (n, f))).min()
    {
        let (from, function) = at;
        simple.push_str(&rest[..from]);
        rest = &rest[from + function.len()..];
        let mut holds = false;
        if let Some(open) = rest.trim_start().strip_prefix('(') {
            let (argument, tail) = open.split_once(')').unwrap_or((open, ""));
            holds = (*function == "plugin" && is_built_in(argument)) || (*function == "can" && is_feature(argument));
            rest = tail;
        }
        simple.push(if holds { '1' } else { '0' });
    }
    simple.push_str(rest);
    let expression = super::meta::Expression::parse(&simple).ok()?;
    let mut unknown = false;
    expression.rules(&mut |name, _| unknown |= !matches!(name, "version" | "true" | "false"));
    let value = expression.value(&|name| match name {
        "version" => VERSION,
        "true" => 1.0,
        _ => 0.0,
    });
    (!unknown).then_some(value != 0.0)
}

fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim()))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Removes a comment: `#` at the start or after white space, unless it is escaped.
fn without_comment(line: &str) -> &str {
    let bytes = line.as_bytes();
    let cut = bytes.iter().enumerate().find(|(at, byte)| {
        **byte == b'#' && (*at == 0 || (bytes[at - 1] != b'\\' && bytes[at - 1].is_ascii_whitespace()))
    });
    cut.map_or(line, |(at, _)| &line[..at]).trim()
}
