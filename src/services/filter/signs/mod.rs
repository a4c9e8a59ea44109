//! Signs of unwanted mail that patterns cannot express. Each is a function of the facts that returns its reason when it
//! applies; `rules::natives` makes them callable from rule files, which contain the weights.

pub mod attachments;
pub mod header;
pub mod html;
pub mod language;
pub mod links;
mod office;
pub mod scripts;
pub mod text;

/// The nth argument as a number.
fn number<T: std::str::FromStr>(arguments: &[String], n: usize) -> Option<T> {
    arguments.get(n)?.parse().ok()
}

/// The part of a host name that its owner has registered, by the public suffix list.
pub fn registered(host: &str) -> &str {
    psl::domain_str(host).unwrap_or(host)
}

/// Whether the text is an IPv4 or IPv6 address, with or without brackets.
pub fn is_address(host: &str) -> bool {
    host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok()
}
