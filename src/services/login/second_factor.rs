//! Logins to the webmail, and their second factor.

use super::app_password::GeneratedSecret;
use super::totp::{Code, Key, address};
use super::verify::{Entrance, Inner, unable};
use super::{Keyring, Login, LoginAttempt, LoginSettings, SealError, TwoFactorPolicy, read_key, seal};
use crate::foundations::address::Domain;
use crate::foundations::clock::Timestamp;
use crate::foundations::counted::counted;
use crate::foundations::event::EventKind;
use crate::foundations::failure::{Kind, Refusal};
use crate::foundations::random::NoRandomness;
use crate::foundations::secret::Secret;
use crate::storage::directory::{self, Account, Tries};

/// Recovery codes that are made at once.
const RECOVERY_CODES: usize = 10;

/// What is needed besides the password of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// A one-time code.
    Code,
    /// Two-factor login has to be turned on first.
    Enrolment,
}

impl Need {
    /// What an account needs, by what it has and what is asked of its domain.
    pub(super) fn of(since: Option<Timestamp>, domain: &Domain, settings: &LoginSettings) -> Self {
        let is_required =
            settings.two_factor == TwoFactorPolicy::Required || settings.two_factor_domains.contains(domain);
        match since {
            Some(_) => Self::Code,
            None if is_required => Self::Enrolment,
            None => Self::Nothing,
        }
    }
}

/// The result of a login to the webmail.
#[derive(Debug)]
pub enum Entered {
    /// Somebody is in, with the password of this hash.
    In(Box<Account>),
    /// The password is right; a code is needed too.
    CodeWanted,
}

/// What a browser shows besides the password.
#[derive(Debug, Clone, Copy, Default)]
pub struct SecondFactor<'s> {
    /// A one-time code or a recovery code, if one was typed.
    pub code: Option<&'s str>,
    /// Digests of the tokens by which it may be remembered.
    pub browsers: &'s [String],
}

/// A secret that waits for its first code.
#[derive(Debug)]
pub struct Enrolment {
    /// In base32, for typing.
    pub secret: Secret<String>,
    /// As an address (`otpauth:`), for a picture.
    pub address: Secret<String>,
}

/// What a code was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Factor {
    OneTime,
    Recovery,
}

impl Factor {
    const fn word(self) -> &'static str {
        match self {
            Self::OneTime => "one-time code",
            Self::Recovery => "recovery code",
        }
    }
}

impl Login {
    /// A login to the webmail, with a one-time code or a recovery code where the account needs one and does not remember the
    /// browser. Before both are right, nobody is let in, and the guard does not count the network as known.
    ///
    /// # Errors
    /// The password or the code is wrong, too many were tried, or something fails for now.
    pub async fn enter(&self, attempt: LoginAttempt, shown: SecondFactor<'_>) -> Result<Entered, Refusal> {
        let inner = &self.0;
        let (mut account, proof) = inner.identify(&attempt, Entrance::Page).await?;
        let second = match (self.need(&account), shown.code) {
            (Need::Nothing | Need::Enrolment, _) => None,
            (Need::Code, None) if inner.is_remembered(&attempt, &account, shown.browsers).await? => {
                Some("remembered browser")
            }
            (Need::Code, None) => {
                let event = inner.event(EventKind::TwoFactor, &attempt, &account.address.to_string());
                inner.journal.record(event.with("change", "code asked for"));
                return Ok(Entered::CodeWanted);
            }
            (Need::Code, Some(code)) => Some(inner.second_factor(&attempt, &account, code).await?.word()),
        };
        inner.let_in(&attempt, &account, &proof, second);
        if let Some(hash) = inner.strengthen(&account, &attempt.password).await {
            account.password = hash;
        }
        Ok(Entered::In(Box::new(account)))
    }

    /// Whether this is the account's password, whatever a login to it needs besides.
    ///
    /// # Errors
    /// It is not, too many were tried, or something fails for now.
    pub async fn confirm_password(&self, attempt: &LoginAttempt) -> Result<Account, Refusal> {
        Ok(self.0.identify(attempt, Entrance::Page).await?.0)
    }

    /// Whether this is the account's password and, with two-factor login, the code one of its own: asked before
    /// something that protects the account is changed.
    ///
    /// # Errors
    /// As [`Login::enter`]; and a code is needed that was not given.
    pub async fn confirm(&self, attempt: &LoginAttempt, code: Option<&str>) -> Result<Account, Refusal> {
        let account = self.confirm_password(attempt).await?;
        match (self.need(&account), code) {
            (Need::Code, Some(code)) => _ = self.0.second_factor(attempt, &account, code).await?,
            (Need::Code, None) => return Err(Refusal::new(Kind::NoPermission, "A one-time code is wanted too.")),
            (Need::Nothing | Need::Enrolment, _) => {}
        }
        Ok(account)
    }

    /// What a login to this account needs besides its password.
    pub fn need(&self, account: &Account) -> Need {
        Need::of(account.two_factor_since, account.address.domain(), &self.0.settings.get())
    }

    /// What makes and revokes app passwords.
    pub fn keyring(&self) -> Keyring {
        let inner = &self.0;
        let (directory, journal, clock) = (inner.directory.clone(), inner.journal.clone(), inner.clock.clone());
        Keyring { directory, journal, clock }
    }

    /// The settings in force.
    pub fn settings(&self) -> std::sync::Arc<LoginSettings> {
        self.0.settings.get()
    }

    /// Makes a secret for an account, which counts once a code has confirmed it. An earlier one that was not confirmed is
    /// forgotten.
    ///
    /// # Errors
    /// One is in force, or something fails for now.
    pub async fn begin_two_factor(&self, account: &Account, issuer: &Domain) -> Result<Enrolment, Refusal> {
        let inner = &self.0;
        let key = Key::random().map_err(Refusal::temporary)?;
        let under = inner.key().await.map_err(Refusal::temporary)?;
        let sealed = seal::seal(&key, &account.address.key(), under.as_ref()).map_err(Refusal::temporary)?;
        let begun = async {
            let mut edit = inner.directory.edit().await?;
            edit.begin_two_factor(&account.address, &sealed).await?;
            edit.commit().await
        };
        begun.await.map_err(refused)?;
        let address = address(&key, &account.address.to_string(), issuer.as_str());
        Ok(Enrolment { secret: key.text(), address })
    }

    /// Turns two-factor login on, when the code shows that the user has the secret. Returns recovery codes, which are
    /// shown now and never again.
    ///
    /// # Errors
    /// The code is wrong, too many were tried, there is nothing to confirm, or something fails for now.
    pub async fn confirm_two_factor(
        &self,
        attempt: &LoginAttempt,
        account: &Account,
        code: &str,
    ) -> Result<Vec<Secret<String>>, Refusal> {
        let inner = &self.0;
        let nothing = || Refusal::new(Kind::NotFound, "No secret is waiting for its first code");
        let begun = inner.directory.two_factor(account.id).await.map_err(refused)?;
        let begun = begun.filter(|begun| begun.confirmed_at.is_none()).ok_or_else(nothing)?;
        inner.count_try(attempt, account).await?;
        let key = inner.opened(begun.secret.expose(), account).await?;
        let step = Code::parse(code).and_then(|code| key.step_of(code, inner.clock.now()));
        let Some(step) = step else {
            let public = "This is not the code that the secret makes now; is the clock of the device right?";
            return Err(Refusal::new(Kind::Invalid, public));
        };
        let (codes, digests) = recovery_codes()?;
        let confirmed = async {
            let mut edit = inner.directory.edit().await?;
            let is_on = edit.use_step(account.id, step).await? && edit.confirm_two_factor(account.id, &digests).await?;
            edit.commit().await?;
            Ok(is_on)
        };
        if !confirmed.await.map_err(refused)? {
            return Err(nothing());
        }
        let event = inner.event(EventKind::TwoFactor, attempt, &account.address.to_string());
        inner.journal.record(event.with("change", "turned on").with("by", "its user, in the webmail"));
        Ok(codes)
    }

    /// Replaces the recovery codes of an account.
    ///
    /// # Errors
    /// Something fails for now.
    pub async fn new_recovery_codes(
        &self,
        attempt: &LoginAttempt,
        account: &Account,
    ) -> Result<Vec<Secret<String>>, Refusal> {
        let (codes, digests) = recovery_codes()?;
        let replaced = async {
            let mut edit = self.0.directory.edit().await?;
            edit.set_recovery_codes(account.id, &digests).await?;
            edit.commit().await
        };
        replaced.await.map_err(refused)?;
        let event = self.0.event(EventKind::TwoFactor, attempt, &account.address.to_string());
        self.0.journal.record(event.with("change", "new recovery codes"));
        Ok(codes)
    }
}

impl Inner {
    /// Checks a code and uses it up. Once this returns, it cannot be used again, whatever happens.
    async fn second_factor(&self, attempt: &LoginAttempt, account: &Account, code: &str) -> Result<Factor, Refusal> {
        self.count_try(attempt, account).await?;
        let reason = match (Code::parse(code), GeneratedSecret::parse_recovery_code(code)) {
            (Some(code), _) => match self.one_time(account, code).await? {
                Ok(()) => return Ok(Factor::OneTime),
                Err(reason) => reason,
            },
            (None, Some(code)) => {
                if self.recovery(attempt, account, &code).await? {
                    return Ok(Factor::Recovery);
                }
                "wrong recovery code"
            }
            (None, None) => "no code at all",
        };
        let name = self.name(attempt);
        self.journal.record(
            self.event(EventKind::LoginRefused, attempt, &name).with("reason", reason).with("second_factor", true),
        );
        self.hold_back(attempt, &name).await;
        Err(Refusal::new(Kind::AuthenticationFailed, "This code is not right, or was used already").smtp(535, "5.7.8"))
    }

    async fn one_time(&self, account: &Account, code: Code) -> Result<Result<(), &'static str>, Refusal> {
        let Some(kept) = self.directory.two_factor(account.id).await.map_err(refused)? else {
            return Ok(Err("two-factor login was turned off meanwhile"));
        };
        let key = self.opened(kept.secret.expose(), account).await?;
        let Some(step) = key.step_of(code, self.clock.now()) else { return Ok(Err("wrong one-time code")) };
        // RFC 6238 §5.2: a code is accepted once. The step is on disk before anybody is let in.
        let used = async {
            let mut edit = self.directory.edit().await?;
            let is_new = edit.use_step(account.id, step).await?;
            edit.commit().await?;
            Ok(is_new)
        };
        Ok(if used.await.map_err(refused)? { Ok(()) } else { Err("one-time code used before") })
    }

    async fn recovery(
        &self,
        attempt: &LoginAttempt,
        account: &Account,
        code: &GeneratedSecret,
    ) -> Result<bool, Refusal> {
        let digest = code.digest();
        let used = async {
            let mut edit = self.directory.edit().await?;
            let is_good = edit.use_recovery_code(account.id, &digest).await?;
            edit.commit().await?;
            Ok(is_good)
        };
        let is_good = used.await.map_err(refused)?;
        if is_good {
            let left = self.directory.two_factor(account.id).await.ok().flatten();
            let event = self.event(EventKind::TwoFactor, attempt, &account.address.to_string());
            let event = event.with("change", "recovery code used");
            self.journal.record(event.with("left", left.map_or(0, |left| left.recovery_codes)));
        }
        Ok(is_good)
    }

    /// The guard forgives networks that an account was used from, and codes have six digits only: so tries are also counted
    /// with the account, wherever they come from and across restarts.
    async fn count_try(&self, attempt: &LoginAttempt, account: &Account) -> Result<(), Refusal> {
        let settings = self.settings.get();
        let rest = settings.two_factor_rest.duration().max(SHORTEST_REST);
        let tries = Tries { most: settings.two_factor_tries.max(1), rest };
        if self.directory.try_second_factor(account.id, tries).await.map_err(refused)? {
            return Ok(());
        }
        self.refused(attempt, &self.name(attempt), "too many codes before");
        let wait = counted(rest.as_secs().div_ceil(60), "minute");
        let public = format!("Too many codes were tried for this account; try again in {wait}");
        Err(Refusal::new(Kind::TooMany, public).smtp(454, "4.7.0"))
    }

    async fn opened(&self, stored: &str, account: &Account) -> Result<Key, Refusal> {
        let under = self.key().await.map_err(|error| unable().because(error))?;
        seal::open(stored, &account.address.key(), under.as_ref()).map_err(|error| {
            log::error!(user:% = account.address; "The secret of two-factor login cannot be used: {error}");
            unable().because(error)
        })
    }

    /// The key of the settings. Its file is read each time, which is a few times an hour.
    async fn key(&self) -> Result<Option<Secret<Vec<u8>>>, SealError> {
        let Some(path) = self.settings.get().two_factor_key_file.clone() else { return Ok(None) };
        let read = tokio::task::spawn_blocking(move || read_key(&path)).await;
        read.unwrap_or(Err(SealError::NoKey)).map(Some)
    }
}

fn recovery_codes() -> Result<(Vec<Secret<String>>, Vec<String>), Refusal> {
    let made: Result<Vec<GeneratedSecret>, NoRandomness> =
        (0..RECOVERY_CODES).map(|_| GeneratedSecret::recovery_code()).collect();
    let made = made.map_err(Refusal::temporary)?;
    Ok((
        made.iter().map(GeneratedSecret::shown_recovery_code).collect(),
        made.iter().map(GeneratedSecret::digest).collect(),
    ))
}

pub(super) fn refused(error: directory::Error) -> Refusal {
    match error.kind() {
        Kind::Exists => Refusal::new(Kind::Exists, "Two-factor login is on already"),
        _ => unable().because(error),
    }
}

/// Ten tries a minute would be 14,400 a day, of which a guesser needs some hundred thousand.
const SHORTEST_REST: std::time::Duration = std::time::Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_follows_from_account_and_settings() {
        let (here, there): (Domain, Domain) = ("a.test".parse().unwrap(), "b.test".parse().unwrap());
        let (on, off) = (Some(Timestamp::EPOCH), None);
        let offered = LoginSettings::default();
        let one = LoginSettings { two_factor_domains: vec![here.clone()], ..Default::default() };
        let all = LoginSettings { two_factor: TwoFactorPolicy::Required, ..Default::default() };
        for (since, domain, settings, need) in [
            (off, &here, &offered, Need::Nothing),
            (on, &here, &offered, Need::Code),
            (off, &here, &one, Need::Enrolment),
            (off, &there, &one, Need::Nothing),
            (off, &there, &all, Need::Enrolment),
            (on, &there, &all, Need::Code),
        ] {
            assert_eq!(Need::of(since, domain, settings), need);
        }
    }
}
