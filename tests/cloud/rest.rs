//! The REST interface: what every call must have, and who answers it.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::answers;
use super::login::{self, gtoken, random_hex};
use super::state::{Account, Shared, State, is_named};
use super::types::{Call, Failure, Region};

/// The only call without a token.
pub const LOGIN: &str = "passport/login";

/// The window of the limit.
const MINUTE: Duration = Duration::from_mins(1);

/// A call, read whole.
#[derive(Debug)]
pub struct Incoming {
    pub region: Region,
    pub method: Method,
    /// Without the first slash.
    pub endpoint: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// What is sent back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
    /// So much later.
    pub after: Duration,
    code: Option<i64>,
    why: String,
}

impl Reply {
    /// Success.
    pub fn data(data: Value) -> Self {
        Self::json(0, "success!", data)
    }

    /// HTTP 200 with another code than 0.
    pub fn code(code: i64, message: &str, why: &str) -> Self {
        Self { why: why.to_owned(), ..Self::json(code, message, Value::Null) }
    }

    fn json(code: i64, message: &str, data: Value) -> Self {
        let body = json!({"code": code, "msg": message, "data": data, "trace_id": random_hex(16)});
        let (content_type, body) = ("application/json; charset=utf-8", body.to_string());
        Self { status: 200, content_type, body, after: Duration::ZERO, code: Some(code), why: String::new() }
    }

    /// An answer of the gateway, or of a part that has no codes.
    fn http(status: u16, why: &str) -> Self {
        let gateway = |words: &str| {
            let title = format!("<title>{status} {words}</title>");
            (
                "text/html",
                format!(
                    "<html>\r\n<head>{title}</head>\r\n<body>\r\n<center>nginx</center>\r\n</body>\r\n</html>\r\n"
                ),
            )
        };
        let (content_type, body) = match status {
            400 => ("text/plain; charset=utf-8", why.to_owned()),
            401 => ("application/json", json!({"error_msg": "Unauthorized"}).to_string()),
            403 => ("application/json", json!({"error_msg": "Forbidden"}).to_string()),
            404 => ("text/plain", "404 page not found".to_owned()),
            429 => {
                let words = "Request too soon. Your actions have been recorded.";
                ("application/json", json!({"error_msg": words}).to_string())
            }
            502 => gateway("Bad Gateway"),
            503 => gateway("Service Temporarily Unavailable"),
            504 => gateway("Gateway Time-out"),
            _ => gateway("Error"),
        };
        Self { status, content_type, body, after: Duration::ZERO, code: None, why: why.to_owned() }
    }
}

/// Answers a call and writes it down; `None` is no answer at all.
pub fn answer(shared: &Shared, call: &Incoming, now: SystemTime) -> Option<Reply> {
    let mut state = shared.state();
    let reply = match state.next_failure(&call.endpoint) {
        Some(Failure::Hang) => None,
        Some(Failure::Slow(after)) => Some(Reply { after, ..honest(&shared.account, &mut state, call, now) }),
        Some(failure) => Some(failing(failure)),
        None => Some(honest(&shared.account, &mut state, call, now)),
    };
    state.calls.push(Call {
        at: now,
        region: call.region,
        endpoint: call.endpoint.clone(),
        status: reply.as_ref().map_or(0, |reply| reply.status),
        code: reply.as_ref().and_then(|reply| reply.code),
        why: reply.as_ref().map_or_else(|| "no answer, as ordered".to_owned(), |reply| reply.why.clone()),
    });
    reply
}

fn failing(failure: Failure) -> Reply {
    let why = "as ordered";
    match failure {
        Failure::Code(code) => Reply::code(code, "Failed to request.", why),
        Failure::CodeWithMessage(code, message) => Reply::code(code, &message, why),
        Failure::Http(status) => Reply::http(status, why),
        Failure::Body(body) => Reply { body, code: None, ..Reply::code(0, "", why) },
        Failure::Hang | Failure::Slow(_) => Reply::http(504, why),
    }
}

fn honest(account: &Account, state: &mut State, call: &Incoming, now: SystemTime) -> Reply {
    let lately = |known: &&Call| {
        let age = now.duration_since(known.at).unwrap_or_default();
        known.region == call.region && known.endpoint == call.endpoint && age < MINUTE
    };
    if account.calls_per_minute <= state.calls.iter().filter(lately).count() {
        return Reply::http(429, "too many calls of this endpoint");
    }
    let is_login = call.endpoint == LOGIN;
    if !is_login && !answers::is_there(&call.endpoint) {
        return Reply::http(404, "no such endpoint");
    }
    // The panel's service does not run on the EU host.
    if call.region == Region::Eu && call.endpoint.starts_with("charging_energy_service/") {
        return Reply::http(503, "not deployed in this region");
    }
    if let Err(why) = check_call(call) {
        return Reply::http(400, &why);
    }
    let body = if call.method == Method::GET { b"{}" } else { &call.body[..] };
    let Ok(body @ Value::Object(_)) = serde_json::from_slice(body) else {
        return Reply::code(10003, "Failed to request.", "the body is no JSON object");
    };
    if is_login {
        return login::login(account, state, &body, now);
    }
    match check_token(account, state, call, now) {
        Err(refusal) => refusal,
        Ok(()) => answers::answer(account, state, &call.endpoint, call.region, &body, now),
    }
}

/// Method and headers.
fn check_call(call: &Incoming) -> Result<(), String> {
    let allowed = if answers::is_read_by_get(&call.endpoint) { Method::GET } else { Method::POST };
    if call.method != allowed {
        return Err(format!("method: allowed are [{allowed}]"));
    }
    let header =
        |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let fixed = [
        ("content-type", "application/json"),
        ("model-type", "DESKTOP"),
        ("app-name", "anker_power"),
        ("os-type", "android"),
    ];
    for (name, wanted) in fixed {
        if header(name) != wanted {
            return Err(format!("header {name}: allowed are [{wanted}]"));
        }
    }
    if !is_country(header("country")) {
        return Err("header country: allowed are [two capital letters]".to_owned());
    }
    if !is_timezone(header("timezone")) {
        return Err("header timezone: allowed are [GMT+hh:mm, GMT-hh:mm]".to_owned());
    }
    Ok(())
}

fn check_token(account: &Account, state: &State, call: &Incoming, now: SystemTime) -> Result<(), Reply> {
    let header =
        |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(session) = state.sessions.get(header("x-auth-token")) else {
        return Err(Reply::http(401, "no token, or an unknown one"));
    };
    if header("gtoken") != gtoken(&account.user_id) {
        return Err(Reply::http(401, "gtoken is not the MD5 of the user id"));
    }
    if session.is_kicked {
        let message = "Your account has been logged in on another device.";
        return Err(Reply::code(26084, message, "another login took the token away"));
    }
    if session.expires_at <= now {
        return Err(Reply::http(401, "the token has expired"));
    }
    Ok(())
}

/// Two capital letters.
pub fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// `GMT+01:00`.
fn is_timezone(text: &str) -> bool {
    let is_number = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let offset = text.strip_prefix("GMT").and_then(|text| text.strip_prefix(['+', '-']));
    let parts = offset.and_then(|offset| offset.split_once(':'));
    parts.is_some_and(|(hours, minutes)| {
        is_number(hours) && is_number(minutes) && hours <= "14" && minutes <= "59"
    })
}

/// How many of these calls were of an endpoint, named by its path or the end of it.
pub fn count(calls: &[Call], name: &str) -> usize {
    calls.iter().filter(|call| is_named(&call.endpoint, name)).count()
}
