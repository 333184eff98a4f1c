//! The screws for a person: every method of the cloud's handle as a path.

use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::Method;

use super::FOREVER;
use super::handle::Handle;
use super::https::text;
use super::types::{Failure, Refusal, Region};

/// What `GET /` shows.
pub const HELP: &str = "\
POST a path, as in: curl -X POST URL/soc/15

soc/15  ac_input/1200  solar/300/250  output/800  temperature/-5
                              the first device; ac_input/0 and output/800 is a power cut
battery_soc/15                any value of the first device, by its name in the field map
silent/true                   the first device says nothing any more
displayed/false               the app is told not to show its numbers, and the cloud has zeros
heard-ago/SECONDS             its last numbers came to the cloud so long ago
answers-status/false          it does not know status requests
publish/0407                  it publishes this message now
station/SERIAL/…              the same of another device

fail/get_site_list/10000      the endpoint answers with this code until it is healed
fail/get_site_list/10000/3    three times
fail/get_site_list/http/503   with this HTTP status
fail/get_site_list/hang       not at all
fail/*/http/401               every endpoint but the login
heal/get_site_list
expire                        all tokens expire
kick                          another login takes all tokens away
password/new-one              the password is changed in the app
region/eu, region/com         the devices live there

broker/kill  broker/start  broker/freeze  broker/thaw
broker/refuse/foreign         as it must be: topics of others
broker/refuse/wildcards       SUBACK 128 for topics with # or + too
broker/refuse/all             for every topic
broker/refuse-connections/true    CONNACK 5
broker/evict                  another client with the same client id
revoke                        the account's certificate
expired-certificates/true     the next one that is handed out expired yesterday
wrong-root/true               another CA is handed out than the broker's

GET log                       calls and requests so far
";

/// Serves it until it is dropped.
pub async fn serve(handle: Arc<Handle>, listener: TcpListener) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener of this process");
    let router = Router::new().fallback(move |request: Request| {
        let handle = handle.clone();
        async move {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            // Starting the broker waits for the stations, which run beside this.
            let answer = tokio::task::spawn_blocking(move || obey(&handle, &method, &path)).await;
            match answer.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(words) => text(200, "text/plain; charset=utf-8", words),
                Err(words) => text(400, "text/plain; charset=utf-8", format!("{words}\n")),
            }
        }
    });
    axum::serve(listener, router).await.expect("serving does not end");
}

fn obey(handle: &Handle, method: &Method, path: &str) -> Result<String, String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match (method, &*parts) {
        (&Method::GET, []) => Ok(HELP.to_owned()),
        (&Method::GET, ["log"]) => Ok(handle.log()),
        (&Method::POST, parts) => turn(handle, parts).map(|()| "done\n".to_owned()),
        _ => Err(format!("POST something, or GET / for what there is; this was {method} {path}")),
    }
}

fn turn(handle: &Handle, parts: &[&str]) -> Result<(), String> {
    let words = |error: std::io::Error| error.to_string();
    match parts {
        ["fail", endpoint, how @ ..] => {
            let (failure, times) = failure(how)?;
            handle.fail(endpoint, failure, times);
        }
        ["heal", endpoint] => handle.heal(endpoint),
        ["expire"] => handle.expire_tokens(),
        ["kick"] => handle.kick(),
        ["password", password] => handle.set_password(password),
        ["region", "com"] => handle.move_devices(Region::Com),
        ["region", "eu"] => handle.move_devices(Region::Eu),
        ["broker", "kill"] => handle.kill_broker().map_err(words)?,
        ["broker", "start"] => handle.start_broker().map_err(words)?,
        ["broker", "freeze"] => handle.freeze_broker().map_err(words)?,
        ["broker", "thaw"] => handle.thaw_broker().map_err(words)?,
        ["broker", "refuse", "foreign"] => handle.refuse(Refusal::Foreign).map_err(words)?,
        ["broker", "refuse", "wildcards"] => handle.refuse(Refusal::Wildcards).map_err(words)?,
        ["broker", "refuse", "all"] => handle.refuse(Refusal::All).map_err(words)?,
        ["broker", "refuse-connections", is_so] => {
            handle.refuse_connections(switch(is_so)?).map_err(words)?;
        }
        ["broker", "evict"] => handle.evict().map_err(words)?,
        ["revoke"] => handle.revoke_certificate().map_err(words)?,
        ["expired-certificates", is_so] => {
            handle.hand_out_expired_certificates(switch(is_so)?).map_err(words)?;
        }
        ["wrong-root", is_so] => handle.hand_out_wrong_root(switch(is_so)?),
        ["station", serial, what @ ..] => turn_station(handle, serial, what)?,
        what => turn_station(handle, &handle.first_serial(), what)?,
    }
    Ok(())
}

fn turn_station(handle: &Handle, serial: &str, what: &[&str]) -> Result<(), String> {
    if !handle.serials().iter().any(|known| known == serial) {
        return Err(format!("no device {serial}; there are {}", handle.serials().join(", ")));
    }
    let number = |text: &str| text.parse::<f64>().map_err(|_| format!("{text} is no number"));
    match what {
        ["silent", is_so] => handle.silence(serial, switch(is_so)?),
        ["displayed", is_so] => handle.display(serial, switch(is_so)?),
        ["heard-ago", seconds] => {
            let seconds = seconds.parse().map_err(|_| format!("{seconds} is no number of seconds"))?;
            handle.heard_ago(serial, std::time::Duration::from_secs(seconds));
        }
        ["answers-status", is_so] => handle.answer_status(serial, switch(is_so)?),
        ["publish", message] => {
            let message = u16::from_str_radix(message, 16);
            handle.publish(serial, message.map_err(|_| "not four hexadecimal digits")?)?;
        }
        ["soc", value] => handle.set_soc(serial, number(value)?)?,
        ["ac_input", value] => handle.set_ac_input(serial, number(value)?)?,
        ["solar", first] => handle.set_solar(serial, number(first)?, 0.0)?,
        ["solar", first, second] => handle.set_solar(serial, number(first)?, number(second)?)?,
        ["output", value] => handle.set_output(serial, number(value)?)?,
        [name, value] => handle.set(serial, name, number(value)?)?,
        _ => return Err("GET / says what there is".to_owned()),
    }
    Ok(())
}

fn failure(how: &[&str]) -> Result<(Failure, usize), String> {
    let times = |rest: &[&str]| match rest {
        [] => Ok(FOREVER),
        [times] => times.parse().map_err(|_| format!("{times} is no number of times")),
        _ => Err("too many words".to_owned()),
    };
    match how {
        ["hang", rest @ ..] => Ok((Failure::Hang, times(rest)?)),
        ["http", status, rest @ ..] => {
            let status = status.parse().map_err(|_| format!("{status} is no HTTP status"))?;
            Ok((Failure::Http(status), times(rest)?))
        }
        [code, rest @ ..] => {
            let code = code.parse().map_err(|_| format!("{code} is no code"))?;
            Ok((Failure::Code(code), times(rest)?))
        }
        [] => Err("fail how?".to_owned()),
    }
}

fn switch(word: &str) -> Result<bool, String> {
    word.parse().map_err(|_| format!("{word} is neither true nor false"))
}
