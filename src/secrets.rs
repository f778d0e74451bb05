//! The secrets of a cluster on disk, made on first use and readable by their owner only: the key that seals secrets in the
//! store, the cluster's certificate authority, and the certificate that gateways show.
//!
//! | file | what | who needs it |
//! |---|---|---|
//! | `cluster.key` | 32 random bytes | every gateway, the same; never given out |
//! | `ca.crt`, `ca.key` | certificate authority | clients that verify (`sslrootcert`); the key only to make certificates |
//! | `gateway.crt`, `gateway.key` | certificate for clients | gateways |
//! | `node-3.crt`, `node-3.key` | certificate among processes | that node |
//! | `gateway-peer.crt`, `gateway-peer.key` | certificate among processes | gateways, and `locus status` |
//!
//! Where `ca.key` is, certificates that are missing or end soon are made at a start. Elsewhere they must have been brought there
//! (`locus cert`).
//!
//! Whoever can read `cluster.key` may sign in as the role that owns the system ([`Secrets::owner_pass`]).

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    net::IpAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use auth::{keys, owner, seal::ClusterKey};
use base::NodeId;
use gateway::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use storage::shell::{GATEWAY_NAME, PeerTls, Transport, node_name};

const DAY: Duration = Duration::from_secs(86_400);
const AUTHORITY_LIFE: Duration = Duration::from_secs(3650 * 86_400);
const CERTIFICATE_LIFE: Duration = Duration::from_secs(365 * 86_400);
/// A certificate that has less left is made anew at the next start.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);

pub struct Secrets {
    directory: PathBuf,
    key: ClusterKey,
}

impl Secrets {
    /// Opens the directory; what is missing in it is made.
    pub fn open(directory: &Path, addresses: &[IpAddr]) -> Result<Secrets> {
        let shown = directory.display();
        let _lock = lock(directory)?;
        let key = cluster_key(&directory.join("cluster.key"))?;
        let secrets = Secrets { directory: directory.to_owned(), key };
        secrets.certify(addresses).with_context(|| format!("cannot make certificates in {shown}"))?;
        Ok(secrets)
    }

    /// Opens a directory that must be complete already, for its owner.
    pub fn existing(directory: &Path) -> Result<Secrets> {
        let path = directory.join("cluster.key");
        if !path.exists() {
            bail!("no cluster key in {}", directory.display());
        }
        Ok(Secrets { directory: directory.to_owned(), key: cluster_key(&path)? })
    }

    pub fn key(&self) -> ClusterKey {
        self.key.clone()
    }

    pub fn tls(&self) -> Result<Tls> {
        let read = |name: &str| {
            let path = self.directory.join(name);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        Tls::from_pem(&read("gateway.crt")?, &read("gateway.key")?).context("in the gateway's certificate")
    }

    /// A password for the role that owns the system, good for a minute.
    pub fn owner_pass(&self) -> String {
        let seconds = storage::shell::wall_micros() / 1_000_000;
        owner::pass(&self.key, sql::session::BOOTSTRAP_ROLE, seconds.max(0) as u64)
    }

    /// Makes the gateway's certificate where there is none or it ends soon.
    fn certify(&self, addresses: &[IpAddr]) -> Result<()> {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        names.extend(hostname());
        names.extend(addresses.iter().filter(|address| !address.is_unspecified()).map(ToString::to_string));
        names.sort();
        names.dedup();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = named("Locus gateway");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        certify(&self.directory, &self.directory, "gateway", params)
    }
}

/// Who has a certificate among the processes of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Node(NodeId),
    /// Gateways, all by the same name, and tools that ask nodes.
    Gateway,
}

impl Holder {
    fn file(self) -> String {
        match self {
            Holder::Node(node) => format!("node-{}", node.0),
            Holder::Gateway => "gateway-peer".to_owned(),
        }
    }

    fn params(self) -> Result<CertificateParams> {
        let name = match self {
            Holder::Node(node) => node_name(node),
            Holder::Gateway => GATEWAY_NAME.to_owned(),
        };
        let mut params = CertificateParams::new([name.clone()])?;
        params.distinguished_name = named(&name);
        params.extended_key_usages = match self {
            Holder::Node(_) => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            Holder::Gateway => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        Ok(params)
    }
}

/// `node-3`, `gateway`
impl std::str::FromStr for Holder {
    type Err = String;

    fn from_str(text: &str) -> Result<Holder, String> {
        match text.strip_prefix("node-").map(str::parse) {
            Some(Ok(id)) => Ok(Holder::Node(NodeId(id))),
            None if text == "gateway" => Ok(Holder::Gateway),
            _ => Err("expected node-N or gateway".to_owned()),
        }
    }
}

/// What a process speaks to the others of its cluster.
pub fn transport(directory: Option<&Path>, insecure: bool, holder: Holder) -> Result<Transport> {
    if insecure {
        return Ok(Transport::Plain);
    }
    let Some(directory) = directory else {
        bail!("where are the cluster's certificates? (--secrets DIR; --insecure does without, for benchmarks)");
    };
    hand_out(directory, directory, holder)?;
    let read = |name: &str| {
        let path = directory.join(name);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let file = holder.file();
    let tls = PeerTls::from_pem(&read("ca.crt")?, &read(&format!("{file}.crt"))?, &read(&format!("{file}.key"))?);
    tls.map(Transport::Tls).with_context(|| format!("in the certificates of {}", directory.display()))
}

/// Makes the holder's certificate in `to`, where there is none or it ends soon, with the authority in `directory`.
pub fn hand_out(directory: &Path, to: &Path, holder: Holder) -> Result<()> {
    let _lock = lock(directory)?;
    create_private(to)?;
    certify(directory, to, &holder.file(), holder.params()?)?;
    if to != directory {
        let authority =
            fs::read_to_string(directory.join("ca.crt")).context("cannot read the authority's certificate")?;
        write_public(&to.join("ca.crt"), &authority)?;
    }
    Ok(())
}

fn create_private(directory: &Path) -> Result<()> {
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(directory).with_context(|| format!("cannot create {}", directory.display()))
}

/// Processes that start together make what is missing one after the other.
fn lock(directory: &Path) -> Result<File> {
    create_private(directory)?;
    let lock = File::create(directory.join("lock")).and_then(|file| file.lock().map(|()| file));
    lock.with_context(|| format!("cannot lock {}", directory.display()))
}

/// Makes a certificate and its key in `to`, unless there is one that lasts.
fn certify(directory: &Path, to: &Path, file: &str, mut params: CertificateParams) -> Result<()> {
    let (crt, pem) = (to.join(format!("{file}.crt")), to.join(format!("{file}.key")));
    let current = fs::read_to_string(&crt).ok().filter(|_| pem.exists());
    if current.as_ref().is_some_and(|current| lasts(current)) {
        return Ok(());
    }
    let Some(authority) = authority(directory)? else {
        if current.is_some() {
            tracing::warn!(
                file,
                "the certificate ends within 30 days or has ended, and the authority's key is not here"
            );
            return Ok(());
        }
        let shown = directory.display();
        bail!("{file}.crt and {file}.key are not in {shown}: make them where the authority's key is (locus cert)");
    };
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    lasting(&mut params, CERTIFICATE_LIFE);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.signed_by(&key, &Issuer::new(authority_params(), authority))?;
    // The key first: a certificate without its key would be taken for complete.
    write_private(&pem, key.serialize_pem().as_bytes())?;
    write_public(&crt, &certificate.pem())
}

/// The authority's key, made where there is no authority yet; `None`: it is elsewhere.
fn authority(directory: &Path) -> Result<Option<KeyPair>> {
    let (crt, pem) = (directory.join("ca.crt"), directory.join("ca.key"));
    match fs::read_to_string(&pem) {
        Ok(key) => Ok(Some(KeyPair::from_pem(&key)?)),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        Err(_) if crt.exists() => Ok(None),
        Err(_) => {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            let certificate = authority_params().self_signed(&key)?;
            write_private(&pem, key.serialize_pem().as_bytes())?;
            write_public(&crt, &certificate.pem())?;
            Ok(Some(key))
        }
    }
}

/// A password that nobody can guess and every URL can carry.
pub fn random_password() -> String {
    (0..2).map(|_| format!("{:016x}", storage::shell::random_u64())).collect()
}

/// A key and a certificate for a person; the certificate in PEM and the key in PEM.
pub fn user_key(name: &str) -> Result<(String, String)> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = named(name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    lasting(&mut params, AUTHORITY_LIFE);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Locus cluster CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    lasting(&mut params, AUTHORITY_LIFE);
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From yesterday, so that a clock that is a little behind does not matter.
fn lasting(params: &mut CertificateParams, life: Duration) {
    let now = Duration::from_micros(storage::shell::wall_micros().max(0) as u64);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(DAY);
    params.not_after = epoch + now + life;
}

fn lasts(pem: &str) -> bool {
    let now = Duration::from_micros(storage::shell::wall_micros().max(0) as u64);
    let der = keys::first_certificate(pem);
    der.is_some_and(|der| keys::is_valid_at(&der, (now + RENEW_BEFORE).as_secs()) == Some(true))
}

fn hostname() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (!name.is_empty() && name.bytes().all(plain)).then(|| name.to_owned())
}

fn cluster_key(path: &Path) -> Result<ClusterKey> {
    let shown = path.display();
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut fresh = Vec::new();
            (0..4).for_each(|_| fresh.extend(storage::shell::random_u64().to_le_bytes()));
            write_private(path, &fresh)?;
            fresh
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
    };
    let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| anyhow::anyhow!("{shown} is not a cluster key"))?;
    Ok(ClusterKey::new(bytes))
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let unfinished = unfinished(path);
    // What an earlier attempt has left may have other rights.
    let _ = fs::remove_file(&unfinished);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&unfinished, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn write_public(path: &Path, text: &str) -> Result<()> {
    let unfinished = unfinished(path);
    fs::write(&unfinished, text)
        .and_then(|()| fs::rename(&unfinished, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secrets_are_made_once_and_kept_private() {
        let directory = tempfile::tempdir().unwrap();
        let first = Secrets::open(directory.path(), &["10.1.2.3".parse().unwrap()]).unwrap();
        first.tls().unwrap();
        let read = |name: &str| fs::read(directory.path().join(name)).unwrap();
        let before = ["cluster.key", "ca.crt", "ca.key", "gateway.crt", "gateway.key"].map(read);
        let second = Secrets::open(directory.path(), &[]).unwrap();
        assert_eq!(before, ["cluster.key", "ca.crt", "ca.key", "gateway.crt", "gateway.key"].map(read));
        assert_eq!(first.key().derive("x"), second.key().derive("x"));
        for name in ["cluster.key", "ca.key", "gateway.key"] {
            let mode = fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 6, "with the lock; nothing unfinished is left");
    }

    #[test]
    fn certificates_are_made_where_the_authority_is_and_brought_elsewhere() {
        let (home, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let holder: Holder = "node-3".parse().unwrap();
        assert_eq!(holder, Holder::Node(NodeId(3)));
        assert!("node-x".parse::<Holder>().is_err() && "web".parse::<Holder>().is_err());
        transport(Some(home.path()), false, Holder::Gateway).unwrap();
        hand_out(home.path(), away.path(), holder).unwrap();
        transport(Some(away.path()), false, holder).unwrap();
        let missing = transport(Some(away.path()), false, Holder::Node(NodeId(4))).unwrap_err();
        assert!(missing.to_string().contains("locus cert"), "{missing}");
        assert!(!away.path().join("ca.key").exists() && !away.path().join("cluster.key").exists());
        assert!(transport(None, false, holder).is_err());
        assert!(matches!(transport(None, true, holder), Ok(Transport::Plain)));
    }

    #[test]
    fn a_damaged_key_is_refused_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("cluster.key"), b"short").unwrap();
        assert!(Secrets::open(directory.path(), &[]).is_err());
        assert_eq!(fs::read(directory.path().join("cluster.key")).unwrap(), b"short");
        assert!(Secrets::existing(&directory.path().join("nowhere")).is_err());
    }
}
