//! `environment` (RFC 5183).

use crate::services::sieve::check::{Arguments, TestWord, Tests, Wanted};
use crate::services::sieve::matching::{Matcher, Matching};
use crate::services::sieve::program::{Judge, Value};
use crate::services::sieve::run::{Halt, Run};

pub(super) const TESTS: &[TestWord] =
    &[TestWord { name: "environment", extensions: &["environment"], tests: Tests::None, read }];

#[derive(Debug)]
struct Environment {
    name: Value,
    matcher: Matcher,
}

fn read(arguments: &mut Arguments<'_, '_>) -> Option<Box<dyn Judge>> {
    let matching = Matching::read(arguments);
    let [name, keys] = arguments.positional([("name", Wanted::Text), ("key list", Wanted::Texts)])?;
    let name = arguments.value(&name);
    let keys = arguments.values(&keys);
    let matcher = matching.with(arguments, keys);
    arguments.fine(Box::new(Environment { name, matcher }))
}

impl Judge for Environment {
    fn judge(&self, run: &mut Run<'_, '_>) -> Result<bool, Halt> {
        let situation = run.situation;
        let host = situation.hostname.to_string();
        // RFC 5183 §4.1.
        let value = match self.name.get(run)?.to_ascii_lowercase().as_str() {
            "domain" => host.split_once('.').map_or(host.as_str(), |(_, domain)| domain).to_owned(),
            "host" => host,
            "location" => "MS".to_owned(),
            "phase" => "during".to_owned(),
            "name" => "Postrider Sieve".to_owned(),
            "remote-ip" => match situation.client {
                Some(client) => client.address.to_string(),
                None => return Ok(false),
            },
            "remote-host" => match situation.client {
                // A client without a known name has an empty one.
                Some(client) => client.name.unwrap_or_default().to_owned(),
                None => return Ok(false),
            },
            "version" => env!("CARGO_PKG_VERSION").to_owned(),
            // RFC 5183 §4: what is not known fails the test.
            _ => return Ok(false),
        };
        self.matcher.matches(run, &[value])
    }
}
