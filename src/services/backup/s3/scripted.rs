//! A storage with scripted answers for tests.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{BucketPlace, S3Settings};

/// A storage on this machine.
pub struct Scripted {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Gives these answers, each a status with a body, to as many requests.
    pub fn answering(answers: Vec<(&'static str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for (status, body) in answers {
                let (mut client, _) = listener.accept().unwrap();
                seen.lock().push(request(&mut client));
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                client.write_all(&[head.into_bytes(), body].concat()).unwrap();
            }
        });
        Self { address, requests }
    }

    /// Its endpoint.
    pub fn settings(&self) -> S3Settings {
        S3Settings { endpoint: self.address.clone(), attempts: 2, ..S3Settings::default() }
    }

    /// The first lines of the requests that came.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }
}

/// What the tests work with.
pub fn place() -> BucketPlace {
    "s3://mail/one".parse().unwrap()
}

/// A page of a listing, with the token for the next.
pub fn page(objects: &[(&str, usize)], next: Option<&str>) -> Vec<u8> {
    let object = |(key, size): &(&str, usize)| {
        format!("<Contents><Key>one/{key}</Key><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>")
    };
    let objects: String = objects.iter().map(object).collect();
    let next = next.map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>")).unwrap_or_default();
    let is_truncated = !next.is_empty();
    format!(
        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>{is_truncated}</IsTruncated>\
         {objects}{next}</ListBucketResult>"
    )
    .into_bytes()
}

/// A failure as a storage reports it.
pub fn failure(code: &str) -> Vec<u8> {
    format!("<Error><Code>{code}</Code><Message>No.</Message></Error>").into_bytes()
}

/// Reads a request with its body, and returns its first line.
fn request(client: &mut TcpStream) -> String {
    let (mut got, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let read = client.read(&mut buffer).unwrap();
        assert!(read > 0, "the request ends in the middle");
        got.extend_from_slice(&buffer[..read]);
        let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(got[..end].to_vec()).unwrap();
        let length = head.lines().filter_map(|line| line.split_once(':'));
        let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.map(|(_, value)| value.trim().parse::<usize>().unwrap()).sum();
        if got.len() >= end + 4 + length {
            return head.lines().next().unwrap().to_owned();
        }
    }
}
