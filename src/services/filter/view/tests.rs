use super::*;
use crate::foundations::settings::ByteSize;

fn limits() -> LimitSettings {
    LimitSettings::default()
}

fn body(message: &str) -> String {
    View::new(message.as_bytes(), &limits()).body
}

#[test]
fn reads_fields() {
    let message = "From sender Mon\nSubject: =?utf-8?q?caf=C3=A9?=\n =?utf-8?b?IMOp?=\nX-A : 1\nFrom: \"Ann, B\" <Ann@Example.test>, c@d.test\nbroken line";
    let view = View::new(message.as_bytes(), &limits());
    assert_eq!(view.value("subject"), "café é");
    assert_eq!(view.value("X-A"), "1");
    assert_eq!(view.from_address(), "ann@example.test");
    assert_eq!(view.field("from").unwrap().display_name(), "Ann, B");
    assert_eq!(view.field("from").unwrap().addresses(), ["ann@example.test", "c@d.test"]);
    assert_eq!(view.body, "café é\nbroken line\n");
}

#[test]
fn reads_encoded_words_as_they_are_shown() {
    for (word, shown) in [
        ("=?utf-8?B?YnV5IG5vdyE?=", "buy now!"),
        ("b=?utf-8?Q?uy_now?=!", "buy now!"),
        ("=?utf-8?Q?buy now?=!", "buy now!"),
        ("=?utf-8?Q?bu?=\r\n =?utf-8?B?eSBub3ch?=", "buy now!"),
        ("=?utf-16le?B?YgB1AHkA?= now!", "buy now!"),
    ] {
        let message = format!("Subject: {word}\r\n\r\nx\r\n");
        assert_eq!(View::new(message.as_bytes(), &limits()).value("Subject"), shown, "{word}");
    }
    let message = b"From: Pay=?utf-8?Q?Pal?= <a@b.test>\r\n\r\nx\r\n";
    assert_eq!(View::new(message, &limits()).field("From").unwrap().display_name(), "PayPal");
}

#[test]
fn folds_paragraphs() {
    assert_eq!(body("Subject: s\r\n\r\none\r\n  two\r\n\r\n\r\nthree\r\n"), "s\none two\nthree\n");
}

#[test]
fn quotes_and_signatures_are_set_aside() {
    let cases: [(&str, &[&str]); 5] = [
        ("own\r\n> one\r\n>> two\r\nown\r\n\r\n> three\r\n", &["> one >> two", "> three"]),
        ("own\r\n-- \r\nAnn\r\n", &["-- Ann"]),
        ("own\r\n-----Original Message-----\r\nFrom: x\r\n\r\nold\r\n", &["-----Original Message----- From: x\nold"]),
        ("-----BEGIN PGP SIGNED MESSAGE-----\r\nown\r\n-----BEGIN PGP SIGNATURE-----\r\n", &[]),
        ("own\r\n_______________________________\r\nlist\r\n> x\r\n", &["_______________________________ list", "> x"]),
    ];
    for (text, aside) in cases {
        let message = format!("Subject: s\r\n\r\n{text}");
        let view = View::new(message.as_bytes(), &limits());
        let found: Vec<&str> = view.aside.iter().map(|piece| &view.body[piece.range.clone()]).collect();
        assert_eq!(found, aside, "{text}");
    }
    let html = "Content-Type: text/html\r\n\r\nown<blockquote>one<blockquote>two</blockquote>three</blockquote>own<blockquote>rest";
    let view = View::new(html.as_bytes(), &limits());
    let found: Vec<&str> = view.aside.iter().map(|piece| &view.body[piece.range.clone()]).collect();
    assert_eq!(found, ["one\ntwo\nthree\n", "rest\n"]);
    let many = format!("Subject: s\r\n\r\n{}", "own\r\n> quote\r\n".repeat(5000));
    assert_eq!(View::new(many.as_bytes(), &limits()).aside.len(), MAX_ASIDE);
}

#[test]
fn decodes_parts() {
    let message = "Content-Type: multipart/mixed; boundary=\"b;1\"\r\n\r\npreamble\r\n--b;1\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b;1\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>caf=E9</p>=\r\n\r\n--b;1\r\nContent-Type: application/zip; name*=utf-8''a%C3%A4.zip\r\nContent-Disposition: attachment\r\n\r\nPK\r\n--b;1--\r\n";
    let view = View::new(message.as_bytes(), &limits());
    assert_eq!(view.body, "\nhello\ncafé\n");
    let kinds: Vec<&str> = view.parts.iter().map(|p| p.media_type.as_str()).collect();
    assert_eq!(kinds, ["multipart/mixed", "text/plain", "text/html", "application/zip"]);
    assert_eq!(view.parts[3].file_name.as_deref(), Some("aä.zip"));
    assert!(view.parts[3].attachment && !view.parts[0].unterminated);
}

#[test]
fn sees_what_readers_are_shown() {
    use crate::foundations::mail::{Structure, transfer};
    const TEXT: &str = "see http://evil.test/";
    const ENCODED: &str = "c2VlIGh0dHA6Ly9ldmlsLnRlc3Qv";
    const BASE64: &str = "Content-Transfer-Encoding: base64\r\n\r\n";
    let multipart = |content_type: &str, boundary: &str| {
        let part = format!("--{boundary}\r\n{BASE64}{ENCODED}\r\n");
        format!("Content-Type: {content_type}\r\n\r\n{part}--{boundary}--\r\n")
    };
    let inner = multipart("multipart/mixed; boundary=ab", "ab").replace(ENCODED, "eA==");
    for message in [
        format!("Content-Transfer-Encoding: base64;\r\n\r\n{ENCODED}"),
        format!("Content-Transfer-Encoding: (x) Base64 (x)\r\n\r\n{ENCODED}"),
        format!("Subject: s\r\nno field\r\n{BASE64}{ENCODED}"),
        format!("Subject: s\r\nX Y: z\r\n folded\r\n{BASE64}{ENCODED}"),
        format!("no field\r\nSubject: s\r\n{BASE64}{ENCODED}"),
        multipart("multipart/mixed; boundary=\"=?us-ascii?q?ab?=\"", "=?us-ascii?q?ab?="),
        multipart("multipart/mixed; boundary*=utf-8''x; boundary=ab", "ab"),
        multipart("(x) multipart / mixed; boundary=\"ab \"", "ab"),
        multipart("multipart/mixed; boundary=ab", "ab").replacen("--ab", "--ab--x\r\n--ab", 1),
        format!("Content-Type: multipart/mixed; boundary=ab\r\n\r\n{TEXT}\r\n"),
        format!("Content-Type: multipart/mixed\r\n{BASE64}{TEXT}\r\n"),
        format!("Content-Type: multipart/mixed; boundary=ab\r\n\r\n--ab\r\n{inner}--ab\r\n\r\n{TEXT}\r\n--ab--\r\n"),
    ] {
        let structure = Structure::of(message.as_bytes());
        let part = structure.parts().last().unwrap();
        let shown = transfer::decode(part.fields.encoding, structure.body(part), 1000);
        assert_eq!(String::from_utf8_lossy(&shown).trim_end(), TEXT, "{message}");
        let view = View::new(message.as_bytes(), &limits());
        assert!(view.body.ends_with(&format!("\n{TEXT}\n")), "{message}");
        assert_eq!(view.links[0].host, "evil.test", "{message}");
    }
    let only_closed = format!("Content-Type: multipart/mixed; boundary=ab\r\n\r\n{TEXT}\r\n--ab--\r\n");
    assert_eq!(View::new(only_closed.as_bytes(), &limits()).links[0].host, "evil.test");
}

#[test]
fn attachments_have_the_names_that_readers_show() {
    for (disposition, name, attachment) in [
        ("attachment; filename*1=\".exe\"; filename*0=a", "a.exe", true),
        ("attachment; filename=\"a.txt\"; filename*=utf-8''%61.exe", "a.exe", true),
        ("attachment; filename=a b.exe", "a b.exe", true),
        ("inline; filename=\"=?utf-8?q?a=2Eexe?=\"", "a.exe", false),
        ("(x) Attachment; filename=\"\"", "b.exe", true),
        ("\u{a0}attachment; filename=a.exe", "a.exe", false),
    ] {
        let fields = format!("Content-Disposition: {disposition}\r\nContent-Type: text/plain; name=b.exe\r\n");
        let message = format!("{fields}\r\nx\r\n");
        let view = View::new(message.as_bytes(), &limits());
        let part = &view.parts[0];
        assert_eq!((part.file_name.as_deref(), part.attachment), (Some(name), attachment), "{disposition}");
    }
}

/// The web does not read some of these sets any more, but readers do.
#[test]
fn character_sets_are_those_of_readers() {
    let page = b"<meta charset=windows-1251><p>\xcf\xf0\xe8\xe2\xe5\xf2</p>";
    let wide = b"h\0t\0t\0p\0:\0/\0/\0e\0v\0i\0l\0.\0t\0e\0s\0t\0/\0";
    for (content_type, content, shown) in [
        ("text/plain; charset=iso-2022-kr", &b"see http://evil.test/"[..], "see http://evil.test/"),
        ("text/plain; charset=hz-gb-2312", b"a ~{<:Ky2;~} b", "a 己所不 b"),
        ("text/plain; charset=utf-16", wide, "http://evil.test/"),
        ("text/plain; charset=x-nonsense", b"gr\xfcn", "grün"),
        ("text/html", page, "Привет"),
    ] {
        let message = [format!("Content-Type: {content_type}\r\n\r\n").as_bytes(), content].concat();
        assert_eq!(View::new(&message, &limits()).body, format!("\n{shown}\n"), "{content_type}");
    }
}

/// Mail programs show them, although RFC 2045 §6.4 forbids to encode them.
#[test]
fn encoded_messages_are_opened() {
    use base64::Engine as _;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let text = format!("--i\r\n\r\nsee http://evil.test/ {}\r\n", "x ".repeat(300));
    let file =
        "--i\r\nContent-Type: application/x-dosexec; name=a.exe\r\nContent-Transfer-Encoding: base64\r\n\r\nTVo=\r\n";
    let inner = format!("Subject: s\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n{text}{file}--i--\r\n");
    let attached = |subtype: &str, encoding: &str, content: &str| {
        let fields = format!("Content-Type: message/{subtype}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
        format!("{fields}{content}")
    };
    let encoded = attached("rfc822", "base64", &base64(&inner));
    for message in [
        encoded.clone(),
        attached("global", "BASE64", &base64(&inner)),
        attached("rfc822", "quoted-printable", &inner.replace('=', "=3D")),
        attached("rfc822", "base64", &base64(&encoded)),
        // It only says so.
        attached("rfc822", "base64", &inner),
        attached("rfc822", "7bit", &inner),
    ] {
        let message = format!("Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n{message}\r\n--o--\r\n");
        let view = View::new(message.as_bytes(), &limits());
        assert_eq!(view.links.first().map(|link| link.host.as_str()), Some("evil.test"), "{message}");
        let file = view.parts.last().unwrap();
        assert_eq!((file.file_name.as_deref(), file.octets(10)), (Some("a.exe"), b"MZ".to_vec()), "{message}");
        assert!(file.header[0].is("Content-Type") && view.reached.is_empty(), "{message}");
    }
    let few = LimitSettings { parts: 3, ..limits() };
    let view = View::new(encoded.as_bytes(), &few);
    assert!(view.parts.len() == 3 && view.reached == [Limit::Parts]);
    let twice = attached("rfc822", "base64", &base64(&encoded));
    let small = LimitSettings { message: ByteSize::bytes(twice.len() as u64), ..limits() };
    let view = View::new(twice.as_bytes(), &small);
    assert!(view.reached == [Limit::Message] && view.parts.len() > 2);
}

#[test]
fn renders_html() {
    let message = "Content-Type: text/html\n\n<html><title>t</title><style>p{}</style><body><p>Vi<!-- x -->agra &#86;&eacute;</p><div style='display:none'>secret <b>word</b></div>shown <a href='http://Evil.test/x y'>www.bank.test</a><img src=http://t.test/i width=1 height=1><script>alert('</b>')</script>end</body>";
    let view = View::new(message.as_bytes(), &limits());
    assert_eq!(view.body, "\nt\nViagra Vé\nshown www.bank.testend\n");
    assert_eq!(view.hidden, "secret word");
    assert_eq!(
        (view.html.broken_words, view.html.needless_references, view.html.pixels, view.html.scripts),
        (1, 1, 1, 1)
    );
    assert_eq!(view.links[0].host, "evil.test");
    assert_eq!(view.links[0].shown, "www.bank.test");
    assert_eq!(view.links[1].kind, LinkKind::Resource);
}

#[test]
fn html_is_read_as_browsers_read_it() {
    const LINK: &str = "<a href='http://evil.test/'>buy</a>";
    let many = "x ".repeat(60);
    for html in [
        format!("<!-->{LINK}"),
        format!("<!--->{LINK}"),
        format!("<!-- x --!>{LINK}"),
        format!("<! x=\">{LINK}\">"),
        format!("</ x=\">{LINK}\">"),
        "<a title = \"x > y\" href=http://evil.test/>buy</a>".to_owned(),
        "<a x/href='http://evil.test/'>buy</a>".to_owned(),
        "<a href='http://evil.test/'href=http://good.test/>buy</a>".to_owned(),
        "<a = href='http://evil.test/'>buy</a>".to_owned(),
        format!("<a {many} href='http://evil.test/'>buy</a>"),
        format!("<textarea>buy</textarea>{}", LINK.replace("buy", "")),
        format!("{}<xmp>buy", LINK.replace("buy", "")),
        format!("b\0uy{}", LINK.replace("buy", "")),
    ] {
        let message = format!("Content-Type: text/html\r\n\r\n{html}");
        let view = View::new(message.as_bytes(), &limits());
        assert!(view.body.starts_with("\nbuy"), "{html}: {}", view.body);
        assert_eq!(view.links.first().map(|link| link.host.as_str()), Some("evil.test"), "{html}");
    }
}

#[test]
fn what_hides_text_ends_where_browsers_end_it() {
    let shown = |html: &str| View::new(format!("Content-Type: text/html\r\n\r\n{html}").as_bytes(), &limits()).body;
    const NONE: &str = "style='display:none'";
    for html in [
        // As programs that make newsletters write it.
        "<table><tr><td style='font-size:0px'><div style='font-size:13px'>buy</div></td></tr></table>".to_owned(),
        "<div style='font-size:0'>x<b style='font-size:2em'>x</b><b style='font-size:1rem'>buy</b></div>".to_owned(),
        "<i style='font-size:1px'>x<b style='font-size:16em'>buy</b></i>".to_owned(),
        "<i style='visibility:hidden'>x<b style='visibility:visible'>buy</b></i>".to_owned(),
        format!("<i {NONE}>x<b style='display:inline'>x</b></i>buy"),
        format!("<p {NONE}>x<p>buy"),
        format!("<p {NONE}>x<div>buy</div>"),
        format!("<ul><li {NONE}>x<li>buy"),
        format!("<b {NONE}>x<i></b>buy"),
        format!("<div {NONE}>x<span></div>buy"),
        format!("<div><span {NONE}>x</div>buy"),
        format!("<table><tr {NONE}><td>x<tr><td>buy"),
        format!("<table><tr><td {NONE}>x<td>buy"),
        format!("<table {NONE}><tr><td>x</td></tr>buy"),
        format!("<table {NONE}><div>buy</div>"),
        format!("<td {NONE}>buy</td>"),
        format!("<a {NONE}>x<a>buy"),
        format!("<h1 {NONE}>x</h2>buy"),
        format!("<form><form {NONE}>buy"),
        format!("<table><form {NONE}>buy"),
        format!("<track {NONE}>buy"),
        "<i style='font-size:0'><b style='font-size:1rem'/>buy".to_owned(),
        "<iframe><!--</iframe>buy".to_owned(),
        "<svg><style/><p>buy".to_owned(),
        format!("<style></stylex><i {NONE}></style>buy"),
        format!("<script><!--<script></script><i {NONE}></script>buy"),
        format!("<svg {NONE}><text><p>buy"),
        format!("<div {NONE}>{}<b>buy", "<b>".repeat(300)),
        format!("<div {NONE}><table><tr><td><p>x<p>x<br>x</td></tr></table>x</div>buy"),
        format!("<div {NONE}>x<div>x</div>x<img>x</div>buy"),
        format!("<table><tbody {NONE}><tr><td>x</td></tr></tbody><tbody><tr><td>buy"),
    ] {
        assert_eq!(shown(&html).trim(), "buy", "{html}");
    }
}

#[test]
fn style_sheets_hide_as_inline_styles_do() {
    let html = "<p>buy<span class=x>secret</span><i class=y>word<b class=z>now</b></i>\
                <style>.x{display:none} i.y{font-size:0} .z{font-size:12px}</style>";
    let message = format!("Content-Type: text/html\r\n\r\n{html}");
    let view = View::new(message.as_bytes(), &limits());
    assert_eq!((view.body.trim(), view.hidden.as_str()), ("buynow", "secretword"));
    assert_eq!((view.html.hidden, view.html.tiny), (1, 1));
    let deep = format!("Content-Type: text/html\n\n<style>{}", "@media x{".repeat(10_000));
    let many =
        format!("Content-Type: text/html\n\n<style>.x{{display:none}}</style>{}", "<i class='x x x'>".repeat(50_000));
    for bomb in [deep, many] {
        assert_eq!(View::new(bomb.as_bytes(), &limits()).body.trim(), "");
    }
}

#[test]
fn links_lead_where_browsers_go() {
    for (html, url) in [
        ("<a href='https:/evil.test/x'>", "https://evil.test/x"),
        ("<a href='http:\\\\evil.test/x'>", "http://evil.test/x"),
        ("<a href='http:evil.test/x'>", "http://evil.test/x"),
        ("<a href='https:///evil.test/x'>", "https://evil.test/x"),
        ("<a href='\\\\evil.test/x'>", "\\\\evil.test/x"),
        ("<base href='http://evil.test/x'><a href=y>", "http://evil.test/x"),
        ("<svg><a xlink:href='http://evil.test/x'>", "http://evil.test/x"),
        ("<a xlink:href='http://z.test/'>http://evil.test/x</a>", "http://evil.test/x"),
        ("<form action='http://z.test/'><button formaction='http://evil.test/x'>", "http://evil.test/x"),
        ("<input type=image src='http://z.test/' formaction='http://evil.test/x'>", "http://evil.test/x"),
        ("<script src='http://evil.test/x'></script>", "http://evil.test/x"),
        ("<p>see http://evil.test/x</p>", "http://evil.test/x"),
        ("<p>see http://ev<b>il.test/x</b></p>", "http://evil.test/x"),
        ("<td>x<a href=mailto:x@y.test>http://z.test/</a>http://evil.test/x", "http://evil.test/x"),
    ] {
        let message = format!("Content-Type: text/html\r\n\r\n{html}");
        let view = View::new(message.as_bytes(), &limits());
        let link = view.links.last().unwrap();
        assert_eq!((link.url.as_str(), link.host.as_str()), (url, "evil.test"), "{html}");
    }
}

#[test]
fn finds_links_in_text() {
    let view = View::new(
        b"\nsee http://user:pw@a.test:80/x?y=1. and www.b.test, (https://c.test/), mailto:d@e.test: http://",
        &limits(),
    );
    let found: Vec<(&str, &str)> = view.links.iter().map(|l| (l.url.as_str(), l.host.as_str())).collect();
    assert_eq!(
        found,
        [
            ("http://user:pw@a.test:80/x?y=1", "a.test"),
            ("www.b.test", "www.b.test"),
            ("https://c.test/", "c.test"),
            ("mailto:d@e.test", "")
        ]
    );
}

#[test]
fn hosts_are_those_that_browsers_ask_for() {
    let long = format!("http://{}@evil.test/x", "a".repeat(5_000));
    for (url, host) in [
        (long.as_str(), "evil.test"),
        ("http://evil\u{3002}test/x", "evil.test"),
        ("http://\u{ff45}\u{ff56}\u{ff49}\u{ff4c}.test", "evil.test"),
        ("http://ev\u{ad}il.te\u{200b}st/", "evil.test"),
        ("http://ev%C2%ADil.test/", "evil.test"),
        ("http://b\u{fc}cher.test/", "xn--bcher-kva.test"),
        ("http://[2001:db8::1]:80/", "[2001:db8::1]"),
    ] {
        let message = format!("Content-Type: text/html; charset=utf-8\r\n\r\n<a href='{url}'>x</a>");
        let view = View::new(message.as_bytes(), &limits());
        assert_eq!(view.links[0].host, host, "{}", &url[..url.len().min(80)]);
        assert!(view.links[0].url.len() <= 250 && view.links[0].url.contains('@') == url.contains('@'));
    }
    for text in ["[http://evil.test]", "x[http://evil.test]x", "(see [www.evil.test])", "http://evil.test/a[1]"] {
        let message = format!("\r\n{text}\r\n");
        let view = View::new(message.as_bytes(), &limits());
        assert_eq!(view.links[0].host.trim_start_matches("www."), "evil.test", "{text}");
    }
}

#[test]
fn attached_html_files_are_read() {
    let page = "<meta http-equiv=Refresh content=\"0; URL='http://one.test/'\"><p>verify <i style=display:none>x</i>it</p>\
                <blockquote>now</blockquote><input type=password><script>location='https:\\/\\/two.test/x'</script>";
    for fields in [
        "Content-Type: text/html\r\nContent-Disposition: attachment; filename=a.html",
        "Content-Type: application/octet-stream; name=\"Invoice.HTM\"",
        "Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.shtml",
        "Content-Type: application/xhtml+xml",
    ] {
        let text = format!("--b\r\n{fields}\r\n\r\n{page}\r\n--b\r\n\r\nsee it\r\n--b--\r\n");
        let message = format!("Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{text}");
        let view = View::new(message.as_bytes(), &limits());
        let (from, end) = (view.attached_from, view.body.len());
        assert_eq!((view.own_text(), &view.body[from..]), ("s\nsee it\n", "verify it\nnow\n"), "{fields}");
        assert_eq!(view.aside, [Aside { range: from..end, kind: AsideKind::Attachment }], "{fields}");
        let links: Vec<(&str, LinkKind)> = view.links.iter().map(|link| (link.host.as_str(), link.kind)).collect();
        assert_eq!(links, [("one.test", LinkKind::Redirect), ("two.test", LinkKind::Redirect)], "{fields}");
        assert_eq!((view.attached_html.password_fields, view.attached_html.refreshes), (1, 1), "{fields}");
        assert!(view.html.parts == 0 && view.hidden.is_empty() && !view.rawbody.contains("verify"), "{fields}");
    }
    let wide: Vec<u8> = "\u{feff}<p>buy".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let fields = b"Content-Type: text/html; charset=utf-8\r\nContent-Disposition: attachment\r\n\r\n";
    assert_eq!(View::new(&[&fields[..], &wide[..]].concat(), &limits()).body, "\nbuy\n");
    let file = format!(
        "--b\r\nContent-Type: text/html; name=a.html\r\nContent-Disposition: attachment\r\n\r\n{}\r\n",
        "x ".repeat(50_000)
    );
    let many = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", file.repeat(20));
    let view = View::new(many.as_bytes(), &limits());
    assert!(view.body.len() <= limits().decoded.len() + 2 && view.reached.contains(&Limit::Decoded));
}

#[test]
fn text_in_place_of_images_is_read() {
    for (html, shown) in [
        ("<img alt='buy now' src=x>", "buy now"),
        ("<img alt='b&#117;y'>", "buy"),
        ("a<img alt=''>b<img>", "ab"),
        ("<a href='http://a.test/'><img alt=buy></a>", "buy"),
        ("<input type=image alt=buy>", "buy"),
        ("<img alt=buy style='display:none'>x", "x"),
        ("<div style='display:none'><img alt=buy></div>x", "x"),
        ("<p alt=buy>x", "x"),
    ] {
        let message = format!("Content-Type: text/html\r\n\r\n{html}");
        let view = View::new(message.as_bytes(), &limits());
        assert_eq!(view.body.trim(), shown, "{html}");
        let written = if shown.starts_with("buy") { "\n\n".len() } else { view.body.len() };
        assert_eq!(view.written(), written, "{html}");
        assert!(view.links.iter().all(|link| link.shown.is_empty()), "{html}");
    }
}

#[test]
fn pages_lead_where_they_say() {
    for (content, url) in [
        ("0;url=http://a.test/", Some("http://a.test/")),
        ("5 ; URL = 'http://a.test/' x", Some("http://a.test/")),
        (".5,http://a.test/", Some("http://a.test/")),
        ("0 http://a.test/", Some("http://a.test/")),
        ("300", None),
        ("0;", None),
        ("url=http://a.test/", None),
        ("0x;url=http://a.test/", None),
    ] {
        let message = format!("Content-Type: text/html\r\n\r\n<meta http-equiv=refresh content=\"{content}\">");
        let view = View::new(message.as_bytes(), &limits());
        assert_eq!(view.links.first().map(|link| link.url.as_str()), url, "{content}");
        assert_eq!(view.html.refreshes, u32::from(url.is_some()), "{content}");
    }
}

#[test]
fn many_links_of_one_kind_keep_out_none_of_another() {
    let text = (0..2_000).map(|n| format!("http://text.test/{n} ")).collect::<String>();
    let pictures = "<img src='http://picture.test/1'>".repeat(2_000);
    let message = format!("Content-Type: text/html\n\n{text}<br>{pictures}<a href='http://evil.test/'>x</a>");
    let view = View::new(message.as_bytes(), &limits());
    let count = |kind| view.links.iter().filter(|link| link.kind == kind).count();
    assert_eq!((count(LinkKind::Text), count(LinkKind::Resource), count(LinkKind::Anchor)), (1000, 1000, 1));
    assert_eq!(view.links.last().map(|link| (link.host.as_str(), link.shown.as_str())), Some(("evil.test", "x")));
    assert!(view.reached.contains(&Limit::Links));
}

#[test]
fn bombs_are_bounded() {
    let mut nested = String::new();
    for n in 0..3000 {
        nested.push_str(&format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"));
    }
    let view = View::new(nested.as_bytes(), &limits());
    assert!(view.reached.contains(&Limit::Depth) && view.parts.len() <= 22);

    let mut wide = String::from("Content-Type: multipart/mixed; boundary=b\r\n\r\n");
    for _ in 0..100_000 {
        wide.push_str("--b\r\n\r\nx\r\n");
    }
    let view = View::new(wide.as_bytes(), &limits());
    assert!(view.reached.contains(&Limit::Parts) && view.parts.len() == 500);

    let header = "X-A: b\r\n".repeat(1_250_000);
    let view = View::new(header.as_bytes(), &limits());
    assert!(view.fields.len() <= 1000 && view.reached.contains(&Limit::Fields));

    let folded = format!("X-A: b\r\n{}", " c\r\n".repeat(500_000));
    let view = View::new(folded.as_bytes(), &limits());
    assert!(view.reached.contains(&Limit::Header));

    let html = format!("Content-Type: text/html\n\n{}", "<div style='display:none'><a href='x:".repeat(50_000));
    let view = View::new(html.as_bytes(), &limits());
    assert!(view.links.len() <= 1000);
}

#[test]
fn survives_anything() {
    for bytes in [
        &b""[..],
        b"\n",
        b"\r\n\r\n",
        b":",
        b"a:",
        b"\xff\xfe",
        b"Content-Type: multipart/mixed; boundary=\n\n--\n--",
        b"Content-Type: text/html\n\n<",
        b"Content-Type: text/html\n\n<a href=\"&#xffffffff;&#",
        b"Content-Type: text/html\n\n</title",
        b"Content-Transfer-Encoding: quoted-printable\n\n=4=\n=",
        b"\nhttp:// www.\xc3",
    ] {
        let _ = View::new(bytes, &limits());
    }
}

proptest::proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(proptest::sample::select(&b"<>=\"'/&#;:- \r\n\tabcdexwp.%?@\xc3\xa9\xff"[..]), 0..400), html in proptest::bool::ANY) {
        let mut message = if html { b"Content-Type: text/html; charset=utf-8\n\n".to_vec() } else { Vec::new() };
        message.extend_from_slice(&bytes);
        let _ = View::new(&message, &LimitSettings::default());
    }
}
