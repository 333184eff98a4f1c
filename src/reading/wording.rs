//! The text for a person about a kind of failure or fault: in general, or by the tool that it happened to.

/// A message and a hint for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wording {
    /// The failure or fault.
    pub message: &'static str,
    /// The remedy; empty where the message says it already.
    pub hint: &'static str,
}

/// The messages and hints that a tool has of its own. An empty message is the general one.
pub type Wordings<K> = &'static [(K, &'static str, &'static str)];

impl Wording {
    /// That of a tool, where it has one for this kind.
    pub(super) fn of_tool<K: PartialEq>(self, kind: &K, wordings: Wordings<K>) -> Self {
        match wordings.iter().find(|(own, ..)| own == kind) {
            Some((_, "", hint)) => Self { hint, ..self },
            Some((_, message, hint)) => Self { message, hint },
            None => self,
        }
    }
}
