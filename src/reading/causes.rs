//! An error and why it came, on one line: for a person, a log, or the outcome of a host.

use std::error::Error;

/// The error and all its causes. A cause that its error has repeated in its own words stands once.
pub fn with_causes(error: &dyn Error) -> String {
    let mut words = without_source_line(error.to_string());
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_words = without_source_line(inner.to_string());
        if !words.contains(&inner_words) {
            words = format!("{words}: {inner_words}");
        }
        cause = inner.source();
    }
    words
}

/// Without the line of PostgreSQL's own C source that sqlx puts behind a server's message: it says nothing to who
/// reads it, and looks like a line of theirs.
fn without_source_line(mut words: String) -> String {
    let line = words.rsplit_once(" at line ").filter(|(_, number)| number.parse::<u32>().is_ok());
    if let Some(length) = line.map(|(message, _)| message.len()) {
        words.truncate(length);
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
    fn a_line_of_the_servers_source_is_not_shown_and_a_place_in_a_file_is() {
        let said = |words: &str| with_causes(&Outer(io::Error::other(words.to_owned())));
        assert_eq!(said("no such role at line 334"), "reading the fleet: no such role");
        assert_eq!(said("bad key at line 3 column 5"), "reading the fleet: bad key at line 3 column 5");
    }

    #[test]
    fn a_cause_stands_behind_its_error_and_only_once() {
        assert_eq!(with_causes(&Outer(io::Error::other("no disk"))), "reading the fleet: no disk");
        assert_eq!(
            with_causes(&io::Error::other(Outer(io::Error::other("no disk")))),
            "reading the fleet: no disk"
        );
    }
}
