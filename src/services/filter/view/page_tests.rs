//! Pages: attached drawings, and what is in archives.

use std::io::{Cursor, Write as _};

use super::*;

fn limits() -> LimitSettings {
    LimitSettings::default()
}

/// A message with an attached file.
fn attached(fields: &str, content: &[u8]) -> Vec<u8> {
    [
        format!("Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{fields}\r\n\r\n").as_bytes(),
        content,
        b"\r\n--b\r\n\r\nsee it\r\n--b--\r\n",
    ]
    .concat()
}

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (*name, content.as_bytes())).collect();
    zip_of(&files, ::zip::CompressionMethod::Deflated)
}

fn zip_of(files: &[(&str, &[u8])], method: ::zip::CompressionMethod) -> Vec<u8> {
    let mut archive = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = ::zip::write::SimpleFileOptions::default().compression_method(method);
        archive.start_file(*name, options).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// The text of the attached files.
fn attached_text<'v>(view: &'v View<'_>) -> &'v str {
    &view.body[view.attached_from..]
}

#[test]
fn drawings_are_read_as_pages() {
    for (drawing, text, host, runs) in [
        ("<svg><script>location='https:\\/\\/evil.test/x'</script><text>buy</text></svg>", "buy", "evil.test", true),
        ("<svg><script>location=&#39;https://evil.test/x&#39;</script></svg>", "", "evil.test", true),
        ("<svg><script><![CDATA[location='https://evil.test/x']]></script></svg>", "", "evil.test", true),
        ("<s:svg xmlns:s='x'><s:script>open(`https://evil.test`)</s:script></s:svg>", "", "evil.test", true),
        ("<svg><script xlink:href='https://evil.test/x.js'/></svg>", "", "evil.test", true),
        ("<svg><script href='https://evil.test/x.js'/><text>buy</text></svg>", "buy", "evil.test", true),
        ("<svg onload='run()'><text>buy</text></svg>", "buy", "", true),
        ("<svg><a y:href='https://evil.test/x'><text>buy</text></a></svg>", "buy", "evil.test", false),
        (
            "<svg><foreignObject><b>b</b></foreignObject><a xlink:href='https://evil.test/x'/></svg>",
            "b",
            "evil.test",
            false,
        ),
        ("<svg><text><![CDATA[see https://evil.test]]></text></svg>", "see https://evil.test", "evil.test", false),
        ("<svg><style>.a{fill:red}</style><text class='a'>logo</text></svg>", "logo", "", false),
    ] {
        for fields in [
            "Content-Type: image/svg+xml; name=a.svg\r\nContent-Disposition: attachment",
            "Content-Type: application/octet-stream; name=\"Invoice.SVG\"",
        ] {
            let message = attached(fields, drawing.as_bytes());
            let view = View::new(&message, &limits());
            assert_eq!(attached_text(&view).trim(), text, "{drawing}");
            assert_eq!(view.links.first().map_or("", |link| link.host.as_str()), host, "{drawing}");
            assert_eq!(view.attached_html.script_drawings, u32::from(runs), "{drawing}");
            assert_eq!(view.own_text(), "s\nsee it\n", "{drawing}");
        }
    }
    let message = attached("Content-Type: image/svg+xml", "<svg><script>".repeat(30_000).as_bytes());
    assert!(View::new(&message, &limits()).links.is_empty());
}

/// Programs list it among the attachments, where it is opened in a browser.
#[test]
fn what_is_shown_as_text_may_be_opened_as_a_page() {
    let page = "<meta http-equiv=refresh content='0;url=https://evil.test/'><input type=password>";
    for fields in [
        "Content-Type: text/plain; name=invoice.html",
        "Content-Type: text/xml\r\nContent-Disposition: inline; filename=\"a.xhtml\"",
    ] {
        let message = attached(fields, page.as_bytes());
        let view = View::new(&message, &limits());
        assert!(view.own_text().contains("type=password"), "{fields}");
        assert_eq!((view.attached_html.password_fields, view.attached_html.refreshes), (1, 1), "{fields}");
    }
    let shown = View::new(&attached("Content-Type: text/html; name=a.html", page.as_bytes()), &limits()).attached_html;
    assert_eq!(shown.parts, 0);
}

/// In a drawing inside HTML, text may be in such a section, too.
#[test]
fn character_data_is_shown() {
    let html = "<svg><text><![CDATA[see http://evil.test]]></text></svg><p>buy</p>";
    let message = format!("Content-Type: text/html\r\n\r\n{html}");
    let view = View::new(message.as_bytes(), &limits());
    assert_eq!(view.body, "\nsee http://evil.test\nbuy\n");
    assert_eq!(view.links[0].host, "evil.test");
    let many = format!("Content-Type: text/html\r\n\r\n<svg>{}", "<![CDATA[".repeat(50_000));
    assert_eq!(View::new(many.as_bytes(), &limits()).body, "\n");
}

#[test]
fn pages_in_archives_are_read() {
    let page = "<meta http-equiv=refresh content='0;url=https://evil.test/'><p>verify<input type=password>";
    let drawing = "<svg><script>location='https://two.test/'</script></svg>";
    let octets = zip(&[("a.txt", "plain"), ("x/Invoice.HTM", page), ("b.svg", drawing)]);
    for fields in ["Content-Type: application/zip; name=a.zip", "Content-Type: application/octet-stream"] {
        let message = attached(fields, &octets);
        let view = View::new(&message, &limits());
        assert_eq!(attached_text(&view), "verify\n", "{fields}");
        let hosts: Vec<&str> = view.links.iter().map(|link| link.host.as_str()).collect();
        assert_eq!(hosts, ["evil.test", "two.test"], "{fields}");
        let found = &view.attached_html;
        assert_eq!((found.password_fields, found.refreshes, found.script_drawings), (1, 1, 1), "{fields}");
        assert!(view.reached.is_empty() && view.own_text() == "s\nsee it\n", "{fields}");
    }
    let book = attached("Content-Type: application/epub+zip; name=a.epub", &octets);
    assert!(View::new(&book, &limits()).links.is_empty());
}

#[test]
fn a_site_in_an_archive_is_no_letter() {
    let page = "<meta http-equiv=refresh content='0;url=https://evil.test/'><p>verify<input type=password>";
    for (others, facts) in [(9, (1, 1)), (10, (0, 0))] {
        let names: Vec<String> = (0..others).map(|n| format!("img/{n}.png")).collect();
        let mut files = vec![("index.html", page)];
        files.extend(names.iter().map(|name| (name.as_str(), "x")));
        let message = attached("Content-Type: application/zip; name=a.zip", &zip(&files));
        let view = View::new(&message, &limits());
        // Its links are looked up all the same.
        assert_eq!((attached_text(&view), view.links[0].host.as_str()), ("verify\n", "evil.test"));
        let found = &view.attached_html;
        assert_eq!((found.password_fields, found.refreshes), facts, "{others}");
        assert_eq!(view.archived.page.as_deref(), (facts.0 > 0).then_some("index.html"));
    }
}

#[test]
fn files_that_are_opened_as_messages_are_messages() {
    use base64::Engine as _;
    let inner = "Subject: s\r\nContent-Type: text/html\r\n\r\n<a href='https://evil.test/'>buy</a>\r\n";
    let encoded = base64::engine::general_purpose::STANDARD.encode(inner);
    for (fields, content) in [
        ("Content-Type: application/octet-stream; name=a.eml\r\nContent-Transfer-Encoding: base64", encoded.as_str()),
        ("Content-Type: text/plain\r\nContent-Disposition: attachment; filename=\"Page.MHT\"", inner),
    ] {
        let message = attached(fields, content.as_bytes());
        let view = View::new(&message, &limits());
        let host = view.links.first().map(|link| link.host.as_str());
        assert_eq!(host, Some("evil.test"), "{fields}");
        // A browser shows a saved page, where scripts and forms are nothing unusual.
        let of_page = (view.own_text() == "s\nsee it\n", view.html.parts, view.attached_html.parts);
        let is_page = fields.contains(".MHT");
        assert_eq!(of_page, (is_page, u32::from(!is_page), u32::from(is_page)), "{fields}");
    }
    let shown = attached("Content-Type: text/plain; name=a.eml", inner.as_bytes());
    assert!(View::new(&shown, &limits()).body.contains("Content-Type"));
}

#[test]
fn a_large_attachment_hides_no_text() {
    let picture = "A".repeat(3 << 20);
    let message = attached("Content-Type: image/jpeg\r\nContent-Transfer-Encoding: base64", picture.as_bytes());
    let view = View::new(&message, &limits());
    assert_eq!(view.own_text(), "s\nsee it\n");
    assert!(view.raw.len() == limits().message.len() && view.reached == [Limit::Message]);
    assert!(view.parts.len() == 3 && !view.parts[0].unterminated);
}

#[test]
fn archives_that_are_bombs_are_bounded() {
    let bomb = zip(&[("a.html", &"<p>x ".repeat(2 << 20)), ("b.html", "<p>never")]);
    let message = attached("Content-Type: application/zip", &bomb);
    let view = View::new(&message, &limits());
    assert!(view.body.len() <= limits().decoded.len() && view.reached.contains(&Limit::Decoded));
    let names: Vec<String> = (0..200).map(|n| format!("{n}.html")).collect();
    let many = zip(&names.iter().map(|name| (name.as_str(), "<p>x")).collect::<Vec<_>>());
    let message = attached("Content-Type: application/zip", &many);
    let view = View::new(&message, &limits());
    assert!(attached_text(&view).len() == 2 * unpack::MAX_PAGES && view.reached.contains(&Limit::Decoded));
}

#[test]
fn a_program_hides_neither_behind_a_large_file_nor_behind_other_archives() {
    // Octets that do not get smaller.
    let mut octet = 1u32;
    let large: String = std::iter::repeat_with(|| {
        octet = octet.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b' ' + (octet >> 26) as u8)
    })
    .take(7 << 20)
    .collect();
    let behind = attached("Content-Type: application/zip", &zip(&[("a.bin", &large), ("b.exe", "MZ")]));
    let other = format!("--b\r\nContent-Type: application/zip\r\n\r\n{}\r\n", "PK\u{3}\u{4}");
    let last = attached("Content-Type: application/zip", &zip(&[("b.exe", "MZ")]));
    let (before, after) = last.split_at(memchr::memmem::find(&last, b"--b\r\n").unwrap());
    for message in [behind, [before, other.repeat(30).as_bytes(), after].concat()] {
        let view = View::new(&message, &limits());
        assert!(view.archived.kinds().any(|kind| kind.extension == "exe"));
    }
}

#[test]
fn archives_in_archives_are_looked_into() {
    use ::zip::CompressionMethod::{Deflated, Stored};
    let page = zip(&[("b.exe", "MZ"), ("a.html", "<p>verify")]);
    let rar = b"Rar!\x1a\x07\x01\0\0\0\0\0\x0d\x02\0\0\0\0\0\0\x05b.exe";
    let tar = tar::sample(&[("b.exe", b"MZ")]);
    for (name, inner) in
        [("x/Inner.ZIP", page.as_slice()), ("x.rar", &rar[..]), ("x.tar", &tar), ("x.tgz", &gzip(&tar))]
    {
        for method in [Deflated, Stored] {
            let octets = zip_of(&[("a.txt", &b"plain"[..]), (name, inner)], method);
            let deeper = zip_of(&[("c.zip", &octets)], method);
            for octets in [octets, deeper] {
                let message = attached("Content-Type: application/zip; name=a.zip", &octets);
                let view = View::new(&message, &limits());
                let exe = view.archived.kinds().find(|kind| kind.extension == "exe");
                assert_eq!(exe.map(|kind| (kind.is_encrypted, kind.name)), Some((false, "b.exe")), "{name} {method}");
                let is_page = name.ends_with("ZIP");
                assert_eq!(attached_text(&view), if is_page { "verify\n" } else { "" }, "{name} {method}");
                assert_eq!(view.archived.page.is_some(), is_page);
            }
        }
    }
    let attached = attached("Content-Type: application/octet-stream; name=a.dat", rar);
    assert!(View::new(&attached, &limits()).archived.kinds().any(|kind| kind.extension == "exe"));
}

#[test]
fn archives_in_archives_are_bounded() {
    let large = vec![b' '; 3 << 20];
    let inner = zip_of(&[("a.txt", &large)], ::zip::CompressionMethod::Stored);
    let names: Vec<String> = (0..6).map(|n| format!("{n}.zip")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), inner.as_slice())).collect();
    let octets = zip_of(&files, ::zip::CompressionMethod::Deflated);
    let message = attached("Content-Type: application/zip", &octets);
    let kinds = View::new(&message, &limits()).archived.kinds().count();
    assert_eq!(kinds, 2);
}

/// Nothing was said of what is behind the first eight megabytes.
#[test]
fn an_archive_that_is_only_large_is_a_sign() {
    use ::zip::CompressionMethod::{Deflated, Stored};
    let large = vec![0_u8; 9 << 20];
    let hollow = zip_of(&[("a.bin", &large), ("b.exe", b"MZ")], Stored);
    let tar = tar::sample(&[("a.bin", &large)]);
    let packed = zip_of(&[("a.bin", &large)], Deflated);
    for (name, inner, reached) in
        [("a.zip", &hollow, &[Limit::Parts][..]), ("a.tar", &tar, &[]), ("b.zip", &packed, &[])]
    {
        let octets = zip_of(&[(name, inner)], Deflated);
        let message = attached("Content-Type: application/zip", &octets);
        assert_eq!(View::new(&message, &limits()).reached, reached, "{name}");
    }
}

#[test]
fn files_in_what_outlook_sends_are_attachments() {
    let attribute = |id: u32, data: &[u8]| {
        let length = u32::try_from(data.len()).unwrap().to_le_bytes();
        [&[2u8][..], &id.to_le_bytes(), &length, data, &[0, 0]].concat()
    };
    let file = |name: &str, content: &[u8]| {
        let title = attribute(0x0001_8010, format!("{name}\0").as_bytes());
        [attribute(0x0006_9002, &[0; 14]), title, attribute(0x0006_800f, content)].concat()
    };
    let container = |files: &[Vec<u8>]| [&b"\x78\x9f\x3e\x22\x01\0"[..], &files.concat()].concat();
    let inner = container(&[file("c.js", b"run()")]);
    let page = b"<p>verify<input type=password>";
    let archive = zip(&[("b.exe", "MZ")]);
    let files = [file("..\\a.pdf.exe", b"MZ"), file("a.html", page), file("b.zip", &archive), file("m", &inner)];
    let octets = container(&files);
    let message = attached("Content-Type: application/ms-tnef; name=winmail.dat", &octets);
    let view = View::new(&message, &limits());
    let names: Vec<&str> = view.parts.iter().filter_map(|part| part.file_name.as_deref()).collect();
    assert_eq!(names, ["winmail.dat", "a.pdf.exe", "a.html", "b.zip", "c.js"]);
    assert_eq!((attached_text(&view), view.attached_html.password_fields), ("verify\n", 1));
    assert!(view.archived.kinds().any(|kind| kind.extension == "exe"));
    assert_eq!(view.own_text(), "s\nsee it\n");
    for end in 0..octets.len() {
        let message = attached("Content-Type: application/ms-tnef", &octets[..end]);
        assert_eq!(View::new(&message, &limits()).own_text(), "s\nsee it\n");
    }
}

#[test]
fn files_in_the_text_are_attachments() {
    let file = "begin 644 b.exe\r\n#0V%T\r\n`\r\nend\r\n";
    for (fields, names) in [
        ("", &["b.exe"][..]),
        ("Content-Type: text/plain; charset=utf-8\r\n", &["b.exe"]),
        ("Content-Transfer-Encoding: quoted-printable\r\n", &[]),
        ("Content-Type: text/html\r\n", &[]),
    ] {
        let message = format!("Subject: s\r\n{fields}\r\nHello\r\n\r\n{file}");
        let view = View::new(message.as_bytes(), &limits());
        let found: Vec<&str> = view.parts.iter().filter_map(|part| part.file_name.as_deref()).collect();
        assert_eq!(found, names, "{fields}");
        assert!(view.own_text().starts_with("s\nHello") && view.attached_from == view.body.len());
    }
}

#[test]
fn a_gzip_file_has_a_name() {
    let named = flate2::GzBuilder::new().filename("b.exe").write(Vec::new(), flate2::Compression::default());
    let named = named.finish().unwrap();
    let tar = tar::sample(&[("a.txt", b"plain"), ("b.exe", b"MZ")]);
    let (one, other) = tar.split_at(1024);
    let older = tar::older_sample("b.exe", b'0');
    for (name, content, is_found) in [
        ("a.gz", named, true),
        // Of several parts (RFC 1952 §2.2), as `gzip` writes when it appends, and behind an empty one.
        ("a.tgz", [gzip(one), gzip(other)].concat(), true),
        ("b.tgz", [gzip(b""), gzip(&tar)].concat(), true),
        ("c.tgz", [gzip(&tar), b"more".to_vec()].concat(), true),
        ("d.tgz", gzip(&older), true),
        ("a.zip", zip_of(&[("x/b.exe.gz", gzip(b"MZ").as_slice())], ::zip::CompressionMethod::Deflated), true),
        ("b.exe.GZ", gzip(b"MZ"), true),
        ("a.xml.gz", gzip(b"<feedback/>"), false),
        ("a.bin", gzip(&tar::sample(&[("b.exe", b"MZ")])), true),
        ("a.gz", gzip(&vec![b' '; 9 << 20]), false),
    ] {
        let message = attached(&format!("Content-Type: application/gzip; name={name}"), &content);
        let view = View::new(&message, &limits());
        assert_eq!(view.archived.kinds().any(|kind| kind.extension == "exe"), is_found, "{name}");
    }
}

/// Tar archives have no list: a program may be behind any number of other files.
#[test]
fn a_program_does_not_hide_behind_large_files() {
    let large = vec![0_u8; 5 << 20];
    let tar = tar::sample(&[("a.bin", &large), ("b.bin", &large), ("x/c.exe", b"MZ")]);
    let message = attached("Content-Type: application/gzip; name=a.tgz", &gzip(&tar));
    let view = View::new(&message, &limits());
    let names: Vec<_> = view.archived.kinds().map(|kind| (kind.extension, kind.name)).collect();
    assert_eq!(names, [("", ""), ("bin", "a.bin"), ("exe", "x/c.exe")]);
}

#[test]
fn countless_kinds_of_files_are_a_sign() {
    for (kinds, reached) in [(9_000, &[][..]), (11_000, &[Limit::Parts])] {
        let tar: Vec<u8> = (0..kinds).flat_map(|n| tar::header_sample(&format!("a.{n}"))).collect();
        let message = attached("Content-Type: application/gzip; name=a.tgz", &gzip(&tar));
        assert_eq!(View::new(&message, &limits()).reached, reached, "{kinds}");
    }
}

#[test]
fn countless_files_in_archives_are_a_sign() {
    let many = format!("--b\r\nContent-Type: application/zip\r\n\r\n{}\r\n", "PK\u{3}\u{4}".repeat(60_000));
    for (archives, reached) in [(1, &[][..]), (6, &[Limit::Parts])] {
        let message = attached("Content-Type: text/plain", many.repeat(archives).as_bytes());
        let view = View::new(&message, &limits());
        assert_eq!(view.reached, reached, "{archives}");
    }
}
