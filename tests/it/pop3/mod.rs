//! The POP3 room with real services over a database and real Maildirs, spoken to line by line.

mod promises;
mod retrieval;
mod world;
