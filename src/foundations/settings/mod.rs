//! Settings: typed, documented where they are declared, read from TOML with every mistake collected.
//!
//! Each room declares its own with [`settings!`](crate::settings) and [`words!`](crate::words); `config/` composes
//! them. The doc comment of a field is its entry in the configuration reference, so it says unit and meaning, and for a
//! limit what happens when it is reached. Reading never stops at the first mistake: a field with a bad value keeps
//! its default and leaves a [`Problem`].

mod live;
mod read;
mod values;

pub use live::Live;
pub use read::{ALL_KEYS, Entry, Place, Problem, Problems, Setting, Shape, UNKNOWN_KEY, nearest, read_table};
pub use values::{ByteSize, Span};

/// Declares a struct of settings: fields with documentation and defaults, and everything derived from them.
///
/// ```
/// postrider::settings! {
///     /// Limits of one connection.
///     pub struct Limits {
///         /// Longest line in octets. A longer one is answered with 500.
///         pub line: u32 = 1000,
///         /// Idle time after which the connection is closed.
///         pub idle: postrider::foundations::settings::Span = postrider::foundations::settings::Span::minutes(5),
///     }
/// }
/// assert_eq!(Limits::default().line, 1000);
/// ```
#[macro_export]
macro_rules! settings {
    ($(#[doc = $doc:literal])+ pub struct $name:ident {
        $($(#[doc = $field_doc:literal])+ pub $field:ident : $type:ty = $default:expr),+ $(,)?
    }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[doc = $field_doc])+ pub $field: $type,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl $crate::foundations::settings::Setting for $name {
            fn read(value: &$crate::foundations::settings::Place<'_>, problems: &mut $crate::foundations::settings::Problems) -> Option<Self> {
                Self::read_over(&Self::default(), value, problems)
            }

            fn read_over(
                unset: &Self,
                value: &$crate::foundations::settings::Place<'_>,
                problems: &mut $crate::foundations::settings::Problems,
            ) -> Option<Self> {
                let mut result = unset.clone();
                let mut table = $crate::foundations::settings::read_table(value, &[$(stringify!($field)),+], problems)?;
                $(
                    if let Some(place) = table.take(stringify!($field))
                        && let Some(read) =
                            $crate::foundations::settings::Setting::read_over(&unset.$field, &place, problems)
                    {
                        result.$field = read;
                    }
                )+
                Some(result)
            }

            fn shape() -> $crate::foundations::settings::Shape {
                $crate::foundations::settings::Setting::shape_unset(&Self::default())
            }

            fn shape_unset(&self) -> $crate::foundations::settings::Shape {
                $crate::foundations::settings::Shape::Table {
                    doc: concat!($($doc, "\n"),+),
                    entries: vec![$($crate::foundations::settings::Entry {
                        name: stringify!($field),
                        doc: concat!($($field_doc, "\n"),+),
                        shape: $crate::foundations::settings::Setting::shape_unset(&self.$field),
                        default: $crate::foundations::settings::Setting::write(&self.$field),
                    }),+],
                }
            }

            fn write(&self) -> Option<String> {
                None
            }
        }
    };
}

/// Declares an enum whose values are written as words: in the configuration, on the command line, in JSON.
#[macro_export]
macro_rules! words {
    ($(#[doc = $doc:literal])+ pub enum $name:ident {
        $($(#[doc = $variant_doc:literal])+ $variant:ident = $word:literal),+ $(,)?
    }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $variant_doc])+ $variant,)+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word for it.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value a word stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <String as serde::Deserialize>::deserialize(deserializer)?;
                Self::from_word(&word).ok_or_else(|| serde::de::Error::unknown_variant(&word, &[$($word),+]))
            }
        }

        impl $crate::foundations::settings::Setting for $name {
            fn read(value: &$crate::foundations::settings::Place<'_>, problems: &mut $crate::foundations::settings::Problems) -> Option<Self> {
                let word = value.word(&[$($word),+], problems)?;
                Self::from_word(&word)
            }

            fn shape() -> $crate::foundations::settings::Shape {
                $crate::foundations::settings::Shape::Words(vec![$(($word, concat!($($variant_doc, "\n"),+))),+])
            }

            fn write(&self) -> Option<String> {
                Some(format!("\"{}\"", self.word()))
            }
        }
    };
}
