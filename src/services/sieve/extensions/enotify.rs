//! `enotify` (RFC 5435): telling somebody that a message has come.

use super::fcc::Fcc;
use super::mailto::{self, Mailto, Wish};
use crate::foundations::said::said;
use crate::services::sieve::check::{Arguments, CommandWord, TestWord, Tests, Wanted, mailbox};
use crate::services::sieve::matching::{Matcher, Matching};
use crate::services::sieve::outcome::Action;
use crate::services::sieve::program::{Judge, Perform, Value};
use crate::services::sieve::run::{Flow, Halt, Run};

pub(super) const COMMANDS: &[CommandWord] =
    &[CommandWord { name: "notify", extensions: &["enotify"], has_block: false, read }];

pub(super) const TESTS: &[TestWord] = &[
    TestWord { name: "notify_method_capability", extensions: &["enotify"], tests: Tests::None, read: read_capability },
    TestWord { name: "valid_notify_method", extensions: &["enotify"], tests: Tests::None, read: read_valid },
];

#[derive(Debug)]
struct Notify {
    from: Option<Value>,
    importance: Option<Value>,
    message: Option<Value>,
    fcc: Option<Fcc>,
    method: Value,
}

fn read(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    let from = arguments.tag_value("from", "");
    let importance = arguments.tag_value("importance", "");
    // RFC 5436 §2.5: mailto has none; they are ignored.
    arguments.tag_values("options", "");
    let message = arguments.tag_value("message", "").map(|(_, value)| value);
    let fcc = Fcc::read(arguments);
    let [method] = arguments.positional([("method", Wanted::Text)])?;
    let at = method.at;
    let method = arguments.value(&method);
    if let Some(uri) = method.constant()
        && let Err(why) = Mailto::read(uri)
    {
        let said = said!(
            "sieve-method",
            "invalid notification method '{method}': {why}",
            method = uri.chars().take(80).collect::<String>().escape_debug(),
            why
        );
        arguments.wrong_at(at, said);
    }
    if arguments.checker.settings.notifications == 0 {
        arguments.wrong(said!(
            "sieve-no-notify",
            "notifications are not allowed on this server: the notify action is disabled"
        ));
    }
    if let Some((at, from)) = &from {
        arguments.check_address(*at, from);
    }
    if let Some((at, importance)) = &importance
        && importance.constant().is_some_and(|text| mailto::importance(text).is_none())
    {
        let said = said!(
            "sieve-importance",
            "':importance' must be followed by \"1\", \"2\" or \"3\", for high, normal or low"
        );
        arguments.wrong_at(*at, said);
    }
    let (from, importance) = (from.map(|(_, value)| value), importance.map(|(_, value)| value));
    arguments.fine(Box::new(Notify { from, importance, message, fcc, method }))
}

impl Perform for Notify {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        let method = self.method.get(run)?.into_owned();
        let uri = Mailto::read(&method).map_err(|why| Halt::new(format!("cannot notify '{method}': {}", why.text)))?;
        let from = match &self.from {
            // RFC 5435 §3.3: a sender that is none is ignored.
            Some(from) => mailbox(&from.get(run)?).ok(),
            None => None,
        };
        let importance = match &self.importance {
            Some(text) => mailto::importance(&text.get(run)?).unwrap_or(2),
            None => 2,
        };
        let message = match &self.message {
            Some(text) => Some(text.get(run)?.into_owned()),
            None => None,
        };
        let copy = match &self.fcc {
            Some(fcc) => Some(fcc.get(run)?),
            None => None,
        };
        // Its fields are looked for.
        run.spend(run.content.lines().len().saturating_mul(2))?;
        match mailto::compose(run, uri, Wish { from, importance, message, copy }) {
            Ok(notification) => {
                let to: Vec<String> = notification.to.iter().map(ToString::to_string).collect();
                run.tell(format!("notifies {}", to.join(", ")));
                run.decide(Action::Notify(Box::new(notification)))?;
            }
            Err(why) => run.tell(format!("does not notify: {why}")),
        }
        Ok(Flow::Next)
    }
}

#[derive(Debug)]
struct ValidMethod(Vec<Value>);

fn read_valid(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let [uris] = arguments.positional([("notification URIs", Wanted::Texts)])?;
    Some(Box::new(ValidMethod(arguments.values(&uris).into_iter().map(|(_, value)| value).collect())))
}

impl Judge for ValidMethod {
    /// RFC 5435 §4: true when all of them can be used.
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        for uri in &self.0 {
            let uri = uri.get(run)?;
            run.spend(uri.len())?;
            if Mailto::read(&uri).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[derive(Debug)]
struct Capability {
    uri: Value,
    capability: Value,
    matcher: Matcher,
}

fn read_capability(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let matching = Matching::read(arguments);
    let [uri, capability, keys] = arguments.positional([
        ("notification URI", Wanted::Text),
        ("capability", Wanted::Text),
        ("key list", Wanted::Texts),
    ])?;
    let (uri, capability) = (arguments.value(&uri), arguments.value(&capability));
    let keys = arguments.values(&keys);
    let matcher = matching.with(arguments, keys);
    arguments.fine(Box::new(Capability { uri, capability, matcher }))
}

impl Judge for Capability {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        let is_known = self.capability.get(run)?.eq_ignore_ascii_case("online");
        if !is_known || Mailto::read(&self.uri.get(run)?).is_err() {
            return Ok(false);
        }
        // RFC 5436 §2.2: nobody knows whether the reader is there.
        self.matcher.matches(run, &["maybe"])
    }
}
