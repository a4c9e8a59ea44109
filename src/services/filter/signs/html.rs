//! Signs in HTML.

use super::number;
use super::scripts::is_invisible;
use crate::services::filter::rules::Facts;
use crate::services::filter::view::HtmlFacts;

/// An element of this name occurs.
pub fn tag_exists(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let wanted = arguments.first()?;
    facts.view.html.elements.iter().any(|e| e.eq_ignore_ascii_case(wanted)).then(String::new)
}

/// One of the counts lies in a range (both ends included).
pub fn count(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    counted(&facts.view.html, arguments)
}

/// The same for attached pages.
pub fn attached_count(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    counted(&facts.view.attached_html, arguments)
}

fn counted(html: &HtmlFacts, arguments: &[String]) -> Option<String> {
    let count = match arguments.first()?.as_str() {
        "tags" => html.tags,
        "images" => html.images,
        "pixels" => html.pixels,
        "forms" => html.forms,
        "password_fields" => html.password_fields,
        "scripts" => html.scripts,
        "events" => html.events,
        "frames" => html.frames,
        "refreshes" => html.refreshes,
        "bases" => html.bases,
        "hidden" => html.hidden,
        "tiny" => html.tiny,
        "comments" => html.comments,
        "broken_words" => html.broken_words,
        "needless_references" => html.needless_references,
        "script_links" => html.script_links,
        "data_documents" => html.data_documents,
        "unknown_tags" => html.unknown_tags,
        "script_drawings" => html.script_drawings,
        _ => return None,
    };
    let (low, high): (u32, u32) = (number(arguments, 1)?, number(arguments, 2)?);
    (count >= low && count <= high).then(|| count.to_string())
}

/// At least so many characters of text that the reader cannot see. Zero-width characters in it are no text: newsletters fill the line
/// that lists show beside the subject with hundreds of them.
pub fn hidden_text(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let least: usize = number(arguments, 0)?;
    let count = facts.view.hidden.chars().filter(|c| !c.is_whitespace() && !is_invisible(*c)).count();
    (count >= least).then(|| count.to_string())
}

/// HTML with images and an amount of visible text in a range.
pub fn image_only(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let (low, high): (usize, usize) = (number(arguments, 0)?, number(arguments, 1)?);
    let text = facts.view.written();
    let shown = facts.view.html.images > facts.view.html.pixels;
    (facts.view.html.parts > 0 && shown && text >= low && text < high).then(|| text.to_string())
}
