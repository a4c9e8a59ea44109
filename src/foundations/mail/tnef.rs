//! TNEF (MS-OXTNEF): the `winmail.dat` that Outlook sends when it takes the recipient for another Outlook. It is turned
//! into the message that any other program would have sent.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::compose::{Charset, field};
use super::{HeaderSection, charset, lzfu};

/// What a container holds, as far as it could be read.
#[derive(Debug, Default)]
struct Container<'a> {
    subject: String,
    text: String,
    page: Vec<u8>,
    /// The text in Outlook's own form.
    rich: &'a [u8],
    files: Vec<File<'a>>,
    /// Whether there are more files than the limit.
    is_full: bool,
    /// The charset of texts that are not in Unicode.
    charset: String,
}

#[derive(Debug, Default)]
struct File<'a> {
    /// The long name, under which Outlook shows and saves it; as long as there is none, the short one.
    name: String,
    has_long_name: bool,
    kind: String,
    id: String,
    content: &'a [u8],
}

/// Begins every container (MS-OXTNEF §2.1.3.1).
const SIGNATURE: u32 = 0x223e_9f78;
/// Files of one container.
const MOST_FILES: usize = 500;
/// Most properties of a message or a file.
const MOST_PROPERTIES: u32 = 10_000;

/// The message in a container, with the header fields of the message that carried it; `None` when it is no container.
/// Reading stops at the first unreadable part and keeps what was read before it.
pub fn message(octets: &[u8], header: &HeaderSection<'_>) -> Option<Vec<u8>> {
    Container::read(octets).map(|container| container.message(header))
}

/// Whether this is the beginning of a container.
pub fn is_container(octets: &[u8]) -> bool {
    Octets(octets).u32() == Some(SIGNATURE)
}

/// The names and contents of the files in a container, as far as it can be read; `None` when it is no container.
pub fn files(octets: &[u8]) -> Option<Vec<(String, &[u8])>> {
    let files = Container::read(octets)?.files;
    Some(files.into_iter().map(|file| (file.shown_name().to_owned(), file.content)).collect())
}

impl<'a> Container<'a> {
    fn read(octets: &'a [u8]) -> Option<Self> {
        let mut rest = Octets(octets);
        if rest.u32()? != SIGNATURE {
            return None;
        }
        rest.u16()?;
        let mut container = Self { charset: "windows-1252".to_owned(), ..Self::default() };
        while let Some((id, data)) = attribute(&mut rest) {
            container.note(id, data);
        }
        Some(container)
    }

    /// MS-OXTNEF §2.1.3.3: the lower half of an attribute's number is its name, the upper half its type.
    fn note(&mut self, id: u32, data: &'a [u8]) {
        match id & 0xffff {
            OEM_CODE_PAGE => self.charset = code_page(Octets(data).u32().unwrap_or_default()),
            SUBJECT => self.subject = self.narrow(data),
            BODY => self.text = self.narrow(data),
            MESSAGE_PROPERTIES => properties(data, |property| self.of_message(&property)),
            // What follows is of another file.
            RENDERING if self.files.len() < MOST_FILES => self.files.push(File::default()),
            RENDERING => self.is_full = true,
            TITLE => {
                let name = self.narrow(data);
                self.file(|file| file.set_short_name(name));
            }
            CONTENT => self.file(|file| file.content = data),
            FILE_PROPERTIES => properties(data, |property| self.of_file(&property)),
            _ => {}
        }
    }

    fn file(&mut self, change: impl FnOnce(&mut File<'a>)) {
        if let Some(file) = self.files.last_mut().filter(|_| !self.is_full) {
            change(file);
        }
    }

    /// MS-OXPROPS: PidTagBody, PidTagRtfCompressed, PidTagBodyHtml.
    fn of_message(&mut self, property: &Property<'a>) {
        match property.id {
            0x1000 => self.text = self.text_of(property),
            0x1009 => self.rich = property.value,
            0x1013 => self.page = property.value.to_vec(),
            _ => {}
        }
    }

    /// MS-OXPROPS: PidTagAttachFilename, -LongFilename, -MimeTag, -ContentId, -DataObject.
    fn of_file(&mut self, property: &Property<'a>) {
        let text = self.text_of(property);
        match property.id {
            0x3704 => self.file(|file| file.set_short_name(text)),
            0x3707 if !text.is_empty() => self.file(|file| (file.name, file.has_long_name) = (text, true)),
            0x370e => self.file(|file| file.kind = text),
            0x3712 => self.file(|file| file.id = text),
            0x3701 if property.kind == BINARY => self.file(|file| file.content = property.value),
            // MS-OXTNEF §2.1.3.3.15: the number of its interface, then a document or a container within this one.
            0x3701 if property.kind == OBJECT => {
                let content = property.value.get(16..).unwrap_or_default();
                self.file(|file| file.content = content);
                if Octets(content).u32() == Some(SIGNATURE) {
                    self.file(|file| file.kind = KIND.to_owned());
                }
            }
            _ => {}
        }
    }

    fn text_of(&self, property: &Property<'_>) -> String {
        match property.kind {
            UNICODE => trimmed(&charset::decode(b"utf-16le", property.value)),
            STRING => self.narrow(property.value),
            _ => String::new(),
        }
    }

    fn narrow(&self, octets: &[u8]) -> String {
        trimmed(&charset::decode(self.charset.as_bytes(), octets))
    }

    fn message(&self, header: &HeaderSection<'_>) -> Vec<u8> {
        let mut message = Vec::new();
        for name in ["From", "Sender", "Reply-To", "To", "Cc", "Date", "Subject"] {
            for field in header.all(name) {
                message.extend_from_slice(field.raw);
            }
        }
        if header.first("Subject").is_none() && !self.subject.is_empty() {
            message.extend_from_slice(field("Subject", &self.subject, Charset::Ascii).as_bytes());
        }
        let mut rest = format!("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"{MIXED}\"\r\n\r\n");
        let page = if self.page.is_empty() { None } else { Some(self.page.as_slice()) };
        let _ = write!(rest, "--{MIXED}\r\nContent-Type: multipart/alternative; boundary=\"{EITHER}\"\r\n\r\n");
        if !self.text.is_empty() || page.is_none() {
            part(&mut rest, EITHER, "Content-Type: text/plain; charset=utf-8\r\n", self.text.as_bytes());
        }
        if let Some(page) = page {
            part(&mut rest, EITHER, "Content-Type: text/html\r\n", page);
        }
        let _ = write!(rest, "--{EITHER}--\r\n");
        // Where there is no other text, this one becomes a file, which any word processor opens.
        if self.text.is_empty()
            && page.is_none()
            && let Some(content) = lzfu::decompress(self.rich)
        {
            let (name, kind) = ("message.rtf".to_owned(), "application/rtf".to_owned());
            let file = File { name, kind, content: &content, ..File::default() };
            part(&mut rest, MIXED, &file.fields(), file.content);
        }
        for file in &self.files {
            part(&mut rest, MIXED, &file.fields(), file.content);
        }
        let _ = write!(rest, "--{MIXED}--\r\n");
        message.extend_from_slice(rest.as_bytes());
        message
    }
}

impl File<'_> {
    /// Whatever the order of the names.
    fn set_short_name(&mut self, name: String) {
        if !self.has_long_name && !name.is_empty() {
            self.name = name;
        }
    }

    /// The name without a path.
    fn shown_name(&self) -> &str {
        self.name.rsplit(['/', '\\']).next().unwrap_or_default()
    }

    fn fields(&self) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '.' | '+' | '_');
        let known = self.kind.len() < 100 && self.kind.contains('/') && self.kind.chars().all(is_word);
        let kind = if known { self.kind.as_str() } else { "application/octet-stream" };
        let name = match self.shown_name() {
            "" if kind == KIND => "message.dat",
            name => name,
        };
        let mut fields = format!("Content-Type: {kind}\r\nContent-Disposition: attachment; filename*=utf-8''");
        // RFC 8187 §3.2.1.
        for octet in name.bytes().take(LONGEST_NAME) {
            match octet {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => fields.push(char::from(octet)),
                other => {
                    let _ = write!(fields, "%{other:02X}");
                }
            }
        }
        fields.push_str("\r\n");
        let id: String = self.id.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>')).collect();
        if !id.is_empty() && id.len() <= LONGEST_NAME {
            let _ = write!(fields, "Content-ID: <{id}>\r\n");
        }
        fields
    }
}

/// Neither occurs in base64.
const MIXED: &str = "=_mixed";
const EITHER: &str = "=_either";
/// Octets of a file's name and of an identifier.
const LONGEST_NAME: usize = 300;
/// The types under which containers are sent.
const KIND: &str = "application/ms-tnef";
/// Octets of base64 in a line (RFC 2045 §6.8).
const LINE: usize = 76;

fn part(out: &mut String, boundary: &str, fields: &str, content: &[u8]) {
    let _ = write!(out, "--{boundary}\r\n{fields}Content-Transfer-Encoding: base64\r\n\r\n");
    for line in content.chunks(LINE / 4 * 3) {
        STANDARD.encode_string(line, out);
        out.push_str("\r\n");
    }
}

// Names of attributes (MS-OXTNEF §2.1.3.2).
const OEM_CODE_PAGE: u32 = 0x9007;
const SUBJECT: u32 = 0x8004;
const BODY: u32 = 0x800c;
const MESSAGE_PROPERTIES: u32 = 0x9003;
const RENDERING: u32 = 0x9002;
const TITLE: u32 = 0x8010;
const CONTENT: u32 = 0x800f;
const FILE_PROPERTIES: u32 = 0x9005;

/// The next attribute: its level, name and length, its data and a sum of it.
fn attribute<'a>(rest: &mut Octets<'a>) -> Option<(u32, &'a [u8])> {
    rest.take(1)?;
    let id = rest.u32()?;
    let length = rest.u32()?;
    let data = rest.take(usize::try_from(length).ok()?)?;
    rest.take(2)?;
    Some((id, data))
}

// Types of properties (MS-OXCDATA §2.11.1).
const STRING: u16 = 0x1e;
const UNICODE: u16 = 0x1f;
const OBJECT: u16 = 0x0d;
const BINARY: u16 = 0x102;
const SEVERAL: u16 = 0x1000;

/// A property with its first value.
struct Property<'a> {
    id: u16,
    kind: u16,
    value: &'a [u8],
}

/// Reads properties (MS-OXTNEF §2.1.3.4) as far as possible.
fn properties<'a>(data: &'a [u8], mut note: impl FnMut(Property<'a>)) {
    let mut rest = Octets(data);
    let count = rest.u32().unwrap_or_default().min(MOST_PROPERTIES);
    for _ in 0..count {
        let Some(property) = property(&mut rest) else { return };
        note(property);
    }
}

fn property<'a>(rest: &mut Octets<'a>) -> Option<Property<'a>> {
    let (kind, id) = (rest.u16()?, rest.u16()?);
    if id >= 0x8000 {
        // One with a name: a GUID, and a number or a text.
        rest.take(16)?;
        match rest.u32()? {
            0 => rest.take(4)?,
            _ => rest.sized()?,
        };
    }
    let bare = kind & !SEVERAL;
    let is_sized = matches!(bare, STRING | UNICODE | OBJECT | BINARY);
    let count = if is_sized || kind & SEVERAL != 0 { rest.u32()? } else { 1 };
    let mut first = None;
    for _ in 0..count {
        let value = match bare {
            0x02..=0x04 | 0x0a | 0x0b => rest.take(4)?,
            0x05..=0x07 | 0x14 | 0x40 => rest.take(8)?,
            0x48 => rest.take(16)?,
            _ if is_sized => rest.sized()?,
            _ => return None,
        };
        first.get_or_insert(value);
    }
    Some(Property { id, kind: bare, value: first.unwrap_or_default() })
}

/// The charset of a code page of Windows.
fn code_page(number: u32) -> String {
    match number {
        65001 => "utf-8".to_owned(),
        932 => "shift_jis".to_owned(),
        936 => "gb18030".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        20866 => "koi8-r".to_owned(),
        1250..=1258 => format!("windows-{number}"),
        _ => "windows-1252".to_owned(),
    }
}

/// Texts end in NUL.
fn trimmed(text: &str) -> String {
    text.split('\0').next().unwrap_or_default().to_owned()
}

/// Octets that have not been read yet.
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).and_then(|octets| octets.try_into().ok()).map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4).and_then(|octets| octets.try_into().ok()).map(u32::from_le_bytes)
    }

    /// A length, that many octets, and padding to a multiple of four.
    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        let value = self.take(length)?;
        // The last one may lack it.
        let fill = (4 - length % 4) % 4;
        self.take(fill.min(self.0.len()))?;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Structure};
    use super::*;

    fn attribute(id: u32, data: &[u8]) -> Vec<u8> {
        let level = if matches!(id & 0xffff, RENDERING | TITLE | CONTENT | FILE_PROPERTIES) { 2 } else { 1 };
        let sum = data.iter().fold(0u16, |sum, octet| sum.wrapping_add(u16::from(*octet)));
        let length = u32::try_from(data.len()).unwrap().to_le_bytes();
        [&[level][..], &id.to_le_bytes(), &length, data, &sum.to_le_bytes()].concat()
    }

    fn sized(kind: u16, id: u16, value: &[u8]) -> Vec<u8> {
        let length = u32::try_from(value.len()).unwrap().to_le_bytes();
        let fill = vec![0; (4 - value.len() % 4) % 4];
        [&kind.to_le_bytes()[..], &id.to_le_bytes(), &1u32.to_le_bytes(), &length, value, &fill].concat()
    }

    fn counted(properties: &[Vec<u8>]) -> Vec<u8> {
        [&u32::try_from(properties.len()).unwrap().to_le_bytes()[..], &properties.concat()].concat()
    }

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    }

    fn container(attributes: &[Vec<u8>]) -> Vec<u8> {
        [&SIGNATURE.to_le_bytes()[..], &[1, 0], &attributes.concat()].concat()
    }

    fn sample() -> Vec<u8> {
        let inner = container(&[attribute(0x0001_8004, b"Inner\0"), attribute(0x0002_800c, b"Deep\0")]);
        let named =
            [&[3, 0, 1, 0x80][..], &[7; 16], &1u32.to_le_bytes(), &6u32.to_le_bytes(), b"a\0b\0\0\0\0\0", &[9; 4]]
                .concat();
        let flag = [&[0x0b, 0][..], &0x0e1bu16.to_le_bytes(), &[1, 0, 0, 0]].concat();
        let times = [&[0x40, 0x10][..], &0x3007u16.to_le_bytes(), &2u32.to_le_bytes(), &[5; 16]].concat();
        container(&[
            attribute(0x0006_9007, &1251u32.to_le_bytes()),
            attribute(0x0001_8004, b"\xcf\xf0\xe8\xe2\xe5\xf2\0"),
            attribute(
                0x0006_9003,
                &counted(&[
                    named,
                    flag,
                    times,
                    sized(BINARY, 0x1013, b"<p>Page</p>"),
                    sized(UNICODE, 0x1000, &wide("Grüße")),
                ]),
            ),
            attribute(0x0006_9002, &[0; 14]),
            attribute(0x0001_8010, b"REPORT~1.PDF\0"),
            attribute(0x0006_800f, b"%PDF content"),
            attribute(
                0x0006_9005,
                &counted(&[
                    sized(UNICODE, 0x3707, &wide("..\\Überblick 1.pdf")),
                    sized(STRING, 0x370e, b"application/pdf\0"),
                ]),
            ),
            attribute(0x0006_9002, &[0; 14]),
            attribute(0x0006_9005, &counted(&[sized(BINARY, 0x3701, b"beside"), sized(STRING, 0x3707, b"b.txt\0")])),
            attribute(0x0006_9002, &[0; 14]),
            attribute(0x0006_9005, &counted(&[sized(OBJECT, 0x3701, &[&[0; 16][..], &inner].concat())])),
        ])
    }

    fn parts(message: &[u8]) -> Vec<(String, String, Vec<u8>)> {
        let structure = Structure::of(message);
        let leaves = structure.parts().iter().filter(|part| part.kind == Kind::Leaf);
        let shown = leaves.map(|part| {
            let kind = format!("{}/{}", part.content.media.escape_ascii(), part.content.subtype.escape_ascii());
            let disposition = part.fields.disposition.and_then(super::super::content::Disposition::read);
            let name = disposition.and_then(|disposition| disposition.parameters.text("filename")).unwrap_or_default();
            (
                kind,
                name,
                super::super::transfer::decode(part.fields.encoding, structure.body(part), usize::MAX).into_owned(),
            )
        });
        shown.collect()
    }

    #[test]
    fn a_container_is_the_message_that_others_send() {
        let outer = HeaderSection::of(b"From: ann@x.test\r\nReceived: x\r\nTo: bob@x.test\r\n\r\n");
        let made = message(&sample(), &outer).unwrap();
        let header = HeaderSection::of(&made);
        assert_eq!(header.first("From").unwrap().text(), "ann@x.test");
        assert_eq!(header.first("Subject").unwrap().text(), "Привет");
        assert!(header.first("Received").is_none());
        let found = parts(&made);
        let expected = [
            ("text/plain", "", "Grüße".as_bytes()),
            ("text/html", "", &b"<p>Page</p>"[..]),
            ("application/pdf", "Überblick 1.pdf", &b"%PDF content"[..]),
            ("application/octet-stream", "b.txt", &b"beside"[..]),
        ];
        for ((kind, name, content), wanted) in found.iter().zip(expected) {
            assert_eq!((kind.as_str(), name.as_str(), content.as_slice()), wanted);
        }
        let (kind, name, content) = &found[4];
        assert_eq!((kind.as_str(), name.as_str(), found.len()), (KIND, "message.dat", 5));
        let octets = sample();
        let listed = files(&octets).unwrap();
        let listed: Vec<(&str, &[u8])> = listed.iter().map(|(name, content)| (name.as_str(), *content)).collect();
        assert_eq!(listed[..2], [("Überblick 1.pdf", &b"%PDF content"[..]), ("b.txt", &b"beside"[..])]);
        assert!(listed.len() == 3 && is_container(listed[2].1) && files(b"no container").is_none());
        let inner = message(content, &HeaderSection::of(b"Subject: kept\r\n\r\n")).unwrap();
        assert_eq!(HeaderSection::of(&inner).first("Subject").unwrap().text(), "kept");
        assert_eq!(parts(&inner), [("text/plain".to_owned(), String::new(), b"Deep".to_vec())]);
    }

    #[test]
    fn the_long_name_of_a_file_counts() {
        let title = |name: &[u8]| attribute(0x0001_8010, name);
        let named = |id: u16, name: &str| attribute(0x0006_9005, &counted(&[sized(UNICODE, id, &wide(name))]));
        for (attributes, wanted) in [
            (vec![title(b"A.TXT\0"), named(0x3707, "a.exe")], "a.exe"),
            (vec![named(0x3707, "a.exe"), title(b"A.TXT\0")], "a.exe"),
            (vec![named(0x3707, "a.exe"), named(0x3704, "A.TXT")], "a.exe"),
            (vec![named(0x3704, "a.exe")], "a.exe"),
            (vec![title(b"a.exe\0"), named(0x3707, "")], "a.exe"),
        ] {
            let rest = [attribute(0x0006_9002, &[0; 14]), attributes.concat()].concat();
            let octets = [&SIGNATURE.to_le_bytes()[..], &[0, 0], &rest].concat();
            let names: Vec<String> = files(&octets).unwrap().into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, [wanted]);
        }
    }

    #[test]
    fn a_text_that_only_outlook_reads_is_a_file() {
        let rich = sized(BINARY, 0x1009, b"\x10\0\0\0\x07\0\0\0MELA\0\0\0\0{\\rtf1}");
        let made = message(
            &container(&[attribute(0x0006_9003, &counted(std::slice::from_ref(&rich)))]),
            &HeaderSection::of(b"\r\n"),
        );
        let file = ("application/rtf".to_owned(), "message.rtf".to_owned(), b"{\\rtf1}".to_vec());
        assert_eq!(parts(&made.unwrap())[1..], [file]);
        let text = sized(STRING, 0x1000, b"Words\0");
        let made = message(&container(&[attribute(0x0006_9003, &counted(&[rich, text]))]), &HeaderSection::of(b"\r\n"));
        assert_eq!(parts(&made.unwrap()).len(), 1);
    }

    #[test]
    fn what_is_broken_ends_it() {
        let (whole, none) = (sample(), HeaderSection::of(b"\r\n"));
        for end in 0..whole.len() {
            assert_eq!(message(&whole[..end], &none).is_some(), end >= 6, "{end}");
        }
        for at in 6..whole.len() {
            let mut broken = whole.clone();
            broken[at] = 0xff;
            let made = message(&broken, &none).unwrap();
            assert!(made.len() < 4 * whole.len() + 1000, "{at}");
        }
        assert!(message(b"no container at all", &none).is_none());
    }
}
