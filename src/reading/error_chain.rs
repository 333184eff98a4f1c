//! An error and why it came, on one line: for a person, a log, or the outcome of a host.

use std::error::Error;

/// The error and all its causes. A cause that its error has repeated in its own words stands once.
///
/// ```
/// use fleetwatt::reading::error_chain;
///
/// let error = "x".parse::<u8>().unwrap_err();
/// assert_eq!(error_chain(&error), "invalid digit found in string");
/// ```
pub fn error_chain(error: &dyn Error) -> String {
    let mut message = without_source_line(error.to_string());
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_message = without_source_line(inner.to_string());
        if !message.contains(&inner_message) {
            message = format!("{message}: {inner_message}");
        }
        cause = inner.source();
    }
    message
}

/// Without the line of PostgreSQL's own C source that sqlx puts behind a server's message: it says nothing to who
/// reads it, and looks like a line of theirs.
fn without_source_line(mut message: String) -> String {
    let line = message.rsplit_once(" at line ").filter(|(_, number)| number.parse::<u32>().is_ok());
    if let Some(length) = line.map(|(message, _)| message.len()) {
        message.truncate(length);
    }
    message
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("reading the fleet")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_line_of_the_servers_source_is_not_shown_and_a_place_in_a_file_is() {
        let said = |message: &str| error_chain(&Outer(io::Error::other(message.to_owned())));
        assert_eq!(said("no such role at line 334"), "reading the fleet: no such role");
        assert_eq!(said("bad key at line 3 column 5"), "reading the fleet: bad key at line 3 column 5");
    }

    #[test]
    fn a_cause_stands_behind_its_error_and_only_once() {
        assert_eq!(error_chain(&Outer(io::Error::other("no disk"))), "reading the fleet: no disk");
        assert_eq!(
            error_chain(&io::Error::other(Outer(io::Error::other("no disk")))),
            "reading the fleet: no disk"
        );
    }
}
