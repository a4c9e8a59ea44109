//! `copy` (RFC 3894): store or redirect and leave the implicit keep in force.

use crate::services::sieve::check::Arguments;

/// Takes `:copy`.
pub(super) fn read(arguments: &mut Arguments<'_, '_>) -> bool {
    arguments.tag("copy", "copy").is_some()
}
