//! The files of the page, compiled in.

use std::collections::HashMap;
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::protocols::web::form::problem;

/// One file.
struct Asset {
    kind: &'static str,
    text: &'static str,
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
    "api.js" JAVASCRIPT;
    "app.js" JAVASCRIPT;
    "compose.js" JAVASCRIPT;
    "contacts.js" JAVASCRIPT;
    "dialogs.js" JAVASCRIPT;
    "editor.js" JAVASCRIPT;
    "elements.js" JAVASCRIPT;
    "filters.js" JAVASCRIPT;
    "folders.js" JAVASCRIPT;
    "icons.js" JAVASCRIPT;
    "invitation.js" JAVASCRIPT;
    "keys.js" JAVASCRIPT;
    "letter.js" JAVASCRIPT;
    "list.js" JAVASCRIPT;
    "markup.js" JAVASCRIPT;
    "people.js" JAVASCRIPT;
    "preferences.js" JAVASCRIPT;
    "reader.js" JAVASCRIPT;
    "rules.js" JAVASCRIPT;
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
        let tag: String = digest.as_ref()[..8].iter().map(|octet| format!("{octet:02x}")).collect();
        Self { kind, text, tag: format!("\"{tag}\"") }
    }
}

/// The page itself.
pub(super) async fn index(headers: HeaderMap) -> Response {
    answer("index.html", &headers)
}

/// What the page loads.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    answer(&name, &headers)
}

/// RFC 9110 §13.1.2: browsers ask whether what they have is still right, and mostly it is.
fn answer(name: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.get(name) else {
        return problem(StatusCode::NOT_FOUND, "There is nothing here; see /api/openapi.json.");
    };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == asset.tag.as_bytes());
    let mut response = match known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, asset.kind)], asset.text).into_response(),
    };
    let kept = response.headers_mut();
    kept.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&asset.tag) {
        kept.insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::reasons;
    use super::*;

    /// The texts of a file, and what is to be filled into each.
    fn texts(file: &str) -> BTreeMap<&str, BTreeSet<&str>> {
        let lines = ASSETS[file].text.lines();
        let text = |line: &'static str| line.strip_prefix("  ")?.strip_suffix("\",")?.split_once(": \"");
        let filled =
            |text: &'static str| text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
        lines.filter_map(text).map(|(name, text)| (name, filled(text).collect())).collect()
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
