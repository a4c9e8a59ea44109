//! The commands of `vnd.dovecot.testsuite`, in which the tests of the suite are written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use postrider::foundations::address::{Address, ReversePath};
use postrider::foundations::mail::HeaderSection;
use postrider::foundations::mail::Message;
use postrider::foundations::mail::addresses::{Entry, read};
use postrider::foundations::settings::{ByteSize, Span};
use postrider::services::sieve::{
    Action, Answer, Host, HostArgument, HostCommand, Script, Situation, Stage, Vocabulary, compile, run,
};

use super::world::SuiteWorld;

/// The names of the commands.
pub(super) struct Words;

const COMMANDS: &[&str] = &[
    "test",
    "test_fail",
    "test_set",
    "test_config_set",
    "test_config_unset",
    "test_config_reload",
    "test_result_reset",
    "test_result_print",
    "test_message",
    "test_mailbox_create",
    "test_mailbox_delete",
    "test_imap_metadata_set",
    "test_binary_save",
    "test_binary_load",
];

const TESTS: &[&str] = &[
    "test_script_compile",
    "test_script_run",
    "test_multiscript",
    "test_error",
    "test_result_action",
    "test_result_execute",
    "test_message",
];

impl Vocabulary for Words {
    fn extensions(&self) -> &[&'static str] {
        &["vnd.dovecot.testsuite"]
    }

    fn command(&self, name: &str) -> Option<HostCommand> {
        COMMANDS.iter().find(|known| **known == name).map(|name| HostCommand { name })
    }

    fn test(&self, name: &str) -> bool {
        TESTS.contains(&name)
    }
}

/// The state of one file of the suite. What situations refer to is leaked: it is little, and the process ends soon.
pub(super) struct Bench {
    pub(super) directory: PathBuf,
    pub(super) world: &'static SuiteWorld,
    /// The name of each test, and why it failed.
    pub(super) results: Vec<(String, Option<String>)>,
    script: Option<Script>,
    binaries: BTreeMap<String, Script>,
    errors: Vec<String>,
    /// The decisions of the script under test; `None` when it is the file itself that decides.
    actions: Option<Vec<Action>>,
    facts: Option<Situation<'static>>,
}

pub(super) fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

impl Bench {
    pub(super) fn new(directory: PathBuf, world: &'static SuiteWorld) -> Self {
        Self {
            directory,
            world,
            results: Vec::new(),
            script: None,
            binaries: BTreeMap::new(),
            errors: Vec::new(),
            actions: None,
            facts: None,
        }
    }

    fn compile(&mut self, name: &str) -> bool {
        self.errors.clear();
        self.script = None;
        let Ok(source) = std::fs::read(self.directory.join(name)) else {
            self.errors.push(format!("script '{name}' does not exist"));
            return false;
        };
        let settings = self.world.settings.lock().unwrap().clone();
        match compile(&source, &settings) {
            Ok(compiled) => match self.world.check_includes(&compiled.script, &mut Vec::new()) {
                Ok(()) => self.script = Some(compiled.script),
                Err(why) => self.errors.push(why),
            },
            Err(mistakes) => self.errors.extend(mistakes.into_iter().map(|mistake| mistake.said.text)),
        }
        if self.script.is_none() {
            // Theirs ends every list of mistakes with such a line.
            self.errors.push("validation failed".to_owned());
        }
        self.script.is_some()
    }

    fn run(&mut self, appends: bool, situation: &Situation<'static>) -> bool {
        self.errors.clear();
        let Some(script) = self.script.clone() else { return false };
        let settings = self.world.settings.lock().unwrap().clone();
        let outcome = run(&script, situation, &settings);
        let before = self.actions.take().filter(|_| appends).unwrap_or_default();
        self.actions = Some(before.into_iter().chain(outcome.actions).collect());
        self.errors.extend(outcome.failure.iter().map(|failure| failure.text.clone()));
        outcome.failure.is_none()
    }

    fn execute(&mut self, stage: &Stage<'_, 'static>) -> bool {
        self.errors.clear();
        let actions = self.decided(stage);
        match self.world.perform(&actions, stage.situation.reverse_path) {
            Ok(()) => true,
            Err(why) => {
                self.errors.push(why);
                false
            }
        }
    }

    fn decided(&self, stage: &Stage<'_, 'static>) -> Vec<Action> {
        if let Some(actions) = &self.actions {
            return actions.clone();
        }
        let mut actions = stage.actions.clone();
        if *stage.keeps && !actions.iter().any(|action| matches!(action, Action::Keep { .. })) {
            actions.push(Action::Keep { flags: stage.flags.clone(), implicit: true, message: stage.message.clone() });
        }
        actions
    }

    fn configure(&self, name: &str, value: Option<&str>, situation: &mut Situation<'static>) {
        let mut settings = self.world.settings.lock().unwrap();
        let number = value.and_then(|value| value.parse::<u32>().ok());
        let defaults = postrider::services::sieve::SieveSettings::default();
        match name {
            "sieve_user_email" => {
                if let Some(address) = value.and_then(|value| value.parse::<Address>().ok()) {
                    situation.account = leak(address);
                }
            }
            "recipient_delimiter" => situation.tag_separator = value.and_then(|value| value.chars().next()),
            "sieve_notify_max_notifications" => settings.notifications = number.unwrap_or(defaults.notifications),
            "sieve_max_actions" => settings.actions = number.unwrap_or(defaults.actions),
            "sieve_max_redirects" => settings.redirects = number.unwrap_or(defaults.redirects),
            "sieve_include_max_includes" => settings.includes = number.unwrap_or(defaults.includes),
            "sieve_include_max_nesting_depth" => settings.include_depth = number.unwrap_or(defaults.include_depth),
            "sieve_variables_max_variable_size" | "sieve_variables_max_value_size" => {
                settings.variable_size = value.and_then(size).unwrap_or(defaults.variable_size);
            }
            "sieve_editheader_max_header_size" => {
                settings.added_field_size =
                    value.and_then(size).map_or(defaults.added_field_size, |size| ByteSize::bytes(u64::from(size)));
            }
            "sieve_vacation_min_period" => {
                settings.vacation_least = value.and_then(Span::parse).unwrap_or(defaults.vacation_least);
            }
            _ => {}
        }
    }

    /// Replaces the current message by a stored or sent one.
    fn show(&self, arguments: &Arguments<'_>, stage: &mut Stage<'_, 'static>) -> bool {
        let index = usize::try_from(arguments.number()).unwrap();
        if arguments.has("smtp") {
            let Some(sent) = self.world.sent.lock().unwrap().get(index).cloned() else { return false };
            set_message(stage.situation, sent.message);
            stage.situation.reverse_path = leak(sent.from);
            stage.situation.recipient = leak(sent.to);
            return true;
        }
        let folder = arguments.texts().first().cloned().unwrap_or_default();
        let message = self.world.folders.lock().unwrap().get(&folder).and_then(|messages| messages.get(index).cloned());
        let Some((message, flags)) = message else { return false };
        *stage.flags = flags;
        set_message(stage.situation, message);
        true
    }
}

fn size(text: &str) -> Option<u32> {
    ByteSize::parse(text).and_then(|size| u32::try_from(size.get()).ok())
}

/// The environment at the beginning of a file.
pub(super) fn situation(world: &'static SuiteWorld) -> Situation<'static> {
    Situation {
        script: None,
        message: leak(Message::new("")),
        reverse_path: leak(ReversePath::Address("sender@example.com".parse().unwrap())),
        recipient: leak("recipient@example.com".parse().unwrap()),
        account: leak("recipient@example.com".parse().unwrap()),
        own_addresses: &[],
        login: None,
        client: None,
        tag_separator: Some('+'),
        now: chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap().fixed_offset(),
        hostname: leak("mail.example.com".parse().unwrap()),
        spam: None,
        virus: None,
        junk: false,
        world,
    }
}

/// The envelope follows the header, as in Pigeonhole.
fn set_message(situation: &mut Situation<'static>, message: Message) {
    let bytes = message.bytes();
    let section = HeaderSection::of(&bytes);
    let first = |names: &[&str]| -> Option<Address> {
        names.iter().find_map(|name| {
            let field = section.first(name)?;
            read(field.body).into_iter().find_map(|entry| match entry {
                Entry::Mailbox(mailbox) => mailbox.address().parse().ok(),
                _ => None,
            })
        })
    };
    let sender = first(&["Return-Path", "Sender", "From"]).unwrap_or_else(|| "sender@example.com".parse().unwrap());
    let recipient = first(&["Envelope-To", "To"]).unwrap_or_else(|| "recipient@example.com".parse().unwrap());
    situation.reverse_path = leak(ReversePath::Address(sender));
    situation.recipient = leak(recipient);
    situation.message = leak(message);
}

/// The arguments of a command.
struct Arguments<'a>(&'a [HostArgument]);

impl Arguments<'_> {
    fn has(&self, tag: &str) -> bool {
        self.0.iter().any(|argument| matches!(argument, HostArgument::Tag(given) if given == tag))
    }

    fn number(&self) -> u64 {
        self.0
            .iter()
            .find_map(|argument| if let HostArgument::Number(n) = argument { Some(*n) } else { None })
            .unwrap_or(0)
    }

    /// All strings, one list after the other.
    fn texts(&self) -> Vec<String> {
        let of = |argument: &HostArgument| {
            if let HostArgument::Texts(texts) = argument { texts.clone() } else { vec![] }
        };
        self.0.iter().flat_map(of).collect()
    }

    /// Compares values with the last strings, according to the tags.
    fn matches(&self, values: &[String]) -> bool {
        let texts = self.texts();
        let Some(key) = texts.last() else { return false };
        if self.has("count") {
            let (count, wanted) = (values.len(), key.parse::<usize>().unwrap());
            return match texts[0].as_str() {
                "eq" => count == wanted,
                "ne" => count != wanted,
                "gt" => count > wanted,
                "ge" => count >= wanted,
                "lt" => count < wanted,
                "le" => count <= wanted,
                other => panic!("{other}"),
            };
        }
        let selected: Vec<&String> = if self.has("index") {
            let index = usize::try_from(self.number()).unwrap();
            values.get(index.wrapping_sub(1)).into_iter().collect()
        } else {
            values.iter().collect()
        };
        selected.into_iter().any(|value| {
            if self.has("matches") {
                glob(&key.to_lowercase(), &value.to_lowercase())
            } else if self.has("contains") {
                value.to_lowercase().contains(&key.to_lowercase())
            } else {
                value == key || value == "keep" && key == "store"
            }
        })
    }
}

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| glob(&pattern[1..], &text[at..]))
        }
        Some(first) => text.strip_prefix(first).is_some_and(|rest| glob(&pattern[first.len_utf8()..], rest)),
    }
}

fn name(action: &Action) -> String {
    match action {
        Action::Keep { .. } => "keep",
        Action::FileInto(_) => "store",
        Action::Redirect { .. } => "redirect",
        Action::Discard => "discard",
        Action::Reject { .. } => "reject",
        Action::Vacation(_) => "vacation",
        Action::Notify(_) => "notify",
    }
    .to_owned()
}

impl Host<'static> for Bench {
    fn call(&mut self, word: &str, arguments: &[HostArgument], mut stage: Stage<'_, 'static>) -> Answer {
        let arguments = Arguments(arguments);
        let texts = arguments.texts();
        let first = texts.first().cloned().unwrap_or_default();
        let truth = |holds: bool| if holds { Answer::Yes } else { Answer::No };
        if self.facts.is_none() {
            self.facts = Some(*stage.situation);
        }
        match word {
            "test" => self.results.push((first, None)),
            "test_fail" => {
                if let Some(result) = self.results.last_mut() {
                    result.1 = Some(first);
                }
                return Answer::Leave;
            }
            "test_set" => match first.as_str() {
                "message" => set_message(stage.situation, Message::new(texts[1].clone())),
                "envelope.from" if ["", "<>"].contains(&texts[1].as_str()) => {
                    stage.situation.reverse_path = &ReversePath::Null;
                }
                "envelope.from" => {
                    let Ok(address) = address(&texts[1]) else { return Answer::Yes };
                    stage.situation.reverse_path = leak(ReversePath::Address(address));
                }
                "envelope.to" => {
                    let Ok(address) = address(&texts[1]) else { return Answer::Yes };
                    stage.situation.recipient = leak(address);
                }
                "envelope.auth" => stage.situation.login = Some(leak(texts[1].clone())),
                _ => {}
            },
            "test_config_set" => self.configure(&first, texts.get(1).map(String::as_str), stage.situation),
            "test_config_unset" => self.configure(&first, None, stage.situation),
            "test_result_reset" => {
                self.actions = None;
                stage.actions.clear();
                stage.flags.clear();
                *stage.keeps = true;
                self.world.sent.lock().unwrap().clear();
            }
            "test_message" => return truth(self.show(&arguments, &mut stage)),
            "test_mailbox_create" => {
                self.world.folders.lock().unwrap().entry(first).or_default();
            }
            "test_mailbox_delete" => {
                self.world.folders.lock().unwrap().remove(&first);
            }
            "test_imap_metadata_set" => {
                let (folder, rest) =
                    if arguments.has("mailbox") { (Some(first), &texts[1..]) } else { (None, &texts[..]) };
                if let [entry, value] = rest {
                    self.world.annotations.lock().unwrap().insert((folder, entry.clone()), value.clone());
                }
            }
            "test_binary_save" => self.binaries.extend(self.script.clone().map(|script| (first, script))),
            "test_binary_load" => self.script = self.binaries.get(&first).cloned(),
            "test_script_compile" => return truth(self.compile(&first)),
            "test_script_run" => {
                let situation = Situation { message: leak(stage.message.clone()), ..*stage.situation };
                return truth(self.run(arguments.has("append_result"), &situation));
            }
            "test_multiscript" => {
                self.actions = None;
                let situation = *stage.situation;
                return truth(texts.iter().all(|script| self.compile(script) && self.run(true, &situation)));
            }
            "test_error" => return truth(arguments.matches(&self.errors)),
            "test_result_action" => {
                let names: Vec<String> = self.decided(&stage).iter().map(name).collect();
                return truth(arguments.matches(&names));
            }
            "test_result_execute" => return truth(self.execute(&stage)),
            _ => {}
        }
        Answer::Yes
    }
}

fn address(text: &str) -> Result<Address, ()> {
    text.trim_start_matches('<').trim_end_matches('>').parse().map_err(|_| ())
}
