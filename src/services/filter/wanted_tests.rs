//! The built-in rules against mail that is wanted, and beside it what they are meant for.

use super::LimitSettings;
use super::rules::{BUILTIN, ClientName, Facts, RuleSet};
use super::view::View;

fn hits(rules: &RuleSet, rule: &str, message: &[u8]) -> bool {
    let view = View::new(message, &LimitSettings::default());
    rules.evaluate(&Facts::of(&view)).iter().any(|signal| signal.name == rule)
}

#[track_caller]
fn check(cases: &[(&str, &str, bool)]) {
    let rules = RuleSet::compile([("builtin.cf", BUILTIN)]);
    for (rule, message, wanted) in cases {
        assert_eq!(hits(&rules, rule, message.replace('\n', "\r\n").as_bytes()), *wanted, "{rule}: {message}");
    }
}

#[test]
fn base64_is_how_some_programs_write_everything() {
    let message = |content_type: &str| {
        let text = "TWVldGluZyBvbiBNb25kYXkgYXQgMTAgYW0gaW4gdGhlIG9mZmljZQ==";
        format!("Content-Type: {content_type}\nContent-Transfer-Encoding: base64\n\n{text}\n")
    };
    check(&[
        ("MIME_BASE64_TEXT", message("text/plain; charset=\"UTF-8\"; format=flowed").as_str(), false),
        ("MIME_BASE64_TEXT", message("text/html; charset=iso-2022-jp").as_str(), false),
        ("MIME_BASE64_TEXT", message("text/plain; charset=gb2312").as_str(), false),
        ("MIME_BASE64_TEXT", message("text/plain; charset=us-ascii").as_str(), true),
        ("MIME_BASE64_TEXT", message("text/html; charset=iso-8859-1").as_str(), true),
        ("MIME_BASE64_TEXT", message("text/plain").as_str(), true),
    ]);
}

#[test]
fn padding_and_data_in_html_are_harmless() {
    let html = |hidden: &str| format!("Content-Type: text/html\n\n<div style='display:none'>{hidden}</div><p>Hello\n");
    check(&[
        (
            "HTML_HIDDEN_TEXT",
            html(&format!("Autumn offers{}", "&nbsp;&zwnj;&#847;&#8199;&shy;".repeat(150))).as_str(),
            false,
        ),
        ("HTML_HIDDEN_TEXT", html(&"word ".repeat(100)).as_str(), true),
        ("HTML_SCRIPT", html("<script type='application/ld+json'>{}</script>").as_str(), false),
        (
            "HTML_UNKNOWN_TAGS",
            html("<ruby>a<rp>(</rp><rt>b</rt><rp>)</rp></ruby><bdi>c</bdi><meter></meter>").as_str(),
            false,
        ),
        ("HTML_UNKNOWN_TAGS", html("<svg><circle/><rect/><g/><ellipse/><stop/><use/></svg>").as_str(), false),
        ("HTML_UNKNOWN_TAGS", html("<qa><qb><qc><qd><qe>").as_str(), true),
        ("HTML_SCRIPT", html("<script type='text/javascript'>x()</script>").as_str(), true),
    ]);
}

#[test]
fn links_in_an_attached_page_are_not_all_that_a_short_letter_says() {
    let letter = |text: &str| {
        let page = "Content-Type: text/html; name=invoice.html\nContent-Disposition: attachment\n\n\
                    <p>Invoice 114</p><a href='https://shop.example/terms'>Terms</a>";
        format!("Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n{text}\n--b\n{page}\n--b--\n")
    };
    check(&[
        ("SHORT_WITH_LINK", letter("The invoice for your order is attached.").as_str(), false),
        ("SHORT_WITH_LINK", letter("See https://shop.example/x").as_str(), true),
        ("ATTACHED_HTML", letter("See https://shop.example/x").as_str(), true),
    ]);
}

#[test]
fn text_may_be_long_but_not_without_end() {
    let html = |fields: &str, octets: usize| {
        format!("Content-Type: text/html\n{fields}\n<!-- {} --><p>Verify it\n", "x".repeat(octets))
    };
    let alternative = |octets: usize| {
        let plain = "x".repeat(octets);
        format!(
            "Content-Type: multipart/alternative; boundary=b\n\n--b\n\n{plain}\n--b\nContent-Type: text/html\n\nVerify it\n--b--\n"
        )
    };
    check(&[
        ("TEXT_UNREAD", html("", 300 << 10).as_str(), false),
        ("TEXT_UNREAD", html("", 600 << 10).as_str(), true),
        ("TEXT_UNREAD", html("Content-Disposition: attachment\n", 600 << 10).as_str(), false),
        ("TEXT_UNREAD", format!("Content-Type: text/plain\n\n{}", "1,2\n".repeat(200 << 10)).as_str(), false),
        ("TEXT_UNREAD", alternative(600 << 10).as_str(), true),
    ]);
}

#[test]
fn drawings_are_pictures_unless_they_run_scripts() {
    let drawing = |content: &str| format!("Content-Type: image/svg+xml; name=a.svg\n\n<svg>{content}</svg>\n");
    check(&[
        ("ATTACHED_SVG_SCRIPT", drawing("<style>.a{fill:red}</style><path d='M0 0'/>").as_str(), false),
        ("ATTACHED_SVG_SCRIPT", drawing("<script>location='https://a.example/'</script>").as_str(), true),
        ("ATTACHED_SVG_SCRIPT", drawing("<rect onclick='x()'/>").as_str(), true),
        ("ATTACHED_HTML", drawing("<style>.a{fill:red}</style><path d='M0 0'/>").as_str(), false),
        ("ATTACHED_HTML", drawing("<rect onclick='x()'/>").as_str(), true),
    ]);
}

#[test]
fn a_thing_too_many_is_not_none() {
    let many = |what: &str| format!("Content-Type: text/html\n\n<p>x</p>{}\n", what.repeat(1001));
    let attached = |what: &str| many(what).replacen('\n', "\nContent-Disposition: attachment\n", 1);
    let (field, refresh) = ("<input type=password>", "<meta http-equiv=refresh content='0;url=http://a.example/'>");
    check(&[
        ("HTML_PASSWORD", many(field).as_str(), true),
        ("HTML_REFRESH", many(refresh).as_str(), true),
        ("HTML_SCRIPT", many("<script>x()</script>").as_str(), true),
        ("HTML_FRAMES", many("<iframe></iframe>").as_str(), true),
        ("ATTACHED_HTML_PASSWORD", attached(field).as_str(), true),
        ("ATTACHED_HTML_REFRESH", attached(refresh).as_str(), true),
    ]);
}

#[test]
fn links_may_pass_a_gateway_or_stay_inside() {
    let html = |url: &str| format!("Content-Type: text/html\n\n<a href='{url}'>www.bank.com</a>\n");
    check(&[
        (
            "LINK_MISMATCH",
            html("https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fwww.bank.com&data=05").as_str(),
            false,
        ),
        (
            "LINK_MISMATCH",
            html("https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fevil.net%2F&data=05").as_str(),
            true,
        ),
        ("LINK_MISMATCH", html("https://urldefense.com/v3/__https://www.bank.com__;!!x").as_str(), false),
        ("LINK_MISMATCH", html("https://protect-eu.mimecast.com/s/abc").as_str(), false),
        ("LINK_MISMATCH", html("https://evil.net/?url=https%3A%2F%2Fwww.bank.com").as_str(), true),
        ("LINK_IP_HOST", "Subject: x\n\nsee http://192.168.1.10:8080/ and http://10.0.0.1/\n", false),
        ("LINK_IP_HOST", "Subject: x\n\nsee http://203.0.113.10/\n", true),
        ("LINK_IP_HOST", "Subject: x\n\nsee http://3405803786/\n", true),
    ]);
}

#[test]
fn senders_have_their_own_names() {
    let from = |from: &str| format!("From: {from}\nSubject: x\n\nx\n");
    let of_list = |fields: &str| format!("{fields}List-Id: <users.lists.example>\nSubject: x\n\nx\n");
    let munged = "From: \"ann@dev.example via Users\" <users@lists.example>\nReply-To: ann <ann@gmail.com>\n";
    check(&[
        ("FROM_BORROWED_NAME", from("PayPal <service@paypal.de>").as_str(), false),
        ("FROM_BORROWED_NAME", from("Jane Norton <jane@firm.example>").as_str(), false),
        ("FROM_BORROWED_NAME", from("The Ledger <news@paper.example>").as_str(), false),
        ("FROM_BORROWED_NAME", from("Berliner Sparkasse <info@berliner-sparkasse.de>").as_str(), false),
        (
            "FROM_BORROWED_NAME",
            "From: Microsoft Outlook <postmaster@a.example>\nContent-Type: multipart/report; boundary=b\n\n--b\n\nx\n--b--\n",
            false,
        ),
        ("FROM_BORROWED_NAME", from("PayPal <service@evil.example>").as_str(), true),
        ("FROM_BORROWED_NAME", from("Norton Support <x@evil.example>").as_str(), true),
        ("FROM_BORROWED_NAME", from("\u{ff30}ay\u{200b}P\u{430}l <x@evil.example>").as_str(), true),
        ("FROM_NAME_ADDRESS", from("\"boss\u{ff20}bank.example\" <x@evil.example>").as_str(), true),
        (
            "FROM_NAME_ADDRESS",
            from("\"\u{4f50}\u{85e4}\u{ff20}No.1\u{30ab}\u{30d1}\" <x@firm.example>").as_str(),
            false,
        ),
        ("FROM_LOOKALIKE_DOMAIN", from("Apple <x@xn--80ak6aa92e.com>").as_str(), true),
        ("FROM_LOOKALIKE_DOMAIN", from("Ann <x@\u{440}\u{43e}\u{441}\u{430}.bg>").as_str(), false),
        ("FROM_LOOKALIKE_DOMAIN", from("Ann <x@\u{430}pple.com>").as_str(), true),
        ("FROM_LOOKALIKE_DOMAIN", from("Ann <x@b\u{fc}cher.example>").as_str(), false),
        ("FROM_RANDOM", from("bschwarz@firm.example").as_str(), false),
        ("FROM_RANDOM", from("kschmidt@firm.example").as_str(), false),
        ("FROM_RANDOM", from("xkcdbrtz@firm.example").as_str(), true),
        ("FROM_RANDOM", from("x7a9b3c2@firm.example").as_str(), true),
        ("FROM_NAME_ADDRESS", of_list(munged).as_str(), false),
        ("FROM_NAME_ADDRESS", munged, true),
        ("FROM_IS_RECIPIENT", of_list(&format!("{munged}To: users@lists.example\n")).as_str(), false),
        ("FROM_IS_RECIPIENT", format!("{munged}To: users@lists.example\n\n").as_str(), true),
        ("REPLY_TO_ELSEWHERE", of_list(munged).as_str(), false),
        ("REPLY_TO_ELSEWHERE", munged, true),
        ("REPLY_TO_ELSEWHERE", "From: a@b.example\nReply-To: a@live.bbc.co.uk\n\n", false),
        ("REPLY_TO_ELSEWHERE", "From: a@b.example\nReply-To: a@live.co.uk\n\n", true),
    ]);
}

#[test]
fn a_domain_looks_like_another_once() {
    let message = |from: &str| {
        format!(
            "From: x@{from}\nContent-Type: text/html; charset=utf-8\n\n<a href='https://www.xn--80ak6aa92e.com/'>x</a>\n"
        )
    };
    check(&[
        ("FROM_LOOKALIKE_DOMAIN", message("xn--80ak6aa92e.com").as_str(), true),
        ("LINK_LOOKALIKE_HOST", message("xn--80ak6aa92e.com").as_str(), false),
        ("LINK_LOOKALIKE_HOST", message("\u{430}\u{440}\u{440}\u{4cf}\u{435}.com").as_str(), false),
        ("LINK_LOOKALIKE_HOST", message("firm.example").as_str(), true),
    ]);
}

#[test]
fn only_real_lists_put_themselves_in_the_place_of_authors() {
    let rules = RuleSet::compile([("builtin.cf", BUILTIN)]);
    let message = b"From: \"ann@dev.example via Users\" <users@lists.example>\r\nReply-To: ann <ann@gmail.com>\r\n\
        To: users@lists.example\r\nList-Id: Users <users.Lists.example>\r\nSubject: x\r\n\r\nx\r\n";
    let view = View::new(message, &LimitSettings::default());
    let (asked, host) = (ClientName::NotAsked, ClientName::Verified("mx.lists.example"));
    for (shown, client_name, is_stranger, is_list) in [
        (None, asked, true, true),
        (Some("lists.example"), asked, false, true),
        (Some("bounces.lists.example"), asked, false, true),
        (Some("other.example"), host, false, true),
        (Some("other.example"), asked, false, false),
        (Some("example"), asked, false, false),
        (Some("lists.example"), host, true, false),
    ] {
        let shown = shown.map(|domain: &str| [domain.to_owned()]);
        let shown = shown.as_ref().map(|domains| &domains[..]);
        let facts = Facts { shown, client_name, is_stranger, ..Facts::of(&view) };
        let signals = rules.evaluate(&facts);
        for rule in ["FROM_NAME_ADDRESS", "FROM_IS_RECIPIENT", "REPLY_TO_ELSEWHERE"] {
            assert_eq!(signals.iter().any(|signal| signal.name == rule), !is_list, "{rule} {shown:?} {is_stranger}");
        }
    }
}

#[test]
fn only_what_a_list_has_sent_is_its_mail() {
    let rules = RuleSet::compile([("builtin.cf", BUILTIN)]);
    let message = b"From: ann@dev.example\r\nList-Id: <users.lists.example>\r\nX-Priority: 3\r\nSubject: x\r\n\r\n\
        see https://bit.ly/x\r\n";
    let view = View::new(message, &LimitSettings::default());
    for (shown, is_list) in [(None, true), (Some("lists.example"), true), (Some("dev.example"), false)] {
        let shown = shown.map(|domain: &str| [domain.to_owned()]);
        let shown = shown.as_ref().map(|domains| &domains[..]);
        let signals = rules.evaluate(&Facts { shown, is_stranger: true, ..Facts::of(&view) });
        for rule in ["LINK_SHORTENER", "SHORT_WITH_LINK", "PRIORITY_WITHOUT_TOOL"] {
            assert_eq!(signals.iter().any(|signal| signal.name == rule), !is_list, "{rule} {shown:?}");
        }
    }
}

#[test]
fn web_sites_write_with_usual_programs() {
    let by = |script: &str| format!("X-PHP-Originating-Script: 33:{script}\nSubject: x\n\nx\n");
    check(&[
        ("ORIGIN_PHP_SCRIPT", by("class-phpmailer.php").as_str(), false),
        ("ORIGIN_PHP_SCRIPT", by("PHPMailer.php").as_str(), false),
        ("ORIGIN_PHP_SCRIPT", by("signup.php").as_str(), false),
        ("ORIGIN_PHP_SCRIPT", by("backup.php").as_str(), false),
        ("ORIGIN_PHP_SCRIPT", by("mailer.php").as_str(), true),
        ("ORIGIN_PHP_SCRIPT", by("leaf2.php").as_str(), true),
        ("ORIGIN_PHP_SCRIPT", by("up1.php").as_str(), true),
        ("ORIGIN_PHP_SCRIPT", by("x.php(1) : eval()'d code").as_str(), true),
        ("BODY_RANDOM_WORDS", "Subject: x\n\nnot schlecht but schlicht: strength, strengths\n", false),
        ("BODY_RANDOM_WORDS", "Subject: x\n\nhello bcdfghjk and qwrtplmnb friend\n", true),
    ]);
}

#[test]
fn words_and_fields_may_be_in_other_scripts() {
    let html = |text: &str| format!("Content-Type: text/html\n\n<p>{text}\n");
    check(&[
        ("SUBJECT_RAW_8BIT", "Subject: Grüße, süße Träume, Встреча\n\nx\n", false),
        (
            "BODY_MIXED_SCRIPTS",
            "Subject: x\nContent-Type: text/plain; charset=utf-8\n\nполучил две SMSки с PDFом\n",
            false,
        ),
        ("SUBJECT_MIXED_SCRIPTS", "Subject: 【重要】ＡＮＡマイレージクラブ\n\nx\n", false),
        (
            "BODY_INVISIBLE",
            html("Donau&shy;dampf&shy;schiff&shy;fahrt, inter&shy;natio&shy;nali&shy;sation").as_str(),
            false,
        ),
        ("BODY_INVISIBLE", html("ac&shy;count, pass&shy;word, ur&shy;gent").as_str(), true),
        ("BODY_INVISIBLE", html("inter&#8203;natio&#8203;nali&#8203;sation").as_str(), true),
        ("SUBJECT_MIXED_SCRIPTS", "Subject: =?utf-8?B?UNCweXBhbA==?=\n\nx\n", true),
    ]);
    let rules = RuleSet::compile([("builtin.cf", BUILTIN)]);
    assert!(hits(&rules, "SUBJECT_RAW_8BIT", b"Subject: \xf7\xd3\xd4\xd2\xc5\xde\xc1\r\n\r\nx\r\n"));
}
