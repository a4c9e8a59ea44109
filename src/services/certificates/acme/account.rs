use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{Account, AccountBuilder, AccountCredentials, ExternalAccountKey, NewAccount};

use super::http::{Http, RetryAfter};
use super::{AcmeCertificate, Error};
use crate::foundations::files;

/// The account at a certificate's authority: the one stored in `state`, or a new one, which is then stored there. The pauses that the
/// authority asks for are noted in `retry_after`.
///
/// # Errors
/// The authority gives no account, or the account cannot be stored.
pub(super) async fn open(wanted: &AcmeCertificate, state: &Path, retry_after: &RetryAfter) -> Result<Account, Error> {
    let failed = |source| Error::Authority { authority: wanted.authority.clone(), did: "gave no account", source };
    let path = file(wanted, state);
    if let Some(credentials) = read(&path)? {
        return builder(wanted, retry_after).map_err(failed)?.from_credentials(credentials).await.map_err(failed);
    }
    if !wanted.terms_agreed {
        return Err(Error::Terms(wanted.authority.clone()));
    }
    let contact: Vec<String> = wanted.contact.iter().map(|address| format!("mailto:{address}")).collect();
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let external = external_account(wanted)?;
    let builder = builder(wanted, retry_after).map_err(failed)?;
    let made = builder.create(&new, wanted.authority.clone(), external.as_ref()).await;
    let (account, credentials) = made.map_err(failed)?;
    let text = serde_json::to_vec(&credentials).map_err(|error| unreadable(&path, &error))?;
    files::write_durable(&path, &text, 0o600)?;
    Ok(account)
}

/// The failure of an order, which says what to do if the authority no longer knows the account.
pub(super) fn judged(error: Error, wanted: &AcmeCertificate, state: &Path) -> Error {
    let is_unknown = matches!(&error, Error::Authority { source: instant_acme::Error::Api(problem), .. }
        if problem.r#type.as_deref() == Some(UNKNOWN));
    if is_unknown { Error::Forgotten { authority: wanted.authority.clone(), path: file(wanted, state) } } else { error }
}

/// One file for each authority, named after its address.
fn file(wanted: &AcmeCertificate, state: &Path) -> PathBuf {
    let address = wanted.authority.trim_start_matches("https://");
    let plain: String = address.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    state.join(format!("account-{plain}.json"))
}

fn read(path: &Path) -> Result<Option<AccountCredentials>, Error> {
    if !files::is_there(path)? {
        return Ok(None);
    }
    let text = files::read_bounded(path, LARGEST_FILE)?;
    serde_json::from_slice(&text).map(Some).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &serde_json::Error) -> Error {
    Error::Account { path: path.to_owned(), reason: error.to_string() }
}

fn builder(wanted: &AcmeCertificate, retry_after: &RetryAfter) -> Result<AccountBuilder, instant_acme::Error> {
    let http = Http::new(wanted.authority_root.as_deref(), retry_after.clone())?;
    Ok(Account::builder_with_http(Box::new(http)))
}

fn external_account(wanted: &AcmeCertificate) -> Result<Option<ExternalAccountKey>, Error> {
    let (Some(id), Some(path)) = (&wanted.external_account, &wanted.external_account_key_file) else {
        return Ok(None);
    };
    let text = files::read_bounded(path, LARGEST_FILE)?;
    // RFC 4648 §5: with its padding, of which there may be two, or without.
    let text = String::from_utf8_lossy(&text);
    let key = URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('='));
    let key = key.map_err(|_| Error::ExternalAccountKey(path.clone()))?;
    Ok(Some(ExternalAccountKey::new(id.clone(), &key)))
}

const LARGEST_FILE: u64 = 1 << 16;
/// RFC 8555 §6.7.
const UNKNOWN: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_external_accounts_are_read_with_any_padding() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        for (text, is_read) in [("YWJj\n", true), ("YWI=\n", true), ("YQ==\n", true), ("YQ", true), ("Y Q", false)] {
            std::fs::write(&path, text).unwrap();
            let wanted = AcmeCertificate {
                external_account: Some("house".to_owned()),
                external_account_key_file: Some(path.clone()),
                ..AcmeCertificate::default()
            };
            assert_eq!(external_account(&wanted).is_ok_and(|key| key.is_some()), is_read, "{text}");
        }
    }

    #[test]
    fn an_account_that_the_authority_has_lost_is_named() {
        let wanted = AcmeCertificate::default();
        for (kind, is_told) in [(UNKNOWN, true), ("urn:ietf:params:acme:error:rateLimited", false)] {
            let problem: instant_acme::Problem = serde_json::from_value(serde_json::json!({ "type": kind })).unwrap();
            let source = instant_acme::Error::Api(problem);
            let error =
                Error::Authority { authority: wanted.authority.clone(), did: "did not accept the order", source };
            let told = judged(error, &wanted, Path::new("/state")).to_string();
            let name = "`/state/account-acme-v02.api.letsencrypt.org-directory.json`";
            assert_eq!(told.contains(name), is_told, "{told}");
        }
    }
}
