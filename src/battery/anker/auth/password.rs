//! The body of a login, with the password in it, and the account's hash in each later call. After anker-solix-api.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::Generate;
use p256::{PublicKey, SecretKey};
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::attempts::Credentials;
use crate::battery::anker::wire::{from_hex, to_hex};
use crate::reading::Timestamp;
use crate::support::secret::Secret;

/// The server's key, an uncompressed P-256 point: the same in all regions, and a constant of every open client.
const SERVER_KEY: &str = "04c5c00c4f8d1197cc7c3167c52bf7acb054d722f0ef08dcd7e0883236e0d72a38\
                          68d9750cb47fa4619248f3d83f0f662671dadc6e2d31c2f41db0161651c7c076";

/// The key that passwords are encrypted for: the vendor's, or an uncompressed point as 130 hexadecimal digits.
pub(crate) fn server_key(hex: Option<&str>) -> Option<PublicKey> {
    PublicKey::from_sec1_bytes(&from_hex(hex.unwrap_or(SERVER_KEY))?).ok()
}

/// A key pair of ours, and what it has agreed on with the server.
pub(crate) struct KeyPair {
    /// An uncompressed point.
    public_hex: String,
    shared: Zeroizing<[u8; 32]>,
}

impl KeyPair {
    /// A new one; `None` if the system has no random numbers.
    pub(crate) fn generate(server: &PublicKey) -> Option<Self> {
        Self::from_secret(&SecretKey::try_generate().ok()?, server)
    }

    fn from_secret(secret: &SecretKey, server: &PublicKey) -> Option<Self> {
        let agreed = diffie_hellman(secret.to_nonzero_scalar(), server.as_affine());
        let shared = <[u8; 32]>::try_from(agreed.raw_secret_bytes().as_slice()).ok()?;
        let public_hex = to_hex(p256::Sec1Point::from(secret.public_key()).as_bytes());
        Some(Self { public_hex, shared: Zeroizing::new(shared) })
    }

    /// The body of `passport/login` for one attempt at `now`, with its fields in the order of the reference. We are
    /// in UTC, as in the headers.
    pub(crate) fn login_body(
        &self,
        country: &str,
        credentials: Credentials<'_>,
        now: Timestamp,
    ) -> serde_json::Result<Zeroizing<Vec<u8>>> {
        #[derive(Serialize)]
        struct Body<'a> {
            ab: &'a str,
            client_secret_info: Value,
            enc: u8,
            email: &'a str,
            password: String,
            time_zone: i64,
            transaction: String,
        }
        let body = Body {
            ab: country,
            client_secret_info: json!({ "public_key": self.public_hex }),
            enc: 0,
            email: credentials.email.expose(),
            password: self.encrypt(credentials.password),
            time_zone: 0,
            transaction: (now.micros() / 1000).to_string(),
        };
        serde_json::to_vec(&body).map(Zeroizing::new)
    }

    /// The password as the login body has it. AES-256-CBC; the key is the agreed X coordinate without any
    /// derivation, and its first half is the initialisation vector too.
    fn encrypt(&self, password: &Secret) -> String {
        let mut iv = [0; 16];
        for (to, from) in iv.iter_mut().zip(self.shared.iter()) {
            *to = *from;
        }
        let cipher = cbc::Encryptor::<aes::Aes256>::new((&*self.shared).into(), &iv.into());
        STANDARD.encode(cipher.encrypt_padded_vec::<Pkcs7>(password.expose().as_bytes()))
    }
}

/// The hash of the account in the header of every call: MD5 of its id, in hex. As good as a secret, since it
/// is all that stands beside the token.
pub(crate) fn gtoken(user_id: &Secret) -> Secret {
    Secret::new(to_hex(&Md5::digest(user_id.expose())))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Made by anker-solix-api 3.8.0 with fixed keys.
    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../../fixtures/solix/login-vectors.json")).unwrap()
    }

    fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
        vector[key].as_str().unwrap()
    }

    fn key_of(vector: &Value) -> KeyPair {
        let secret = from_hex(text(vector, "client_private_key_hex")).unwrap();
        KeyPair::from_secret(&SecretKey::from_slice(&secret).unwrap(), &server_key(None).unwrap()).unwrap()
    }

    #[test]
    fn passwords_are_encrypted_as_the_reference_does_it() {
        let vectors = vectors();
        let vectors = vectors["login_password"].as_array().unwrap();
        assert_eq!(vectors.len(), 20);
        for vector in vectors {
            let key = key_of(vector);
            assert_eq!(key.public_hex, text(vector, "client_public_key_hex"));
            assert_eq!(to_hex(&*key.shared), text(vector, "shared_secret_hex"));
            let password = Secret::new(text(vector, "password"));
            assert_eq!(key.encrypt(&password), text(vector, "ciphertext_base64"));
        }
    }

    #[test]
    fn the_servers_key_is_the_one_of_the_reference_and_another_is_read_alike() {
        let vectors = vectors();
        let hexadecimal = text(&vectors, "server_public_key_hex");
        assert_eq!(SERVER_KEY, hexadecimal);
        assert_eq!(server_key(Some(hexadecimal)), server_key(None));
    }

    #[test]
    fn what_is_no_point_is_no_key() {
        let on_no_curve = format!("04{}", "1".repeat(128));
        for bad in ["", "0", "04", "zz", "ä", &on_no_curve] {
            assert!(server_key(Some(bad)).is_none(), "{bad}");
        }
    }

    #[test]
    fn two_key_pairs_are_different() {
        let server = server_key(None).unwrap();
        let public = || KeyPair::generate(&server).unwrap().public_hex;
        assert_ne!(public(), public());
    }

    #[test]
    fn the_hash_of_an_account_is_md5_in_lower_case_hex() {
        for vector in vectors()["gtoken_md5"].as_array().unwrap() {
            let user_id = Secret::new(text(vector, "user_id"));
            assert_eq!(gtoken(&user_id).expose(), text(vector, "gtoken"));
        }
    }

    #[test]
    fn the_body_is_that_of_the_reference() {
        let vectors = vectors();
        let captured = &vectors["http_requests_captured"][0]["json"];
        let passwords = vectors["login_password"].as_array().unwrap();
        let vector = passwords.iter().find(|vector| vector["ciphertext_base64"] == captured["password"]);
        let key = key_of(vector.unwrap());
        let now = Timestamp::from_micros(1_756_813_256_000_000);
        let (email, password) =
            (Secret::new("user@example.com"), Secret::new(text(vector.unwrap(), "password")));
        let body = key.login_body("US", Credentials { email: &email, password: &password }, now).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), *captured);
    }
}
