//! The files of the page, compiled in.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::foundations::hexadecimal::hexadecimal;
use crate::protocols::web::form::problem;

/// One file.
struct Asset {
    kind: &'static str,
    text: &'static str,
    /// The text compressed: a telephone far from everything waits for a quarter of it.
    gzip: Vec<u8>,
    /// Changes with the text.
    tag: String,
}

macro_rules! assets {
    ($($name:literal $kind:expr;)+) => {
        static ASSETS: LazyLock<HashMap<&'static str, Asset>> = LazyLock::new(|| {
            HashMap::from([$(($name, Asset::new($kind, include_str!(concat!("page/", $name)))),)+])
        });
    };
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

assets! {
    "index.html" "text/html; charset=utf-8";
    "webmail.css" "text/css; charset=utf-8";
    "icon.svg" "image/svg+xml";
    "actions.js" JAVASCRIPT;
    "addresses.js" JAVASCRIPT;
    "api.js" JAVASCRIPT;
    "app.js" JAVASCRIPT;
    "body.js" JAVASCRIPT;
    "compose.js" JAVASCRIPT;
    "contacts.js" JAVASCRIPT;
    "dialogs.js" JAVASCRIPT;
    "editor.js" JAVASCRIPT;
    "elements.js" JAVASCRIPT;
    "filters.js" JAVASCRIPT;
    "folders.js" JAVASCRIPT;
    "icons.js" JAVASCRIPT;
    "imports.js" JAVASCRIPT;
    "invitation.js" JAVASCRIPT;
    "keys.js" JAVASCRIPT;
    "letter.js" JAVASCRIPT;
    "list.js" JAVASCRIPT;
    "markup.js" JAVASCRIPT;
    "preferences.js" JAVASCRIPT;
    "reader.js" JAVASCRIPT;
    "responses.js" JAVASCRIPT;
    "richtext.js" JAVASCRIPT;
    "rows.js" JAVASCRIPT;
    "rules.js" JAVASCRIPT;
    "said-de.js" JAVASCRIPT;
    "said-es.js" JAVASCRIPT;
    "said-fr.js" JAVASCRIPT;
    "savepreferences.js" JAVASCRIPT;
    "security.js" JAVASCRIPT;
    "texts.js" JAVASCRIPT;
    "texts-de.js" JAVASCRIPT;
    "texts-en.js" JAVASCRIPT;
    "texts-es.js" JAVASCRIPT;
    "texts-fr.js" JAVASCRIPT;
    "vacation.js" JAVASCRIPT;
}

impl Asset {
    fn new(kind: &'static str, text: &'static str) -> Self {
        let digest = digest(&SHA256, text.as_bytes());
        let tag = hexadecimal(&digest.as_ref()[..8]);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let gzip = gzip.write_all(text.as_bytes()).and_then(|()| gzip.finish()).unwrap_or_default();
        // The same text, compressed or not (RFC 9110 §8.8.1).
        Self { kind, text, gzip, tag: format!("W/\"{tag}\"") }
    }
}

/// The page itself.
pub(super) async fn index(headers: HeaderMap) -> Response {
    answer("index.html", &headers)
}

/// The files that the page loads.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    answer(&name, &headers)
}

/// RFC 9110 §13.1.2: browsers ask whether their copy is still current, and mostly it is.
fn answer(name: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.get(name) else {
        return problem(StatusCode::NOT_FOUND, "There is nothing here; see /api/openapi.json.");
    };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == asset.tag.as_bytes());
    let kind = [(header::CONTENT_TYPE, asset.kind)];
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else if takes_gzip(headers) && !asset.gzip.is_empty() {
        (kind, [(header::CONTENT_ENCODING, "gzip")], asset.gzip.as_slice()).into_response()
    } else {
        (kind, asset.text).into_response()
    };
    let kept = response.headers_mut();
    kept.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    kept.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&asset.tag) {
        kept.insert(header::ETAG, tag);
    }
    response
}

/// Whether gzip is among the codings that the browser takes (RFC 9110 §12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|one| {
        let (coding, weight) = one.split_once(';').unwrap_or((one, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim_matches(['0', '.']).is_empty());
        coding.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::reasons;
    use super::*;

    /// The texts of a file, and the placeholders in each.
    fn texts(file: &str) -> BTreeMap<&str, BTreeSet<&str>> {
        let lines = ASSETS[file].text.lines();
        let text = |line: &'static str| line.strip_prefix("  ")?.strip_suffix("\",")?.split_once(": \"");
        let filled =
            |text: &'static str| text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
        lines.filter_map(text).map(|(name, text)| (name, filled(text).collect())).collect()
    }

    #[test]
    fn files_are_compressed_for_who_takes_it() {
        for (asked, wanted) in [
            (None, false),
            (Some("gzip, deflate, br"), true),
            (Some("br;q=1.0, GZIP;q=0.5"), true),
            (Some("gzip;q=0.0, identity"), false),
            (Some("br"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(asked.map(|asked| (header::ACCEPT_ENCODING, HeaderValue::from_static(asked))));
            let response = answer("app.js", &headers);
            assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), wanted, "{asked:?}");
        }
        let asset = &ASSETS["app.js"];
        let unpacked = std::io::read_to_string(flate2::read::GzDecoder::new(asset.gzip.as_slice()));
        assert_eq!(unpacked.unwrap(), asset.text);
        assert!(asset.gzip.len() < asset.text.len() / 2);
    }

    /// What is not named is fetched only when what names it is here, one after another.
    #[test]
    fn the_page_names_its_modules() {
        let index = ASSETS["index.html"].text;
        let begun = |name: &str| index.contains(&format!("<link rel=\"modulepreload\" href=\"{name}\">"));
        for name in ASSETS.keys().filter(|name| name.ends_with(".js") && !name.contains("-")) {
            assert!(*name == "app.js" || begun(name), "{name}");
        }
    }

    #[test]
    fn the_page_says_every_refusal_as_the_server_does() {
        let lines = ASSETS["texts-en.js"].text.lines();
        let of_page: BTreeMap<_, _> = lines
            .filter_map(|line| line.strip_prefix("  \"refused_")?.strip_suffix("\",")?.split_once("\": \""))
            .collect();
        let of_server: BTreeMap<_, _> = reasons::ALL.iter().map(|reason| (reason.word, reason.sentence)).collect();
        assert_eq!(of_page, of_server);
    }

    #[test]
    fn every_language_says_everything() {
        let english = texts("texts-en.js");
        assert!(english.len() > 300);
        let languages =
            ASSETS["texts.js"].text.split_once("LANGUAGES = { ").and_then(|(_, rest)| rest.split_once(" }"));
        let languages: Vec<&str> =
            languages.unwrap().0.split(", ").filter_map(|one| one.split_once(':')).map(|(word, _)| word).collect();
        assert!(languages.len() > 3);
        for language in languages {
            assert_eq!(texts(&format!("texts-{language}.js")), english, "{language}");
        }
    }
}
