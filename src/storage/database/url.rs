//! Where the database is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::Dialect;
use crate::foundations::settings::{Place, Problems, Setting, Shape};

const WANTED: &str = "a database such as \"sqlite:/var/lib/postrider/postrider.sqlite\", \
     \"mysql://user@host/database\" or \"postgres://user@host/database\"";

/// The address of a database: `sqlite:PATH`, `mysql://…` (or `mariadb://…`), `postgres://…` (or `postgresql://…`).
///
/// It may hold a password, so `Debug` and `Display` leave that out.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    text: String,
    dialect: Dialect,
}

/// The text is not the address of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// Not one of the known schemes.
    #[error("a database is written as `sqlite:PATH`, `mysql://…` or `postgres://…`")]
    Scheme,
    /// A SQLite database without a file, or in memory, which cannot be shared by several connections.
    #[error("SQLite needs the path of a file")]
    Path,
    /// The driver cannot parse it.
    #[error("the address of the database is malformed: {0}")]
    Malformed(String),
}

impl DatabaseUrl {
    /// The SQLite file at `path`.
    pub fn sqlite(path: &Path) -> Self {
        Self { text: format!("sqlite:{}", path.display()), dialect: Dialect::Sqlite }
    }

    /// Which engine it is.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The file, when it is SQLite.
    pub fn path(&self) -> Option<PathBuf> {
        (self.dialect == Dialect::Sqlite).then(|| PathBuf::from(sqlite_path(&self.text)))
    }

    /// Whether it holds a password: before the host, or as a parameter.
    pub fn has_password(&self) -> bool {
        let Some((_, rest)) = self.text.split_once("://").filter(|_| self.dialect != Dialect::Sqlite) else {
            return false;
        };
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let login = place.rsplit_once('@').map_or("", |(login, _)| login);
        login.split_once(':').is_some_and(|(_, password)| !password.is_empty())
            || parameters.split('&').any(|parameter| parameter.starts_with("password="))
    }

    /// Whether it is of a MariaDB or MySQL server but names no database; there is no default.
    pub fn lacks_name(&self) -> bool {
        self.dialect == Dialect::MySql
            && MySqlConnectOptions::from_str(&self.text)
                .is_ok_and(|options| options.get_database().is_none_or(str::is_empty))
    }

    /// The whole text, password included, for the driver.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

fn sqlite_path(text: &str) -> &str {
    let rest = text.strip_prefix("sqlite:").unwrap_or(text);
    rest.strip_prefix("//").unwrap_or(rest)
}

impl FromStr for DatabaseUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let scheme = text.split_once(':').ok_or(InvalidUrl::Scheme)?.0;
        // The driver's own words name parts of the text, never the password.
        let malformed = |e: sqlx::Error| InvalidUrl::Malformed(e.to_string());
        let dialect = match scheme {
            "sqlite" => {
                let path = sqlite_path(text);
                if path.is_empty() || path.contains(":memory:") || path.contains('?') {
                    return Err(InvalidUrl::Path);
                }
                Dialect::Sqlite
            }
            "mysql" | "mariadb" => {
                MySqlConnectOptions::from_str(text).map_err(malformed)?;
                Dialect::MySql
            }
            "postgres" | "postgresql" => {
                PgConnectOptions::from_str(text).map_err(malformed)?;
                Dialect::Postgres
            }
            _ => return Err(InvalidUrl::Scheme),
        };
        Ok(Self { text: text.to_owned(), dialect })
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // scheme://user:password@host: everything between the first ':' after the scheme and the last '@' is hidden.
        let Some((scheme, rest)) = self.text.split_once("://").filter(|_| self.dialect != Dialect::Sqlite) else {
            return f.write_str(&self.text);
        };
        let rest = match rest.rsplit_once('@') {
            Some((login, host)) => {
                let user = login.split_once(':').map_or(login, |(user, _)| user);
                format!("{user}@{host}")
            }
            None => rest.to_owned(),
        };
        // A `password=` parameter is dropped along with all other parameters.
        write!(f, "{scheme}://{}", rest.split('?').next().unwrap_or_default())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl Setting for DatabaseUrl {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        let text = place.text(WANTED, problems)?;
        match text.parse() {
            Ok(url) => Some(url),
            Err(_) => place.wrong(WANTED, problems),
        }
    }

    fn shape() -> Shape {
        Shape::Value("database")
    }

    fn write(&self) -> Option<String> {
        Some(toml::Value::String(self.to_string()).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_hides_the_password() {
        for (text, shown, dialect) in [
            ("sqlite:/var/lib/x.sqlite", "sqlite:/var/lib/x.sqlite", Dialect::Sqlite),
            ("sqlite://relative.sqlite", "sqlite://relative.sqlite", Dialect::Sqlite),
            ("mysql://mail:s3cr@t:@db.test:3307/mail", "mysql://mail@db.test:3307/mail", Dialect::MySql),
            ("mariadb://mail@db.test/mail", "mariadb://mail@db.test/mail", Dialect::MySql),
            ("postgres://mail:pw@db.test/mail?sslmode=require", "postgres://mail@db.test/mail", Dialect::Postgres),
        ] {
            match text.parse::<DatabaseUrl>() {
                Ok(url) => assert_eq!((url.to_string().as_str(), url.dialect()), (shown, dialect)),
                // A password with an unescaped @ may be refused; it must only never be shown.
                Err(e) => assert!(text.contains("s3cr") && !e.to_string().contains("s3cr"), "{text}: {e}"),
            }
        }
        for (text, has) in [
            ("mysql://mail:s3cret@db.test/mail", true),
            ("postgres://mail@db.test/mail?sslmode=require&password=s3cret", true),
            ("postgres://mail@localhost/mail?host=/run/postgresql", false),
            ("sqlite:/var/lib/x.sqlite", false),
        ] {
            assert_eq!(text.parse::<DatabaseUrl>().unwrap().has_password(), has, "{text}");
        }
        for (text, lacks) in [
            ("mysql://", true),
            ("mysql://mail@db.test", true),
            ("mysql://mail@db.test/", true),
            ("mysql://mail@db.test/mail", false),
            ("mysql://mail@localhost/mail?socket=/run/mysqld/mysqld.sock", false),
            ("postgres://mail@db.test", false),
            ("sqlite:/var/lib/x.sqlite", false),
        ] {
            assert_eq!(text.parse::<DatabaseUrl>().unwrap().lacks_name(), lacks, "{text}");
        }
        for text in ["", "sqlite:", "sqlite::memory:", "oracle://x/y", "/var/lib/x.sqlite", "mysql://:bad:port:x/"] {
            assert!(text.parse::<DatabaseUrl>().is_err(), "{text}");
        }
        let path = DatabaseUrl::sqlite(Path::new("/a/b.sqlite")).path();
        assert_eq!(path, Some(PathBuf::from("/a/b.sqlite")));
    }
}
