//! What a person is told about a kind of failure or fault: in general, or by the tool that it happened to.

/// What happened, and what a person can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wording {
    /// What happened.
    pub message: &'static str,
    /// What a person can do about it; empty where the message says it already.
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
