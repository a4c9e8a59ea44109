//! Tests that a pattern cannot express, called from rule files as `eval:name('argument', ...)`.

use crate::services::filter::signs::{attachments, header, html, language, links, text};

use super::evaluate::Facts;
use crate::services::filter::language::Language;

/// A test with its arguments.
#[derive(Debug, Clone)]
pub enum Native {
    /// The signal of the rule's own name, given by another source.
    Signal(String),
    /// The classifier's probability lies in a range (lower end included).
    Probability(f64, f64),
    /// A function with arguments, and what it looks at.
    Call(fn(&Facts<'_>, &[String]) -> Option<String>, Vec<String>, Side),
}

/// Which part of a message a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The header, the client, the envelope.
    Header,
    /// Text, links, attachments.
    Body,
    /// Both or neither.
    Neither,
}

impl Native {
    /// The reason when the test holds (empty when the rule's description says it all).
    pub fn run(&self, facts: &Facts<'_>) -> Option<String> {
        match self {
            Self::Signal(name) => facts.others.iter().find(|s| s.name == *name).map(|s| s.because.to_string()),
            Self::Probability(low, high) => {
                let probability = facts.probability?;
                // The last range includes its upper end, so that certainty belongs to one.
                let holds = probability >= *low && (probability < *high || (*high >= 1.0 && probability <= 1.0));
                holds.then(|| format!("{probability:.4}"))
            }
            Self::Call(function, arguments, _) => function(facts, arguments),
        }
    }
}

type Function = fn(&Facts<'_>, &[String]) -> Option<String>;

/// Every function by name, with the least number of arguments.
const FUNCTIONS: &[(&str, usize, Function)] = &[
    ("attachment_name", 1, attachments::name),
    ("attachment_double_extension", 0, attachments::double_extension),
    ("attachment_program_inside", 0, attachments::program_inside),
    ("attachment_page_inside", 0, attachments::page_inside),
    ("attachment_macros", 1, attachments::macros),
    ("attachment_encrypted", 0, attachments::encrypted),
    ("attachment_disguised", 0, attachments::disguised),
    ("attachment_direction_override", 0, attachments::direction_override),
    ("mime_unterminated", 0, attachments::unterminated),
    ("mime_encoded_text", 0, attachments::encoded_text),
    ("mime_only_html", 0, attachments::only_html),
    ("mime_only_images", 1, attachments::only_images),
    ("limit_reached", 0, attachments::limit_reached),
    ("date_off", 2, header::date_off),
    ("date_unreadable", 0, header::date_unreadable),
    ("header_repeated", 1, header::repeated),
    ("from_name_is_other_address", 0, header::name_is_other_address),
    ("from_brand", 0, header::brand),
    ("from_is_recipient", 0, header::from_is_recipient),
    ("reply_to_elsewhere", 0, header::reply_to_elsewhere),
    ("sent_by_list", 0, header::sent_by_list),
    ("free_mail", 1, header::free_mail),
    ("mixed_scripts", 1, header::mixed_scripts),
    ("invisible_characters", 2, header::invisible_characters),
    ("shouting", 1, header::shouting),
    ("encoded_needlessly", 1, header::encoded_needlessly),
    ("raw_octets", 1, header::raw_octets),
    ("random_local_part", 0, header::random_local_part),
    ("hello_is_address", 0, header::hello_is_address),
    ("hello_without_dot", 0, header::hello_without_dot),
    ("hello_borrowed", 0, header::hello_borrowed),
    ("client_without_name", 0, header::client_without_name),
    ("client_subscriber", 0, header::client_subscriber),
    ("message_id_host", 1, header::message_id_host),
    ("body_language", 1, language::is),
    ("check_language", 0, language::unread),
    ("check_for_faraway_charset", 0, language::far_away_charset),
    ("check_for_faraway_charset_in_headers", 0, language::far_away_header),
    ("html_tag_exists", 1, html::tag_exists),
    ("html_count", 3, html::count),
    ("attachment_html_count", 3, html::attached_count),
    ("html_hidden_text", 1, html::hidden_text),
    ("html_image_only", 2, html::image_only),
    ("link_mismatch", 0, links::mismatch),
    ("link_host_is_address", 0, links::host_is_address),
    ("link_with_user", 0, links::with_user),
    ("link_with_port", 0, links::with_port),
    ("link_encoded_host", 0, links::encoded_host),
    ("link_lookalike_host", 0, links::lookalike_host),
    ("link_shortener", 0, links::shortener),
    ("link_redirected", 0, links::redirected),
    ("link_hosts", 2, links::hosts),
    ("link_longest", 1, links::longest),
    ("link_deep_host", 1, links::deep_host),
    ("body_length", 2, text::length),
    ("body_digest_words", 1, text::random_words),
    ("body_gappy", 1, text::gappy),
    ("body_repeats_subject", 0, text::repeats_subject),
];

/// Finds the function of a call such as `check_bayes('0.99', '1')`. The error says what is wrong.
pub fn find(rule: &str, call: &str) -> Result<Native, String> {
    let call = call.trim();
    let (name, rest) = call.split_once('(').unwrap_or((call, ")"));
    let name = name.trim();
    let arguments: Vec<String> = rest
        .trim_end()
        .trim_end_matches(')')
        .split(',')
        .map(|a| a.trim().trim_matches(['\'', '"']).to_owned())
        .filter(|a| !a.is_empty())
        .collect();
    match name {
        "signal" => return Ok(Native::Signal(rule.to_owned())),
        "check_bayes" => {
            let mut numbers = arguments.iter().map(|a| a.parse::<f64>());
            return match (numbers.next(), numbers.next()) {
                (Some(Ok(low)), Some(Ok(high))) => Ok(Native::Probability(low, high)),
                _ => Err("`check_bayes` needs two numbers from 0 to 1".to_owned()),
            };
        }
        "check_for_mime" => {
            return match arguments.as_slice() {
                [about] if about == "mime_faraway_charset" => {
                    Ok(Native::Call(language::far_away_part, arguments, Side::Body))
                }
                _ => Err(format!("the test function `{call}` is not available here")),
            };
        }
        "check_rbl"
        | "check_rbl_sub"
        | "check_rbl_txt"
        | "check_rbl_from_host"
        | "check_rbl_envfrom"
        | "check_uridnsbl" => {
            return Err(format!("`{name}` queries a DNS list; these are settings: see `spam.dns_lists`"));
        }
        "body_language" => {
            if let Some(code) =
                arguments.iter().find(|code| !Language::from_code(code).is_some_and(|l| l.is_recognised()))
            {
                return Err(format!("`{code}` is not a language that can be recognised"));
            }
        }
        _ => {}
    }
    let Some((_, least, function)) = FUNCTIONS.iter().find(|(n, _, _)| *n == name) else {
        return Err(format!("the test function `{name}` is not available here"));
    };
    if arguments.len() < *least {
        return Err(format!("`{name}` needs at least {least} arguments"));
    }
    Ok(Native::Call(*function, arguments, side(name)))
}

/// The functions' names begin with what they look at.
fn side(name: &str) -> Side {
    match name.split('_').next() {
        Some("check") if name != "check_for_faraway_charset_in_headers" => Side::Body,
        Some("attachment" | "mime" | "html" | "link" | "body") => Side::Body,
        Some("limit") => Side::Neither,
        _ => Side::Header,
    }
}
