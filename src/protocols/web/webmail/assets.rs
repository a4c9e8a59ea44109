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
    "dialogs.js" JAVASCRIPT;
    "editor.js" JAVASCRIPT;
    "elements.js" JAVASCRIPT;
    "filters.js" JAVASCRIPT;
    "folders.js" JAVASCRIPT;
    "icons.js" JAVASCRIPT;
    "keys.js" JAVASCRIPT;
    "list.js" JAVASCRIPT;
    "markup.js" JAVASCRIPT;
    "people.js" JAVASCRIPT;
    "preferences.js" JAVASCRIPT;
    "reader.js" JAVASCRIPT;
    "rules.js" JAVASCRIPT;
    "security.js" JAVASCRIPT;
    "texts.js" JAVASCRIPT;
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
