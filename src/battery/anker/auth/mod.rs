//! The login: key agreement, token cache, and when another login is allowed.
//!
//! Nothing here speaks to the cloud; [`rest`](super::rest) does that with what is here.

mod attempts;
mod body;
mod files;
mod login;
mod password;
mod server;

pub(in crate::battery::anker) use attempts::{AccountId, Asked, Attempts, Credentials, Refusal};
pub(in crate::battery::anker) use body::LoginBody;
pub(in crate::battery::anker) use files::{Loaded, PrivateFile, take_lock};
pub(in crate::battery::anker) use login::{LOGIN_FILE, Login};
pub(in crate::battery::anker) use password::{KeyPair, ServerKey, gtoken};
pub(in crate::battery::anker) use server::{base_url, server_of_country};
