//! How the password is sent, and the account's hash in each later call. After anker-solix-api.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::Generate;
use p256::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::battery::anker::wire::{from_hex, to_hex};
use crate::support::secret::Secret;

/// The server's key, an uncompressed P-256 point: the same in all regions, and a constant of every open client.
const SERVER_KEY: [u8; 65] = [
    0x04, 0xc5, 0xc0, 0x0c, 0x4f, 0x8d, 0x11, 0x97, 0xcc, 0x7c, 0x31, 0x67, 0xc5, 0x2b, 0xf7, 0xac, 0xb0,
    0x54, 0xd7, 0x22, 0xf0, 0xef, 0x08, 0xdc, 0xd7, 0xe0, 0x88, 0x32, 0x36, 0xe0, 0xd7, 0x2a, 0x38, 0x68,
    0xd9, 0x75, 0x0c, 0xb4, 0x7f, 0xa4, 0x61, 0x92, 0x48, 0xf3, 0xd8, 0x3f, 0x0f, 0x66, 0x26, 0x71, 0xda,
    0xdc, 0x6e, 0x2d, 0x31, 0xc2, 0xf4, 0x1d, 0xb0, 0x16, 0x16, 0x51, 0xc7, 0xc0, 0x76,
];

/// What a server is given passwords for.
#[derive(Debug, Clone)]
pub(in crate::battery::anker) struct ServerKey(PublicKey);

impl ServerKey {
    /// The vendor's.
    pub(in crate::battery::anker) fn vendor() -> Option<Self> {
        Self::from_point(&SERVER_KEY)
    }

    /// Another one: an uncompressed point as 130 hexadecimal digits.
    pub(in crate::battery::anker) fn from_hex(hex: &str) -> Option<Self> {
        Self::from_point(&from_hex(hex)?)
    }

    fn from_point(point: &[u8]) -> Option<Self> {
        PublicKey::from_sec1_bytes(point).ok().map(Self)
    }
}

/// A key pair of ours, and what it has agreed on with the server.
pub(in crate::battery::anker) struct KeyPair {
    public_hex: String,
    shared: Zeroizing<[u8; 32]>,
}

impl KeyPair {
    /// A new one; `None` if the system has no random numbers.
    pub(in crate::battery::anker) fn generate(server: &ServerKey) -> Option<Self> {
        Self::from_secret(&SecretKey::try_generate().ok()?, server)
    }

    pub(super) fn from_secret(secret: &SecretKey, server: &ServerKey) -> Option<Self> {
        let agreed = diffie_hellman(secret.to_nonzero_scalar(), server.0.as_affine());
        let shared = <[u8; 32]>::try_from(agreed.raw_secret_bytes().as_slice()).ok()?;
        let public_hex = to_hex(p256::Sec1Point::from(secret.public_key()).as_bytes());
        Some(Self { public_hex, shared: Zeroizing::new(shared) })
    }

    /// The public key as the login body has it: an uncompressed point, 130 hex characters.
    pub(in crate::battery::anker) fn public_hex(&self) -> &str {
        &self.public_hex
    }

    /// The password as the login body has it. AES-256-CBC; the key is the agreed X coordinate without any
    /// derivation, and its first half is the initialisation vector too.
    pub(in crate::battery::anker) fn encrypt(&self, password: &Secret) -> String {
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
pub(in crate::battery::anker) fn gtoken(user_id: &Secret) -> Secret {
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
        KeyPair::from_secret(&SecretKey::from_slice(&secret).unwrap(), &ServerKey::vendor().unwrap()).unwrap()
    }

    #[test]
    fn passwords_are_encrypted_as_the_reference_does_it() {
        let vectors = vectors();
        let vectors = vectors["login_password"].as_array().unwrap();
        assert_eq!(vectors.len(), 20);
        for vector in vectors {
            let key = key_of(vector);
            assert_eq!(key.public_hex(), text(vector, "client_public_key_hex"));
            assert_eq!(to_hex(&*key.shared), text(vector, "shared_secret_hex"));
            let password = Secret::new(text(vector, "password"));
            assert_eq!(key.encrypt(&password), text(vector, "ciphertext_base64"));
        }
    }

    #[test]
    fn the_servers_key_is_the_one_of_the_reference_and_another_is_read_alike() {
        let vectors = vectors();
        let hexadecimal = text(&vectors, "server_public_key_hex");
        assert_eq!(to_hex(&SERVER_KEY), hexadecimal);
        assert_eq!(ServerKey::from_hex(hexadecimal).unwrap().0, ServerKey::vendor().unwrap().0);
    }

    #[test]
    fn what_is_no_point_is_no_key() {
        let on_no_curve = format!("04{}", "1".repeat(128));
        for bad in ["", "0", "04", "zz", "ä", &on_no_curve] {
            assert!(ServerKey::from_hex(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn two_key_pairs_are_different() {
        let server = ServerKey::vendor().unwrap();
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
}
