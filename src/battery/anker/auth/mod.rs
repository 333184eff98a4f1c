//! The login: key agreement, token cache, and when another login is allowed.
//!
//! Nothing here speaks to the cloud; [`rest`](super::rest) does that with what is here.

mod attempts;
mod files;
mod login;
mod password;

pub(crate) use attempts::{AccountId, Attempts, Credentials};
pub(crate) use files::{PrivateFile, exposed, take_lock};
pub(crate) use login::{LOGIN_FILE, Login};
pub(crate) use password::{KeyPair, gtoken, server_key};
