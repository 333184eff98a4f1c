//! All integration tests, as one binary: one module a feature.

mod inventory;
