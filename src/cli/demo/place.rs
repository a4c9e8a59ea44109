use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::User;
use crate::config::Protocol;
use crate::daemon::Listening;
use crate::foundations::files;
use crate::foundations::secret::Secret;
use crate::services::login;
use crate::storage::directory::{Directory, Error, NewUser, Owner, PasswordOwner, Standing};

/// The first line of configurations that may be overwritten.
const MARK: &str = "# Written by `postrider demo`.";

/// The directory has a configuration that was not written by a demonstration.
#[derive(Debug, thiserror::Error)]
#[error("`{}` was not written by `postrider demo` and is not overwritten; choose another directory", .0.display())]
pub(in crate::cli) struct InTheWay(PathBuf);

/// The directory of a demonstration.
pub(super) struct Place {
    directory: PathBuf,
    is_temporary: bool,
}

impl Place {
    /// Creates it: the given directory, or a temporary one that is removed at the end.
    pub(super) fn make(named: Option<&Path>) -> anyhow::Result<Self> {
        let directory = match named {
            Some(named) => std::path::absolute(named)?,
            None => std::env::temp_dir().join(format!("postrider-demo-{}", random(10)?)),
        };
        files::create_directory(&directory, 0o700)?;
        let place = Self { directory, is_temporary: named.is_none() };
        place.refuse_other_config()?;
        Ok(place)
    }

    /// Refuses to overwrite a configuration that was not written by a demonstration.
    fn refuse_other_config(&self) -> anyhow::Result<()> {
        let path = self.config();
        match std::fs::read(&path) {
            Ok(text) if text.split(|octet| *octet == b'\n').next() == Some(MARK.as_bytes()) => Ok(()),
            Ok(_) => Err(InTheWay(path).into()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(|| format!("`{}` cannot be read", path.display())),
        }
    }

    pub(super) fn config(&self) -> PathBuf {
        self.directory.join("postrider.toml")
    }

    pub(super) fn authority(&self) -> PathBuf {
        self.directory.join("tls/ca.pem")
    }

    pub(super) fn mail_root(&self) -> PathBuf {
        self.directory.join("mail")
    }

    /// Writes the configuration with the actual ports, so that the command line finds the running server.
    pub(super) fn write_config(&self, listening: &[Listening]) -> anyhow::Result<()> {
        files::write_durable(&self.config(), self.text(listening).as_bytes(), 0o600)?;
        Ok(())
    }

    /// The configuration; unknown ports are left for the system to choose.
    pub(super) fn text(&self, listening: &[Listening]) -> String {
        let quoted = |path: PathBuf| toml::Value::String(path.display().to_string());
        let within = |name: &str| quoted(self.directory.join(name));
        let mut text = format!(
            "{MARK}\nhostname = \"mail.example.test\"\n\n\
             [server]\ncontrol_directory = {}\nlog_level = \"warn\"\nlog_format = \"text\"\n\n\
             [storage]\nmail_root = {}\ndatabase = {}\n\n[spool]\ndirectory = {}\n\n[tls]\nself_signed = {}\n\n\
             [backup]\ndestination = {}\ndrill_directory = {}\n",
            within("run"),
            quoted(self.mail_root()),
            toml::Value::String(format!("sqlite:{}", self.directory.join("postrider.sqlite").display())),
            within("spool"),
            within("tls"),
            within("backup"),
            quoted(self.directory.clone()),
        );
        // No DNS has the host's name, so a link with it would lead nowhere.
        if let Some(place) = listening.iter().find(|place| place.protocol == Protocol::Https) {
            text += &format!("\n[set_up]\naddress = \"https://{}\"\n", place.bind);
        }
        // There is only one node.
        for protocol in Protocol::ALL.iter().filter(|protocol| **protocol != Protocol::Cluster) {
            let bound = listening.iter().find(|place| place.protocol == *protocol);
            let bind = match (protocol, bound) {
                (Protocol::Sendmail, _) => format!("unix:{}", self.directory.join("sendmail.sock").display()),
                (_, Some(place)) => place.bind.to_string(),
                (_, None) => "127.0.0.1:0".to_owned(),
            };
            let bind = toml::Value::String(bind);
            text += &format!("\n[[listener]]\nprotocol = \"{protocol}\"\nbind = [{bind}]\n");
        }
        text
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_temporary {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// Creates the domain and the users, or finds them, and gives the users new passwords.
pub(super) async fn make_users(directory: &Directory) -> anyhow::Result<Vec<User>> {
    let mut edit = directory.edit().await?;
    let domain = "example.test".parse().context("`example.test` is a domain")?;
    match edit.add_domain(&domain, Owner::Admin).await {
        Ok(_) | Err(Error::Exists(_)) => {}
        Err(Error::Archived(_)) => edit.set_domain(&domain, Standing::Enabled).await?,
        Err(error) => return Err(error.into()),
    }
    edit.commit().await?;
    let mut users = Vec::new();
    for name in ["ann", "bob"] {
        let (address, password) = (format!("{name}@example.test"), random(14)?);
        let address = address.parse().context("a name at a domain is an address")?;
        let to_hash = Secret::new(password.clone());
        let hash = tokio::task::spawn_blocking(move || login::hash(&to_hash, COST)).await??;
        let known = directory.account_now(&address).await?;
        let mut edit = directory.edit().await?;
        if known.is_some() {
            edit.set_user(&address, Standing::Enabled).await?;
            edit.set_password(&address, &hash, PasswordOwner::Admin).await?;
        } else {
            let user = NewUser {
                address: address.clone(),
                password: Some(hash),
                password_owner: PasswordOwner::Admin,
                quota: None,
                display_name: None,
                owner: Owner::Admin,
            };
            edit.add_user(&user).await?;
        }
        edit.commit().await?;
        users.push(User { address: address.to_string(), password });
    }
    Ok(users)
}

/// A password of letters and digits that cannot be mistaken for each other.
fn random(length: usize) -> anyhow::Result<String> {
    let mut octets = vec![0; length];
    aws_lc_rs::rand::fill(&mut octets).context("the system provides no random numbers")?;
    let alphabet = b"abcdefghjkmnpqrstuvwxyz23456789";
    Ok(octets.iter().map(|octet| char::from(alphabet[usize::from(*octet) % alphabet.len()])).collect())
}

/// The hash cost of these passwords: they protect a server that only this machine can reach.
const COST: u32 = 8;
