//! The secrets of a cluster on disk, made on first use and readable by their owner only: the key that seals secrets in the
//! store, the cluster's certificate authority, and the certificate that gateways show.
//!
//! | file | what | who needs it |
//! |---|---|---|
//! | `cluster.key` | 32 random bytes | every gateway, the same; never given out |
//! | `ca.crt`, `ca.key` | certificate authority | clients that verify (`sslrootcert`); the key only to make certificates |
//! | `gateway.crt`, `gateway.key` | certificate for clients | gateways |
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
use gateway::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

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
        let mut private = fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        private.create(directory).with_context(|| format!("cannot create {shown}"))?;
        // Gateways that start together make them one after the other.
        let lock = File::create(directory.join("lock")).and_then(|file| file.lock().map(|()| file));
        let _lock = lock.with_context(|| format!("cannot lock {shown}"))?;
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

    /// Makes the authority where there is none, and the gateway's certificate where there is none or it ends soon.
    fn certify(&self, addresses: &[IpAddr]) -> Result<()> {
        let path = |name: &str| self.directory.join(name);
        let authority = match fs::read_to_string(path("ca.key")) {
            Ok(key) => KeyPair::from_pem(&key)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
                let certificate = authority_params().self_signed(&key)?;
                write_private(&path("ca.key"), key.serialize_pem().as_bytes())?;
                write_public(&path("ca.crt"), &certificate.pem())?;
                key
            }
            Err(error) => return Err(error.into()),
        };
        let current = fs::read_to_string(path("gateway.crt")).ok();
        if current.is_some_and(|pem| lasts(&pem)) && path("gateway.key").exists() {
            return Ok(());
        }
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        names.extend(hostname());
        names.extend(addresses.iter().filter(|address| !address.is_unspecified()).map(ToString::to_string));
        names.sort();
        names.dedup();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = named("Locus gateway");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        lasting(&mut params, CERTIFICATE_LIFE);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &Issuer::new(authority_params(), authority))?;
        // The key first: a certificate without its key would be taken for complete.
        write_private(&path("gateway.key"), key.serialize_pem().as_bytes())?;
        write_public(&path("gateway.crt"), &certificate.pem())
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
    fn a_damaged_key_is_refused_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("cluster.key"), b"short").unwrap();
        assert!(Secrets::open(directory.path(), &[]).is_err());
        assert_eq!(fs::read(directory.path().join("cluster.key")).unwrap(), b"short");
        assert!(Secrets::existing(&directory.path().join("nowhere")).is_err());
    }
}
