//! The body of a login.

use serde::Serialize;

use super::KeyPair;
use crate::reading::Timestamp;
use crate::solix::Hidden;

/// What `passport/login` is sent, with its fields in the order of the reference. It has no `Debug`, since it
/// holds the address.
#[derive(Serialize)]
pub(in crate::solix) struct LoginBody<'a> {
    ab: &'a str,
    client_secret_info: ClientSecretInfo<'a>,
    enc: u8,
    email: &'a str,
    password: String,
    time_zone: i64,
    transaction: String,
}

#[derive(Serialize)]
struct ClientSecretInfo<'a> {
    public_key: &'a str,
}

impl<'a> LoginBody<'a> {
    /// The body for one attempt at `now`. We are in UTC, as in [`headers`](crate::solix::rest).
    pub(in crate::solix) fn new(
        country: &'a str,
        email: &'a str,
        password: &Hidden,
        key: &'a KeyPair,
        now: Timestamp,
    ) -> Self {
        Self {
            ab: country,
            client_secret_info: ClientSecretInfo { public_key: key.public_hex() },
            enc: 0,
            email,
            password: key.encrypt(password),
            time_zone: 0,
            transaction: (now.micros() / 1000).to_string(),
        }
    }
}
