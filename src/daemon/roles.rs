use std::fmt;
use std::str::FromStr;

use crate::config::Role;

/// The roles of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles(Vec<Role>);

impl Roles {
    /// All of them, in one process.
    pub fn all() -> Self {
        Self(Role::ALL.to_vec())
    }

    /// Whether this process has a role.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether this process may change the database. The monitoring page may only read, which the database also enforces.
    pub fn may_change(&self) -> bool {
        self.has(Role::Mta) || self.has(Role::Access)
    }

    /// Each of them once.
    pub fn iter(&self) -> impl Iterator<Item = Role> + '_ {
        self.0.iter().copied()
    }
}

/// The text names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role; use mta, access or dashboard, or several of them separated by commas")]
pub struct InvalidRole(String);

impl FromStr for Roles {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        let mut roles = Vec::new();
        for word in text.split(',').map(str::trim) {
            let role = Role::from_word(word).ok_or_else(|| InvalidRole(word.to_owned()))?;
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
        Ok(Self(roles))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.0.iter().map(|role| role.word()).collect();
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses() {
        assert_eq!("mta, access,dashboard,mta".parse::<Roles>().unwrap().to_string(), "mta,access,dashboard");
        assert!("".parse::<Roles>().is_err());
        assert!("mta;access".parse::<Roles>().is_err());
    }
}
