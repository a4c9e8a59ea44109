//! `foreverypart` and `extracttext` (RFC 5703 §3, §7).

use std::sync::Arc;

use super::body::{Markup, part_text};
use super::mime::PartType;
use super::variables::{Modifier, modify, read_modifiers};
use crate::foundations::mail::Kind;
use crate::foundations::said::said;
use crate::services::sieve::check::{Arguments, CommandWord, Wanted, literals};
use crate::services::sieve::program::{Command, Perform, Piece};
use crate::services::sieve::run::{Flow, Halt, Run};

pub(super) const COMMANDS: &[CommandWord] = &[
    CommandWord { name: "break", extensions: &["foreverypart"], has_block: false, read: read_break },
    CommandWord { name: "extracttext", extensions: &["extracttext"], has_block: false, read: read_extract },
    CommandWord { name: "foreverypart", extensions: &["foreverypart"], has_block: true, read },
];

/// How deep loops may stand in each other: each looks at all parts inside the one outside.
const MAX_LOOPS: usize = 4;

#[derive(Debug)]
struct ForEveryPart {
    name: Option<Arc<str>>,
    block: Vec<Command>,
}

fn read(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    let name = arguments.tag_literal("name", "").map(|(_, name)| name);
    arguments.positional([])?;
    if arguments.checker.loops().len() >= MAX_LOOPS {
        arguments.wrong(said!(
            "sieve-loops",
            "loops are nested too deeply; the maximum is {most} levels",
            most = MAX_LOOPS
        ));
    }
    arguments.checker.open_loop(name.clone());
    let block = arguments.block();
    arguments.checker.close_loop();
    arguments.fine(Box::new(ForEveryPart { name: name.map(Arc::from), block }))
}

impl Perform for ForEveryPart {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        let outer = run.part;
        // RFC 5703 §3: all parts, the message itself first; inside another loop those inside its part.
        let parts = match outer {
            None => 0..run.content.parts().len(),
            Some(index) => index + 1..run.content.parts().get(index).map_or(index + 1, |part| part.next),
        };
        let mut result = Ok(Flow::Next);
        for index in parts {
            run.part = Some(index);
            match run.commands(&self.block) {
                Ok(Flow::Next) => {}
                Ok(Flow::Break(name)) if name.is_none() || name == self.name => break,
                other => {
                    result = other;
                    break;
                }
            }
        }
        run.part = outer;
        result
    }
}

#[derive(Debug)]
struct Break(Option<Arc<str>>);

fn read_break(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    let name = arguments.tag_literal("name", "");
    arguments.positional([])?;
    let loops = arguments.checker.loops().to_vec();
    match &name {
        _ if loops.is_empty() => {
            arguments.wrong(said!("sieve-break-alone", "'break' ends a foreverypart loop, but is not inside one"));
        }
        Some((at, name)) if !loops.iter().any(|open| open.as_ref() == Some(name)) => {
            let said = said!(
                "sieve-no-loop",
                "there is no loop named '{name}' around this 'break'",
                name = name.escape_debug()
            );
            arguments.wrong_at(*at, said);
        }
        _ => {}
    }
    arguments.fine(Box::new(Break(name.map(|(_, name)| Arc::from(name)))))
}

impl Perform for Break {
    fn perform(&self, _: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        Ok(Flow::Break(self.0.clone()))
    }
}

#[derive(Debug)]
struct ExtractText {
    modifiers: Vec<Modifier>,
    /// Only so many characters.
    first: Option<usize>,
    variable: Piece,
}

fn read_extract(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Perform>> {
    if !arguments.checker.has("variables") {
        arguments.wrong(said!(
            "sieve-extracttext-variables",
            "the extracttext command sets a variable and needs require \"variables\"; at the beginning"
        ));
        return None;
    }
    if arguments.checker.loops().is_empty() {
        // RFC 5703 §7.
        arguments.wrong(said!(
            "sieve-extracttext-alone",
            "the extracttext command is only allowed inside a foreverypart loop"
        ));
    }
    let modifiers = read_modifiers(arguments);
    let first = arguments.tag_number("first", "");
    let [name] = arguments.positional([("variable name", Wanted::Text)])?;
    let (at, name) = literals(&name).next()?;
    let variable = arguments.checker.variable(at, &name)?;
    let first = first.map(|(_, first)| usize::try_from(first).unwrap_or(usize::MAX));
    arguments.fine(Box::new(ExtractText { modifiers, first, variable }))
}

impl Perform for ExtractText {
    fn perform(&self, run: &mut Run<'_, '_>) -> Result<Flow, Halt> {
        let index = run.part.unwrap_or(0);
        let part_type = PartType::of(run, index);
        let is_leaf = run.content.parts().get(index).is_some_and(|part| part.kind == Kind::Leaf);
        // A variable holds less; HTML shrinks when its markup is taken away.
        let limit = run.settings.body.len().min((run.settings.variable_size as usize).saturating_mul(16));
        let mut text = if is_leaf && part_type.is_text() {
            part_text(run, index, limit, &part_type, Markup::Removed)
        } else {
            String::new()
        };
        run.spend(limit)?;
        if let Some(first) = self.first
            && let Some((end, _)) = text.char_indices().nth(first)
        {
            text.truncate(end);
        }
        let text = modify(text, &self.modifiers, run)?;
        run.assign(&self.variable, text);
        Ok(Flow::Next)
    }
}
