use proptest::prelude::*;

use super::*;
use crate::services::sieve::{SieveSettings, compile};

fn text(of: Of, comparison: Comparison, values: &[&str]) -> Condition {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Condition::Text { of, comparison, negated: false, values }
}

fn file(folder: &str) -> Action {
    Action::File { folder: folder.to_owned(), copy: false, create: true }
}

fn rule(name: &str, conditions: Vec<Condition>, actions: Vec<Action>) -> Rule {
    Rule { name: name.to_owned(), enabled: true, matching: Matching::Any, conditions, actions }
}

fn day(text: &str) -> Option<NaiveDate> {
    Some(text.parse().unwrap())
}

fn understood(script: &str) -> RuleSet {
    let settings = SieveSettings::default();
    compile(script.as_bytes(), &settings).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{script}"));
    read(script, &settings).unwrap_or_else(|foreign| panic!("{foreign}\n{script}"))
}

/// Rules of every kind.
fn everything() -> RuleSet {
    let off = Rule {
        enabled: false,
        matching: Matching::All,
        ..rule(
            "switched off",
            vec![
                text(Of::From, Comparison::Contains, &["Ann", "Bob \"the\" \\ builder"]),
                text(Of::Recipient, Comparison::Is, &["list@example.org"]),
                Condition::Size { bound: Bound::Over, octets: 5 << 20 },
            ],
            vec![Action::Mark { flag: Mark::Seen }, file("Archive/2026"), Action::Stop],
        )
    };
    let not = Condition::Text {
        of: Of::Body,
        comparison: Comparison::Contains,
        negated: true,
        values: vec!["unsubscribe".to_owned()],
    };
    RuleSet {
        rules: vec![
            rule(
                "no thanks",
                vec![text(Of::Subject, Comparison::Begins, &["*** win"])],
                vec![Action::Reject { text: "No.\n.\n..dots".to_owned() }],
            ),
            off,
            rule(
                "lists [all]",
                vec![text(Of::List, Comparison::Contains, &["example.org"]), not],
                vec![file("Lists ü")],
            ),
            rule(
                "",
                vec![
                    text(Of::Header("X-Spam".to_owned()), Comparison::Matches, &["y*s"]),
                    text(Of::Address("Sender".to_owned()), Comparison::Ends, &["@example.com"]),
                    Condition::Size { bound: Bound::Under, octets: 100 },
                ],
                vec![Action::Redirect { to: "ann@elsewhere.example".to_owned(), copy: true }, Action::Discard],
            ),
            rule("everything else", vec![], vec![Action::Mark { flag: Mark::Flagged }, Action::Keep]),
        ],
        vacation: Some(Vacation {
            position: 0,
            enabled: true,
            subject: Some("Away".to_owned()),
            text: "I am away.\n\nAnn".to_owned(),
            from: day("2026-12-24"),
            until: day("2027-01-06"),
            days: Some(3),
            addresses: vec!["ann@old.example".to_owned(), "a@old.example".to_owned()],
        }),
    }
}

const EVERYTHING: &str = r#"require ["body", "copy", "date", "fileinto", "imap4flags", "mailbox", "reject", "relational", "vacation"];

# rule:[no thanks]
if anyof (header :matches "subject" "\\*\\*\\* win*") {
    reject text:
No.
..
...dots
.
;
    stop;
}

# rule:[Vacation]
if allof (currentdate :value "ge" "date" "2026-12-24",
    currentdate :value "le" "date" "2027-01-06") {
    vacation :days 3 :subject "Away" :addresses ["ann@old.example", "a@old.example"] text:
I am away.

Ann
.
;
}

# rule:[switched off]
if allof (false, allof (header :contains "from" ["Ann", "Bob \"the\" \\ builder"],
    address :is ["to", "cc"] "list@example.org",
    size :over 5M)) {
    addflag "\\Seen";
    fileinto :create "Archive/2026";
    stop;
}

# rule:[lists [all]]
if anyof (header :contains "list-id" "example.org",
    not body :text :contains "unsubscribe") {
    fileinto :create "Lists ü";
}

if anyof (header :matches "X-Spam" "y*s",
    address :matches "Sender" "*@example.com",
    size :under 100) {
    redirect :copy "ann@elsewhere.example";
    discard;
}

# rule:[everything else]
if true {
    addflag "\\Flagged";
    keep;
}
"#;

#[test]
fn rules_are_an_ordinary_script() {
    let set = everything().arranged();
    assert_eq!(set.wrongs(), []);
    let script = set.script();
    assert_eq!(script.replace("\r\n", "\n"), EVERYTHING);
    assert!(!script.replace("\r\n", "").contains('\n'));
    assert_eq!(understood(&script), set);
    assert_eq!(understood(EVERYTHING), set, "line ends of either kind");
    assert_eq!(RuleSet::default().script(), "");
    assert_eq!(understood("\r\n"), RuleSet::default());
}

#[test]
fn what_refuses_stands_before_what_answers() {
    let set = everything().arranged();
    assert_eq!(set.vacation.unwrap().position, 1);
    let mut set = everything();
    set.vacation.as_mut().unwrap().position = 99;
    assert_eq!(set.arranged().vacation.unwrap().position, 5);
}

#[test]
fn scripts_of_others_are_read_when_rules_can_say_the_same() {
    // As Roundcube writes them.
    let set = understood(
        "require [\"fileinto\",\"copy\",\"imap4flags\",\"vacation\"];\r\n# rule:[lists]\r\n\
         if anyof (header :contains \"list-id\" \"a.example\", header :is \"Subject\" \"x\")\r\n{\r\n\tfileinto \"Lists\";\r\n\
         \taddflag \"\\\\Seen\";\r\n}\r\n"
            .replace("\tfileinto \"Lists\";\r\n\taddflag \"\\\\Seen\";", "\taddflag \"\\\\Seen\";\r\n\tfileinto \"Lists\";")
            .as_str(),
    );
    assert_eq!(set.rules[0].name, "lists");
    assert_eq!(
        set.rules[0].actions,
        [Action::Mark { flag: Mark::Seen }, Action::File { folder: "Lists".to_owned(), copy: false, create: false }]
    );
    let set = understood(
        "require [\"fileinto\"];\n# rule:[off]\nif false # allof (header :contains \"from\" \"x\", size :over 10K)\n{\n\
         fileinto \"a\";\n}\n# rule:[on]\nif true\n{\n discard;\n stop;\n}\n",
    );
    assert_eq!((set.rules[0].enabled, set.rules[0].conditions.len(), set.rules[0].matching), (false, 2, Matching::All));
    assert_eq!((set.rules[1].enabled, set.rules[1].name.as_str()), (true, "on"));
    // Plain actions.
    let set = understood("require [\"fileinto\", \"vacation\"]; vacation \"away\"; fileinto \"a\"; stop;");
    assert_eq!(set.rules.len(), 1);
    assert_eq!(set.rules[0].actions.len(), 2);
    assert_eq!(set.vacation.unwrap().position, 0);
}

#[test]
fn what_rules_cannot_say_is_left_as_it_is() {
    for (script, line, why) in [
        ("keep;\n# my own words\ndiscard;", 2, "a comment"),
        ("/* words */ keep;", 1, "a comment"),
        ("keep;\n# rule:[x]\n", 2, "a comment"),
        ("# rule:[x]\n# rule:[y]\nkeep;", 2, "a comment"),
        ("if true {\n  keep;\n}\nelse { discard; }", 4, "'else'"),
        ("require \"variables\";\nset \"a\" \"b\";", 1, "'variables'"),
        ("require \"fileinto\";\nif header \"x\" \"y\" {\n if true { fileinto \"a\"; } }", 3, "the command 'if'"),
        ("if not allof (true, true) { keep; }", 1, "the test 'allof'"),
        ("if anyof (true, size :over 1) { keep; }", 1, "the test 'true'"),
        ("if address :domain \"from\" \"x\" { keep; }", 1, "'address' with ':domain'"),
        ("if header :contains [\"a\", \"b\"] \"x\" { keep; }", 1, "several fields"),
        ("if header :comparator \"i;octet\" \"a\" \"x\" { keep; }", 1, "':comparator'"),
        ("if exists \"x\" { keep; }", 1, "the test 'exists'"),
        ("require \"vacation\"; vacation :mime \"x\";", 1, "':mime'"),
        ("require \"vacation\"; vacation \"x\"; if true { vacation \"y\"; }", 1, "a second"),
        ("require \"vacation\"; if size :over 1 { vacation \"x\"; }", 1, "'size' as a condition"),
        ("require \"vacation\"; if true { keep; vacation \"x\"; }", 1, "the command 'vacation'"),
        ("require \"imap4flags\"; if true { addflag \"$label\"; }", 1, "the flag"),
        ("require \"imap4flags\"; if true { keep; addflag \"\\\\Seen\"; }", 1, "an order"),
        ("require \"imap4flags\"; if true { keep :flags \"\\\\Seen\"; }", 1, "the command 'keep' ':flags'"),
    ] {
        let settings = SieveSettings::default();
        compile(script.as_bytes(), &settings).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{script}"));
        let foreign = read(script, &settings).expect_err(script);
        assert_eq!(foreign.line, line, "{script}: {foreign}");
        assert!(foreign.said.text.contains(why), "{script}: {foreign}");
    }
    assert!(read("if {", &SieveSettings::default()).is_err());
}

#[test]
fn wrong_rules_are_told_apart() {
    let mut set = everything();
    set.rules[0].actions.push(Action::Keep);
    set.rules[1].conditions.push(text(Of::Subject, Comparison::Contains, &[]));
    set.rules[2].conditions.push(text(Of::Header("a b".to_owned()), Comparison::Contains, &["x"]));
    set.rules[3].actions = vec![Action::Redirect { to: "nobody".to_owned(), copy: false }];
    set.rules[4].actions = vec![];
    set.rules[4].name = "a\nb".to_owned();
    let vacation = set.vacation.as_mut().unwrap();
    (vacation.until, vacation.text) = (day("2026-01-01"), " \n".to_owned());
    let wrongs = set.wrongs();
    let places: Vec<_> = wrongs.iter().map(|wrong| wrong.rule).collect();
    assert_eq!(places, [Some(0), Some(1), Some(2), Some(3), Some(4), Some(4), None, None], "{wrongs:?}");
    let words: Vec<_> = wrongs.iter().filter_map(|wrong| wrong.said.word.strip_prefix("rule-")).collect();
    let wanted = ["refused-and-kept", "no-value", "field-name", "address", "name", "no-action", "no-text", "days"];
    assert_eq!(words, wanted, "{wrongs:?}");
    let named = |at: usize| wrongs[at].said.values[0].1.text();
    assert_eq!((named(2), named(3)), ("a b", "nobody"));
    for (condition, wrong) in [
        (text(Of::Subject, Comparison::Matches, &["a\\"]), true),
        (text(Of::Subject, Comparison::Matches, &["a\\\\"]), false),
        (text(Of::Subject, Comparison::Is, &["a\\"]), false),
        (text(Of::Subject, Comparison::Is, &["a\r\nb"]), true),
    ] {
        let set = RuleSet { rules: vec![rule("", vec![condition.clone()], vec![Action::Keep])], vacation: None };
        assert_eq!(!set.wrongs().is_empty(), wrong, "{condition:?}");
    }
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~äß€]{1,12}", "[*?\\\\a\"]{1,5}"]
}

fn words() -> impl Strategy<Value = String> {
    "[.a\\\\\" ß]{0,3}[a-z](\n?[.a\\\\\"ß]{0,4}){0,5}"
}

fn of() -> impl Strategy<Value = Of> {
    prop_oneof![
        Just(Of::From),
        Just(Of::Recipient),
        Just(Of::Subject),
        Just(Of::List),
        Just(Of::Body),
        "[A-Za-z-]{1,8}|from|Subject|List-Id".prop_map(Of::Header),
        "FROM|sender|Reply-To|to|cc".prop_map(Of::Address),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let comparison = prop_oneof![
        Just(Comparison::Contains),
        Just(Comparison::Is),
        Just(Comparison::Begins),
        Just(Comparison::Ends),
        Just(Comparison::Matches),
    ];
    let bound = prop_oneof![Just(Bound::Over), Just(Bound::Under)];
    prop_oneof![
        4 => (of(), comparison, any::<bool>(), prop::collection::vec(value(), 1..4))
            .prop_map(|(of, comparison, negated, values)| Condition::Text { of, comparison, negated, values }),
        1 => (bound, prop_oneof![any::<u64>(), 0u64..5000, (1u64..50).prop_map(|n| n << 20)])
            .prop_map(|(bound, octets)| Condition::Size { bound, octets }),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        prop_oneof![Just(Mark::Seen), Just(Mark::Flagged)].prop_map(|flag| Action::Mark { flag }),
        ("[A-Za-z/ ü]{1,10}", any::<bool>(), any::<bool>())
            .prop_map(|(folder, copy, create)| { Action::File { folder, copy, create } }),
        ("[a-z]{1,5}@[a-z]{1,5}\\.example", any::<bool>()).prop_map(|(to, copy)| Action::Redirect { to, copy }),
        words().prop_map(|text| Action::Reject { text }),
        Just(Action::Discard),
        Just(Action::Keep),
        Just(Action::Stop),
    ]
}

prop_compose! {
    fn some_rule()(
        name in "[A-Za-z ü\\[\\]#*/]{0,12}",
        enabled in any::<bool>(),
        any in any::<bool>(),
        conditions in prop::collection::vec(condition(), 0..4),
        actions in prop::collection::vec(action(), 1..5),
    ) -> Rule {
        Rule { name, enabled, matching: if any { Matching::Any } else { Matching::All }, conditions, actions }
    }
}

prop_compose! {
    fn some_vacation()(
        position in 0usize..5,
        enabled in any::<bool>(),
        subject in prop::option::of("[ -~ä]{0,10}"),
        text in words(),
        (from, until) in (prop::option::of(0i32..9999), prop::option::of(10_000i32..20_000)),
        days in prop::option::of(0u32..400),
        addresses in prop::collection::vec("[a-z]{1,5}@[a-z]{1,5}\\.example", 0..3),
    ) -> Vacation {
        let date = |n| NaiveDate::from_num_days_from_ce_opt(730_000 + n);
        Vacation { position, enabled, subject, text, from: from.and_then(date), until: until.and_then(date), days, addresses }
    }
}

proptest! {
    #[test]
    fn rules_come_back_from_the_script(
        rules in prop::collection::vec(some_rule(), 0..5),
        vacation in prop::option::of(some_vacation()),
    ) {
        let set = RuleSet { rules, vacation }.arranged();
        prop_assert_eq!(&set.clone().arranged(), &set);
        // Whether rules make sense together is another question.
        prop_assume!(set.wrongs().is_empty());
        let script = set.script();
        let settings = SieveSettings::default();
        let compiled = compile(script.as_bytes(), &settings);
        prop_assert!(compiled.is_ok(), "{:?}\n{}", compiled.err(), script);
        let back = read(&script, &settings);
        prop_assert_eq!(back.as_ref(), Ok(&set), "{}", script);
        let json = serde_json::to_string(&set).expect("rules are JSON");
        prop_assert_eq!(serde_json::from_str::<RuleSet>(&json).expect("and back"), set);
    }

    #[test]
    fn any_text_is_read_or_refused(script in "(if |true|false|allof \\(|anyof|keep|stop|vacation|\"|\\{|\\}|;|,|\\)|text:\n|\\.\n|# rule:\\[|x|\\]|:is |\n){0,30}") {
        let _ = read(&script, &SieveSettings::default());
    }
}
