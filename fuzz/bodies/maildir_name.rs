//! Names of message files, which other programs write too.

use postrider::storage::mailbox::{FileName, Place};

pub fn run(data: &[u8]) {
    for place in [Place::New, Place::Cur] {
        let Some(parsed) = FileName::parse(data, place) else { continue };
        assert!(data.starts_with(parsed.base));
        parsed.seconds();
        // The base name alone says the same about the message as the whole name, except for the flags.
        if let Some(base) = FileName::parse(parsed.base, Place::New)
            && base.base == parsed.base
        {
            assert_eq!((base.uid, base.size, base.virtual_size), (parsed.uid, parsed.size, parsed.virtual_size));
        }
    }
}
