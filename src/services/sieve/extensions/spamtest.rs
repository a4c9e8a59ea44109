//! `spamtest`, `spamtestplus` and `virustest` (RFC 5235).

use crate::services::sieve::check::{Arguments, TestWord, Tests, Wanted};
use crate::services::sieve::matching::{Matcher, Matching};
use crate::services::sieve::program::Judge;
use crate::services::sieve::run::{Halt, Run};
use crate::services::sieve::situation::Spam;

pub(super) const TESTS: &[TestWord] = &[
    TestWord { name: "spamtest", extensions: &["spamtest", "spamtestplus"], tests: Tests::None, read: read_spam },
    TestWord { name: "virustest", extensions: &["virustest"], tests: Tests::None, read: read_virus },
];

#[derive(Debug)]
struct SpamTest {
    percent: bool,
    matcher: Matcher,
}

fn read_spam(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let matching = Matching::read(arguments);
    let percent = arguments.tag("percent", "spamtestplus").is_some();
    let [value] = arguments.positional([("value", Wanted::Text)])?;
    let keys = arguments.values(&value);
    let matcher = matching.with(arguments, keys);
    arguments.fine(Box::new(SpamTest { percent, matcher }))
}

impl Judge for SpamTest {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        if self.matcher.counts() {
            // RFC 5235 §3.2: the count is 0 when nobody has looked, and 1 otherwise.
            let tested: &[&str] = if run.situation.spam.is_some() { &["1"] } else { &[] };
            return self.matcher.matches(run, tested);
        }
        let value = match run.situation.spam {
            None => 0,
            Some(spam) if self.percent => percent(spam),
            Some(spam) => ten(spam),
        };
        self.matcher.matches(run, &[value.to_string()])
    }
}

/// How near the score is to the threshold, between 0 and 1.
fn share(spam: Spam) -> f32 {
    let share = if spam.threshold > 0.0 {
        spam.score / spam.threshold
    } else {
        f32::from(u8::from(spam.score >= spam.threshold))
    };
    if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
}

/// RFC 5235 §3.2.1: 1 for certainly clean up to 10 for certainly unwanted, which is reached at the threshold only.
fn ten(spam: Spam) -> u8 {
    let share = share(spam);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 9")]
    let steps = (share * 9.0).floor() as u8;
    1 + steps
}

/// RFC 5235 §3.2.1: from 0 to 100.
fn percent(spam: Spam) -> u8 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
    let percent = (share(spam) * 100.0).floor() as u8;
    percent
}

#[derive(Debug)]
struct VirusTest(Matcher);

fn read_virus(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let matching = Matching::read(arguments);
    let [value] = arguments.positional([("value", Wanted::Text)])?;
    let keys = arguments.values(&value);
    let matcher = matching.with(arguments, keys);
    arguments.fine(Box::new(VirusTest(matcher)))
}

impl Judge for VirusTest {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        let value = run.situation.virus.map_or(0, |value| value.min(5));
        self.0.matches(run, &[value.to_string()])
    }
}
