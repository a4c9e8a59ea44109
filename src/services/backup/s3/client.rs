use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::CONTENT_LENGTH;
use hyper::{Method, Request, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rusty_s3::actions::{ListObjectsV2, S3Action};
use rusty_s3::{Bucket, Credentials, UrlStyle};

use super::transfer::{Body, Payload, Sink, causes};
use super::{AddressStyle, BucketPlace, Error, S3Settings};
use crate::foundations::counted::counted;
use crate::foundations::failure::Kind;
use crate::foundations::files::read_bounded;
use crate::services::outbound::Roots;

type Http = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Body>;

/// Time to establish a connection.
const CONNECT: Duration = Duration::from_secs(15);
/// How long a signature is valid: longer than a request may take.
const SIGNED_FOR: Duration = Duration::from_secs(6 * 3600);
/// The first pause between two attempts, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Most octets read of an answer that is only a status.
const LARGEST_ANSWER: usize = 64 << 10;
/// Most octets of a page of a listing.
const LARGEST_PAGE: usize = 16 << 20;
/// Octets for which a request gets one more second.
const PER_SECOND: u64 = 64 << 10;

/// A client for a part of a bucket.
pub struct Client {
    place: BucketPlace,
    bucket: Bucket,
    credentials: Option<Credentials>,
    http: Http,
    timeout: Duration,
    attempts: u32,
    page: u16,
    /// `None` only while this is dropped.
    runtime: Option<tokio::runtime::Runtime>,
}

/// An existing object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key, without the prefix.
    pub name: String,
    /// Octets.
    pub size: u64,
}

/// One request, without the parts that differ between attempts.
struct Wanted<'a> {
    verb: &'static str,
    object: String,
    method: Method,
    /// The signed URL.
    sign: &'a dyn Fn() -> String,
    headers: Vec<(&'static str, String)>,
    payload: Payload,
    sink: Sink,
    /// Octets expected to be transferred in either direction.
    octets: u64,
}

struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Client {
    /// Sets up the client; sends nothing yet.
    ///
    /// # Errors
    /// The settings are invalid, a file that they name cannot be read, or no thread can be started.
    pub fn open(place: BucketPlace, settings: &S3Settings) -> Result<Self, Error> {
        let refused = |because: String| Error { verb: "use", object: place.to_string(), because, kind: Kind::Invalid };
        if settings.endpoint.is_empty() {
            return Err(refused("`backup.s3.endpoint` is empty: set it to the URL of the storage".to_owned()));
        }
        let bad = |because: &dyn std::fmt::Display| {
            refused(format!("`backup.s3.endpoint` is `{}`: {because}", settings.endpoint))
        };
        let endpoint: url::Url = settings.endpoint.parse().map_err(|error| bad(&error))?;
        if endpoint.scheme() != "https" && !is_this_machine(&endpoint) {
            return Err(bad(&"without `https://`, everybody on the network could read the mail"));
        }
        let style = match settings.address_style {
            AddressStyle::Path => UrlStyle::Path,
            AddressStyle::Host => UrlStyle::VirtualHost,
        };
        let bucket = Bucket::new(endpoint, style, place.bucket.clone(), settings.region.clone());
        let bucket = bucket.map_err(|error| bad(&format!("{error:?}")))?;
        let credentials = match (&settings.secret_key_file, settings.access_key.as_str()) {
            (None, "") => None,
            (Some(_), "") => {
                return Err(refused("`backup.s3.access_key` is missing, but its secret is set".to_owned()));
            }
            (None, _) => return Err(refused("`backup.s3.secret_key_file` is missing".to_owned())),
            (Some(file), key) => {
                let secret = read_bounded(file, 4096).map_err(|error| refused(error.to_string()))?;
                Some(Credentials::new(key, String::from_utf8_lossy(&secret).trim()))
            }
        };
        let roots = Roots::load(settings.authorities.as_deref()).map_err(|error| {
            refused(format!("the certificates of authorities (`backup.s3.authorities`) cannot be read: {error}"))
        })?;
        let tls = roots.client_config().map_err(|error| refused(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| refused(error.to_string()))?;
        let connector = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let mut plain = HttpConnector::new();
        plain.set_connect_timeout(Some(CONNECT));
        plain.set_nodelay(true);
        plain.enforce_http(false);
        let http =
            hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector.wrap_connector(plain));
        Ok(Self {
            place,
            bucket,
            credentials,
            http,
            timeout: settings.timeout.duration(),
            attempts: settings.attempts.max(1),
            page: settings.page.clamp(1, 1000),
            runtime: Some(runtime),
        })
    }

    /// The part of the bucket.
    pub const fn place(&self) -> &BucketPlace {
        &self.place
    }

    /// The name of an object for people.
    pub fn shown(&self, name: &str) -> String {
        format!("{}{}/{}", BucketPlace::SCHEME, self.place.bucket, self.place.key(name))
    }

    /// All objects whose names begin like this, sorted by name.
    ///
    /// # Errors
    /// The storage does not answer or refuses, or does not finish its list.
    pub fn list(&self, begin: &str) -> Result<Vec<Listed>, Error> {
        let prefix = self.place.key(begin);
        let (mut found, mut token, mut given) = (Vec::new(), None::<String>, HashSet::new());
        loop {
            let sign = || {
                let mut action = ListObjectsV2::new(&self.bucket, self.credentials.as_ref());
                action.with_prefix(&prefix);
                action.with_max_keys(usize::from(self.page));
                if let Some(token) = &token {
                    action.with_continuation_token(token);
                }
                action.sign(SIGNED_FOR).into()
            };
            let wanted = Wanted { sink: Sink::Memory(LARGEST_PAGE), ..self.wanted("list", begin, Method::GET, &sign) };
            let answer = self.ask(&wanted)?;
            let unreadable = |because: &dyn std::fmt::Display| self.failed("list", begin, because, Kind::Temporary);
            let text = std::str::from_utf8(&answer.body).map_err(|error| unreadable(&error))?;
            let page = ListObjectsV2::parse_response(text).map_err(|error| unreadable(&error))?;
            for object in page.contents {
                if let Some(name) = object.key.strip_prefix(&self.place.prefix) {
                    found.push(Listed { name: name.to_owned(), size: object.size.unwrap_or(0) });
                }
            }
            let Some(next) = page.next_continuation_token else { break };
            if !given.insert(next.clone()) {
                // Objects not listed by now would never be, and would be taken for missing.
                let because = "the storage repeats a part of its list instead of continuing it";
                return Err(self.failed("list", begin, &because, Kind::Invalid));
            }
            token = Some(next);
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The content of an object of at most `largest` octets; `None` when it does not exist.
    ///
    /// # Errors
    /// The storage does not answer or refuses, or the object is larger.
    pub fn read(&self, name: &str, largest: usize) -> Result<Option<Bytes>, Error> {
        let key = self.place.key(name);
        let sign = || self.bucket.get_object(self.credentials.as_ref(), &key).sign(SIGNED_FOR).into();
        let wanted = Wanted { sink: Sink::Memory(largest), ..self.wanted("read", name, Method::GET, &sign) };
        match self.ask(&wanted) {
            Ok(answer) => Ok(Some(answer.body)),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A piece of an object.
    ///
    /// # Errors
    /// It does not exist or is shorter, or the storage does not answer or refuses.
    pub fn read_at(&self, name: &str, offset: u64, length: u64) -> Result<Bytes, Error> {
        let key = self.place.key(name);
        let sign = || self.bucket.get_object(self.credentials.as_ref(), &key).sign(SIGNED_FOR).into();
        let end = offset.saturating_add(length).saturating_sub(1);
        let most = usize::try_from(length).unwrap_or(usize::MAX);
        let wanted = Wanted {
            headers: vec![("range", format!("bytes={offset}-{end}"))],
            sink: Sink::Memory(most),
            octets: length,
            ..self.wanted("read", name, Method::GET, &sign)
        };
        let answer = self.ask(&wanted)?;
        if answer.status == StatusCode::PARTIAL_CONTENT && answer.body.len() == most {
            return Ok(answer.body);
        }
        let because = format!("the storage was asked for {length} octets at {offset} and sent {}", answer.body.len());
        Err(self.failed("read", name, &because, Kind::Corrupt))
    }

    /// Writes an object into a file.
    ///
    /// # Errors
    /// It does not exist, the storage does not answer or refuses, or the disk fails.
    pub fn download(&self, name: &str, size: u64, path: &Path) -> Result<(), Error> {
        let key = self.place.key(name);
        let sign = || self.bucket.get_object(self.credentials.as_ref(), &key).sign(SIGNED_FOR).into();
        let sink = Sink::File(path.to_owned(), size);
        let wanted = Wanted { sink, octets: size, ..self.wanted("read", name, Method::GET, &sign) };
        self.ask(&wanted).map(|_| ())
    }

    /// Stores an object with this SHA-256; `false` when one of its name exists already, which stays.
    ///
    /// # Errors
    /// The storage does not answer or refuses; then there is no such object.
    pub fn put(&self, name: &str, payload: Payload, sha256: &[u8; 32]) -> Result<bool, Error> {
        let key = self.place.key(name);
        let checksum = STANDARD.encode(sha256);
        let put = |conditional: bool| {
            // Some storages accept one of these as the checksum that Object Lock requires, some the other.
            let mut headers = vec![
                ("x-amz-checksum-sha256", checksum.clone()),
                ("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()),
            ];
            if conditional {
                headers.insert(0, ("if-none-match", "*".to_owned()));
            }
            let sign = || {
                let mut action = self.bucket.put_object(self.credentials.as_ref(), &key);
                for (name, value) in &headers {
                    action.headers_mut().insert(*name, value.clone());
                }
                action.sign(SIGNED_FOR).into()
            };
            let (headers, payload, octets) = (headers.clone(), payload.clone(), payload.length());
            self.ask(&Wanted { headers, payload, octets, ..self.wanted("write", name, Method::PUT, &sign) })
        };
        match put(true) {
            Ok(_) => Ok(true),
            Err(error) if error.kind == Kind::Exists => Ok(false),
            // A storage that does not support conditions. No name is used twice, so they are only a second safeguard.
            Err(error) if error.because.starts_with(NOT_IMPLEMENTED) => put(false).map(|_| true),
            Err(error) => Err(error),
        }
    }

    /// Removes an object.
    ///
    /// # Errors
    /// The storage does not answer or refuses.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let key = self.place.key(name);
        let sign = || self.bucket.delete_object(self.credentials.as_ref(), &key).sign(SIGNED_FOR).into();
        self.ask(&self.wanted("remove", name, Method::DELETE, &sign)).map(|_| ())
    }

    fn wanted<'a>(&self, verb: &'static str, name: &str, method: Method, sign: &'a dyn Fn() -> String) -> Wanted<'a> {
        Wanted {
            verb,
            object: self.shown(name),
            method,
            sign,
            headers: Vec::new(),
            payload: Payload::None,
            sink: Sink::Memory(LARGEST_ANSWER),
            octets: 0,
        }
    }

    fn failed(&self, verb: &'static str, name: &str, because: &dyn std::fmt::Display, kind: Kind) -> Error {
        Error { verb, object: self.shown(name), because: because.to_string(), kind }
    }

    /// Repeats a request until there is a final answer.
    fn ask(&self, wanted: &Wanted<'_>) -> Result<Answer, Error> {
        let mut pause = PAUSES.0;
        let mut attempt = 1;
        loop {
            let error = match self.attempt(wanted) {
                Ok(answer) if answer.status.is_success() => return Ok(answer),
                Ok(answer) => refusal(wanted, &answer),
                Err(because) => {
                    Error { verb: wanted.verb, object: wanted.object.clone(), because, kind: Kind::Temporary }
                }
            };
            if error.kind != Kind::Temporary {
                return Err(error);
            }
            if attempt >= self.attempts {
                let because = format!(
                    "{}; tried {} (`backup.s3.attempts`). Run it again when network and storage do: what has \
                     arrived there stays and is not sent again",
                    error.because,
                    counted(attempt, "time")
                );
                return Err(Error { because, ..error });
            }
            log::info!(attempt, error:% = error; "A request to the backup storage is tried again");
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSES.1);
            attempt += 1;
        }
    }

    fn attempt(&self, wanted: &Wanted<'_>) -> Result<Answer, String> {
        let mut request = Request::builder().method(wanted.method.clone()).uri((wanted.sign)());
        for (name, value) in &wanted.headers {
            request = request.header(*name, value);
        }
        let limit = self.timeout + Duration::from_secs(wanted.octets / PER_SECOND);
        let (http, payload, sink) = (self.http.clone(), wanted.payload.clone(), wanted.sink.clone());
        let exchange = async move {
            let request = request.header(CONTENT_LENGTH, payload.length());
            let body = payload.open().await.map_err(|error| error.to_string())?;
            let request = request.body(body).map_err(|error| error.to_string())?;
            let response = http.request(request).await.map_err(|error| causes(&error))?;
            let status = response.status();
            // A failure is reported in a few words of XML, whatever was asked for.
            let sink = if status.is_success() { sink } else { Sink::Memory(LARGEST_ANSWER) };
            let body = sink.receive(response.into_body()).await.map_err(|error| causes(error.as_ref()))?;
            Ok(Answer { status, body })
        };
        let bounded = async move {
            match tokio::time::timeout(limit, exchange).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("no answer within {} seconds", limit.as_secs())),
            }
        };
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let Some(runtime) = &self.runtime else { return Err("the client has ended".to_owned()) };
        runtime.spawn(async move { tell.send(bounded.await) });
        told.recv().unwrap_or_else(|_| Err("the request was aborted".to_owned()))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A runtime must not be waited for on a thread of another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("place", &self.place).finish_non_exhaustive()
    }
}

fn is_this_machine(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// How the reason of a failure begins when the storage does not support the request.
const NOT_IMPLEMENTED: &str = "not supported by the storage";

/// The error for an answer that is no success.
fn refusal(wanted: &Wanted<'_>, answer: &Answer) -> Error {
    let text = String::from_utf8_lossy(&answer.body);
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0.chars().take(300).collect::<String>())
    };
    let code = element("Code").unwrap_or_default();
    let said = match element("Message") {
        Some(message) => format!("{} ({code}): {message}", answer.status),
        None => answer.status.to_string(),
    };
    let (kind, because) = match (answer.status.as_u16(), code.as_str()) {
        (_, "NoSuchBucket") => (Kind::Invalid, format!("there is no such bucket; {said}")),
        // Amazon's own clients try these again, although some are reported as if the request were wrong.
        (_, "RequestTimeout" | "SlowDown" | "InternalError" | "PriorRequestNotComplete") => (Kind::Temporary, said),
        (_, "RequestTimeTooSkewed") => (Kind::Invalid, format!("the clock of this machine is wrong; {said}")),
        (404, _) => (Kind::NotFound, format!("it does not exist; {said}")),
        (401 | 403, _) if wanted.verb == "remove" => {
            (Kind::NoPermission, format!("the storage does not allow its removal; {said}"))
        }
        (401 | 403, _) => (
            Kind::NoPermission,
            format!(
                "the storage refuses; check `backup.s3` (key, secret, region) and the permissions of the key; {said}"
            ),
        ),
        // A condition was not met, or one of two simultaneous writers has won.
        (412, _) => (Kind::Exists, said),
        (501, _) => (Kind::Invalid, format!("{NOT_IMPLEMENTED}; {said}")),
        (507, _) | (_, "QuotaExceeded" | "XMinioStorageFull" | "EntityTooLarge") => (Kind::NoSpace, said),
        (408 | 409 | 425 | 429 | 500..=599, _) => (Kind::Temporary, said),
        _ => (Kind::Invalid, said),
    };
    Error { verb: wanted.verb, object: wanted.object.clone(), because, kind }
}
