//! Scripts as rules and back: what the webmail reads from a script and writes again means the same.

use postrider::services::sieve::{SieveSettings, compile, rules};

pub fn run(data: &[u8]) {
    let settings = SieveSettings::default();
    let Ok(source) = std::str::from_utf8(data) else { return };
    if compile(data, &settings).is_err() {
        return;
    }
    let Ok(set) = rules::read(source, &settings) else { return };
    if !set.wrongs().is_empty() {
        return;
    }
    let script = set.script();
    if let Err(mistakes) = compile(script.as_bytes(), &settings) {
        panic!("{mistakes:?} in\n{script}\nof\n{source}");
    }
    match rules::read(&script, &settings) {
        Ok(again) => assert_eq!(again.arranged(), set.arranged(), "{script}"),
        Err(foreign) => panic!("{foreign} in\n{script}\nof\n{source}"),
    }
}
