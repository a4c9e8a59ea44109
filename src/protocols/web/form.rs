//! Answers and forms shared by all pages.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;

/// A refusal as the interface words it.
pub(super) fn problem(status: StatusCode, why: impl Into<String>) -> Response {
    (status, Json(serde_json::json!({ "error": why.into() }))).into_response()
}

/// Whether a form was sent by a page of ours. Old browsers send neither field; their cookie is held back by SameSite.
pub(super) fn is_own_form(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), _, _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, of)| of == host),
        (None, None, _) => true,
        _ => false,
    }
}

/// Text for an HTML element or a quoted attribute.
pub(super) fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Reads what nobody wants to know. A connection whose request was not read to its end is closed, and a client that sends the
/// next one meanwhile takes that for a failure. Beyond 64 KiB or five seconds the connection may close.
pub(super) async fn drain(body: Body) {
    drain_up_to(body, MOST_DRAINED).await;
}

/// As [`drain`], but so many octets.
pub(super) async fn drain_up_to(mut body: Body, most: usize) {
    let reading = async {
        let mut left = most;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, bytes::Bytes::len);
            match left.checked_sub(length) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    // Anything not read by then is not read at all.
    let _ = tokio::time::timeout(DRAINED_WITHIN, reading).await;
}

const MOST_DRAINED: usize = 64 << 10;
const DRAINED_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn forms_of_others_are_told_apart() {
        for (pairs, wanted) in [
            (vec![], true),
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "cross-site"), ("origin", "http://x"), ("host", "x")], false),
            (vec![("origin", "http://x:1"), ("host", "x:1")], true),
            (vec![("origin", "http://evil"), ("host", "x")], false),
            (vec![("origin", "null"), ("host", "x")], false),
        ] {
            assert_eq!(is_own_form(&headers(&pairs)), wanted, "{pairs:?}");
        }
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(text("<b a='\"&'>"), "&lt;b a=&#39;&quot;&amp;&#39;&gt;");
    }
}
