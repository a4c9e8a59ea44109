//! Values that must never reach a log, an error text or a debugger's output by accident.

use std::fmt;

/// Wraps a password, key or token. `Debug` and `Display` show a placeholder; the value is read only
/// through [`Secret::expose`], which is easy to search for.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Every caller must be able to say why it needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_not_printed() {
        let password = Secret::new("hunter2");
        assert_eq!(format!("{password:?} {password}"), "[secret] [secret]");
        assert_eq!(*password.expose(), "hunter2");
    }
}
