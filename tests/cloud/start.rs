//! How a cloud comes up, and how it goes.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::broker::{self, Act, Keeper};
use super::handle::Handle;
use super::keys::Authorities;
use super::login::{LoginKey, random_hex};
use super::models::Manner;
use super::state::{Account, Order, Shared, State, StationState};
use super::types::{Device, Model, Options, Refusal, Region};
use super::{control, https, station};

/// How often a port is looked for, if somebody takes it before mosquitto does.
const N_PORTS: usize = 5;

/// Where what listens.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    pub com: u16,
    pub eu: u16,
    pub control: u16,
}

/// The thread that serves everything but the broker. Dropping it ends that.
#[derive(Debug)]
pub struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop = None;
        self.thread.take().map(JoinHandle::join);
    }
}

/// What is served.
struct Listeners {
    com: TcpListener,
    eu: TcpListener,
    control: TcpListener,
}

/// A device that is on the broker itself.
struct Connected {
    serial: String,
    tls: Arc<ClientConfig>,
    orders: UnboundedReceiver<Order>,
}

/// Starts a cloud in a folder that is there and empty.
pub fn start(dir: &Path, options: &Options) -> io::Result<(Running, Arc<Handle>, Ports)> {
    let plugin = broker::look_for_mosquitto()?;
    let authorities = Authorities::new()?;
    let login_key = LoginKey::new()?;
    let user_id = random_hex(20);
    let thing_name = format!("{user_id}-anker_power");
    std::fs::write(dir.join("ca.pem"), authorities.web_pem())?;
    authorities.write_broker_files(dir)?;
    broker::write_rights(dir, &thing_name, &options.devices, Refusal::Foreign)?;
    let (keeper, mqtt_port) = start_broker(dir, &plugin)?;

    let web = authorities.web_server()?;
    let certificate = authorities.account(&thing_name, false)?;
    let (stations, connected) = stations(&authorities, &options.devices)?;
    let state = State {
        password: options.password.clone(),
        home: options.home,
        sessions: BTreeMap::new(),
        logins: Vec::new(),
        failures: BTreeMap::new(),
        calls: Vec::new(),
        requests: Vec::new(),
        certificate_ids: vec![certificate.id.clone()],
        certificate,
        expired: None,
        hands_out_wrong_root: false,
        revoked: Vec::new(),
        stations,
    };
    let account = Account {
        dir: dir.to_owned(),
        email: options.email.clone(),
        country: options.country.clone(),
        user_id,
        thing_name,
        site_id: "492cbe8c-e2a9-b6c4-c7ee-45b3ef4260e0".to_owned(),
        token_for: options.token_for,
        single_session: options.single_session,
        calls_per_minute: options.calls_per_minute,
        logins_per_hour: options.logins_per_hour,
        pace: options.pace,
        login_key,
        authorities,
        mqtt_port,
    };
    let listeners =
        Listeners { com: https::listener()?, eu: https::listener()?, control: https::listener()? };
    let port = |listener: &TcpListener| io::Result::Ok(listener.local_addr()?.port());
    let ports =
        Ports { com: port(&listeners.com)?, eu: port(&listeners.eu)?, control: port(&listeners.control)? };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let shared = Arc::new(Shared::new(account, state));
    let handle = Arc::new(Handle { shared, keeper, plugin, runtime: runtime.handle().clone() });
    let (stop, stopped) = oneshot::channel();
    let served = handle.clone();
    let thread = thread::spawn(move || serve(&runtime, &served, listeners, web, connected, stopped));
    Ok((Running { stop: Some(stop), thread: Some(thread) }, handle, ports))
}

fn start_broker(dir: &Path, plugin: &Path) -> io::Result<(Keeper, u16)> {
    let mut last = io::Error::other("no port was tried");
    for _ in 0..N_PORTS {
        let port = broker::free_port()?;
        broker::write_config(dir, port, plugin, false)?;
        let keeper = Keeper::new(dir, port);
        match keeper.act(Act::Start) {
            Ok(()) => return Ok((keeper, port)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn stations(
    authorities: &Authorities,
    devices: &[Device],
) -> io::Result<(Vec<StationState>, Vec<Connected>)> {
    let (mut stations, mut connected) = (Vec::new(), Vec::new());
    for device in devices {
        let (orders, received) = unbounded_channel();
        stations.push(StationState {
            device: device.clone(),
            manner: Manner::of(device.model),
            values: BTreeMap::new(),
            is_silent: false,
            is_displayed: true,
            is_heard_ago: Duration::ZERO,
            n_packs: 0,
            has_told_packs: false,
            answers_status: device.answers_status,
            triggered_until: None,
            is_listening: false,
            n_published: 0,
            orders,
        });
        if device.behind_panel.is_none() && device.model != Model::Inverter {
            let tls = authorities.device(&device.serial)?;
            connected.push(Connected { serial: device.serial.clone(), tls, orders: received });
        }
    }
    Ok((stations, connected))
}

fn serve(
    runtime: &Runtime,
    handle: &Arc<Handle>,
    listeners: Listeners,
    web: Arc<rustls::ServerConfig>,
    connected: Vec<Connected>,
    stopped: oneshot::Receiver<()>,
) {
    let shared = &handle.shared;
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        tasks.spawn(https::serve(shared.clone(), Region::Com, listeners.com, web.clone()));
        tasks.spawn(https::serve(shared.clone(), Region::Eu, listeners.eu, web));
        tasks.spawn(control::serve(handle.clone(), listeners.control));
        for Connected { serial, tls, orders } in connected {
            tasks.spawn(station::run(shared.clone(), serial, tls, orders));
        }
        // Its sender says nothing: it goes.
        stopped.await.unwrap_or_default();
        tasks.shutdown().await;
    });
}
