//! Several nodes as one server.

mod leases;
mod moves;
mod queue;
mod sessions;
mod web;
mod world;

/// Runs every listed test (`async fn(Dialect)`) on the engines that nodes can share.
macro_rules! on_shared_engines {
    ($($test:ident),+ $(,)?) => {
        mod mysql { $(#[tokio::test(flavor = "multi_thread")] async fn $test() {
            super::$test(postrider::storage::database::Dialect::MySql).await;
        })+ }
        mod postgres { $(#[tokio::test(flavor = "multi_thread")] async fn $test() {
            super::$test(postrider::storage::database::Dialect::Postgres).await;
        })+ }
    };
}
pub(crate) use on_shared_engines;
