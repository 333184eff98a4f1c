//! The login: key agreement, token cache, and when another login is allowed.
