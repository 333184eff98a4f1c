//! The folder of a fleet, and everything that is written into it.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use fleetwatt::transport::scripted;

use super::{HostPlan, Mode};

/// The folder of a fleet.
#[derive(Debug)]
pub struct Site {
    dir: PathBuf,
    user: String,
}

impl Site {
    /// The site in `dir`, which must be there and empty.
    pub fn new(dir: &Path) -> io::Result<Self> {
        let dir = fs::canonicalize(dir)?;
        if fs::read_dir(&dir)?.next().is_some() {
            return Err(io::Error::other(format!("{} is not empty", dir.display())));
        }
        Ok(Self { dir, user: user()? })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A file of one host.
    pub fn host_file(&self, host: &str, name: &str) -> PathBuf {
        self.dir.join(host).join(name)
    }

    /// A host's scene. Its name is the host's, which makes its GPUs differ from those of the others.
    pub fn scene(&self, host: &str) -> PathBuf {
        self.dir.join("scenes").join(format!("{host}.toml"))
    }

    /// The stub under its public name, and the captures where the demo's scenes expect them.
    pub fn write_shared(&self, stub: &Path) -> io::Result<()> {
        fs::create_dir(self.path("bin"))?;
        symlink(stub, self.path("bin/nvidia-smi"))?;
        fs::create_dir(self.path("scenes"))?;
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/nvidia-smi");
        symlink(fixtures, self.path("nvidia-smi"))
    }

    /// Replaces a host's scene in one step, so that no call sees half of it.
    pub fn write_scene(&self, host: &str, text: &str) -> io::Result<()> {
        let next = self.host_file(host, "scene.next");
        fs::write(&next, text)?;
        fs::rename(next, self.scene(host))?;
        // A mistake in a scene is the test's, and is better seen here than as a strange answer.
        scripted::load(&self.scene(host)).map(drop).map_err(|error| {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            io::Error::other(format!("{error}{}", source.unwrap_or_default()))
        })
    }

    pub fn write_authorized_keys(&self) -> io::Result<()> {
        fs::copy(self.path("client_key.pub"), self.path("authorized_keys"))?;
        fs::copy(self.path("stranger_key.pub"), self.path("other_authorized_keys"))?;
        Ok(())
    }

    pub fn write_sshd_config(&self, plan: &HostPlan, address: Ipv4Addr, port: u16) -> io::Result<()> {
        let keys = if plan.mode == Mode::RefuseKey { "other_authorized_keys" } else { "authorized_keys" };
        let text = format!(
            "ListenAddress {address}:{port}\n\
             HostKey {key}\n\
             PidFile {pid}\n\
             AuthorizedKeysFile {keys}\n\
             AllowUsers {user}\n\
             PermitRootLogin yes\n\
             StrictModes no\n\
             UsePAM no\n\
             UseDNS no\n\
             PubkeyAuthentication yes\n\
             PasswordAuthentication no\n\
             KbdInteractiveAuthentication no\n\
             PrintMotd no\n\
             PrintLastLog no\n\
             LogLevel VERBOSE\n\
             MaxStartups 1000\n\
             SetEnv HOME={home} PATH={bin}:/usr/bin:/bin FAKE_NVIDIA_SMI={scene}\n\
             ForceCommand {forced}\n",
            forced = plan.forced.as_deref().unwrap_or("none"),
            key = self.host_file(&plan.name, "key").display(),
            pid = self.host_file(&plan.name, "pid").display(),
            keys = self.path(keys).display(),
            user = self.user,
            // Not the user's own: bash under sshd reads ~/.bashrc, which may be slow and may set PATH.
            home = self.host_file(&plan.name, "").display(),
            bin = self.path("bin").display(),
            scene = self.scene(&plan.name).display(),
        );
        fs::write(self.host_file(&plan.name, "sshd_config"), text)
    }

    /// What stands on the side that polls: `known_hosts`, `ssh_config`, `inventory.toml`.
    pub fn write_client_side(&self, hosts: &[(&HostPlan, Ipv4Addr)], port: u16) -> io::Result<()> {
        let (mut known, mut config) = (String::new(), String::new());
        for (plan, address) in hosts {
            if let Some(key) = self.key_as_known(plan)? {
                writeln!(known, "[{address}]:{port} {key}").map_err(io::Error::other)?;
            }
            let lines = format!("Host {}\n    HostName {address}\n    Port {port}\n", plan.name);
            config.push_str(&lines);
        }
        config.push_str(&format!(
            "Host *\n    \
             User {user}\n    \
             IdentityFile {key}\n    \
             IdentitiesOnly yes\n    \
             UserKnownHostsFile {known}\n    \
             GlobalKnownHostsFile /dev/null\n    \
             StrictHostKeyChecking yes\n    \
             BatchMode yes\n",
            user = self.user,
            key = self.path("client_key").display(),
            known = self.path("known_hosts").display(),
        ));
        fs::write(self.path("known_hosts"), known)?;
        fs::write(self.path("ssh_config"), config)?;
        let names: Vec<_> = hosts.iter().map(|(plan, _)| plan.name.as_str()).collect();
        fs::write(self.path("inventory.toml"), self.inventory(&names))
    }

    /// The host key, type and base64, that `known_hosts` shall have.
    fn key_as_known(&self, plan: &HostPlan) -> io::Result<Option<String>> {
        let public = match plan.mode {
            Mode::Up | Mode::RefuseKey => self.host_file(&plan.name, "key.pub"),
            Mode::ChangedKey => self.path("stranger_key.pub"),
            Mode::UnknownKey | Mode::Down | Mode::Blackhole => return Ok(None),
        };
        Ok(Some(fs::read_to_string(public)?.trim().to_owned()))
    }

    fn inventory(&self, names: &[&str]) -> String {
        let mut text = format!(
            "# A fleet on loopback addresses, each host a real sshd with a played nvidia-smi behind it.\n\
             [defaults]\n\
             user = \"{user}\"\n\
             ssh_config = \"{dir}/ssh_config\"\n\
             known_hosts = \"{dir}/known_hosts\"\n\
             identity_file = \"{dir}/client_key\"\n\
             connect_timeout = \"5s\"\n\
             timeout = \"15s\"\n",
            user = self.user,
            dir = self.dir.display(),
        );
        let count = names.len();
        let numbered = names.iter().enumerate().all(|(at, name)| *name == format!("node{:03}", at + 1));
        if numbered && (2..=999).contains(&count) {
            text.push_str(&format!("\n[[host]]\nname = \"node[001-{count:03}]\"\n"));
        } else {
            text.extend(names.iter().map(|name| format!("\n[[host]]\nname = \"{name}\"\n")));
        }
        text
    }
}

fn user() -> io::Result<String> {
    let output = std::process::Command::new("id").arg("-un").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
