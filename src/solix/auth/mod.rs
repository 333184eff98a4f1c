//! The login: key agreement, token cache, and when another login is allowed.
//!
//! Nothing here speaks to the cloud; [`rest`](super::rest) does that with what is here.

mod attempts;
mod body;
mod files;
mod login;
mod password;
mod server;

pub(in crate::solix) use attempts::{AccountId, Asked, Attempts, Credentials, Refusal};
pub(in crate::solix) use body::LoginBody;
pub(in crate::solix) use files::{Found, Kept, take_lock};
pub(in crate::solix) use login::{LOGIN_FILE, Login};
pub(in crate::solix) use password::{KeyPair, ServerKey, gtoken};
pub(in crate::solix) use server::{base_url, server_of_country};
