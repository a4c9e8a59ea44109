//! `body` (RFC 5173).

use super::mime::PartType;
use crate::foundations::mail::{Kind, charset, html, transfer};
use crate::foundations::said::said;
use crate::services::sieve::check::{Arguments, TestWord, Tests, Wanted};
use crate::services::sieve::matching::{Matcher, Matching};
use crate::services::sieve::program::{Judge, TEXT, Value, texts};
use crate::services::sieve::run::{Halt, Run};

pub(super) const TESTS: &[TestWord] = &[TestWord { name: "body", extensions: &["body"], tests: Tests::None, read }];

/// RFC 5173 §5.
#[derive(Debug)]
enum Transform {
    /// As it came.
    Raw,
    /// The parts of these types, decoded.
    Content(Vec<Value>),
    /// What people read.
    Text,
}

/// Whether HTML tags are part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Markup {
    Kept,
    Removed,
}

#[derive(Debug)]
struct Body {
    transform: Transform,
    matcher: Matcher,
}

fn read(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let matching = Matching::read(arguments);
    let mut given = Vec::new();
    given.extend(arguments.tag("raw", "").map(|at| (at, Transform::Raw)));
    given.extend(arguments.tag("text", "").map(|at| (at, Transform::Text)));
    if let Some(types) = arguments.tag_values("content", "") {
        let at = types.first().map_or(arguments.call.at, |(at, _)| *at);
        given.push((at, Transform::Content(types.into_iter().map(|(_, value)| value).collect())));
    }
    if let Some((at, _)) = given.get(1) {
        let said = said!("sieve-transforms", "unexpected second body transform; use only one of :raw, :content, :text");
        arguments.wrong_at(*at, said);
    }
    let [keys] = arguments.positional([("key list", Wanted::Texts)])?;
    let keys = arguments.values(&keys);
    // RFC 5173 §6: what wildcards match here is not kept in variables.
    let matcher = matching.without_captures().with(arguments, keys);
    let transform = given.into_iter().next().map_or(Transform::Text, |(_, transform)| transform);
    arguments.fine(Box::new(Body { transform, matcher }))
}

impl Judge for Body {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        let limit = run.settings.body.len();
        if !run.content.has_body() {
            return self.matcher.matches::<String>(run, &[]);
        }
        let values = match &self.transform {
            Transform::Raw => {
                let body = run.content.body();
                vec![charset::guess(&body[..body.len().min(limit)]).into_owned()]
            }
            Transform::Text => parts(run, limit, Markup::Removed, PartType::is_text)?,
            Transform::Content(types) => {
                let types = texts(types, run)?;
                // Each part is compared with all of them.
                let each: usize = types.iter().map(|wanted| TEXT + wanted.len()).sum();
                run.spend(each.saturating_mul(run.content.parts().len()))?;
                parts(run, limit, Markup::Kept, |part| types.iter().any(|wanted| part.fits(wanted)))?
            }
        };
        self.matcher.matches(run, &values)
    }
}

/// The texts of the parts that are wanted, at most `limit` octets in all.
fn parts(
    run: &mut Run<'_, '_>,
    limit: usize,
    markup: Markup,
    wanted: impl Fn(&PartType) -> bool,
) -> Result<Vec<String>, Halt> {
    let mut left = limit;
    let mut values = Vec::new();
    run.spend(run.content.len().min(limit) / 16)?;
    for index in 0..run.content.parts().len() {
        if left == 0 {
            break;
        }
        let part_type = PartType::of(run, index);
        if !wanted(&part_type) {
            continue;
        }
        let found = match run.content.parts()[index].kind {
            Kind::Leaf => vec![part_text(run, index, left, &part_type, markup)],
            Kind::Multipart => around(run, index, left).into(),
            // RFC 5173 §5.2: of a message its header.
            Kind::Message => {
                let lines = run.content.part_lines(index + 1);
                vec![charset::guess(&lines[..lines.len().min(left)]).into_owned()]
            }
        };
        for value in found {
            run.spend(value.len())?;
            left = left.saturating_sub(value.len());
            values.push(value);
        }
    }
    Ok(values)
}

/// The decoded text of a part, at most `limit` octets.
pub(super) fn part_text(run: &Run<'_, '_>, index: usize, limit: usize, part_type: &PartType, markup: Markup) -> String {
    let encoding = run.content.part_field(index, "Content-Transfer-Encoding");
    let octets = transfer::decode(encoding, run.content.part_body(index), limit);
    let text = charset::decode(part_type.charset.as_bytes(), &octets);
    if part_type.is_html() && markup == Markup::Removed { html::to_text(&text) } else { text }
}

/// RFC 5173 §5.2: of a multipart what stands before the first part, and what stands after the last, as texts of their own.
fn around(run: &Run<'_, '_>, index: usize, limit: usize) -> [String; 2] {
    let whole = run.content.part_body(index);
    let whole = &whole[..whole.len().min(limit)];
    let boundary = PartType::of(run, index).boundary;
    let (mut before, mut after) = (String::new(), String::new());
    let (mut is_inside, mut has_begun) = (false, false);
    for line in whole.split_inclusive(|b| *b == b'\n') {
        let delimiter = line.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(boundary.as_bytes()));
        match delimiter.map(<[u8]>::trim_ascii_end) {
            Some(b"") => (is_inside, has_begun) = (true, true),
            Some(b"--") => (is_inside, has_begun) = (false, true),
            _ if is_inside => {}
            _ if has_begun => after.push_str(&charset::guess(line)),
            _ => before.push_str(&charset::guess(line)),
        }
    }
    [before, after]
}
