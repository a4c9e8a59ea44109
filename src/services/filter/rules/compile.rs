//! Compiling definitions to rules that can be run.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::file::{Complaint, Definition, Definitions, Flags, Kind, Severity};
use super::lists::Lists;
use super::meta::{Effect, Expression};
use super::natives::{self, Native};
use super::pattern::{Division, Pattern, Scanner};
use crate::services::filter::language::{Language, Locale};

/// Rules, compiled. Building one takes milliseconds per hundred rules; running it needs no lock.
#[derive(Debug)]
pub struct RuleSet {
    pub(super) rules: Vec<Rule>,
    pub(super) by_name: HashMap<String, u32>,
    /// Meta rules in an order in which each comes after those it refers to.
    pub(super) metas: Vec<u32>,
    pub(super) scanners: Scanners,
    pub(super) lists: Lists,
    options: Options,
    complaints: Vec<Complaint>,
}

/// What rule files contain besides rules.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// `use_bayes 0`.
    pub without_classifier: bool,
    /// `ok_languages`; none stands for all.
    pub ok_languages: Vec<Language>,
    /// `ok_locales`; none stands for all.
    pub ok_locales: Vec<Locale>,
}

#[derive(Debug)]
pub struct Rule {
    pub name: String,
    pub test: Test,
    pub scores: [f64; 4],
    pub description: Option<String>,
    pub flags: Flags,
}

#[derive(Debug)]
pub enum Test {
    Header { source: u32, pattern: Pattern, negated: bool, unset: Option<String> },
    Exists(Source),
    Body(Pattern),
    RawBody(Pattern),
    Full(Pattern),
    Uri { pattern: Pattern, negated: bool },
    MimeHeader { field: String, pattern: Pattern, negated: bool },
    Meta(Expression),
    Native(Native),
}

/// The part of the header that a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    pub field: Field,
    pub form: Form,
    pub which: Which,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    /// The whole header.
    All,
    /// The reverse-path of the envelope.
    EnvelopeFrom,
    /// The code of the language of the text.
    Languages,
    /// Every field that may hold a message id.
    MessageId,
    /// SpamAssassin's pseudo-fields from Received fields: the relays of the message, those of the site or all others.
    Relays { ours: bool },
    /// By name, in lower case.
    Named(String),
    /// To and Cc.
    ToCc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    Address,
    Decoded,
    Domain,
    DisplayName,
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Which {
    All,
    First,
    Last,
}

#[derive(Debug, Default)]
pub struct Scanners {
    pub headers: Vec<(Source, Scanner)>,
    /// Header rules that must always be run: negated ones and those with a text for a missing field.
    pub header_always: Vec<u32>,
    pub body: Scanner,
    pub raw_body: Scanner,
    pub full: Scanner,
    pub uri: Scanner,
    pub others: Vec<u32>,
}

impl RuleSet {
    /// Compiles rule files, given by name and text; later files take precedence. Never fails: unusable lines are
    /// left out and reported in [`RuleSet::complaints`].
    pub fn compile<'t>(files: impl IntoIterator<Item = (&'t str, &'t str)>) -> Self {
        let mut definitions = Definitions::default();
        for (name, text) in files {
            definitions.read(name, text);
        }
        Compiler::default().run(definitions)
    }

    /// Lines that are not in force as written, in the order of the files.
    pub fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    /// What the files contain besides rules.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Number of rules in force.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

#[derive(Default)]
struct Compiler {
    rules: Vec<Rule>,
    sources: Vec<Source>,
    complaints: Vec<Complaint>,
}

impl Compiler {
    fn run(mut self, mut definitions: Definitions) -> RuleSet {
        self.complaints = std::mem::take(&mut definitions.complaints);
        let mut failed = BTreeSet::new();
        for (name, definition) in &definitions.rules {
            let scores = definitions.scores.get(name).map(|score| score.numbers);
            if scores == Some([0.0; 4]) && !name.starts_with("__") {
                // A score of zero switches the rule off.
                continue;
            }
            let Some(test) = self.test(name, definition) else {
                failed.insert(name.clone());
                continue;
            };
            let flags = definitions.flags.get(name).copied().unwrap_or_default();
            let scores = if name.starts_with("__") { [0.0; 4] } else { scores.unwrap_or(default_score(name, flags)) };
            let description = definitions.descriptions.get(name).cloned();
            self.rules.push(Rule { name: name.clone(), test, scores, description, flags });
        }
        self.leave_out(failed, &definitions.rules);
        let by_name: HashMap<String, u32> = self.rules.iter().zip(0u32..).map(|(r, n)| (r.name.clone(), n)).collect();
        self.orphans(&definitions);
        let metas = self.order(&by_name, &definitions.rules);
        let scanners = self.scanners();
        self.complaints.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        RuleSet {
            rules: self.rules,
            by_name,
            metas,
            scanners,
            lists: definitions.lists,
            options: Options {
                without_classifier: definitions.without_classifier,
                ok_languages: definitions.ok_languages,
                ok_locales: definitions.ok_locales,
            },
            complaints: self.complaints,
        }
    }

    fn complain(&mut self, definition: &Definition, severity: Severity, name: &str, reason: String) {
        let (file, line) = (definition.file.clone(), definition.line);
        self.complaints.push(Complaint { file, line, severity, subject: name.to_owned(), reason });
    }

    fn test(&mut self, name: &str, definition: &Definition) -> Option<Test> {
        let test = definition.test.trim();
        if let Some(call) = test.strip_prefix("eval:") {
            return match natives::find(name, call) {
                Ok(native) => Some(Test::Native(native)),
                Err(reason) => {
                    self.complain(definition, Severity::Unusable, name, reason);
                    None
                }
            };
        }
        match definition.kind {
            Kind::Meta => match Expression::parse(test) {
                Ok(expression) => Some(Test::Meta(expression)),
                Err(reason) => {
                    self.complain(definition, Severity::Unusable, name, reason);
                    None
                }
            },
            Kind::Header => self.header(name, definition, test),
            Kind::MimeHeader => {
                let (field, negated, literal) = self.matching(name, definition, test)?;
                let field = field.split(':').next().unwrap_or_default().to_ascii_lowercase();
                let pattern = self.pattern(name, definition, literal, Division::Whole)?;
                Some(Test::MimeHeader { field, pattern, negated })
            }
            Kind::Body => self.pattern(name, definition, test, Division::Lines).map(Test::Body),
            // As in SpamAssassin: a pattern that should match at each line says so with `/m`.
            Kind::RawBody => self.pattern(name, definition, test, Division::Whole).map(Test::RawBody),
            Kind::Full => self.pattern(name, definition, test, Division::Whole).map(Test::Full),
            Kind::Uri => {
                let (negated, literal) = match test.strip_prefix("!~") {
                    Some(rest) => (true, rest.trim()),
                    None => (false, test.strip_prefix("=~").unwrap_or(test).trim()),
                };
                self.pattern(name, definition, literal, Division::Lines).map(|pattern| Test::Uri { pattern, negated })
            }
        }
    }

    fn pattern(&mut self, name: &str, definition: &Definition, literal: &str, division: Division) -> Option<Pattern> {
        match Pattern::compile(literal, division) {
            Ok((pattern, note)) => {
                if let Some(note) = note {
                    self.complain(definition, Severity::Changed, name, note.to_owned());
                }
                Some(pattern)
            }
            Err(error) => {
                self.complain(definition, Severity::Unusable, name, error.to_string());
                None
            }
        }
    }

    /// `Field =~ /pattern/` or `Field !~ /pattern/`.
    fn matching<'t>(&mut self, name: &str, definition: &Definition, test: &'t str) -> Option<(&'t str, bool, &'t str)> {
        let equal = test.find("=~").map(|at| (at, false));
        let unequal = test.find("!~").map(|at| (at, true));
        let Some((at, negated)) = [equal, unequal].into_iter().flatten().min() else {
            let reason = "expected `Field =~ /pattern/`".to_owned();
            self.complain(definition, Severity::Unusable, name, reason);
            return None;
        };
        Some((test[..at].trim(), negated, test[at + 2..].trim()))
    }

    fn header(&mut self, name: &str, definition: &Definition, test: &str) -> Option<Test> {
        if let Some(field) = test.strip_prefix("exists:") {
            return self.source(name, definition, field).map(Test::Exists);
        }
        let (field, negated, rest) = self.matching(name, definition, test)?;
        let (literal, unset) = match rest.rsplit_once("[if-unset:") {
            Some((literal, unset)) => (literal.trim(), Some(unset.trim().trim_end_matches(']').trim().to_owned())),
            None => (rest, None),
        };
        let source = self.source(name, definition, field)?;
        let pattern = self.pattern(name, definition, literal, Division::Whole)?;
        let source = match self.sources.iter().position(|s| *s == source) {
            Some(known) => known,
            None => {
                self.sources.push(source);
                self.sources.len() - 1
            }
        };
        Some(Test::Header { source: u32::try_from(source).ok()?, pattern, negated, unset })
    }

    fn source(&mut self, name: &str, definition: &Definition, field: &str) -> Option<Source> {
        Source::parse(field).map_err(|reason| self.complain(definition, Severity::Unusable, name, reason)).ok()
    }

    /// Scores for rules that do not exist are most often typing mistakes.
    fn orphans(&mut self, definitions: &Definitions) {
        let failed: Vec<&String> = definitions.rules.keys().collect();
        for (name, score) in definitions.scores.iter().filter(|(name, _)| failed.binary_search(name).is_err()) {
            self.complaints.push(Complaint {
                file: score.file.clone(),
                line: score.line,
                severity: Severity::WithoutEffect,
                subject: format!("score {name}"),
                reason: "there is no rule of this name".to_owned(),
            });
        }
    }

    /// Leaves out meta rules that would match too often because other rules could not be compiled (`__A && !__FAILED`), and reports
    /// those that match less often. `weaker` are the names that have fewer hits than they should.
    fn leave_out(&mut self, mut weaker: BTreeSet<String>, definitions: &BTreeMap<String, Definition>) {
        let mut found: BTreeMap<String, (Severity, String)> = BTreeMap::new();
        // Repeated until nothing new is found: a rule that depends on a weaker one may come before it.
        loop {
            let mut news = BTreeMap::new();
            for rule in &self.rules {
                let Test::Meta(expression) = &rule.test else { continue };
                let known = found.get(&rule.name).map(|(severity, _)| *severity);
                if known == Some(Severity::Unusable) {
                    continue;
                }
                expression.rules(&mut |name, effect| {
                    if !weaker.contains(name) {
                        return;
                    }
                    if effect != Effect::Raises {
                        let reason =
                            format!("`{name}` is not in force as written, and without it this would match too often");
                        news.insert(rule.name.clone(), (Severity::Unusable, reason));
                    } else if known.is_none() && !news.contains_key(&rule.name) {
                        let reason = format!("`{name}` is not in force as written, so that this matches less often");
                        news.insert(rule.name.clone(), (Severity::Changed, reason));
                    }
                });
            }
            if news.is_empty() {
                break;
            }
            weaker.extend(news.keys().cloned());
            found.extend(news);
        }
        self.rules.retain(|rule| !matches!(found.get(&rule.name), Some((Severity::Unusable, _))));
        for (name, (severity, reason)) in found {
            if let Some(definition) = definitions.get(&name) {
                self.complain(definition, severity, &name, reason);
            }
        }
    }

    /// Meta rules, each after those it refers to; those that refer to themselves are left out.
    fn order(&mut self, by_name: &HashMap<String, u32>, definitions: &BTreeMap<String, Definition>) -> Vec<u32> {
        let mut order = Vec::new();
        let mut state: HashMap<u32, bool> = HashMap::new();
        let mut complaints: Vec<(u32, String)> = Vec::new();
        for start in (0..).zip(&self.rules).filter(|(_, r)| matches!(r.test, Test::Meta(_))).map(|(n, _)| n) {
            // Depth first, with an explicit stack: (rule, whether what it refers to has been visited).
            let mut stack = vec![(start, false)];
            while let Some((rule, done)) = stack.pop() {
                let Test::Meta(expression) = &self.rules[rule as usize].test else { continue };
                if done {
                    state.insert(rule, true);
                    order.push(rule);
                    continue;
                }
                match state.get(&rule) {
                    Some(true) => continue,
                    Some(false) => continue,
                    None => {}
                }
                state.insert(rule, false);
                stack.push((rule, true));
                expression.rules(&mut |name, _| match by_name.get(name) {
                    Some(other) if state.get(other) == Some(&false) => {
                        complaints.push((rule, format!("it depends on itself through `{name}`, which counts as 0")));
                    }
                    Some(other) => stack.push((*other, false)),
                    None if definitions.contains_key(name) || EXTERNAL.iter().any(|p| name.starts_with(p)) => {}
                    None => {
                        complaints.push((rule, format!("it refers to `{name}`, which does not exist and counts as 0")))
                    }
                });
            }
        }
        for (rule, reason) in complaints {
            let name = self.rules[rule as usize].name.clone();
            if let Some(definition) = definitions.get(&name) {
                self.complain(definition, Severity::Changed, &name, reason);
            }
        }
        order
    }

    fn scanners(&self) -> Scanners {
        let numbered = || self.rules.iter().zip(0u32..);
        let of = |pick: &dyn Fn(&Test) -> Option<&Pattern>| {
            Scanner::new(numbered().filter_map(|(rule, n)| pick(&rule.test).map(|p| (n, p))))
        };
        let headers = self
            .sources
            .iter()
            .zip(0u32..)
            .map(|(source, index)| {
                let scanner = of(&|test| match test {
                    Test::Header { source, pattern, negated: false, unset: None } if *source == index => Some(pattern),
                    _ => None,
                });
                (source.clone(), scanner)
            })
            .collect();
        let always = |test: &Test| matches!(test, Test::Header { negated, unset, .. } if *negated || unset.is_some());
        Scanners {
            headers,
            header_always: numbered().filter(|(r, _)| always(&r.test)).map(|(_, n)| n).collect(),
            body: of(&|t| if let Test::Body(p) = t { Some(p) } else { None }),
            raw_body: of(&|t| if let Test::RawBody(p) = t { Some(p) } else { None }),
            full: of(&|t| if let Test::Full(p) = t { Some(p) } else { None }),
            uri: of(&|t| if let Test::Uri { pattern, negated: false } = t { Some(pattern) } else { None }),
            others: numbered()
                .filter(|(r, _)| {
                    matches!(
                        r.test,
                        Test::Exists(_) | Test::MimeHeader { .. } | Test::Native(_) | Test::Uri { negated: true, .. }
                    )
                })
                .map(|(_, n)| n)
                .collect(),
        }
    }
}

/// Names of signals that come from elsewhere and need no definition.
const EXTERNAL: &[&str] = &["RCVD_IN_", "URIBL_", "CLAMAV", "MILTER_", "USER_IN_"];

/// A rule without a score weighs 1, one on trial almost nothing, and a `nice` one speaks for the message.
fn default_score(name: &str, flags: Flags) -> [f64; 4] {
    let score: f64 = if name.starts_with("T_") { 0.01 } else { 1.0 };
    [if flags.nice { -score } else { score }; 4]
}

impl Source {
    /// `Field[:form...]`.
    fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = text.split(':');
        let name = pieces.next().unwrap_or_default().trim();
        let field = match name.to_ascii_lowercase().as_str() {
            "" => return Err("the name of a field is missing".to_owned()),
            "all" => Field::All,
            "tocc" => Field::ToCc,
            "envelopefrom" => Field::EnvelopeFrom,
            "messageid" => Field::MessageId,
            "x-languages" => Field::Languages,
            "x-spam-relays-external" | "x-spam-relays-untrusted" => Field::Relays { ours: false },
            "x-spam-relays-internal" | "x-spam-relays-trusted" => Field::Relays { ours: true },
            pseudo if pseudo.starts_with("x-spam-relays-") || pseudo.starts_with("all-") => {
                return Err(format!("the pseudo-field `{name}` is not available here"));
            }
            other if other.bytes().all(|b| b.is_ascii_graphic()) => Field::Named(other.to_owned()),
            _ => return Err(format!("`{name}` is not the name of a field")),
        };
        let mut source = Self { field, form: Form::Decoded, which: Which::All };
        for piece in pieces {
            match piece.trim() {
                "raw" => source.form = Form::Raw,
                "addr" => source.form = Form::Address,
                "name" => source.form = Form::DisplayName,
                "domain" | "host" => source.form = Form::Domain,
                "first" => source.which = Which::First,
                "last" => source.which = Which::Last,
                other => return Err(format!("`:{other}` is not a form of a field")),
            }
        }
        Ok(source)
    }
}
