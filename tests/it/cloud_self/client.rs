//! A client of the cloud that is neither fleetwatt's nor the cloud's: the plainest that does.

#![allow(clippy::disallowed_methods, reason = "a client has a clock")]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use p256::{PublicKey, SecretKey};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS, SubscribeReasonCode};
use rumqttc::{TlsConfiguration, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};

use crate::cloud::{Cloud, Region};

const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// Who calls the REST interface.
pub(crate) struct Caller {
    http: reqwest::Client,
    url: String,
    /// `(name, value)`, sent with every call.
    pub(crate) headers: Vec<(String, String)>,
    email: String,
    password: String,
}

impl Caller {
    pub(crate) fn new(cloud: &Cloud) -> Self {
        Self::at(cloud, Region::Com)
    }

    pub(crate) fn at(cloud: &Cloud, region: Region) -> Self {
        let pem = std::fs::read(cloud.extra_ca()).unwrap();
        let config = tls(&pem).with_no_client_auth();
        let http = reqwest::Client::builder().use_preconfigured_tls(config).no_proxy().build().unwrap();
        let headers = [
            ("content-type", "application/json"),
            ("model-type", "DESKTOP"),
            ("app-name", "anker_power"),
            ("os-type", "android"),
            ("country", "US"),
            ("timezone", "GMT-05:00"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let environment = cloud.environment();
        let (email, password) = (environment[0].1.clone(), environment[1].1.clone());
        Self { http, url: cloud.api_url_of(region), headers, email, password }
    }

    pub(crate) fn set_header(&mut self, name: &str, value: Option<&str>) {
        self.headers.retain(|(known, _)| known != name);
        self.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// Status and body, whatever they are.
    pub(crate) async fn send(&self, method: &str, endpoint: &str, body: &str) -> (u16, String) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}/{endpoint}", self.url));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.body(body.to_owned()).timeout(ANSWERED_WITHIN).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The answer's code, and its data.
    pub(crate) async fn post(&self, endpoint: &str, body: Value) -> (i64, Value) {
        let (status, text) = self.send("POST", endpoint, &body.to_string()).await;
        assert_eq!(status, 200, "{endpoint}: {text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        (answer["code"].as_i64().unwrap(), answer["data"].clone())
    }

    /// The data of a call that is right.
    pub(crate) async fn ask(&self, endpoint: &str, body: Value) -> Value {
        let (code, data) = self.post(endpoint, body).await;
        assert_eq!(code, 0, "{endpoint}");
        data
    }

    /// A login as it must be.
    pub(crate) fn login_body(&self, cloud: &Cloud) -> Value {
        let client = SecretKey::from_slice(&[0x11; 32]).unwrap();
        json!({
            "ab": "US",
            "client_secret_info": {"public_key": hex(&client.public_key().to_sec1_bytes())},
            "enc": 0,
            "email": self.email,
            "password": closed(&client, &cloud.login_key(), &self.password),
            "time_zone": -18_000_000,
            "transaction": seconds().to_string() + "000",
        })
    }

    /// Logs in, and calls with the token from then on.
    pub(crate) async fn login(&mut self, cloud: &Cloud) -> Value {
        let data = self.ask("passport/login", self.login_body(cloud)).await;
        let gtoken = hex(&Md5::digest(data["user_id"].as_str().unwrap()));
        self.set_header("x-auth-token", data["auth_token"].as_str());
        self.set_header("gtoken", Some(&gtoken));
        data
    }
}

/// The password as a client closes it.
pub(crate) fn closed(client: &SecretKey, server_key: &str, password: &str) -> String {
    let server = PublicKey::from_sec1_bytes(&unhex(server_key)).unwrap();
    let shared = client.diffie_hellman(&server);
    let key = shared.raw_secret_bytes().as_slice();
    let cipher = cbc::Encryptor::<aes::Aes256>::new_from_slices(key, &key[..16]).unwrap();
    STANDARD.encode(cipher.encrypt_padded_vec::<Pkcs7>(password.as_bytes()))
}

/// A client of the broker.
pub(crate) struct Listener {
    client: AsyncClient,
    event_loop: EventLoop,
    info: Value,
}

impl Listener {
    /// What a client needs of the REST interface.
    pub(crate) async fn info(cloud: &Cloud) -> Value {
        let mut caller = Caller::new(cloud);
        caller.login(cloud).await;
        caller.ask("app/devicemanage/get_user_mqtt_info", json!({})).await
    }

    /// Connects as the account, and subscribes to all of the station.
    pub(crate) async fn to(cloud: &Cloud, code: &str, serial: &str) -> Self {
        let mut listener = Self::with(cloud, Self::info(cloud).await);
        listener.connect().await.unwrap();
        let topic = format!("dt/anker_power/{code}/{serial}/#");
        assert!(listener.subscribe(&topic).await, "{topic} is refused");
        listener
    }

    /// A client that has not connected yet.
    pub(crate) fn with(cloud: &Cloud, info: Value) -> Self {
        let text = |key: &str| info[key].as_str().unwrap().as_bytes();
        let certificate = CertificateDer::from_pem_slice(text("certificate_pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(text("private_key")).unwrap();
        assert!(matches!(key, PrivateKeyDer::Pkcs1(_)));
        let config = tls(text("aws_root_ca1_pem")).with_client_auth_cert(vec![certificate], key).unwrap();
        let address = cloud.mqtt_address();
        let (host, port) = address.split_once(':').unwrap();
        let client_id = format!("{}_04711", info["thing_name"].as_str().unwrap());
        let mut options = MqttOptions::new(client_id, host, port.parse().unwrap());
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(config))));
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, event_loop) = AsyncClient::new(options, 64);
        Self { client, event_loop, info }
    }

    /// The first event of a connection, or why there is none.
    pub(crate) async fn connect(&mut self) -> Result<(), String> {
        match self.poll().await {
            Ok(Packet::ConnAck(_)) => Ok(()),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error),
        }
    }

    /// Whether the broker grants it.
    pub(crate) async fn subscribe(&mut self, topic: &str) -> bool {
        self.client.try_subscribe(topic, QoS::AtMostOnce).unwrap();
        match self.poll().await.unwrap() {
            Packet::SubAck(ack) => ack.return_codes == [SubscribeReasonCode::Success(QoS::AtMostOnce)],
            other => panic!("no SUBACK but {other:?}"),
        }
    }

    /// The next packet that comes in.
    pub(crate) async fn poll(&mut self) -> Result<Packet, String> {
        let next = async {
            loop {
                match self.event_loop.poll().await {
                    Ok(Event::Incoming(packet)) => return Ok(packet),
                    Ok(Event::Outgoing(_)) => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        tokio::time::timeout(ANSWERED_WITHIN, next).await.expect("something comes within ten seconds")
    }

    /// The next message: the last part of its topic, and its bytes.
    pub(crate) async fn raw(&mut self) -> (String, Vec<u8>) {
        match self.poll().await.unwrap() {
            Packet::Publish(message) => {
                let part = message.topic.rsplit('/').next().unwrap().to_owned();
                (part, message.payload.to_vec())
            }
            other => panic!("no message but {other:?}"),
        }
    }

    /// The next message's frame, whose checksum is right.
    pub(crate) async fn frame(&mut self) -> (String, Vec<u8>) {
        let (part, message) = self.raw().await;
        let frame = frame_of(&message);
        assert_eq!(frame.iter().fold(0, |sum, byte| sum ^ byte), 0, "{}", hex(&frame));
        assert_eq!(usize::from(frame[2]) + usize::from(frame[3]) * 256, frame.len());
        (part, frame)
    }

    /// Sends bytes to a device.
    pub(crate) fn publish(&self, topic: &str, message: impl Into<Vec<u8>>) {
        self.client.try_publish(topic, QoS::AtMostOnce, false, message).unwrap();
    }

    /// Sends a request to a device.
    pub(crate) fn send(&self, code: &str, serial: &str, frame: &[u8]) {
        let message = self.envelope(code, serial, frame).to_string();
        self.publish(&format!("cmd/anker_power/{code}/{serial}/req"), message);
    }

    /// A request as it must be. Its payload is a text.
    pub(crate) fn envelope(&self, code: &str, serial: &str, frame: &[u8]) -> Value {
        let user_id = self.info["user_id"].as_str().unwrap();
        let certificate_id = self.info["certificate_id"].as_str().unwrap();
        let payload = json!({"device_sn": serial, "account_id": user_id, "data": STANDARD.encode(frame)});
        json!({
            "head": {
                "version": "1.0.0.1", "client_id": format!("android-anker_power-{user_id}-{certificate_id}"),
                "sess_id": "1234-5678", "msg_seq": 1, "seed": 1, "timestamp": seconds(),
                "cmd_status": 2, "cmd": 17, "sign_code": 1, "device_pn": code, "device_sn": serial,
            },
            "payload": payload.to_string(),
        })
    }
}

/// The frame in a device's message.
pub(crate) fn frame_of(message: &[u8]) -> Vec<u8> {
    let message: Value = serde_json::from_slice(message).unwrap();
    let payload: Value = serde_json::from_str(message["payload"].as_str().unwrap()).unwrap();
    STANDARD.decode(payload["data"].as_str().unwrap()).unwrap()
}

/// 0057 for so many seconds, or off.
pub(crate) fn trigger(seconds_on: u32, is_on: bool) -> Vec<u8> {
    let mut body = vec![0xa1, 0x01, 0x22, 0xa2, 0x02, 0x01, u8::from(is_on), 0xa3, 0x05, 0x03];
    body.extend(seconds_on.to_le_bytes());
    request(0x0057, &body)
}

/// A request without parameters: 0040, 0030, 0100.
pub(crate) fn plain(message: u16) -> Vec<u8> {
    request(message, &[0xa1, 0x01, 0x22])
}

fn request(message: u16, fields: &[u8]) -> Vec<u8> {
    let clock = u32::try_from(seconds()).unwrap().to_le_bytes();
    let length = u8::try_from(9 + fields.len() + 7 + 1).unwrap();
    let message = message.to_be_bytes();
    let mut frame = vec![0xff, 0x09, length, 0x00, 0x03, 0x00, 0x0f, message[0], message[1]];
    frame.extend(fields);
    frame.extend([0xfe, 0x05, 0x03]);
    frame.extend(clock);
    frame.push(frame.iter().fold(0, |sum, byte| sum ^ byte));
    frame
}

/// The same frame with a byte changed, and the checksum made right again.
pub(crate) fn changed(frame: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at] = byte;
    let last = frame.len() - 1;
    frame[last] = frame[..last].iter().fold(0, |sum, byte| sum ^ byte);
    frame
}

pub(crate) fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(text.get(at..at + 2).unwrap(), 16).unwrap()).collect()
}

fn tls(ca_pem: &[u8]) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.unwrap().with_root_certificates(roots)
}
