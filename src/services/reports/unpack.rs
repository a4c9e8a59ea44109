//! Reports out of messages: attachments, packed or not, within bounds.

use std::io::{Cursor, Read};

use flate2::read::GzDecoder;
use mail_auth::report::tlsrpt::TlsReport;
use mail_auth::report::{Feedback, FeedbackType, Report};
use mail_parser::{MessageParser, MimeHeaders as _, PartType};

/// A report, whichever it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    Dmarc(Box<Report>),
    Tls(TlsReport),
    Failure(Box<Feedback<'static>>),
}

/// Most parts of a message that are unpacked.
const MOST_PARTS: usize = 4;
/// Most files of an archive that are unpacked.
const MOST_FILES: usize = 4;

/// The reports of a message, given whole. What is longer than `limit` when it is unpacked is passed over.
///
/// What a part is says its beginning, not its name or type, which senders choose as they like.
pub(super) fn unpack(message: &[u8], limit: u64) -> Vec<Found> {
    let failure = Feedback::parse_rfc5322(message).ok().filter(|f| f.feedback_type() == FeedbackType::AuthFailure);
    if let Some(failure) = failure {
        return vec![Found::Failure(Box::new(failure.into_owned()))];
    }
    let Some(message) = MessageParser::new().parse(message) else { return Vec::new() };
    let candidates = message.parts.iter().filter_map(|part| match &part.body {
        PartType::Binary(octets) | PartType::InlineBinary(octets) => Some(octets.as_ref()),
        PartType::Text(text) if part.attachment_name().is_some() => Some(text.as_bytes()),
        _ => None,
    });
    candidates.take(MOST_PARTS).flat_map(|octets| files(octets, limit)).filter_map(|file| read(&file)).collect()
}

/// What a part holds: the files of a ZIP archive, the content of a gzip file, or itself.
fn files(octets: &[u8], limit: u64) -> Vec<Vec<u8>> {
    if octets.starts_with(b"PK\x03\x04") {
        let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(octets)) else { return Vec::new() };
        let count = archive.len().min(MOST_FILES);
        return (0..count).filter_map(|n| bounded(archive.by_index(n).ok()?, limit)).collect();
    }
    if octets.starts_with(&[0x1f, 0x8b]) {
        return bounded(GzDecoder::new(octets), limit).into_iter().collect();
    }
    if octets.len() as u64 > limit { Vec::new() } else { vec![octets.to_vec()] }
}

/// All that comes out of a reader; `None` when that is too much or is broken.
fn bounded(reader: impl Read, limit: u64) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    reader.take(limit + 1).read_to_end(&mut content).ok()?;
    (content.len() as u64 <= limit).then_some(content)
}

fn read(content: &[u8]) -> Option<Found> {
    let start = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    match start.iter().find(|octet| !octet.is_ascii_whitespace())? {
        b'<' => Report::parse_xml(start).ok().map(|report| Found::Dmarc(Box::new(report))),
        b'{' => TlsReport::parse_json(start).ok().map(Found::Tls),
        _ => None,
    }
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
    fn what_grows_too_large_is_passed_over() {
        let bomb = vec![b' '; 4 << 20];
        for octets in [gzip(&bomb), zipped(&[&bomb]), zipped(&[&bomb, &bomb, &bomb, &bomb, XML.as_bytes()])] {
            assert_eq!(unpack(&message("application/gzip", &octets), 100_000), []);
        }
        for broken in [b"PK\x03\x04 no archive".to_vec(), b"\x1f\x8b no gzip".to_vec(), b"<feedback>".to_vec()] {
            assert_eq!(unpack(&message("application/zip", &broken), 10_000), []);
        }
    }
}
