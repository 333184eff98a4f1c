//! Two authorities and what they sign: one for the REST interface, one for the broker and its clients.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

const DAY: Duration = Duration::from_hours(24);
const TEN_YEARS: Duration = Duration::from_hours(24 * 3650);

/// The account's certificate for the broker, as the API hands it out.
#[derive(Debug, Clone)]
pub struct AccountCertificate {
    pub pem: String,
    /// PKCS#1.
    pub key_pem: String,
    /// A long decimal number.
    pub id: String,
    serial: [u8; 16],
}

/// A certificate with its key.
struct Pair {
    pem: String,
    key: KeyPair,
}

/// Everything that is signed.
pub struct Authorities {
    web: Issuer<'static, KeyPair>,
    web_pem: String,
    iot: Issuer<'static, KeyPair>,
    iot_pem: String,
}

impl std::fmt::Debug for Authorities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorities")
    }
}

impl Authorities {
    /// Two new ones.
    pub fn new() -> io::Result<Self> {
        let (web, web_pem) = authority("Simulated Solix web CA")?;
        let (iot, iot_pem) = authority("Simulated Solix IoT CA")?;
        Ok(Self { web, web_pem, iot, iot_pem })
    }

    /// What signs the REST interface.
    pub fn web_pem(&self) -> &str {
        &self.web_pem
    }

    /// What signs the broker and its clients: `aws_root_ca1_pem`.
    pub fn iot_pem(&self) -> &str {
        &self.iot_pem
    }

    /// The side that serves the REST interface.
    pub fn web_server(&self) -> io::Result<Arc<ServerConfig>> {
        let pair = server_pair(&self.web)?;
        let (certificates, key) = parsed(&pair.pem, &pair.key.serialize_pem())?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let mut config =
            builder.with_no_client_auth().with_single_cert(certificates, key).map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// `iot-ca.pem`, `broker.pem`, `broker.key` and an empty `crl.pem`.
    pub fn write_broker_files(&self, dir: &Path) -> io::Result<()> {
        let pair = server_pair(&self.iot)?;
        fs::write(dir.join("iot-ca.pem"), &self.iot_pem)?;
        fs::write(dir.join("broker.pem"), pair.pem)?;
        write_private(&dir.join("broker.key"), &pair.key.serialize_pem())?;
        self.write_revoked(dir, &[])
    }

    /// `crl.pem`.
    pub fn write_revoked(&self, dir: &Path, revoked: &[AccountCertificate]) -> io::Result<()> {
        let now = SystemTime::now();
        let revoked_certs = revoked.iter().map(|certificate| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&certificate.serial),
            revocation_time: now.into(),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: (now - DAY).into(),
            next_update: (now + TEN_YEARS).into(),
            crl_number: SerialNumber::from(u64::try_from(revoked.len()).unwrap_or_default() + 1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.iot).and_then(|list| list.pem()).map_err(io::Error::other)?;
        fs::write(dir.join("crl.pem"), list)
    }

    /// A new certificate for the account, good from yesterday for ten years, or only until yesterday.
    pub fn account(&self, thing_name: &str, is_expired: bool) -> io::Result<AccountCertificate> {
        let mut serial = [0; 16];
        getrandom::fill(&mut serial).map_err(io::Error::other)?;
        // Positive, and of full length.
        serial[0] = serial[0] & 0x3f | 0x40;
        let now = SystemTime::now();
        let end = if is_expired { now - DAY } else { now + TEN_YEARS };
        let (key_pem, public) = account_key()?;
        let mut params = client_params(thing_name);
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.not_before = (now - 30 * DAY).into();
        params.not_after = end.into();
        let certificate = params.signed_by(public, &self.iot).map_err(io::Error::other)?;
        let id = u128::from_be_bytes(serial).to_string();
        Ok(AccountCertificate { pem: certificate.pem(), key_pem: key_pem.clone(), id, serial })
    }

    /// The side of a device at the broker.
    pub fn device(&self, serial: &str) -> io::Result<Arc<ClientConfig>> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = client_params(serial).signed_by(&key, &self.iot).map_err(io::Error::other)?;
        self.client(&certificate.pem(), &key.serialize_pem())
    }

    /// The side of whoever has this certificate at the broker.
    pub fn client(&self, certificate_pem: &str, key_pem: &str) -> io::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.iot_pem.as_bytes()).map_err(io::Error::other)?;
        roots.add(root).map_err(io::Error::other)?;
        let (certificates, key) = parsed(certificate_pem, key_pem)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let builder = builder.with_root_certificates(roots);
        Ok(Arc::new(builder.with_client_auth_cert(certificates, key).map_err(io::Error::other)?))
    }
}

/// Writes a file that only its owner reads.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn authority(name: &str) -> io::Result<(Issuer<'static, KeyPair>, String)> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    Ok((Issuer::new(params, key), certificate.pem()))
}

fn server_pair(issuer: &Issuer<'static, KeyPair>) -> io::Result<Pair> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.signed_by(&key, issuer).map_err(io::Error::other)?;
    Ok(Pair { pem: certificate.pem(), key })
}

fn client_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn parsed(
    certificate: &str,
    key: &str,
) -> io::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(io::Error::other)?;
    Ok((vec![certificate], key))
}

/// The account's RSA key as PKCS#1, and its public half. Making one takes longer than all the rest of a
/// cloud, so that the clouds of a process share it.
fn account_key() -> io::Result<&'static (String, KeyPair)> {
    static KEY: OnceLock<Result<(String, KeyPair), String>> = OnceLock::new();
    KEY.get_or_init(|| make_account_key().map_err(|error| error.to_string()))
        .as_ref()
        .map_err(|words| io::Error::other(words.clone()))
}

fn make_account_key() -> io::Result<(String, KeyPair)> {
    let make = ["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let pkcs8 = openssl(&make, "")?;
    let pkcs1 = openssl(&["rsa", "-traditional"], &pkcs8)?;
    if !pkcs1.starts_with("-----BEGIN RSA PRIVATE KEY-----") {
        return Err(io::Error::other("openssl rsa -traditional does not write PKCS#1"));
    }
    Ok((pkcs1, KeyPair::from_pem(&pkcs8).map_err(io::Error::other)?))
}

fn openssl(arguments: &[&str], input: &str) -> io::Result<String> {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command
        .spawn()
        .map_err(|error| io::Error::other(format!("openssl: {error}; apt-get install openssl")))?;
    // Dropped at once, so that it sees the end.
    child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()))?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("openssl {}: {}", arguments[0], output.status)));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
