//! Running the rules on a message.

use std::borrow::Cow;
use std::net::IpAddr;

use super::compile::{Field, Form, RuleSet, Source, Test, Which};
use super::lists::Parties;
use super::pattern::{Division, Pattern};
use crate::services::filter::Signal;
use crate::services::filter::language::{Language, Locale, Reading};
use crate::services::filter::view::{View, lines_for_rules};

/// Everything that is known about a message when its rules are run.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'f> {
    /// The message.
    pub view: &'f View<'f>,
    /// The reverse-path in lower case; empty when it is null or not known.
    pub reverse_path: &'f str,
    /// Recipients of the envelope in lower case.
    pub recipients: &'f [String],
    /// The name the client gave.
    pub hello: &'f str,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The client's name.
    pub client_name: ClientName<'f>,
    /// Whether the From domain is authenticated.
    pub authenticated: bool,
    /// Domains that SPF or a signature shows to have sent the message; `None` when nobody has looked.
    pub shown: Option<&'f [String]>,
    /// Whether nobody here is known to have exchanged mail with the sender.
    pub is_stranger: bool,
    /// What the classifier thinks: the probability that the message is unwanted.
    pub probability: Option<f64>,
    /// Whether network look-ups were made.
    pub network: bool,
    /// When the message came, in seconds since 1970; `None` when that is not known (a file that is checked).
    pub received_at: Option<i64>,
    /// Signals of other sources; rules may refer to them.
    pub others: &'f [Signal],
    /// What it is written in; `None` when nobody is to look.
    pub reading: Option<&'f Reading<'f>>,
    /// Languages that its recipients read; none stands for all.
    pub languages: &'f [Language],
    /// Groups of character sets that are usual here, as the rule files say; none stands for all.
    pub locales: &'f [Locale],
}

/// What is known about the client's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientName<'f> {
    /// Nobody has looked, or the DNS did not answer.
    NotAsked,
    /// It has none that leads back to its address.
    Missing,
    /// It has this one, in lower case, and the name leads back to the address.
    Verified(&'f str),
}

impl<'f> ClientName<'f> {
    /// The name, when there is one.
    pub const fn verified(self) -> Option<&'f str> {
        match self {
            Self::Verified(name) => Some(name),
            Self::NotAsked | Self::Missing => None,
        }
    }
}

impl<'f> Facts<'f> {
    /// Only the message is known.
    pub const fn of(view: &'f View<'f>) -> Self {
        Self {
            view,
            reverse_path: "",
            recipients: &[],
            hello: "",
            client: None,
            client_name: ClientName::NotAsked,
            authenticated: false,
            shown: None,
            is_stranger: false,
            probability: None,
            network: false,
            received_at: None,
            others: &[],
            reading: None,
            languages: &[],
            locales: &[],
        }
    }

    /// Which of the four scores of a rule applies.
    pub const fn score_set(&self) -> usize {
        (self.probability.is_some() as usize) * 2 + self.network as usize
    }
}

/// Most hits of one rule with `tflags multiple`.
const MAX_HITS: usize = 1000;

struct Run<'r, 'f> {
    rules: &'r RuleSet,
    facts: &'r Facts<'f>,
    /// The value of a meta rule, which may be a fraction or negative, as other metas compare it.
    hits: Vec<f64>,
    seen: Vec<(u32, String)>,
    /// One a line.
    links: String,
}

impl RuleSet {
    /// The signals that the rules give, in no particular order. Pure.
    ///
    /// Signals of other sources get the weight that the rules give to their names; those the rules do not know keep
    /// their own.
    pub fn evaluate(&self, facts: &Facts<'_>) -> Vec<Signal> {
        let mut others = facts.others.to_vec();
        self.listed(facts, &mut others);
        let facts = Facts { others: &others, locales: &self.options().ok_locales, ..*facts };
        let links = lines_for_rules(facts.view);
        let mut run = Run { rules: self, facts: &facts, hits: vec![0.0; self.rules.len()], seen: Vec::new(), links };
        run.headers();
        run.texts();
        run.others();
        run.metas();
        let mut signals = run.signals();
        others.retain(|s| !self.by_name.contains_key(s.name.as_ref()) && s.weight != 0.0);
        signals.append(&mut others);
        signals
    }

    fn listed(&self, facts: &Facts<'_>, signals: &mut Vec<Signal>) {
        let from = facts.view.from_address();
        let mut recipients = facts.recipients.to_vec();
        for field in ["To", "Cc"] {
            recipients.extend(facts.view.all(field).flat_map(|f| f.addresses()).take(100));
        }
        // What is verified about the author says nothing about the envelope sender, whom SPF is about.
        let by_spf = facts.others.iter().any(|signal| signal.name == "SPF_PASS");
        let shown = [(from, facts.authenticated), (facts.reverse_path, by_spf)];
        let shown: Vec<&str> = shown.into_iter().filter(|(_, is_shown)| *is_shown).map(|(sender, _)| sender).collect();
        let parties = Parties {
            senders: &[from, facts.reverse_path],
            recipients: &recipients,
            shown: &shown,
            client_name: facts.client_name.verified(),
            client: facts.client,
        };
        for (name, entry) in self.lists.hits(&parties) {
            signals.push(Signal::new(name, 0.0, format!("`{entry}`")));
        }
    }
}

impl Run<'_, '_> {
    fn headers(&mut self) {
        let rules = self.rules;
        let mut texts: Vec<Option<Cow<'_, str>>> = Vec::with_capacity(rules.scanners.headers.len());
        for (source, scanner) in &rules.scanners.headers {
            let text = header_text(self.facts, source);
            if let Some(text) = &text
                && !scanner.is_empty()
            {
                scanner.candidates(text.as_bytes(), |n| {
                    if let Test::Header { pattern, .. } = &rules.rules[n as usize].test {
                        self.run(n, pattern, text.as_bytes(), Division::Whole);
                    }
                });
            }
            texts.push(text);
        }
        for n in &rules.scanners.header_always {
            let Test::Header { source, pattern, negated, unset } = &rules.rules[*n as usize].test else { continue };
            let text = texts.get(*source as usize).and_then(Option::as_deref).or(unset.as_deref());
            let found = pattern.find(text.unwrap_or_default().as_bytes(), Division::Whole);
            if found.is_some() != *negated {
                self.hits[*n as usize] = 1.0;
                self.note(*n, found);
            }
        }
    }

    fn texts(&mut self) {
        let (rules, view) = (self.rules, self.facts.view);
        let after_subject = view.body.find('\n').map_or("", |n| &view.body[n + 1..]);
        rules.scanners.body.candidates(view.body.as_bytes(), |n| {
            let rule = &rules.rules[n as usize];
            let text = if rule.flags.no_subject { after_subject } else { &view.body };
            if let Test::Body(pattern) = &rule.test {
                self.run(n, pattern, text.as_bytes(), Division::Lines);
            }
        });
        rules.scanners.raw_body.candidates(view.rawbody.as_bytes(), |n| {
            if let Test::RawBody(pattern) = &rules.rules[n as usize].test {
                self.run(n, pattern, view.rawbody.as_bytes(), Division::Whole);
            }
        });
        if !rules.scanners.full.is_empty() {
            // Rules are written for messages whose lines end in LF.
            let whole: Vec<u8> = view.raw.iter().copied().filter(|b| *b != b'\r').collect();
            rules.scanners.full.candidates(&whole, |n| {
                if let Test::Full(pattern) = &rules.rules[n as usize].test {
                    self.run(n, pattern, &whole, Division::Whole);
                }
            });
        }
        let links = std::mem::take(&mut self.links);
        rules.scanners.uri.candidates(links.as_bytes(), |n| {
            if let Test::Uri { pattern, .. } = &rules.rules[n as usize].test
                && !links.is_empty()
            {
                self.run(n, pattern, links.as_bytes(), Division::Lines);
            }
        });
        self.links = links;
    }

    fn run(&mut self, n: u32, pattern: &Pattern, text: &[u8], division: Division) {
        let flags = self.rules.rules[n as usize].flags;
        let Some(found) = pattern.find(text, division) else { return };
        self.note(n, Some(found));
        self.hits[n as usize] = if flags.multiple {
            let most = flags.max_hits.unwrap_or(MAX_HITS).min(MAX_HITS);
            u32::try_from(pattern.count(text, division, most)).map_or(1.0, f64::from)
        } else {
            1.0
        };
    }

    fn note(&mut self, n: u32, found: Option<&[u8]>) {
        if self.rules.rules[n as usize].name.starts_with("__") {
            return;
        }
        let Some(found) = found.filter(|f| !f.is_empty()) else { return };
        let text: String =
            String::from_utf8_lossy(found).chars().map(|c| if c.is_control() { ' ' } else { c }).take(60).collect();
        self.seen.push((n, text));
    }

    fn others(&mut self) {
        let (rules, view) = (self.rules, self.facts.view);
        for n in &rules.scanners.others {
            let hits = match &rules.rules[*n as usize].test {
                Test::Exists(source) => {
                    // A field may exist and be empty; an empty envelope sender counts as missing.
                    let may_be_empty = matches!(source.field, Field::Named(_) | Field::ToCc | Field::MessageId);
                    let text = header_text(self.facts, source);
                    u32::from(text.is_some_and(|text| may_be_empty || !text.is_empty()))
                }
                Test::MimeHeader { field, pattern, negated } => {
                    // The message itself is a part, and often the only one.
                    let all = view.fields.iter().chain(view.parts.iter().flat_map(|p| &p.header));
                    let mut fields = all.filter(|f| f.is(field));
                    u32::from(
                        fields.any(|f| pattern.find(f.decoded().as_bytes(), Division::Whole).is_some()) != *negated,
                    )
                }
                Test::Uri { pattern, negated: true } => {
                    u32::from(self.links.lines().any(|link| pattern.find(link.as_bytes(), Division::Whole).is_none()))
                }
                Test::Native(native) => match native.run(self.facts) {
                    Some(because) => {
                        if !because.is_empty() {
                            self.seen.push((*n, because));
                        }
                        1
                    }
                    None => 0,
                },
                _ => 0,
            };
            self.hits[*n as usize] = f64::from(hits);
        }
    }

    fn metas(&mut self) {
        for n in &self.rules.metas {
            let Test::Meta(expression) = &self.rules.rules[*n as usize].test else { continue };
            let value = expression.value(&|name| match self.rules.by_name.get(name) {
                Some(other) => self.hits[*other as usize],
                None => f64::from(u8::from(self.facts.others.iter().any(|s| s.name == name))),
            });
            self.hits[*n as usize] = value.clamp(-1e6, 1e6);
        }
    }

    fn signals(mut self) -> Vec<Signal> {
        let set = self.facts.score_set();
        let mut signals = Vec::new();
        let mut seen = std::mem::take(&mut self.seen);
        seen.sort_by_key(|(n, _)| *n);
        for (n, rule) in (0u32..).zip(&self.rules.rules) {
            let hits = self.hits[n as usize];
            let weight = rule.scores[set];
            if hits == 0.0
                || rule.name.starts_with("__")
                || weight == 0.0
                || (rule.flags.network && !self.facts.network && !matches!(rule.test, Test::Native(_)))
            {
                continue;
            }
            let found = seen.binary_search_by_key(&n, |(n, _)| *n).ok().map(|at| seen[at].1.as_str());
            let because = match (&rule.description, found) {
                (Some(text), Some(found)) => format!("{text}: {found}"),
                (Some(text), None) => text.clone(),
                (None, Some(found)) => format!("found: {found}"),
                (None, None) => String::from("the rule's condition holds"),
            };
            signals.push(Signal::new(rule.name.clone(), weight, because));
        }
        signals
    }
}

/// The text of the header that a rule is about; `None` when there is no such field.
fn header_text<'f>(facts: &Facts<'f>, source: &Source) -> Option<Cow<'f, str>> {
    let view = facts.view;
    match &source.field {
        Field::EnvelopeFrom => Some(Cow::Borrowed(facts.reverse_path)),
        Field::All => {
            let mut text = String::new();
            for field in &view.fields {
                text.push_str(&String::from_utf8_lossy(&field.name));
                text.push_str(": ");
                match source.form {
                    Form::Raw => text.push_str(&String::from_utf8_lossy(&field.raw)),
                    _ => text.push_str(field.decoded()),
                }
                text.push('\n');
            }
            Some(Cow::Owned(text))
        }
        Field::Languages => {
            Some(Cow::Borrowed(facts.reading.and_then(Reading::language).map_or("", |language| language.code())))
        }
        // Relays of the site do not count: the client that delivers a message is the first that is judged.
        Field::Relays { ours } => Some(Cow::Owned(if *ours { String::new() } else { relay(facts) })),
        Field::ToCc => joined(facts, &["to", "cc"], source),
        Field::MessageId => joined(facts, &["message-id", "resent-message-id", "x-message-id"], source),
        Field::Named(name) => joined(facts, &[name], source),
    }
}

/// The client as SpamAssassin writes a relay. Unknown values are left out, since `rdns= ` means that there is no name.
fn relay(facts: &Facts<'_>) -> String {
    let Some(address) = facts.client else { return String::new() };
    let name = match facts.client_name {
        ClientName::NotAsked => String::new(),
        ClientName::Missing => " rdns=".to_owned(),
        ClientName::Verified(name) => format!(" rdns={name}"),
    };
    // The name that a client gives must not end the entry or begin another one.
    let unsafe_here = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '[' | ']');
    let hello = facts.hello.replace(unsafe_here, "!");
    format!("[ ip={address}{name} helo={hello} by= ident= envfrom= intl=0 id= auth= msa=0 ]")
}

fn joined<'f>(facts: &Facts<'f>, names: &[&str], source: &Source) -> Option<Cow<'f, str>> {
    let view = facts.view;
    let mut fields: Vec<_> = view.fields.iter().filter(|f| names.iter().any(|n| f.is(n))).collect();
    match source.which {
        Which::All => {}
        Which::First => fields.truncate(1),
        Which::Last => fields = fields.pop().into_iter().collect(),
    }
    let text = |field: &&'f crate::services::filter::view::Field<'f>| match source.form {
        Form::Decoded => Cow::Borrowed(field.decoded()),
        Form::Raw => String::from_utf8_lossy(&field.raw),
        Form::Address => Cow::Borrowed(field.address()),
        Form::Domain => Cow::Borrowed(field.address().rsplit_once('@').map_or("", |(_, d)| d)),
        Form::DisplayName => Cow::Borrowed(field.display_name()),
    };
    match fields.as_slice() {
        [] => None,
        [one] => Some(text(one)),
        many => Some(Cow::Owned(many.iter().map(text).collect::<Vec<_>>().join("\n"))),
    }
}
