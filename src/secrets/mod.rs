//! The secrets of a cluster on disk, made on first use and readable by their owner only: the key that seals secrets in the
//! store, the cluster's certificate authority, and the certificate that gateways show.
//!
//! | file | what | who needs it |
//! |---|---|---|
//! | `cluster.key` | 32 random bytes | every gateway, the same; never given out |
//! | `ca.crt`, `ca.key` | certificate authority ([`authority`]) | clients that verify (`sslrootcert`); the key only to make certificates |
//! | `gateway.crt`, `gateway.key` | certificate for clients | gateways |
//! | `node-3.crt`, `node-3.key` | certificate among processes | that node |
//! | `gateway-peer.crt`, `gateway-peer.key` | certificate among processes | gateways, and `locus status` |
//! | `revoked` | certificates that no longer count | all processes |
//! | `ledger.json` | what was issued, and tokens | the authority ([`ledger`]) |
//!
//! Where `ca.key` is, certificates that are missing or end soon are made by whoever needs them. Elsewhere they are fetched from the
//! authority's server (`--authority`, [`crate::cert`]), or were brought there (`locus cert issue`). Running processes follow the
//! files ([`held`]).
//!
//! Whoever can read `cluster.key` may sign in as the role that owns the system ([`Secrets::owner_pass`]).

mod authority;
mod files;
pub mod held;
mod holder;
mod ledger;

#[cfg(test)]
mod secrets_test;

use std::{
    fs,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use auth::{keys, owner, seal::ClusterKey};
use gateway::Tls;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyUsagePurpose};

pub use authority::{
    Authority, CERTIFICATE_LIFE, certificates, new_key, purposes, put, revoked, signing_certificate, validity,
};
pub use files::{create_private, lock, read, write_private, write_public};
pub use held::transport;
pub use holder::{AUTHORITY_NAME, Holder, Purpose};
pub use ledger::{Issued, Ledger, State, fingerprint_of};

const DAY: Duration = Duration::from_secs(86_400);
/// A certificate that has less left is made anew.
pub const RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);

pub struct Secrets {
    directory: PathBuf,
    key: ClusterKey,
}

impl Secrets {
    /// Opens the directory; a cluster key, and an authority, are made where there are none.
    pub fn open(directory: &Path) -> Result<Secrets> {
        let (is_home, path) = (Authority::open(directory)?.is_some(), directory.join("cluster.key"));
        if !is_home && !path.exists() {
            // One of its own would be of no use: what other gateways have sealed, it could not open.
            anyhow::bail!("cluster.key is not in {}: join with a token, or bring it", directory.display());
        }
        let _lock = lock(directory)?;
        let key = cluster_key(&path)?;
        Ok(Secrets { directory: directory.to_owned(), key })
    }

    /// Opens a directory that must be complete already, for its owner.
    pub fn existing(directory: &Path) -> Result<Secrets> {
        let path = directory.join("cluster.key");
        if !path.exists() {
            anyhow::bail!("no cluster key in {}", directory.display());
        }
        Ok(Secrets { directory: directory.to_owned(), key: cluster_key(&path)? })
    }

    pub fn key(&self) -> ClusterKey {
        self.key.clone()
    }

    /// What the gateway at these addresses shows to clients, now and as its certificate is renewed.
    pub fn tls(&self, addresses: &[IpAddr]) -> Result<Tls> {
        let purpose = Purpose::Clients(client_names(addresses));
        ensure(&self.directory, &purpose)?;
        held::for_clients(&self.directory, purpose)
    }

    /// A password for the role that owns the system, good for a minute.
    pub fn owner_pass(&self) -> String {
        owner::pass(&self.key, sql::session::BOOTSTRAP_ROLE, now().as_secs())
    }
}

/// The file with the certificates of the authorities that count.
pub fn trusted(directory: &Path) -> PathBuf {
    directory.join("ca.crt")
}

/// How a process on this machine dials whoever listens there; a certificate names no unspecified address.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The names by which clients reach a gateway on this machine that listens there.
pub fn client_names(addresses: &[IpAddr]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(hostname());
    names.extend(addresses.iter().filter(|address| !address.is_unspecified()).map(ToString::to_string));
    names.sort();
    names.dedup();
    names
}

/// Makes the certificate, unless there is one that lasts. Where the authority's key is elsewhere, one that ends soon has to do.
pub fn ensure(directory: &Path, purpose: &Purpose) -> Result<()> {
    let file = purpose.file();
    if lasts(directory, purpose) {
        return Ok(());
    }
    match Authority::open(directory)? {
        // Another process may have made it meanwhile.
        Some(_) if lasts(directory, purpose) => Ok(()),
        Some(authority) => authority.make(directory, purpose, CERTIFICATE_LIFE),
        None if is_there(directory, purpose) => {
            tracing::warn!(
                file,
                "the certificate ends within 30 days or has ended, and the authority's key is not here"
            );
            Ok(())
        }
        None => anyhow::bail!(
            "{file}.crt and {file}.key are not in {}: join with a token (locus cert token), or bring them (locus cert issue)",
            directory.display()
        ),
    }
}

pub fn is_there(directory: &Path, purpose: &Purpose) -> bool {
    let file = purpose.file();
    ["crt", "key"].iter().all(|kind| directory.join(format!("{file}.{kind}")).exists())
}

/// Whether there is a certificate that need not be renewed yet.
pub fn lasts(directory: &Path, purpose: &Purpose) -> bool {
    let pem = fs::read_to_string(directory.join(format!("{}.crt", purpose.file())));
    let der = pem.ok().and_then(|pem| keys::first_certificate(&pem)).filter(|_| is_there(directory, purpose));
    der.is_some_and(|der| keys::is_valid_at(&der, (now() + RENEW_BEFORE).as_secs()) == Some(true))
}

/// A password that nobody can guess and every URL can carry.
pub fn random_password() -> String {
    random_hex(2)
}

/// Random hexadecimal digits, sixteen for each 64 bits.
pub fn random_hex(words: usize) -> String {
    (0..words).map(|_| format!("{:016x}", storage::shell::random_u64())).collect()
}

/// A key and a certificate for a person; the certificate in PEM and the key in PEM.
pub fn user_key(name: &str) -> Result<(String, String)> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = authority::named(name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    authority::lasting(&mut params, authority::AUTHORITY_LIFE);
    let key = new_key()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Since 1970.
pub fn now() -> Duration {
    Duration::from_micros(storage::shell::wall_micros().max(0) as u64)
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
