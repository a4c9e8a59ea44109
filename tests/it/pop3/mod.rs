//! The POP3 server with real services over a database and real Maildirs, tested line by line.

mod promises;
mod retrieval;
mod world;
