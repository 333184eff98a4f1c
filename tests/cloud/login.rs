//! `passport/login`: opens what the client closed, and compares.

use std::io;
use std::time::{Duration, SystemTime};

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use p256::{PublicKey, SecretKey};
use serde_json::{Value, json};

use super::envelope::with_keys;
use super::frame::{hex, unhex};
use super::rest::{Reply, is_country};
use super::state::{Account, Session, State, millis};

/// How far a login's clock may be from ours.
const CLOCK_WITHIN: Duration = Duration::from_hours(1);

/// The largest offset from UTC that a time zone has had, in milliseconds.
const MAX_OFFSET: u64 = 14 * 3_600_000;

/// The key pair in the place of the vendor's, whose private half nobody has.
pub struct LoginKey(SecretKey);

impl std::fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoginKey")
    }
}

impl LoginKey {
    /// A new one.
    pub fn new() -> io::Result<Self> {
        loop {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(io::Error::other)?;
            // One in 2^32 is not a key.
            if let Ok(key) = SecretKey::from_slice(&bytes) {
                return Ok(Self(key));
            }
        }
    }

    /// 130 hexadecimal digits.
    pub fn public_hex(&self) -> String {
        hex(&self.0.public_key().to_sec1_bytes())
    }

    /// The password, if it was closed as it must be.
    fn open(&self, client: &PublicKey, password: &str) -> Option<String> {
        let shared = self.0.diffie_hellman(client);
        let key: &[u8] = shared.raw_secret_bytes().as_slice();
        let closed = STANDARD.decode(password).ok()?;
        let cipher = cbc::Decryptor::<aes::Aes256>::new_from_slices(key, key.get(..16)?).ok()?;
        let open = cipher.decrypt_padded_vec::<Pkcs7>(&closed).ok()?;
        String::from_utf8(open).ok()
    }
}

/// Lower-case hexadecimal MD5 of the user id.
pub fn gtoken(user_id: &str) -> String {
    hex(&Md5::digest(user_id.as_bytes()))
}

/// What a login gets.
pub fn login(account: &Account, state: &mut State, body: &Value, now: SystemTime) -> Reply {
    let wrong = |why: String| Reply::code(10003, "Failed to request.", &why);
    let lately =
        |time: &&SystemTime| now.duration_since(**time).is_ok_and(|age| age < Duration::from_hours(1));
    state.logins.push(now);
    if account.logins_per_hour < state.logins.iter().filter(lately).count() {
        let message = "You have tried too many times. Please try again in 1 hours.";
        return Reply::code(100_053, message, "too many logins");
    }
    if let Err(why) = check_body(body, now) {
        return wrong(why);
    }
    let Some(client) = client_key(&body["client_secret_info"]["public_key"]) else {
        return Reply::code(26070, "Public key error.", "the client's public key is no point of the curve");
    };
    if body["email"].as_str() != Some(&account.email) {
        return Reply::code(26156, "Account does not exist.", "no such account");
    }
    match account.login_key.open(&client, body["password"].as_str().unwrap_or_default()) {
        None => Reply::code(26108, "Incorrect email or password.", "the password does not decrypt"),
        Some(password) if password != state.password => {
            Reply::code(26108, "Incorrect email or password.", "another password")
        }
        Some(_) => Reply::data(let_in(account, state, now)),
    }
}

fn check_body(body: &Value, now: SystemTime) -> Result<(), String> {
    const KEYS: [&str; 7] =
        ["ab", "client_secret_info", "enc", "email", "password", "time_zone", "transaction"];
    with_keys(body, "the login", &KEYS)?;
    with_keys(&body["client_secret_info"], "client_secret_info", &["public_key"])?;
    if !body["ab"].as_str().is_some_and(is_country) {
        return Err("ab is not two capital letters".to_owned());
    }
    if body["enc"].as_u64() != Some(0) {
        return Err("enc is not the number 0".to_owned());
    }
    if body["time_zone"].as_i64().is_none_or(|offset| offset.unsigned_abs() > MAX_OFFSET) {
        return Err("time_zone is no offset in milliseconds".to_owned());
    }
    let transaction = body["transaction"].as_str().ok_or("transaction is not a text")?;
    let transaction: u64 = transaction.parse().map_err(|_| "transaction is no number of milliseconds")?;
    let apart = Duration::from_millis(transaction.abs_diff(millis(now)));
    if apart <= CLOCK_WITHIN { Ok(()) } else { Err("transaction is not of this hour".to_owned()) }
}

fn client_key(key: &Value) -> Option<PublicKey> {
    let key = key.as_str().filter(|key| key.len() == 130 && key.starts_with("04"))?;
    PublicKey::from_sec1_bytes(&unhex(key)?).ok()
}

/// A token, and until when it holds.
pub fn new_session(account: &Account, state: &mut State, now: SystemTime) -> (String, SystemTime) {
    let token = random_hex(24);
    let expires_at = now + account.token_for;
    state.sessions.insert(token.clone(), Session { expires_at, is_kicked: false });
    (token, expires_at)
}

fn let_in(account: &Account, state: &mut State, now: SystemTime) -> Value {
    if account.single_session {
        state.kick();
    }
    let (token, expires_at) = new_session(account, state, now);
    json!({
        "user_id": account.user_id,
        "auth_token": token,
        "token_expires_at": millis(expires_at) / 1000,
        "email": account.email,
        "nick_name": "someone",
        "ab_code": account.country, "country_code": account.country, "phone_code": "",
        "token_id": 12_345_678,
        "geo_key": random_hex(16), "ap_cloud_user_id": random_hex(20),
        "privilege": 0,
        "server_secret_info": {"public_key": account.login_key.public_hex()},
        "fa_info": {"step": 0, "info": ""},
        "avatar": "", "mac_addr": "", "domain": "", "phone": "", "phone_number": "", "phone_code_2fa": "",
        "phone_2fa": "", "params": null, "trust_list": null,
    })
}

/// `n` random bytes in hexadecimal.
pub fn random_hex(n: usize) -> String {
    let mut bytes = vec![0; n];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    hex(&bytes)
}
