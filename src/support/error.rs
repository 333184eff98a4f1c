//! The contract of errors that reach a person.

use std::borrow::Cow;
use std::error::Error;

/// An error that reaches a person.
pub trait Diagnose: Error {
    /// The hint for the operator; empty where there is nothing to do.
    fn hint(&self) -> Cow<'static, str>;

    /// Whether the same call may work later without anybody changing anything.
    fn is_transient(&self) -> bool;
}
