//! Reports between mail servers: sent to those who ask for them, received about our own domains.

mod dmarc;
mod tls;
mod world;
