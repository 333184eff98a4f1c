//! An error and why it came, on one line: for a person, a log, or the outcome of a host.

use std::error::Error;

/// The error and all its causes. A cause that its error has repeated in its own words stands once.
pub fn with_causes(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_words = inner.to_string();
        if !words.contains(&inner_words) {
            words = format!("{words}: {inner_words}");
        }
        cause = inner.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("reading the fleet")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_cause_stands_behind_its_error_and_only_once() {
        assert_eq!(with_causes(&Outer(io::Error::other("no disk"))), "reading the fleet: no disk");
        assert_eq!(
            with_causes(&io::Error::other(Outer(io::Error::other("no disk")))),
            "reading the fleet: no disk"
        );
    }
}
