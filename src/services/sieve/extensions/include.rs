//! `include` (RFC 6609): scripts in scripts, with variables they share.

use crate::foundations::said::said;
use crate::services::sieve::check::{Arguments, CommandWord, Wanted, literals};
use crate::services::sieve::program::Perform;
use crate::services::sieve::run::{Flow, Frame, Halt, Run};
use crate::services::sieve::situation::{Included, Location};

pub(super) const COMMANDS: &[CommandWord] = &[
    CommandWord { name: "global", extensions: &["include"], has_block: false, read: read_global },
    CommandWord { name: "include", extensions: &["include"], has_block: false, read },
    CommandWord { name: "return", extensions: &["include"], has_block: false, read: read_return },
];

#[derive(Debug)]
struct Include {
    location: Location,
    once: bool,
    optional: bool,
    name: String,
}

fn read(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    let personal = arguments.tag("personal", "");
    let global = arguments.tag("global", "");
    let once = arguments.tag("once", "").is_some();
    let optional = arguments.tag("optional", "").is_some();
    if let (Some(_), Some(at)) = (personal, global) {
        arguments.wrong_at(at, said!("sieve-locations", "':personal' and ':global' exclude each other"));
    }
    let [name] = arguments.positional([("script name", Wanted::Text)])?;
    let location = if global.is_some() { Location::Global } else { Location::Personal };
    let at = name.at;
    let value = arguments.value(&name);
    // RFC 6609 §3.2.
    let Some(name) = value.constant().map(str::to_owned) else {
        let said = said!("sieve-include-variables", "the name of an included script cannot contain variables");
        arguments.wrong_at(at, said);
        return None;
    };
    if !is_name(&name) {
        let shown = name.chars().take(80).collect::<String>();
        let said = said!("sieve-script-name", "invalid script name '{name}'", name = shown.escape_debug());
        arguments.wrong_at(at, said);
    } else if !optional {
        arguments.checker.includes(location, &name);
    }
    arguments.fine(Box::new(Include { location, once, optional, name }))
}

/// RFC 5804 §1.6: no control characters, and nothing that could lead to another directory.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 512
        && !name.chars().any(|c| c.is_control() || matches!(c, '/' | '\\' | '\u{2028}' | '\u{2029}'))
        && !name.starts_with('.')
}

/// What a script is called.
pub(in crate::services::sieve) fn shown(location: Location, name: &str) -> String {
    let place = if location == Location::Global { "global script" } else { "script" };
    format!("{place} '{name}'")
}

impl Perform for Include {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        let shown = shown(self.location, &self.name);
        if self.once && run.included_names.contains(&shown) {
            return Ok(Flow::Next);
        }
        if run.frames.iter().any(|frame| frame.name.as_ref() == Some(&shown)) {
            return Err(Halt::new(format!("circular include: the {shown} includes itself")));
        }
        if run.frames.len() > run.settings.include_depth as usize {
            return Err(Halt::new(format!(
                "cannot include the {shown}: scripts include each other more than {} levels deep",
                run.settings.include_depth
            )));
        }
        if run.included >= run.settings.includes {
            return Err(Halt::new(format!(
                "cannot include the {shown}: the maximum is {} included scripts",
                run.settings.includes
            )));
        }
        let script = match run.situation.world.included(self.location, &self.name) {
            Included::Script(script) => script,
            Included::Missing if self.optional => {
                run.tell(format!("the {shown} does not exist, but is optional"));
                return Ok(Flow::Next);
            }
            Included::Missing => return Err(Halt::new(format!("the included {shown} does not exist"))),
            Included::Broken(why) => return Err(Halt::new(format!("the included {shown} has mistakes: {why}"))),
        };
        run.included += 1;
        run.included_names.insert(shown.clone());
        run.tell(format!("includes the {shown}"));
        let program = script.program();
        run.frames.push(Frame::of(Some(shown), &program));
        // A loop of the including script is not one of the included script.
        let part = run.part;
        let result = run.commands(&program.commands);
        run.part = part;
        run.frames.pop();
        match result? {
            Flow::Stop => Ok(Flow::Stop),
            _ => Ok(Flow::Next),
        }
    }
}

#[derive(Debug)]
struct Return;

fn read_return(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    arguments.positional([])?;
    Some(Box::new(Return))
}

impl Perform for Return {
    fn perform(&self, _: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        Ok(Flow::Return)
    }
}

/// Declares names; that is done when the script is checked.
#[derive(Debug)]
struct Global;

fn read_global(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    if !arguments.checker.has("variables") {
        arguments.wrong(said!(
            "sieve-global-variables",
            "the global command shares variables and needs require \"variables\"; at the beginning"
        ));
        return None;
    }
    let [names] = arguments.positional([("variable names", Wanted::Texts)])?;
    for (at, name) in literals(&names) {
        arguments.checker.declare_global(at, &name);
    }
    Some(Box::new(Global))
}

impl Perform for Global {
    fn perform(&self, _: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        Ok(Flow::Next)
    }
}
