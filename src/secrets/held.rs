//! Certificates in the hands of running processes: read again when their files change, made anew before they end.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, bail};
use gateway::Tls;
use storage::shell::{Credentials, PeerTls, Pem, Transport};

use super::{Holder, Purpose, ensure, files::read, lasts, revoked};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Files that stay as they are come to their end slowly: so many looks pass before that is asked again.
const LOOKS_A_RENEWAL: u64 = 60;
/// A key and its certificate do not change in the same moment: only after so many looks is it worth a word that they do not fit.
const PATIENCE_LOOKS: u32 = 5;

/// What a process speaks to the others of its cluster, now and as its certificate is renewed.
pub fn transport(directory: Option<&Path>, insecure: bool, holder: Holder) -> Result<Transport> {
    if insecure {
        return Ok(Transport::Plain);
    }
    let Some(directory) = directory else {
        bail!("where are the cluster's certificates? (--secrets DIR; --insecure does without, for benchmarks)");
    };
    let purpose = Purpose::Peer(holder);
    ensure(directory, &purpose)?;
    let tls = PeerTls::new(credentials(directory, holder)?);
    let held = tls.clone();
    follow(directory, purpose, move |directory| credentials(directory, holder).map(|fresh| held.replace(fresh)))?;
    Ok(Transport::Tls(tls))
}

fn credentials(directory: &Path, holder: Holder) -> Result<Credentials> {
    let file = Purpose::Peer(holder).file();
    let part = |name: &str| read(&directory.join(name));
    let (authorities, chain, key) = (part("ca.crt")?, part(&format!("{file}.crt"))?, part(&format!("{file}.key"))?);
    let pem = Pem {
        authorities: authorities.as_bytes(),
        chain: chain.as_bytes(),
        key: key.as_bytes(),
        revoked: &revoked(directory)?,
    };
    Credentials::from_pem(&pem).with_context(|| format!("in the certificates of {}", directory.display()))
}

/// What a gateway shows to clients, now and as it is renewed.
pub fn for_clients(directory: &Path, purpose: Purpose) -> Result<Tls> {
    let (chain, key) = shown_to_clients(directory)?;
    let tls = Tls::from_pem(chain.as_bytes(), key.as_bytes()).context("in the gateway's certificate")?;
    let held = tls.clone();
    let reload = move |directory: &Path| {
        let (chain, key) = shown_to_clients(directory)?;
        held.replace(chain.as_bytes(), key.as_bytes()).context("in the gateway's certificate")
    };
    follow(directory, purpose, reload)?;
    Ok(tls)
}

/// The certificate and its key.
fn shown_to_clients(directory: &Path) -> Result<(String, String)> {
    Ok((read(&directory.join("gateway.crt"))?, read(&directory.join("gateway.key"))?))
}

/// Renews and reads again, in a thread that ends with the process.
// The thread has nothing to wait for but time.
#[allow(clippy::disallowed_methods)]
fn follow(
    directory: &Path,
    purpose: Purpose,
    mut load: impl FnMut(&Path) -> Result<()> + Send + 'static,
) -> Result<()> {
    let directory = directory.to_owned();
    let mut seen = stamps(&directory, &purpose);
    let mut failed = 0;
    let look = move || {
        for looks in 1_u64.. {
            thread::sleep(LOOK_EVERY);
            let mut found = stamps(&directory, &purpose);
            if found != seen || looks % LOOKS_A_RENEWAL == 0 {
                renew(&directory, &purpose);
                found = stamps(&directory, &purpose);
            }
            if found == seen {
                continue;
            }
            match load(&directory) {
                Ok(()) => {
                    tracing::info!(certificate = purpose.file(), "certificates read again");
                    (seen, failed) = (found, 0);
                }
                Err(error) => {
                    failed += 1;
                    if failed == PATIENCE_LOOKS {
                        tracing::warn!(error = format!("{error:#}"), "new certificates cannot be used");
                    }
                }
            }
        }
    };
    thread::Builder::new().name("certificates".into()).spawn(look).context("cannot start a thread")?;
    Ok(())
}

/// Where the authority's key is. Elsewhere the authority is asked (`crate::cert::client`).
fn renew(directory: &Path, purpose: &Purpose) {
    if !lasts(directory, purpose) && directory.join("ca.key").exists() {
        match ensure(directory, purpose) {
            Ok(()) => tracing::info!(certificate = purpose.file(), "certificate renewed"),
            Err(error) => tracing::warn!(error = format!("{error:#}"), "the certificate cannot be renewed"),
        }
    }
}

/// Changes with the files.
type Stamps = Vec<Option<(u64, SystemTime)>>;

fn stamps(directory: &Path, purpose: &Purpose) -> Stamps {
    let file = purpose.file();
    let names: [PathBuf; 4] =
        ["ca.crt", "revoked", &format!("{file}.crt"), &format!("{file}.key")].map(|name| directory.join(name));
    let stamp = |path: &PathBuf| {
        fs::metadata(path).ok().map(|found| (found.ino(), found.modified().unwrap_or(SystemTime::UNIX_EPOCH)))
    };
    names.iter().map(stamp).collect()
}
