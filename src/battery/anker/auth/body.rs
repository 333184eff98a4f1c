//! The body of a login.

use serde::Serialize;

use super::KeyPair;
use crate::reading::Timestamp;
use crate::support::secret::Secret;

/// What `passport/login` is sent, with its fields in the order of the reference. It has no `Debug`, since it
/// holds the address.
#[derive(Serialize)]
pub(in crate::battery::anker) struct LoginBody<'a> {
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
    /// The body for one attempt at `now`. We are in UTC, as in [`headers`](crate::battery::anker::rest).
    pub(in crate::battery::anker) fn new(
        country: &'a str,
        email: &'a str,
        password: &Secret,
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

#[cfg(test)]
mod tests {
    use p256::SecretKey;
    use serde_json::Value;

    use super::*;
    use crate::battery::anker::auth::ServerKey;
    use crate::battery::anker::wire::from_hex;

    #[test]
    fn the_body_is_that_of_the_reference() {
        let vectors = include_str!("../../../../fixtures/solix/login-vectors.json");
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        let captured = &vectors["http_requests_captured"][0]["json"];
        let passwords = vectors["login_password"].as_array().unwrap();
        let vector = passwords.iter().find(|vector| vector["ciphertext_base64"] == captured["password"]);
        let text = |key| vector.unwrap()[key].as_str().unwrap();
        let secret = SecretKey::from_slice(&from_hex(text("client_private_key_hex")).unwrap()).unwrap();
        let key = KeyPair::from_secret(&secret, &ServerKey::vendor().unwrap()).unwrap();
        let now = Timestamp::from_micros(1_756_813_256_000_000);
        let password = Secret::new(text("password"));
        let body = LoginBody::new("US", "user@example.com", &password, &key, now);
        assert_eq!(serde_json::to_value(&body).unwrap(), *captured);
    }
}
