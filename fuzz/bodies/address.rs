//! Addresses and domains: what is accepted means the same after writing and reading it again.

use postrider::foundations::address::{Address, Domain, LocalPart};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(address) = text.parse::<Address>() {
        let written = address.to_string();
        assert_eq!(written.parse::<Address>().as_ref(), Ok(&address), "{written}");
        assert!(written.len() <= Address::MAX_LENGTH && !written.contains(['\r', '\n', '\0']));
        address.split_tag('+');
        address.key();
    }
    if let Ok(domain) = text.parse::<Domain>() {
        assert_eq!(domain.to_string().parse::<Domain>().as_ref(), Ok(&domain));
        domain.unicode();
        assert!(domain.parent().is_none_or(|parent| parent.as_str().len() < domain.as_str().len()));
        domain.literal();
    }
    if let Ok(local) = text.parse::<LocalPart>() {
        assert_eq!(local.to_string().parse::<LocalPart>(), Ok(local));
    }
}
