//! Extracting reports from messages: attachments, compressed or not, within limits.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use encoding_rs::Encoding;
use flate2::read::GzDecoder;
use mail_auth::report::tlsrpt::TlsReport;
use mail_auth::report::{Feedback, FeedbackType, Report};
use mail_parser::{ContentType, MessageParser, MessagePart, MimeHeaders as _, PartType};
use serde_json::Value;

/// A report of either kind.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    Dmarc(Box<Report>),
    Tls(TlsReport),
    Failure(Box<Feedback<'static>>),
    /// A report, or something packed like one, that cannot be read, and why.
    Unreadable(String),
}

/// Most parts of a message that are unpacked.
const MOST_PARTS: usize = 4;
/// Most files of an archive that are unpacked.
const MOST_FILES: usize = 4;

/// The reports in a complete message. A report that is longer than `limit` when unpacked is [`Found::Unreadable`].
///
/// The beginning of a part decides what it is, not its name or type, which senders choose as they like.
pub(super) fn unpack(message: &[u8], limit: u64) -> Vec<Found> {
    let failure = Feedback::parse_rfc5322(message).ok().filter(|f| f.feedback_type() == FeedbackType::AuthFailure);
    if let Some(failure) = failure {
        return vec![Found::Failure(Box::new(failure.into_owned()))];
    }
    let Some(message) = MessageParser::new().parse(message) else { return Vec::new() };
    let candidates = message.parts.iter().filter_map(|part| match &part.body {
        PartType::Binary(octets) | PartType::InlineBinary(octets) => Some(octets.as_ref()),
        PartType::Text(text) if part.attachment_name().is_some() || is_data(part) => Some(text.as_bytes()),
        _ => None,
    });
    let files = candidates.take(MOST_PARTS).flat_map(|octets| files(octets, limit));
    files.filter_map(|file| file.map_or_else(|why| Some(Found::Unreadable(why)), |file| read(&file, limit))).collect()
}

/// Whether a text is not meant for people, such as `text/xml`.
fn is_data(part: &MessagePart<'_>) -> bool {
    let subtype = part.content_type().and_then(ContentType::subtype).unwrap_or_default();
    ["xml", "json"].iter().any(|kind| subtype.to_ascii_lowercase().ends_with(kind))
}

/// The content of a part: the files of a ZIP archive, the content of a gzip file, or the part itself; or why it cannot be read.
fn files(octets: &[u8], limit: u64) -> Vec<Result<Vec<u8>, String>> {
    if octets.starts_with(b"PK\x03\x04") {
        let mut archive = match zip::ZipArchive::new(Cursor::new(octets)) {
            Ok(archive) => archive,
            Err(error) => return vec![Err(format!("the archive is damaged: {error}"))],
        };
        let count = archive.len().min(MOST_FILES);
        let broken = |error: zip::result::ZipError| format!("the archive is damaged: {error}");
        return (0..count).map(|n| bounded(archive.by_index(n).map_err(broken)?, limit)).collect();
    }
    if octets.starts_with(&[0x1f, 0x8b]) {
        return vec![bounded(GzDecoder::new(octets), limit)];
    }
    vec![bounded(octets, limit)]
}

/// Everything from a reader, if it is not too much.
fn bounded(reader: impl Read, limit: u64) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    reader.take(limit + 1).read_to_end(&mut content).map_err(|error| format!("it cannot be unpacked: {error}"))?;
    if content.len() as u64 > limit { Err(format!("it has more than {limit} octets")) } else { Ok(content) }
}

/// The report in a file; `None` if it is not a report.
fn read(content: &[u8], limit: u64) -> Option<Found> {
    // A byte order mark says which form of Unicode it is; without one it is UTF-8, or the encoding that the XML declares.
    let marked = Encoding::for_bom(content).map(|(encoding, _)| encoding);
    let declared = || std::str::from_utf8(content).err().and_then(|_| declared(content));
    let text = match marked.or_else(declared) {
        Some(encoding) => Cow::Owned(encoding.decode(content).0.into_owned().into_bytes()),
        None => Cow::Borrowed(content),
    };
    let first = *text.iter().find(|octet| !octet.is_ascii_whitespace())?;
    if matches!(first, b'<' | b'{') && grown(&text, first) > limit.saturating_mul(MOST_GROWTH) {
        return Some(Found::Unreadable("the message has more parts than any report needs".to_owned()));
    }
    let found = match first {
        b'<' => Report::parse_xml(&text).map(|report| Found::Dmarc(Box::new(report))),
        b'{' => tls(&text),
        _ => return None,
    };
    Some(found.unwrap_or_else(Found::Unreadable))
}

/// About how many octets of memory a report takes when it is parsed and serialised again. A few octets of text may stand for a
/// record with dozens of fields.
fn grown(text: &[u8], first: u8) -> u64 {
    if first == b'<' {
        let count = |tag: &str| memchr::memmem::find_iter(text, tag.as_bytes()).count() as u64;
        return XML_TAGS.iter().map(|(tag, octets)| octets * count(tag)).sum();
    }
    let octets = text.iter().map(|octet| match octet {
        b'{' => 350,
        b'[' | b',' | b':' => 64,
        _ => 0,
    });
    octets.sum()
}

/// Tags of a DMARC report that become separate values, and about how large these are, including their JSON.
const XML_TAGS: [(&str, u64); 6] =
    [("<record", 1_500), ("<dkim", 400), ("<spf", 400), ("<reason", 300), ("<extension", 200), ("<error", 100)];
/// How many times `unpacked` the memory may be.
const MOST_GROWTH: u64 = 6;

/// The encoding that the first line of an XML file names.
fn declared(content: &[u8]) -> Option<&'static Encoding> {
    let line = content.trim_ascii_start().strip_prefix(b"<?xml")?.split(|octet| *octet == b'>').next()?;
    let (_, rest) = std::str::from_utf8(line).ok()?.split_once("encoding")?;
    let quoted = rest.trim_start().strip_prefix('=')?.trim_start();
    let label = quoted.split(['"', '\'']).nth(1)?;
    Encoding::for_label(label.as_bytes())
}

/// A TLS report (RFC 8460 §4.4), also with a string where a list of strings belongs, as many send it.
fn tls(text: &[u8]) -> Result<Found, String> {
    let mut value: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    for policy in value["policies"].as_array_mut().into_iter().flatten() {
        let Some(policy) = policy.get_mut("policy").and_then(Value::as_object_mut) else { continue };
        // §4.2 calls the field `mx-host-pattern`, the example in §4.5 `mx-host`.
        if let Some(patterns) = policy.remove("mx-host-pattern") {
            policy.entry("mx-host").or_insert(patterns);
        }
        for key in ["mx-host", "policy-string"] {
            match policy.get_mut(key) {
                Some(text @ Value::String(_)) => *text = Value::Array(vec![text.take()]),
                Some(Value::Null) => drop(policy.remove(key)),
                _ => {}
            }
        }
    }
    // As text again: times can only be read from borrowed text.
    serde_json::from_str(&value.to_string()).map(Found::Tls).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use base64::Engine as _;

    use super::*;

    const XML: &str = "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>o.test</org_name><email>a@o.test</email>\
        <report_id>1</report_id><date_range><begin>1</begin><end>2</end></date_range></report_metadata>\
        <policy_published><domain>x.test</domain><p>none</p></policy_published><record><row><source_ip>192.0.2.1</source_ip>\
        <count>3</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated>\
        </row><identifiers><header_from>x.test</header_from></identifiers></record></feedback>";

    fn message(content_type: &str, octets: &[u8]) -> Vec<u8> {
        let encoded = base64::engine::general_purpose::STANDARD.encode(octets);
        let lines: Vec<&str> = encoded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!(
            "From: a@o.test\r\nMIME-Version: 1.0\r\nContent-Type: {content_type}; name=r\r\n\
             Content-Disposition: attachment; filename=r\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            lines.join("\r\n")
        )
        .into_bytes()
    }

    fn gzip(octets: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(octets).unwrap();
        encoder.finish().unwrap()
    }

    fn zipped(files: &[&[u8]]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (n, octets) in files.iter().enumerate() {
            archive.start_file(n.to_string(), zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(octets).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn whatever_it_is_called_it_is_found() {
        let xml = XML.as_bytes();
        for octets in [xml.to_vec(), gzip(xml), zipped(&[xml]), zipped(&[b"other", xml])] {
            for kind in ["application/gzip", "application/zip", "application/octet-stream"] {
                let found = unpack(&message(kind, &octets), 10_000);
                let [Found::Dmarc(report)] = found.as_slice() else { panic!("{kind}: {found:?}") };
                assert_eq!((report.domain(), report.records().len()), ("x.test", 1));
            }
        }
        let json = br#"{"organization-name":"o","date-range":{"start-datetime":"2026-01-01T00:00:00Z","end-datetime":"2026-01-01T23:59:59Z"},"report-id":"7","policies":[]}"#;
        let found = unpack(&message("application/tlsrpt+gzip", &gzip(json)), 10_000);
        assert!(matches!(found.as_slice(), [Found::Tls(report)] if report.report_id == "7"), "{found:?}");
    }

    #[test]
    fn odd_forms_are_read() {
        let json = r#"{"organization-name":"o","date-range":{"start-datetime":"2026-01-01T00:00:00Z","end-datetime":"2026-01-01T23:59:59Z"},
            "report-id":"7","policies":[{"policy":{"policy-type":"sts","policy-string":"version: STSv1","policy-domain":"x.test",
            "mx-host":"*.x.test"},"summary":{"total-successful-session-count":1,"total-failure-session-count":0}}]}"#;
        let pattern = json.replace(r#""mx-host":"*.x.test""#, r#""mx-host-pattern":["*.x.test"]"#);
        let utf16 = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| {
            mark.into_iter().chain(json.encode_utf16().flat_map(bytes)).collect::<Vec<u8>>()
        };
        let marked = [b"\xef\xbb\xbf", json.as_bytes()].concat();
        let forms = [utf16([0xff, 0xfe], u16::to_le_bytes), utf16([0xfe, 0xff], u16::to_be_bytes), marked];
        for octets in forms.into_iter().chain([json.into(), pattern.into()]) {
            let found = unpack(&message("application/tlsrpt+json", &octets), 10_000);
            let [Found::Tls(report)] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!(report.policies[0].policy.mx_host, ["*.x.test"]);
        }
    }

    #[test]
    fn texts_without_a_name_and_in_other_encodings_are_read() {
        let inline = format!("From: a@o.test\r\nMIME-Version: 1.0\r\nContent-Type: text/xml\r\n\r\n{XML}\r\n");
        let found = unpack(inline.as_bytes(), 10_000);
        assert!(matches!(found.as_slice(), [Found::Dmarc(_)]), "{found:?}");
        let prose = inline.replace("text/xml", "text/plain");
        assert!(unpack(prose.as_bytes(), 10_000).is_empty(), "what is for people is none");

        let named =
            XML.replace("version=\"1.0\"", "version=\"1.0\" encoding='ISO-8859-1'").replace("o.test<", "Caf\u{e9}<");
        let latin: Vec<u8> = named.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        let found = unpack(&message("application/xml", &latin), 10_000);
        let [Found::Dmarc(report)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(report.org_name(), "Caf\u{e9}");
    }

    #[test]
    fn what_would_take_much_memory_is_not_read() {
        let (start, end) = XML.split_once("<record>").map(|(start, _)| (start, "</feedback>")).unwrap();
        let json = r#"{"organization-name":"o","date-range":{"start-datetime":"2026-01-01T00:00:00Z","end-datetime":"2026-01-01T23:59:59Z"},
            "report-id":"7","policies":[],"x":["#;
        let limit = 1 << 20;
        for (start, part, end) in [
            (start, "<record></record>", end),
            (start, "<record><auth_results><spf></spf><dkim></dkim></auth_results></record>", end),
            (json, r#"{"a":{}},"#, "0]}"),
            (json, "0,", "0]}"),
        ] {
            let report = |parts: usize| [start, &part.repeat(parts), end].concat();
            let most = (limit - 2_000) / part.len();
            let found = unpack(&message("application/gzip", &gzip(report(most).as_bytes())), limit as u64);
            assert!(matches!(found.as_slice(), [Found::Unreadable(_)]), "{part}: {:.200}", format!("{found:?}"));
            let found = unpack(&message("application/gzip", &gzip(report(100).as_bytes())), limit as u64);
            assert!(matches!(found.as_slice(), [Found::Dmarc(_) | Found::Tls(_)]), "{part}: {found:?}");
        }
        // A report is not rejected for its form, however large it is.
        let record = "<record><row><source_ip>192.0.2.1</source_ip><count>1</count><policy_evaluated><disposition>none</disposition>\
            <dkim>pass</dkim><spf>pass</spf></policy_evaluated></row><identifiers><envelope_to>recipient.example</envelope_to>\
            <envelope_from>bounces.example.com</envelope_from><header_from>example.com</header_from></identifiers><auth_results>\
            <dkim><domain>example.com</domain><selector>selector1</selector><result>pass</result></dkim><spf><domain>bounces.example.com\
            </domain><scope>mfrom</scope><result>pass</result></spf></auth_results></record>";
        let whole = [start, &record.repeat((limit - 2_000) / record.len()), end].concat();
        let found = unpack(&message("application/gzip", &gzip(whole.as_bytes())), limit as u64);
        assert!(matches!(found.as_slice(), [Found::Dmarc(_)]), "{:.200}", format!("{found:?}"));
    }

    #[test]
    fn what_grows_too_large_is_told() {
        let bomb = vec![b' '; 4 << 20];
        for octets in [gzip(&bomb), zipped(&[&bomb]), zipped(&[&bomb, &bomb, &bomb, &bomb, XML.as_bytes()])] {
            let found = unpack(&message("application/gzip", &octets), 100_000);
            assert!(!found.is_empty() && found.iter().all(|one| matches!(one, Found::Unreadable(_))), "{found:?}");
        }
        for broken in [b"PK\x03\x04 no archive".to_vec(), b"\x1f\x8b no gzip".to_vec(), b"<feedback>".to_vec()] {
            let found = unpack(&message("application/zip", &broken), 10_000);
            assert!(matches!(found.as_slice(), [Found::Unreadable(_)]), "{found:?}");
        }
    }
}
