//! Spam rules in SpamAssassin's syntax: read completely, whatever they say.

use postrider::services::filter::rules::RuleSet;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let rules = RuleSet::compile([("fuzz.cf", text)]);
    assert!(rules.len() <= text.lines().count());
    for complaint in rules.complaints() {
        complaint.to_string();
    }
}
