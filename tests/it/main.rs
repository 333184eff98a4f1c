//! All integration tests, as one binary: one module a feature.

mod postgres;
mod store_postgres;
mod store_sqlite;
mod store_story;
