//! Signs in the structure of a message and in its attachments.

use super::{number, office};
use crate::services::filter::rules::Facts;
use crate::services::filter::view::{Kind, Part, extension, saved_name};

fn named<'f>(facts: &Facts<'f>) -> impl Iterator<Item = (&'f Part<'f>, &'f str)> {
    facts.view.parts.iter().filter_map(|p| p.file_name.as_deref().map(|n| (p, n)))
}

/// Extensions that Windows runs when they are opened, or that lead it to a program, a server or settings of somebody else's.
const PROGRAMS: &[&str] = &[
    "exe",
    "scr",
    "pif",
    "com",
    "bat",
    "cmd",
    "vbs",
    "vbe",
    "js",
    "jse",
    "wsf",
    "wsh",
    "hta",
    "cpl",
    "msi",
    "msp",
    "jar",
    "lnk",
    "ps1",
    "reg",
    "scf",
    "sct",
    "chm",
    "ade",
    "adp",
    "inf",
    "ins",
    "isp",
    "mde",
    "mdb",
    "mst",
    "shb",
    "shs",
    "vb",
    "ws",
    "application",
    "gadget",
    "msc",
    "appx",
    "msix",
    "xll",
    "url",
    "iqy",
    "slk",
    "one",
    "onepkg",
    "ace",
    "appcontent-ms",
    "appinstaller",
    "appref-ms",
    "appxbundle",
    "diagcab",
    "hlp",
    "jnlp",
    "library-ms",
    "msixbundle",
    "msu",
    "ps1xml",
    "psm1",
    "pyw",
    "pyz",
    "rdp",
    "search-ms",
    "searchconnector-ms",
    "settingcontent-ms",
    "theme",
    "themepack",
    "website",
    "wsb",
    "wsc",
];

/// Those of them that sources, sites and their tools have, too.
const SOURCES: &[&str] =
    &["bat", "cmd", "com", "hlp", "inf", "jar", "js", "mdb", "ps1", "ps1xml", "psm1", "reg", "theme", "url", "vb"];

/// Images of disks, which Windows opens like folders. What is in them does not count as coming from elsewhere.
const IMAGES: &[&str] = &["img", "iso", "vhd", "vhdx", "wim"];

/// An attachment with one of the given extensions; `programs` stands for everything Windows runs.
pub fn name(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    named(facts)
        .map(|(_, name)| name)
        .find(|name| {
            let extension = extension(name);
            arguments.iter().any(|a| *a == extension || (a == "programs" && PROGRAMS.contains(&extension.as_str())))
        })
        .map(shortened)
}

/// A document with macros: by its extension, also in an archive, or by what is in it. `arguments` are the extensions.
pub fn macros(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let is_meant = |kind: &Kind<'_>| arguments.iter().any(|extension| extension == kind.extension);
    name(facts, arguments)
        .or_else(|| inside(facts, is_meant))
        .or_else(|| facts.view.archived.macros.as_deref().map(shortened))
        .or_else(|| {
            let mut parts = facts.view.parts.iter().filter(|part| !part.is_container() && !part.is_text());
            let found = parts.find(|part| office::is_document(&part.octets(8)) && office::runs(&part.octets(MOST)))?;
            Some(shortened(found.file_name.as_deref().unwrap_or_default()))
        })
}

/// Most octets of a document that are looked at.
const MOST: usize = 32 << 20;

/// `invoice.pdf.exe`: a harmless extension before a dangerous one.
pub fn double_extension(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    named(facts)
        .map(|(_, name)| name)
        .find(|name| {
            let name = saved_name(name);
            let Some((stem, last)) = name.rsplit_once('.') else { return false };
            let inner = extension(stem.trim_end());
            PROGRAMS.contains(&last.to_lowercase().as_str())
                && matches!(
                    inner.as_str(),
                    "pdf"
                        | "doc"
                        | "docx"
                        | "xls"
                        | "xlsx"
                        | "jpg"
                        | "jpeg"
                        | "png"
                        | "txt"
                        | "gif"
                        | "mp3"
                        | "htm"
                        | "html"
                        | "rtf"
                        | "zip"
                )
        })
        .map(shortened)
}

/// A file name that is written from right to left in part, so that its end looks like another.
pub fn direction_override(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    named(facts).map(|(_, name)| name).find(|n| n.contains(['\u{202e}', '\u{202d}', '\u{2067}'])).map(shortened)
}

/// An archive that contains a program, or a disk with one, by the names in it.
pub fn program_inside(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    inside(facts, |kind| {
        let is_program = PROGRAMS.contains(&kind.extension) || IMAGES.contains(&kind.extension);
        is_program && !(kind.is_of_many && SOURCES.contains(&kind.extension))
    })
}

/// An archive of few files that contains a page for browsers, by the names in it.
pub fn page_inside(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    facts.view.archived.page.as_deref().map(shortened)
}

/// An archive whose content is encrypted, so that no scanner can look into it.
pub fn encrypted(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    inside(facts, |kind| kind.is_encrypted)
}

/// The name of such a file in an archive.
fn inside(facts: &Facts<'_>, is_meant: impl Fn(&Kind<'_>) -> bool) -> Option<String> {
    facts.view.archived.kinds().find(is_meant).map(|kind| shortened(kind.name))
}

/// A program or archive under the name or media type of something harmless.
pub fn disguised(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    facts.view.parts.iter().filter(|p| !p.is_container() && !p.is_text()).find_map(|part| {
        let head = part.octets(4);
        let name = part.file_name.as_deref().unwrap_or_default();
        let extension = extension(name);
        let harmless = part.media_type.starts_with("image/")
            || part.is("application/pdf")
            || matches!(extension.as_str(), "pdf" | "jpg" | "jpeg" | "png" | "gif" | "txt");
        let wrong = head.starts_with(b"MZ")
            || (head.starts_with(b"PK\x03\x04") && !part.is("application/pdf"))
            || head.starts_with(b"\x7fELF");
        (harmless && wrong).then(|| shortened(if name.is_empty() { &part.media_type } else { name }))
    })
}

/// A multipart without its end.
pub fn unterminated(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    let cut = facts.view.reached.contains(&crate::services::filter::view::Limit::Message);
    (!cut && facts.view.parts.iter().any(|p| p.unterminated)).then(String::new)
}

/// Plain ASCII text in base64: only useful for hiding from filters. Programs that write UTF-8 or East Asian character sets encode
/// every text so, whatever its letters are.
pub fn encoded_text(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    let is_readable = |charset: &str| {
        charset.contains("ascii") || charset.starts_with("iso-8859-") || charset.starts_with("windows-125")
    };
    let is_meant = |part: &&Part<'_>| {
        part.is_text() && part.encoding == "base64" && part.charset.as_deref().is_none_or(is_readable)
    };
    let part = facts.view.parts.iter().find(is_meant)?;
    let start = part.octets(4096);
    (start.len() > 20 && start.is_ascii()).then(String::new)
}

/// HTML without a plain alternative.
pub fn only_html(facts: &Facts<'_>, _: &[String]) -> Option<String> {
    let parts = &facts.view.parts;
    (parts.iter().any(|p| p.is("text/html")) && !parts.iter().any(|p| p.is("text/plain"))).then(String::new)
}

/// Images and at most so many characters of text.
pub fn only_images(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let most: usize = number(arguments, 0)?;
    let images = facts.view.parts.iter().filter(|p| p.media_type.starts_with("image/")).count();
    (images > 0 && facts.view.written() <= most).then(|| images.to_string())
}

/// A limit of the filter was reached: the rest was not read.
pub fn limit_reached(facts: &Facts<'_>, arguments: &[String]) -> Option<String> {
    let reached = facts.view.reached.iter().map(|l| format!("{l:?}").to_lowercase());
    let found: Vec<String> = reached.filter(|l| arguments.is_empty() || arguments.contains(l)).collect();
    (!found.is_empty()).then(|| found.join(", "))
}

fn shortened(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::filter::LimitSettings;
    use crate::services::filter::view::View;

    #[test]
    fn a_program_is_one_by_the_name_under_which_it_is_saved() {
        let programs = ["programs".to_owned()];
        for name in [
            "filename=\"a.pdf.exe\"",
            "filename=\"a.pdf.exe. \"",
            "filename=\"a.pdf.ex*e\"",
            "filename=\"a.pdf.exe:\"",
            "filename*=utf-8''a.pdf.exe%E2%80%8B",
            "filename*=utf-8''a.pdf.ex%01e%C2%A0",
        ] {
            let message = format!("Content-Disposition: attachment; {name}\r\n\r\nx");
            let view = View::new(message.as_bytes(), &LimitSettings::default());
            let facts = Facts::of(&view);
            assert!(super::name(&facts, &programs).is_some() && double_extension(&facts, &[]).is_some(), "{name}");
        }
        assert_eq!(saved_name("a b.pdf"), "a b.pdf");
    }

    #[test]
    fn a_program_does_not_hide_behind_many_files() {
        let header = |name: &[u8]| [&b"PK\x03\x04"[..], &[0; 22], &[5, 0, 0, 0], name].concat();
        let zip = [header(b"a.txt").repeat(2_000), header(b"a.exe")].concat();
        let message = [&b"Content-Type: application/zip; name=a.zip\r\n\r\n"[..], zip.as_slice()].concat();
        let view = View::new(&message, &LimitSettings::default());
        assert_eq!(program_inside(&Facts::of(&view), &[]).as_deref(), Some("a.exe"));
    }

    #[test]
    fn sources_in_an_archive_are_no_program() {
        let header = |name: &str| {
            let length = [u8::try_from(name.len()).unwrap()];
            [&b"PK\x03\x04"[..], &[0; 22], &length, &[0; 3], name.as_bytes()].concat()
        };
        for (name, others, is_found) in [
            ("web/app.js", 20, false),
            ("web/app.js", 2, true),
            ("app.js", 20, true),
            ("web/setup.exe", 20, true),
            ("web/disk.iso", 20, true),
            ("disk.IMG", 0, true),
            ("a.txt", 0, false),
        ] {
            let zip = [header("web/a.txt").repeat(others), header(name)].concat();
            let message = [&b"Content-Type: application/zip; name=a.zip\r\n\r\n"[..], zip.as_slice()].concat();
            let view = View::new(&message, &LimitSettings::default());
            assert_eq!(program_inside(&Facts::of(&view), &[]).is_some(), is_found, "{name} {others}");
        }
    }

    #[test]
    fn documents_with_macros_are_known_by_their_content() {
        let extensions = ["docm".to_owned(), "xlsm".to_owned()];
        let zip = |name: &str| {
            let length = [u8::try_from(name.len()).unwrap()];
            [&b"PK\x03\x04"[..], &[0; 22], &length, &[0; 3], name.as_bytes()].concat()
        };
        for (name, content, is_found) in [
            ("a.docm", b"x".to_vec(), true),
            ("a.docx", zip("word/document.xml"), false),
            ("a.doc", zip("word/vbaProject.bin"), true),
            ("a.zip", zip("x/a.xlsm"), true),
            ("a.xls", office::sample("Workbook_Open"), true),
            ("a.xls", office::sample("Sheet1"), false),
            ("a.xls", b"Workbook_Open".to_vec(), false),
        ] {
            let fields = format!("Content-Type: application/octet-stream; name={name}\r\n\r\n");
            let message = [fields.as_bytes(), content.as_slice()].concat();
            let view = View::new(&message, &LimitSettings::default());
            assert_eq!(macros(&Facts::of(&view), &extensions).is_some(), is_found, "{name}");
        }
    }

    #[test]
    fn archives_that_are_called_text_are_looked_into() {
        let zip = [&b"PK\x03\x04"[..], &[0; 22], &[5, 0, 0, 0], b"a.exe"].concat();
        for content_type in ["application/zip", "text/plain"] {
            let message =
                [format!("Content-Type: {content_type}; name=a.zip\r\n\r\n").as_bytes(), zip.as_slice()].concat();
            let view = View::new(&message, &LimitSettings::default());
            assert_eq!(program_inside(&Facts::of(&view), &[]).as_deref(), Some("a.exe"), "{content_type}");
        }
    }
}
