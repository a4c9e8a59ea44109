use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Reads an argument that is one of a few words, which help, completions and manual pages list.
pub(super) fn one_of<T, F>(
    words: impl IntoIterator<Item = &'static str>,
    meaning: F,
) -> impl TypedValueParser<Value = T>
where
    T: Clone + Send + Sync + 'static,
    F: Fn(&str) -> Option<T> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(move |word| meaning(&word).ok_or("a word without a meaning"))
}
