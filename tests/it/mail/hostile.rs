//! Messages made to hurt: huge, deep, or quadratic for a careless reader. Each must be read in time proportional to its
//! size; the bound is generous, because the tests run without optimisation.

use std::time::Duration;

use postrider::foundations::mail::structure::{MAX_DEPTH, MAX_PARTS};
use postrider::foundations::mail::{HeaderSection, Piece, Structure, Summary};
use rustix::time::{ClockId, clock_gettime};

/// The CPU time of this thread: other load on the machine does not count.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

/// Reads a message and checks that it was quick.
fn summary(message: &[u8]) -> Summary {
    let start = processor_time();
    let summary = Summary::of(message);
    let took = processor_time() - start;
    let allowed = Duration::from_millis(1_000) + Duration::from_nanos(1_500) * u32::try_from(message.len()).unwrap();
    assert!(took < allowed, "{} octets took {took:?}", message.len());
    summary
}

#[test]
fn a_hundred_thousand_parts() {
    let mut message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
    for _ in 0..100_000 {
        message.extend_from_slice(b"--b\r\n\r\nx\r\n");
    }
    message.extend_from_slice(b"--b--\r\n");
    let summary = summary(&message);
    assert_eq!(summary.sections.len(), MAX_PARTS);
    let last = summary.sections.find(&[u32::try_from(MAX_PARTS).unwrap() - 1], Piece::Whole).unwrap();
    assert_eq!(last.end, message.len() as u64);
}

#[test]
fn ten_thousand_nested_multiparts() {
    let mut message = Vec::new();
    for depth in 0..10_000 {
        message.extend_from_slice(
            format!("Content-Type: multipart/mixed; boundary=b{depth}\r\n\r\n--b{depth}\r\n").as_bytes(),
        );
    }
    let summary = summary(&message);
    assert!(summary.sections.len() <= MAX_DEPTH + 2);
    let path = vec![1; MAX_DEPTH - 1];
    assert!(summary.sections.find(&path, Piece::Whole).is_some());
    assert!(summary.body_structure.windows(12).any(|window| window == b"octet-stream"));
}

#[test]
fn ten_thousand_nested_messages() {
    let message = b"Content-Type: message/rfc822\r\nSubject: x\r\n\r\n".repeat(10_000);
    assert!(summary(&message).sections.len() <= MAX_DEPTH + 2);
}

#[test]
fn many_open_boundaries_and_as_many_lines_that_almost_match() {
    let long = "x".repeat(65);
    let mut message = Vec::new();
    for depth in 0..99 {
        let field = format!("Content-Type: multipart/mixed; boundary={long}{depth:02}\r\n\r\n--{long}{depth:02}\r\n");
        message.extend_from_slice(field.as_bytes());
    }
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(format!("--{long}zz\r\n").repeat(20_000).as_bytes());
    summary(&message);
    message.extend_from_slice(&b"--\n".repeat(200_000));
    summary(&message);
}

#[test]
fn a_header_of_ten_megabytes() {
    for field in
        ["To: ann@example.test,\r\n bob@example.test,\r\n", "X: y\r\n", "Subject: =?utf-8?q?a?=\r\n\t=?utf-8?q?b?=\r\n"]
    {
        let message = field.repeat(10_000_000 / field.len());
        let summary = summary(message.as_bytes());
        assert!(summary.envelope.len() < 200_000);
        assert_eq!(HeaderSection::of(message.as_bytes()).body_start(), message.len());
    }
    let folded = format!("Subject: {}", "a\r\n ".repeat(2_500_000));
    assert!(summary(folded.as_bytes()).envelope.len() < 200_000);
    let parameters = format!("Content-Type: text/plain{}", "; a*0*=b; c".repeat(500_000));
    summary(parameters.as_bytes());
}

#[test]
fn lines_of_a_megabyte() {
    let message = format!("Subject: {0}\r\nFrom: {0}\r\nContent-Type: {0}\r\n\r\n{0}\r\n--{0}", "x".repeat(1_000_000));
    let summary = summary(message.as_bytes());
    assert!(summary.envelope.len() < 200_000);
    assert_eq!(summary.sections.len(), 1);
}

#[test]
fn every_octet_repeated() {
    for octet in 0..=u8::MAX {
        let value = vec![octet; 20_000];
        let mut message = Vec::new();
        for name in ["From", "Subject", "Date", "References", "Content-Type", "Content-Disposition", "Content-Language"]
        {
            message.extend_from_slice(name.as_bytes());
            message.extend_from_slice(b": ");
            message.extend_from_slice(&value);
            message.extend_from_slice(b"\r\n");
        }
        message.extend_from_slice(b"\r\n");
        message.extend_from_slice(&value);
        summary(&message);
        Structure::of(&value);
    }
}
