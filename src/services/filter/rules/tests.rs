use super::*;
use crate::services::filter::LimitSettings;
use crate::services::filter::Signal;
use crate::services::filter::view::View;

fn names(rules: &str, message: &str) -> Vec<String> {
    let rules = RuleSet::compile([("test.cf", rules)]);
    let view = View::new(message.as_bytes(), &LimitSettings::default());
    rules.evaluate(&Facts::of(&view)).into_iter().map(|s| s.name.into_owned()).collect()
}

const MAIL: &str = "From: \"Ann Example\" <ann@example.test>\r\nTo: bob@example.test\r\nSubject: Cheap =?utf-8?q?p=C3=AFlls?=\r\nMessage-ID: <1@example.test>\r\nX-A: one\r\nX-A: two\r\nX-Empty:\r\nContent-Type: text/html\r\n\r\n<p>Buy now\r\nBuy now</p><a href=\"http://evil.example/x?y=1\">here</a>\r\n";

#[test]
fn each_kind_of_rule() {
    for (rule, hits) in [
        ("header R Subject =~ /cheap/i", true),
        ("header R Subject =~ /cheap/", false),
        ("header R Subject:raw =~ /=\\?utf-8/", true),
        ("header R From:addr =~ /^ann\\@example\\.test$/", true),
        ("header R From:name =~ /^Ann Example$/", true),
        ("header R X-A =~ /^one\\ntwo$/", true),
        ("header R X-A:last =~ /^two$/", true),
        ("header R X-B =~ /x/", false),
        ("header R X-B =~ /^none$/ [if-unset: none]", true),
        ("header R Subject !~ /dear/", true),
        ("header R Subject !~ /Cheap/", false),
        ("header R exists:message-id", true),
        ("header R exists:X-B", false),
        ("header R exists:X-Empty", true),
        ("header R exists:ToCc", true),
        ("header R exists:MESSAGEID", true),
        ("header R exists:EnvelopeFrom", false),
        ("header R ToCc =~ /bob/", true),
        ("header R MESSAGEID =~ /<1@/", true),
        ("header R ALL =~ /^x-a: two$/mi", true),
        ("header R EnvelopeFrom =~ /./", false),
        ("body R /Buy now Buy now/", true),
        ("body R /^here$/", true),
        ("body R /cheap p.{1,2}lls/i", true),
        ("body R /now\\s+here/", false),
        ("rawbody R /<p>Buy now$/", false),
        ("rawbody R /<p>Buy now$/m", true),
        ("rawbody R /now\\s+Buy now<\\/p>/", true),
        ("rawbody R /now\\nBuy/", true),
        ("rawbody R /<p>.*here/", false),
        ("rawbody R /<p>.*here/s", true),
        ("full R /^To: bob.*\\nSubject/m", true),
        ("uri R m{^https?://[^/]*\\.example/}", true),
        ("uri R /\\?y=1$/", true),
        ("body R eval:html_tag_exists('a')", true),
        ("meta R 1 + 1 == 2", true),
        ("body __A /Buy/\nmeta R __A && !__B", true),
        ("body __A /Buy/\ntflags __A multiple\nmeta R __A >= 2", true),
        ("body __A /Buy/\ntflags __A multiple maxhits=1\nmeta R __A >= 2", false),
        ("meta R __X && __Y\nmeta __X __Y\nmeta __Y 1", true),
        ("body R /Buy/\nscore R 0", false),
        ("body R /cheap/i\ntflags R nosubject", false),
    ] {
        let found = names(rule, MAIL);
        assert_eq!(found.iter().any(|n| n == "R"), hits, "{rule}: {found:?}");
    }
}

#[test]
fn scores_by_case_and_relative() {
    let rules = RuleSet::compile([
        (
            "a.cf",
            "body R /Buy/\nscore R 1 2 3 4\nbody S /Buy/\nscore S 1.5\nbody T_TRY /Buy/\nbody N /Buy/\ntflags N nice",
        ),
        ("b.cf", "score S (0.5)\nscore T_TRY (2)\nscore N (-0.5)"),
    ]);
    // There is nothing to add to.
    let found: Vec<_> = rules.complaints().iter().map(|c| (c.line, c.severity, c.subject.as_str())).collect();
    assert_eq!(found, [(2, Severity::Unusable, "score T_TRY"), (3, Severity::Unusable, "score N")]);
    let view = View::new(MAIL.as_bytes(), &LimitSettings::default());
    let weight =
        |facts: &Facts<'_>, name: &str| rules.evaluate(facts).into_iter().find(|s| s.name == name).map(|s| s.weight);
    let mut facts = Facts::of(&view);
    assert_eq!(weight(&facts, "R"), Some(1.0));
    facts.network = true;
    assert_eq!(weight(&facts, "R"), Some(2.0));
    facts.probability = Some(0.5);
    assert_eq!(weight(&facts, "R"), Some(4.0));
    assert_eq!(
        (weight(&facts, "S"), weight(&facts, "T_TRY"), weight(&facts, "N")),
        (Some(2.0), Some(0.01), Some(-1.0))
    );
}

/// Values between whole numbers, and below nothing, are what other rules compare.
#[test]
fn a_meta_keeps_its_value() {
    let text = "\
body __A /Buy/
meta __FRACTION __A * 0.7
meta __BELOW __A * 0.4 - 0.5
meta SUM __FRACTION + __FRACTION > 1.3
meta LOW __FRACTION < 1
meta NEGATIVE __BELOW < 0
meta NEVER __FRACTION >= 1
";
    let mut found = names(text, MAIL);
    found.sort();
    assert_eq!(found, ["LOW", "NEGATIVE", "SUM"]);
}

/// What says something about the server, and not about a rule, must not look as if it held.
#[test]
fn says_where_thresholds_and_networks_are_set() {
    for (line, setting) in [
        ("required_score 6.5", "`spam.threshold`"),
        ("required_hits 6.5", "`spam.threshold`"),
        ("trusted_networks 192.168. 10.0.0.0/8", "`spam.trusted`"),
        ("internal_networks 192.168.", "`spam.trusted`"),
    ] {
        let rules = RuleSet::compile([("a.cf", line)]);
        let [complaint] = rules.complaints() else { panic!("{line}: {:?}", rules.complaints()) };
        assert_eq!(complaint.severity, Severity::WithoutEffect, "{line}");
        assert!(complaint.reason.contains(setting), "{complaint}");
    }
    let rules = RuleSet::compile([("a.cf", "header A eval:check_rbl('zen', 'zen.spamhaus.org.')")]);
    assert!(rules.complaints()[0].reason.contains("`spam.dns_lists`"), "{:?}", rules.complaints());
}

#[test]
fn says_what_is_not_in_force() {
    let text = "\
body A /(?!x)y/
ifplugin Mail::SpamAssassin::Plugin::Foo
body B /x/
else
body C /Buy/
endif
if (version >= 4.000000)
body D /Buy/
endif
if can(Mail::SpamAssassin::Conf::feature_x)
body E /Buy/
endif
body F /a++/ # a comment
boddy G /x/
header H eval:check_for_nothing()
meta I J && 1
score K 3
report_safe 1
score L x
body M /\\#/
meta N O
meta O N
header P ALL-TRUSTED =~ /x/
";
    let rules = RuleSet::compile([("x.cf", text)]);
    let told: Vec<(usize, Severity)> = rules.complaints().iter().map(|c| (c.line, c.severity)).collect();
    use Severity::{Changed, Skipped, Unusable, WithoutEffect};
    assert_eq!(
        told,
        [
            (1, Unusable),
            (2, Skipped),
            (10, Skipped),
            (13, Changed),
            (14, Unusable),
            (15, Unusable),
            (16, Changed),
            (17, WithoutEffect),
            (18, WithoutEffect),
            (19, Unusable),
            (22, Changed),
            (23, Unusable)
        ]
    );
    assert!(rules.complaints().iter().any(|c| c.to_string().starts_with("x.cf:1: not usable `A`: look-around `(?!")));
    let found = names(text, MAIL);
    assert!(
        found.contains(&"C".to_owned()) && found.contains(&"D".to_owned()) && !found.contains(&"E".to_owned()),
        "{found:?}"
    );
}

/// A rule that cannot be compiled never hits: what it was to hold back must not come through.
#[test]
fn metas_that_would_match_too_often_are_left_out() {
    use Severity::{Changed, Unusable};
    let failed = "body __F /(?!x)y/\nbody __A /Buy/\n";
    for (rules, hits, told) in [
        ("meta R __A && !__F", false, &[Unusable][..]),
        ("meta R __A - __F", false, &[Unusable]),
        ("meta R __A + __F < 2", false, &[Unusable]),
        ("meta R __F == 0", false, &[Unusable]),
        ("meta R __A && !(__A && !(__F || __A))", true, &[Changed]),
        ("meta R __A || __F", true, &[Changed]),
        ("meta R __A + __F > 1", false, &[Changed]),
        // By way of others, in either order of their names.
        ("meta __M __F || __G\nmeta R __A && !__M", false, &[Changed, Unusable]),
        ("meta __Z __F && __A\nmeta R __A && !__Z", false, &[Changed, Unusable]),
        ("meta __M !__F\nmeta R __A && __M", false, &[Unusable, Changed]),
        // A rule that is switched off is meant to count as 0.
        ("body OFF /Buy/\nscore OFF 0\nmeta R __A && !OFF", true, &[]),
    ] {
        let text = format!("{failed}body __G /nothing of the kind/\n{rules}");
        let compiled = RuleSet::compile([("x.cf", text.as_str())]);
        let complaints: Vec<Severity> =
            compiled.complaints().iter().filter(|c| c.line > 3).map(|c| c.severity).collect();
        assert_eq!(complaints, told, "{rules}: {:?}", compiled.complaints());
        assert_eq!(names(&text, MAIL).iter().any(|n| n == "R"), hits, "{rules}");
    }
}

#[test]
fn lists() {
    for (rule, hit) in [
        ("welcomelist_from *@example.test", Some("USER_IN_WELCOMELIST")),
        ("whitelist_from ann@* other@x.test", Some("USER_IN_WELCOMELIST")),
        ("blacklist_from ANN@example.test", Some("USER_IN_BLOCKLIST")),
        ("blocklist_from *@example.test\nunblocklist_from ann@example.test", None),
        ("welcomelist_to bob@example.test", Some("USER_IN_WELCOMELIST_TO")),
        ("all_spam_to b?b@*", Some("USER_IN_ALL_SPAM_TO")),
        ("welcomelist_auth *@example.test", None),
        ("whitelist_from_rcvd *@example.test example.net", None),
    ] {
        let with = format!("{BUILTIN}\n{rule}");
        let found = names(&with, MAIL);
        let listed: Vec<&String> = found.iter().filter(|n| n.starts_with("USER_IN_")).collect();
        assert_eq!(listed.first().map(|s| s.as_str()), hit, "{rule}");
    }
}

#[test]
fn an_exception_is_for_whom_it_names() {
    let view = View::new(MAIL.as_bytes(), &LimitSettings::default());
    for (excepted, reverse_path, is_blocked) in [
        ("friend@good.test", "friend@good.test", true),
        ("friend@good.test", "", true),
        ("ann@example.test", "", false),
        ("ann@example.test", "bounces+ann@lists.example.test", false),
        ("ann@example.test", "eve@bad.test", true),
        ("*@example.test", "bounces@lists.example.test", false),
    ] {
        let text = format!("blocklist_from *@example.test *@*.example.test *@bad.test\nunblocklist_from {excepted}");
        let rules = RuleSet::compile([("b", BUILTIN), ("t", text.as_str())]);
        let found = rules.evaluate(&Facts { reverse_path, ..Facts::of(&view) });
        let found = found.iter().any(|signal| signal.name == "USER_IN_BLOCKLIST");
        assert_eq!(found, is_blocked, "{excepted} {reverse_path}");
    }
}

#[test]
fn lists_with_proof() {
    let rules = RuleSet::compile([("b", BUILTIN), ("t", "welcomelist_auth *@example.test\nblocklist_to x@y.test")]);
    let view = View::new(MAIL.as_bytes(), &LimitSettings::default());
    let facts = Facts { authenticated: true, ..Facts::of(&view) };
    assert!(rules.evaluate(&facts).iter().any(|s| s.name == "USER_IN_WELCOMELIST" && s.weight == -100.0));
    // Who is shown to be himself does not speak for whomever he names in the envelope.
    let rules = RuleSet::compile([("b", BUILTIN), ("t", "welcomelist_auth *@friend.test")]);
    let facts = Facts { authenticated: true, reverse_path: "boss@friend.test", ..Facts::of(&view) };
    assert!(!rules.evaluate(&facts).iter().any(|s| s.name == "USER_IN_WELCOMELIST"));
    let others = [Signal::new("SPF_PASS", 0.0, "friend.test")];
    assert!(rules.evaluate(&Facts { others: &others, ..facts }).iter().any(|s| s.name == "USER_IN_WELCOMELIST"));
    let rules = RuleSet::compile([("b", BUILTIN), ("t", "welcomelist_from_rcvd *@example.test example.net")]);
    let facts = Facts { client_name: ClientName::Verified("mx.example.net"), ..Facts::of(&view) };
    assert!(rules.evaluate(&facts).iter().any(|s| s.name == "USER_IN_WELCOMELIST"));
}

#[test]
fn signals_of_others_take_part() {
    let rules =
        RuleSet::compile([("t", "header SPF_FAIL eval:signal()\nscore SPF_FAIL 3\nmeta M SPF_FAIL && RCVD_IN_X")]);
    let view = View::new(MAIL.as_bytes(), &LimitSettings::default());
    let others = [Signal::new("SPF_FAIL", 0.0, "x"), Signal::new("RCVD_IN_X", 1.5, "listed")];
    let mut found: Vec<(String, f64)> = rules
        .evaluate(&Facts { others: &others, ..Facts::of(&view) })
        .into_iter()
        .map(|s| (s.name.into_owned(), s.weight))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found, [("M".into(), 1.0), ("RCVD_IN_X".into(), 1.5), ("SPF_FAIL".into(), 3.0)]);
}

#[test]
fn the_built_in_rules_are_without_fault() {
    let rules = RuleSet::compile([("builtin.cf", BUILTIN)]);
    assert!(rules.complaints().is_empty(), "{:#?}", rules.complaints());
    assert!(rules.len() > 150);
}

#[test]
fn the_test_string_of_spamassassin_is_known() {
    // In pieces, so that this file is not refused where it is mailed.
    let gtube = ["XJS*C4JDBQADN1.NSBN3*2IDNEN*", "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"].concat();
    let rules = RuleSet::compile([("builtin.cf", BUILTIN)]);
    let found = |text: &str| {
        let message = format!("Subject: test\r\n\r\nThis is a test:\r\n\r\n{text}\r\n");
        let view = View::new(message.as_bytes(), &LimitSettings::default());
        rules.evaluate(&Facts::of(&view)).into_iter().find(|signal| signal.name == "GTUBE").map(|signal| signal.weight)
    };
    assert_eq!(found(&gtube), Some(1000.0));
    assert_eq!(found(&gtube[1..]), None);
}

#[test]
fn hostile_text_takes_bounded_time() {
    let rules = RuleSet::compile([("builtin.cf", BUILTIN)]);
    let started = std::time::Instant::now();
    for text in
        ["a ".repeat(500_000), "<p>".repeat(300_000), "http://a.b/".repeat(90_000), "v1agra $1 million ".repeat(60_000)]
    {
        let message = format!("Subject: {0}\r\nContent-Type: text/html\r\n\r\n{text}", &text[..1000]);
        let view = View::new(message.as_bytes(), &LimitSettings::default());
        let _ = rules.evaluate(&Facts::of(&view));
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn languages_and_character_sets_of_rule_files() {
    let rules = "\
ifplugin Mail::SpamAssassin::Plugin::TextCat
ok_languages de zh.big5 pt_BR is xx
inactive_languages ''
endif
ok_locales en ru yy
ok_languages all
ok_languages qqq
textcat_max_languages 3
body A eval:body_language('ru')
body B eval:body_language('is')
body C eval:check_for_mime('mime_bad_iso_charset')
";
    let set = RuleSet::compile([("x.cf", rules)]);
    let told: Vec<(usize, Severity)> = set.complaints().iter().map(|c| (c.line, c.severity)).collect();
    use Severity::{Changed, Unusable, WithoutEffect};
    let wanted = [
        (2, Changed),
        (2, Unusable),
        (3, WithoutEffect),
        (5, Unusable),
        (7, Unusable),
        (7, Unusable),
        (8, WithoutEffect),
        (10, Unusable),
        (11, Unusable),
    ];
    assert_eq!(told, wanted, "{:#?}", set.complaints());
    assert!(set.options().ok_languages.is_empty());
    let set = RuleSet::compile([("x.cf", "ok_languages de zh.big5 pt_BR\nok_locales en ru")]);
    let codes: Vec<&str> = set.options().ok_languages.iter().map(|language| language.code()).collect();
    assert_eq!(codes, ["de", "zh", "pt"]);
    assert!(set.complaints().is_empty());
}

#[test]
fn far_away_character_sets() {
    let message = |charset: &str| {
        format!("From: =?{charset}?q?x?= <a@b.test>\r\nContent-Type: text/plain; charset={charset}\r\n\r\nx\r\n")
    };
    let found = |rules: &str, charset: &str| {
        let mut found = names(&format!("{BUILTIN}\n{rules}"), &message(charset));
        found.retain(|name| name.contains("FARAWAY"));
        found.sort();
        found
    };
    assert_eq!(found("ok_locales en", "big5"), ["CHARSET_FARAWAY", "CHARSET_FARAWAY_HEADER"]);
    for (rules, charset) in
        [("ok_locales en", "utf-8"), ("ok_locales en zh", "big5"), ("ok_locales all", "big5"), ("", "big5")]
    {
        assert_eq!(found(rules, charset), [] as [&str; 0], "{rules} {charset}");
    }
}

#[test]
fn sections_hold_for_what_is_built_in() {
    let text = "\
ifplugin Mail::SpamAssassin::Plugin::MIMEHeader
mimeheader ZIPPED Content-Type =~ /zip/
endif
if plugin(Mail::SpamAssassin::Plugin::SPF) && can(Mail::SpamAssassin::Conf::feature_blocklist_welcomelist)
blocklist_from *@bad.test
else
body NEVER /x/
endif
if !plugin(Mail::SpamAssassin::Plugin::DKIM) || can(Mail::SpamAssassin::Conf::feature_x)
body NEVER_EITHER /x/
endif
";
    let set = RuleSet::compile([("x.cf", text)]);
    assert_eq!(set.complaints().iter().map(|c| c.line).collect::<Vec<_>>(), [9], "{:?}", set.complaints());
    let message = "From: x@bad.test\r\nContent-Type: application/zip\r\n\r\nx\r\n";
    let mut found = names(&format!("{text}\nheader USER_IN_BLOCKLIST eval:signal()"), message);
    found.sort();
    assert_eq!(found, ["USER_IN_BLOCKLIST", "ZIPPED"]);
}

#[test]
fn neither_branch_holds_of_a_condition_that_is_not_understood() {
    let text = "\
if (something_else == 7)
body A /Buy/
else
body B /Buy/
if (version >= 3)
body C /Buy/
endif
endif
if (version < 3)
body D /Buy/
else
body E /Buy/
endif
";
    assert_eq!(names(text, MAIL), ["E"]);
    let set = RuleSet::compile([("x.cf", text)]);
    let found: Vec<_> = set.complaints().iter().map(|c| (c.line, c.severity)).collect();
    assert_eq!(found, [(1, Severity::Unusable), (9, Severity::Skipped)]);
}

#[test]
fn the_client_is_the_outermost_relay() {
    let view = View::new(b"Subject: x\r\n\r\nx\r\n", &LimitSettings::default());
    let rules = "\
header NAMED X-Spam-Relays-External =~ /^[^\\]]+ rdns=\\S*\\.dynamic\\./
header NAMELESS X-Spam-Relays-Untrusted =~ /^\\[ ip=192\\.0\\.2\\.\\d+ rdns= /
header LITERAL X-Spam-Relays-External =~ / helo=!192\\.0\\.2\\.7! /
header OURS X-Spam-Relays-Internal =~ /ip=/
header TWICE X-Spam-Relays-Untrusted =~ /\\].*\\[/
";
    let set = RuleSet::compile([("x.cf", rules)]);
    assert_eq!(set.complaints(), []);
    let found = |client_name, hello| {
        let client = "192.0.2.7".parse().ok();
        let facts = Facts { client, client_name, hello, ..Facts::of(&view) };
        set.evaluate(&facts).into_iter().map(|signal| signal.name.into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(ClientName::Verified("h7.dynamic.isp.test"), "mx"), ["NAMED"]);
    assert_eq!(found(ClientName::Missing, "[192.0.2.7]"), ["LITERAL", "NAMELESS"]);
    assert_eq!(found(ClientName::NotAsked, "x ] [ ip=192.0.2.1 rdns= "), [] as [&str; 0]);
    assert!(set.evaluate(&Facts::of(&view)).is_empty());
}

#[test]
fn links_are_seen_as_rules_are_written_for() {
    let message =
        "From: a@b.test\r\n\r\nSee www.shop.top/now, or write to sales.team@pills.test. At @home, a@b, x@.\r\n";
    for (rule, wanted) in [
        ("uri R m{^https?://www\\.shop\\.top/}", true),
        ("uri R m{^www\\.shop\\.top/now$}", true),
        ("uri R /^mailto:sales\\.team@pills\\.test$/", true),
        ("uri R /pills\\.test/", true),
        ("uri R /home|b$|@$/", false),
        ("mimeheader R Content-Type =~ /zip/", false),
    ] {
        let found = names(rule, message);
        assert_eq!(found.iter().any(|n| n == "R"), wanted, "{rule}: {found:?}");
    }
    assert_eq!(names("uri R !~ /./", "From: a@b.test\r\n\r\nx\r\n"), [] as [&str; 0]);
}

#[test]
fn attached_files_and_pictures_do_not_count_as_written_text() {
    let text = "buy now ".repeat(40);
    let file = format!(
        "Content-Type: text/html\r\nContent-Disposition: attachment; filename=a.html\r\n\r\n{text}<input type=password>"
    );
    let attached = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--b\r\n{file}\r\n--b--\r\n");
    let picture = format!("Content-Type: text/html\r\n\r\n<img alt='{text}'>");
    for (rule, message, hits) in [
        ("body R /buy now buy now/", &attached, true),
        ("body R /buy now buy now/", &picture, true),
        ("body R eval:body_length('0', '5')", &attached, true),
        ("body R eval:html_image_only('0', '5')", &picture, true),
        ("body R eval:html_count('password_fields', '1', '9')", &attached, false),
        ("body R eval:attachment_html_count('password_fields', '1', '9')", &attached, true),
    ] {
        assert_eq!(names(rule, message).iter().any(|name| name == "R"), hits, "{rule}: {message}");
    }
}
