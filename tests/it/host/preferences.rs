//! Webmail preferences for addresses that come and go.

use postrider::config::Protocol;
use serde_json::{Value, json};

use super::drafts::{ask, read};
use super::security::{JSON, page, webmail_login};
use crate::harness::cli::run;
use crate::harness::{Host, until};

const ANN: &str = "ann@example.test";
const SALES: &str = "sales@example.test";

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_that_was_removed_leaves_the_preferences_free() {
    let host = Host::start().settings("[directory]\ncache_for = \"200ms\"\n").user(ANN).real_time().await;
    let config = host.config();
    assert_eq!(run(&config, &["alias", "add", SALES, ANN], "").await.1, 0);
    let cookie = webmail_login(&host).await;
    let account = async || {
        let (status, account) = read(&page(&host, Protocol::Webmail, "GET /api/account", &cookie, JSON, "").await);
        assert_eq!(status, 200, "{account}");
        account
    };
    let offers_sales = |account: &Value| account["identities"].as_array().unwrap().contains(&SALES.into());
    until("the alias is an address of hers", async || offers_sales(&account().await)).await;
    let signed = json!({ ANN: { "name": "Ann" }, SALES: { "name": "Sales" } });
    let wish = json!({ "identities": signed, "default_identity": SALES });
    assert_eq!(ask(&host, &cookie, "preferences", &wish).await.0, 204);
    assert_eq!(account().await["preferences"]["default_identity"], SALES);
    assert_eq!(run(&config, &["alias", "remove", SALES], "").await.1, 0);
    let prefers_none = async || account().await["preferences"]["default_identity"].is_null();
    until("the alias is gone", prefers_none).await;
    // As a page loaded before still has them.
    let mut wish = wish;
    wish["theme"] = "dark".into();
    assert_eq!(ask(&host, &cookie, "preferences", &wish).await.0, 204);
    let kept = account().await["preferences"].take();
    assert_eq!((&kept["theme"], &kept["default_identity"]), (&"dark".into(), &Value::Null), "{kept}");
    assert_eq!((&kept["identities"][ANN]["name"], kept["identities"].get(SALES)), (&"Ann".into(), None), "{kept}");
    // Preferences for missing addresses were not kept, nor was anybody else's address ever included.
    for address in [SALES, "bob@example.test"] {
        let wish = json!({ "identities": { address: { "name": "x" } } });
        assert_eq!(ask(&host, &cookie, "preferences", &wish).await.0, 403, "{address}");
    }
    host.stop().await;
}
