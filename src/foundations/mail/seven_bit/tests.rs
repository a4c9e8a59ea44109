use super::*;
use crate::foundations::mail::transfer;

fn convert(message: &[u8]) -> Result<Vec<u8>, Unconvertible> {
    let converted = SevenBit::of(Bytes::copy_from_slice(message), &[])?;
    let whole = converted.blocks().collect::<Vec<Bytes>>().concat();
    assert_eq!(whole.len(), converted.len());
    Ok(whole)
}

/// Every leaf decoded.
fn leaves(message: &[u8]) -> Vec<Vec<u8>> {
    let structure = Structure::of(message);
    let leaves = structure.parts().iter().filter(|part| part.kind == Kind::Leaf);
    leaves.map(|part| transfer::decode(part.fields.encoding, structure.body(part), usize::MAX).into_owned()).collect()
}

#[test]
fn bodies_are_encoded_and_labelled() {
    let mime = "MIME-Version: 1.0\r\n";
    for (given, wanted) in [
        // Nothing declared: the encoding is now declared, the charset unknown.
        (
            "Subject: a\r\n\r\nb\u{e9}=\r\n".to_owned(),
            "Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n\r\nb=C3=A9=3D\r\n",
        ),
        // The label stays where it was, and only one of several.
        (
            format!(
                "{mime}Content-transfer-encoding: (x)\r\n 8BIT\r\nContent-Type: text/html; charset=utf-8\r\n\
                 Content-Transfer-Encoding: 8bit\r\nTo: b\r\n\r\n\u{e9} \r\n.\r\nFrom x\r\n--x\r\n\tF-.\t"
            ),
            "MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: text/html; charset=utf-8\r\n\
             To: b\r\n\r\n=C3=A9=20\r\n=2E\r\n=46rom x\r\n=2D-x\r\n\tF-.=09=\r\n",
        ),
        (
            format!("{mime}Content-Type: image/x\r\n\r\n\u{e9}\r\n"),
            "MIME-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nw6kNCg==\r\n",
        ),
        // A text that has no lines.
        (
            format!("{mime}Content-Type: text/plain; charset=utf-16\r\n\r\na\0\n\0"),
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\nYQAKAA==\r\n",
        ),
        // A part of 7-bit lines is left alone, except for a label that declares more.
        (format!("{mime}\r\nplain\r\n"), "MIME-Version: 1.0\r\n\r\nplain\r\n"),
        (
            format!("{mime}Content-Transfer-Encoding: binary\r\n\r\nplain"),
            "MIME-Version: 1.0\r\nContent-Transfer-Encoding: 7bit\r\n\r\nplain",
        ),
        // A header is not a body.
        (format!("Subject: \u{e9}\r\n{mime}\r\nplain\r\n"), "Subject: \u{e9}\r\nMIME-Version: 1.0\r\n\r\nplain\r\n"),
    ] {
        let made = convert(given.as_bytes()).unwrap();
        assert_eq!(String::from_utf8_lossy(&made), wanted, "{given:?}");
        assert_eq!(leaves(&made), leaves(given.as_bytes()), "{given:?}");
    }
}

#[test]
fn parts_are_converted_each_by_itself() {
    let given = "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         pr\u{e9}amble\r\n--b\r\n\r\n\u{e9}\r\n--b\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nw6k=\r\n\
         --b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: \u{e9}\r\n\
         Content-Type: text/x; charset=latin1\r\n\r\n\u{e9}\r\n\r\n--b\r\n\
         Content-Type: message/global\r\n\r\nSubject: \u{e9}\r\n\r\nx\r\n--b\r\n\
         Content-Type: multipart/signed; boundary=c\r\n\r\n--c\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\r\n--c--\r\n--b--\r\nepilogu\u{e9}";
    let wanted = "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 7bit\r\nMIME-Version: 1.0\r\n\r\n\
         pr??amble\r\n--b\r\nContent-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         =C3=A9\r\n--b\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nw6k=\r\n\
         --b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: \u{e9}\r\n\
         Content-Type: text/x; charset=latin1\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         =C3=A9\r\n\r\n--b\r\n\
         Content-Type: message/global\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogw6kNCg0KeA==\r\n--b\r\n\
         Content-Type: multipart/signed; boundary=c\r\n\r\n--c\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\r\n--c--\r\n--b--\r\nepilogu??";
    let made = convert(given.as_bytes()).unwrap();
    assert_eq!(String::from_utf8_lossy(&made), wanted);
}

#[test]
fn what_cannot_be_changed_is_told() {
    let multipart = |kind: &str, part: &str| {
        format!("Content-Type: multipart/{kind}; boundary=b\r\n\r\n--b\r\n{part}\r\n--b--\r\n")
    };
    for (given, why) in [
        (multipart("signed", "\r\n\u{e9}"), Unconvertible::Secured),
        (multipart("Encrypted", "Content-Type: multipart/mixed\r\n\r\n\u{e9}"), Unconvertible::Secured),
        (multipart("mixed", "Content-Type: message/partial\r\n\r\n\u{e9}"), Unconvertible::Message),
        (multipart("report", "Content-Type: message/delivery-status\r\n\r\n\u{e9}"), Unconvertible::Message),
        ("Content-Transfer-Encoding: base64\r\n\r\n\u{e9}\r\n".to_owned(), Unconvertible::Encoded),
        ("Content-Transfer-Encoding: x-own\r\n\r\n\u{e9}\r\n".to_owned(), Unconvertible::Encoded),
        ("Content-Type: multipart/mixed; boundary=b\r\n\r\n\u{e9}\r\n".to_owned(), Unconvertible::Structure),
        (
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--\u{e9}\r\n--b\r\n\r\nx\r\n".to_owned(),
            Unconvertible::Structure,
        ),
        ("A: b\nC: d\r\n\r\n\u{e9}\r\n".to_owned(), Unconvertible::Lines),
        ("A: \0\r\n\r\n\u{e9}\r\n".to_owned(), Unconvertible::Lines),
        (multipart("mixed", "\r\nx\r\n--b\r\n\r\ny\r\n--b--\nz"), Unconvertible::Lines),
        (
            (0..200).map(|_| "Content-Type: message/rfc822\r\n\r\n").collect::<String>() + "\u{e9}\r\n",
            Unconvertible::Message,
        ),
        (
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned() + &"--b\r\n\r\n\r\n".repeat(MAX_PARTS),
            Unconvertible::Structure,
        ),
    ] {
        assert_eq!(convert(given.as_bytes()).map(|_| ()), Err(why), "{:.200}", given);
    }
}

#[test]
fn no_line_is_long_and_every_octet_comes_back() {
    let mut octets: Vec<u8> = (0..=255).cycle().take(300_001).collect();
    let header = b"MIME-Version: 1.0\r\nContent-Type: application/x\r\n\r\n";
    for length in [1, 56, 57, 58, 65_000, 65_493, 65_494, 300_001] {
        let message = [&header[..], &octets[..length]].concat();
        let made = convert(&message).unwrap();
        assert!(leaves(&made) == [octets[..length].to_vec()], "{length}");
    }
    // Text whose lines end where the line of the encoding would, and blocks of the work within every kind of stretch.
    octets.retain(|octet| !matches!(octet, 0 | b'\r' | b'\n'));
    let header = b"MIME-Version: 1.0\r\nContent-Type: text/x\r\n\r\n";
    for length in (74..=78).chain([998, 66_000]) {
        for text in [vec![b'x'; 70_000], vec![b' '; 70_000], octets.clone()] {
            let lines = text.chunks(length).collect::<Vec<_>>().join(&b"\r\n"[..]);
            for end in ["\u{e9}\r\n", "\u{e9}"] {
                let message = [&header[..], &lines, end.as_bytes()].concat();
                let made = convert(&message).unwrap();
                assert!(made.is_ascii() && made.split(|octet| *octet == b'\n').all(|line| line.len() <= 77));
                assert!(leaves(&made) == leaves(&message), "{length} {end:?} {:?}", text[0]);
            }
        }
    }
}

#[test]
fn fields_are_left_out() {
    let message = "A: b\r\nDKIM-Signature: x\r\n y\r\nC: d\r\n\r\n\u{e9}\r\n";
    let field = 6..29;
    let converted = SevenBit::of(Bytes::from(message), std::slice::from_ref(&field)).unwrap();
    let made = converted.blocks().collect::<Vec<Bytes>>().concat();
    assert!(made.starts_with(b"A: b\r\nC: d\r\nMIME-Version: 1.0\r\n"), "{}", made.escape_ascii());
}
