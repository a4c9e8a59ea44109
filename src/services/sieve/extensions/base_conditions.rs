//! The tests of RFC 5228 §5.

use super::AddressPart;
use super::fields::Source;
use crate::foundations::said::said;
use crate::services::sieve::check::{Arguments, Certainty, TestWord, Tests, Wanted, is_field_name};
use crate::services::sieve::matching::{Matcher, Matching};
use crate::services::sieve::program::{Judge, Test};
use crate::services::sieve::run::{Halt, Run};

pub(super) const TESTS: &[TestWord] = &[
    TestWord { name: "address", extensions: &[], tests: Tests::None, read: read_address },
    TestWord { name: "allof", extensions: &[], tests: Tests::List, read: read_all },
    TestWord { name: "anyof", extensions: &[], tests: Tests::List, read: read_any },
    TestWord { name: "exists", extensions: &[], tests: Tests::None, read: read_exists },
    TestWord { name: "false", extensions: &[], tests: Tests::None, read: read_false },
    TestWord { name: "header", extensions: &[], tests: Tests::None, read: read_header },
    TestWord { name: "not", extensions: &[], tests: Tests::One, read: read_not },
    TestWord { name: "size", extensions: &[], tests: Tests::None, read: read_size },
    TestWord { name: "true", extensions: &[], tests: Tests::None, read: read_true },
];

#[derive(Debug)]
struct Constant(bool);

fn read_false(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    arguments.positional([])?;
    Some(Box::new(Constant(false)))
}

fn read_true(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    arguments.positional([])?;
    Some(Box::new(Constant(true)))
}

impl Judge for Constant {
    fn judge(&self, _: &mut Run<'_, '_>) -> Result<bool, Halt> {
        Ok(self.0)
    }

    fn is_told(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Not(Test);

fn read_not(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    arguments.positional([])?;
    let (test, certainty) = arguments.next_test()?;
    arguments.checker.set_certainty(match certainty {
        Certainty::True => Certainty::False,
        Certainty::False => Certainty::True,
        Certainty::Unknown => Certainty::Unknown,
    });
    Some(Box::new(Not(test?)))
}

impl Judge for Not {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        Ok(!run.judge(&self.0)?)
    }

    fn is_told(&self) -> bool {
        false
    }
}

/// `allof` and `anyof`: tests up to the first that is `decisive` (RFC 5228 §5.2, §5.3).
#[derive(Debug)]
struct Several {
    decisive: bool,
    tests: Vec<Test>,
}

fn read_all(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    read_several(arguments, false)
}

fn read_any(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    read_several(arguments, true)
}

fn read_several(arguments: &mut Arguments<'_, '_>, decisive: bool) -> Option<Box<dyn Judge>> {
    arguments.positional([])?;
    let mut tests = Vec::new();
    let mut is_complete = true;
    let (deciding, other) =
        if decisive { (Certainty::True, Certainty::False) } else { (Certainty::False, Certainty::True) };
    let mut certainty = other;
    while let Some((test, its)) = arguments.next_test() {
        is_complete &= test.is_some();
        tests.extend(test);
        if its == deciding {
            // RFC 5463 §4: the tests after it are never reached.
            certainty = deciding;
            break;
        }
        if its == Certainty::Unknown {
            certainty = Certainty::Unknown;
        }
    }
    arguments.checker.set_certainty(certainty);
    is_complete.then(|| Box::new(Several { decisive, tests }) as Box<dyn Judge>)
}

impl Judge for Several {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        for test in &self.tests {
            if run.judge(test)? == self.decisive {
                return Ok(self.decisive);
            }
        }
        Ok(!self.decisive)
    }

    fn is_told(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Size {
    over: bool,
    limit: u64,
}

fn read_size(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let (over, under) = (arguments.tag("over", ""), arguments.tag("under", ""));
    match (over, under) {
        (None, None) => {
            arguments.wrong(said!("sieve-size-bare", "the size test requires ':over' or ':under' before the number"))
        }
        (Some(_), Some(at)) => {
            arguments.wrong_at(at, said!("sieve-size-both", "the size test takes ':over' or ':under', not both"));
        }
        _ => {}
    }
    let [limit] = arguments.positional([("size", Wanted::Number)])?;
    let crate::services::sieve::syntax::Given::Number(limit_number) = limit.value else { return None };
    if over.is_none() && limit_number == 0 {
        arguments.checker.warn(limit.at, said!("sieve-size-zero", "no message is smaller than 0 octets"));
    }
    Some(Box::new(Size { over: over.is_some(), limit: limit_number }))
}

impl Judge for Size {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        let size = run.content.len() as u64;
        run.because = Some(format!("it has {size} octets"));
        Ok(if self.over { size > self.limit } else { size < self.limit })
    }
}

#[derive(Debug)]
struct Exists(Source);

fn read_exists(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let source = Source::read_tags(arguments, false);
    let [names] = arguments.positional([("header names", Wanted::Texts)])?;
    let names = arguments.field_names(&names);
    arguments.fine(Box::new(Exists(source.with(names))))
}

impl Judge for Exists {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        for name in self.0.names() {
            let name = name.get(run)?;
            if self.0.fields(run, &name)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[derive(Debug)]
struct Header {
    source: Source,
    matcher: Matcher,
}

fn read_header(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let matching = Matching::read(arguments);
    let source = Source::read_tags(arguments, true);
    let [names, keys] = arguments.positional([("header names", Wanted::Texts), ("key list", Wanted::Texts)])?;
    let names = arguments.field_names(&names);
    let keys = arguments.values(&keys);
    let matcher = matching.with(arguments, keys);
    arguments.fine(Box::new(Header { source: source.with(names), matcher }))
}

impl Judge for Header {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        let mut values = Vec::new();
        for field in self.source.all_fields(run, |_| true)? {
            values.extend(self.source.values(&field, run)?);
        }
        self.matcher.matches(run, &values)
    }
}

#[derive(Debug)]
struct AddressTest {
    source: Source,
    part: AddressPart,
    matcher: Matcher,
}

fn read_address(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let matching = Matching::read(arguments);
    let part = AddressPart::read(arguments);
    let source = Source::read_tags(arguments, false);
    let [names, keys] = arguments.positional([("header list", Wanted::Texts), ("key list", Wanted::Texts)])?;
    for (at, value) in arguments.values(&names) {
        // RFC 5228 §5.1: an implementation restricts it to fields that hold addresses.
        arguments.check_field_name(at, &value);
        if let Some(name) = value.constant().filter(|name| is_field_name(name) && !holds_addresses(name)) {
            let said = said!(
                "sieve-no-addresses",
                "the header '{name}' is not allowed for the address test: it contains no addresses",
                name = name.escape_debug()
            );
            arguments.wrong_at(at, said);
        }
    }
    let names = arguments.values(&names).into_iter().map(|(_, value)| value).collect();
    let keys = arguments.values(&keys);
    let matcher = matching.with(arguments, keys);
    arguments.fine(Box::new(AddressTest { source: source.with(names), part, matcher }))
}

impl Judge for AddressTest {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        let mut values = Vec::new();
        for field in self.source.all_fields(run, holds_addresses)? {
            run.spend(field.body.len())?;
            values.extend(self.part.of_field(&field.body, run.situation.tag_separator));
        }
        self.matcher.matches(run, &values)
    }
}

/// Fields with address lists: those of RFC 5322 and others that are in use.
fn holds_addresses(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "from",
        "to",
        "cc",
        "bcc",
        "sender",
        "reply-to",
        "resent-from",
        "resent-to",
        "resent-cc",
        "resent-bcc",
        "resent-sender",
        "resent-reply-to",
        "return-path",
        "delivered-to",
        "x-original-to",
        "envelope-to",
        "apparently-to",
        "apparently-from",
        "abuse-reports-to",
        "x-beenthere",
        "errors-to",
        "return-receipt-to",
        "disposition-notification-to",
        "x-admin",
        "list-post",
        "mail-reply-to",
        "mail-followup-to",
        "for-approval",
        "for-comment",
        "for-handling",
        "original-recipient",
    ];
    NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}
