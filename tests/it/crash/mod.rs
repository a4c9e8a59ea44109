//! Nothing acknowledged is lost, however often the server is killed.

mod audit;
mod kills;
mod ledger;
mod letter;
mod worker;
