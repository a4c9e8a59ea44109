//! Records as a zone file has them (RFC 1035 §5).

use super::Record;

/// One line for each record; those that depend on something are comments, with their condition before them.
pub fn zone_lines(records: &[Record]) -> String {
    let mut lines = String::new();
    let mut told = None;
    for record in records {
        let value = if record.kind == "TXT" { quoted(&record.value) } else { record.value.clone() };
        let line = format!("{} 3600 IN {} {value}\n", record.name, record.kind);
        match record.when {
            None => lines.push_str(&line),
            Some(when) => {
                if told != Some(when) {
                    lines.push_str(&format!("; when {when}:\n"));
                }
                lines.push_str(&format!("; {line}"));
            }
        }
        told = record.when;
    }
    lines
}

/// Strings of at most 255 octets (RFC 1035 §3.3).
fn quoted(text: &str) -> String {
    let escaped = |piece: &[u8]| String::from_utf8_lossy(piece).replace('\\', "\\\\").replace('"', "\\\"");
    let pieces: Vec<String> = text.as_bytes().chunks(255).map(|piece| format!("\"{}\"", escaped(piece))).collect();
    match pieces.as_slice() {
        [one] => one.clone(),
        pieces => format!("( {} )", pieces.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_comments() {
        let record = |kind, value: &str, when| Record { name: "a.".to_owned(), kind, value: value.to_owned(), when };
        let lines = zone_lines(&[
            record("MX", "10 b.", None),
            record("TXT", &"x".repeat(300), None),
            record("TLSA", "3 1 1 00", Some("signed")),
            record("TLSA", "3 1 1 01", Some("signed")),
        ]);
        let wanted = format!(
            "a. 3600 IN MX 10 b.\na. 3600 IN TXT ( \"{}\" \"{}\" )\n; when signed:\n; a. 3600 IN TLSA 3 1 1 00\n; a. 3600 IN TLSA 3 1 1 01\n",
            "x".repeat(255),
            "x".repeat(45)
        );
        assert_eq!(lines, wanted);
    }
}
