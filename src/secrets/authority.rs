//! The cluster's certificate authority: a key in a directory, and what it signs.
//!
//! `ca.crt` has the certificate that goes with `ca.key`, and that of an authority that is trusted besides: the one to come
//! (`ca-next.key`), or the one that was.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use auth::keys::{self, Pin};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use x509_parser::extensions::GeneralName;

use super::{
    DAY, Purpose,
    files::{create_private, lock, read, read_if_there, write_private, write_public},
    ledger::{Ledger, fingerprint_of},
    now, trusted,
};

pub const AUTHORITY_LIFE: Duration = Duration::from_secs(3650 * 86_400);
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(365 * 86_400);

pub struct Authority {
    directory: PathBuf,
    key: KeyPair,
    /// Nobody else changes the directory meanwhile.
    _lock: fs::File,
}

impl Authority {
    /// The authority of the directory, made where there is none yet; `None` when its key is elsewhere. Waits for others that
    /// have it open.
    pub fn open(directory: &Path) -> Result<Option<Authority>> {
        let lock = lock(directory)?;
        let (crt, pem) = (trusted(directory), directory.join("ca.key"));
        let key = match read_if_there(&pem)? {
            Some(key) => KeyPair::from_pem(&key).with_context(|| format!("in {}", pem.display()))?,
            None if crt.exists() => return Ok(None),
            None => {
                let key = new_key()?;
                write_private(&pem, key.serialize_pem().as_bytes())?;
                write_public(&crt, &certificate_of(&key)?)?;
                key
            }
        };
        Ok(Some(Authority { directory: directory.to_owned(), key, _lock: lock }))
    }

    /// Like [`Authority::open`], where it must be.
    pub fn existing(directory: &Path) -> Result<Authority> {
        if !directory.join("ca.key").exists() {
            bail!("the authority's key (ca.key) is not in {}", directory.display());
        }
        Authority::open(directory)?.context("the authority's key has just gone")
    }

    pub fn ledger(&self) -> Result<Ledger> {
        Ledger::read(&self.directory)
    }

    /// A certificate for the holder of this key, in PEM. It is in the ledger before it is given out.
    pub fn sign(&self, purpose: &Purpose, key: &impl PublicKeyData, life: Duration) -> Result<String> {
        let mut params = purpose.params()?;
        lasting(&mut params, life);
        let certificate = params.signed_by(key, &Issuer::new(authority_params(), &self.key))?.pem();
        self.ledger()?.note(purpose, &certificate, (now() + life).as_secs())?;
        Ok(certificate)
    }

    /// Makes a key and its certificate in `to`, in place of those that are there.
    pub fn make(&self, to: &Path, purpose: &Purpose, life: Duration) -> Result<()> {
        create_private(to)?;
        let before = read_if_there(&to.join(format!("{}.crt", purpose.file())))?;
        let key = new_key()?;
        let certificate = self.sign(purpose, &key, life)?;
        put(to, purpose, &key, &certificate)?;
        match before.and_then(|before| fingerprint_of(&before)) {
            Some(before) => self.ledger()?.replaced(&before),
            None => Ok(()),
        }
    }

    /// Brings into `to` what everybody may know: whom to trust, and whom no longer.
    pub fn publish(&self, to: &Path) -> Result<()> {
        if to != self.directory {
            write_public(&trusted(to), &read(&trusted(&self.directory))?)?;
            write_public(&to.join("revoked"), &revoked(&self.directory)?)?;
        }
        Ok(())
    }

    /// Makes every certificate of this directory anew, and orders others to be replaced. Says which there were.
    pub fn rotate(&self) -> Result<Vec<String>> {
        self.ledger()?.outdate_all()?;
        let mut holders = Vec::new();
        for purpose in purposes(&self.directory)? {
            self.make(&self.directory, &purpose, CERTIFICATE_LIFE)?;
            holders.push(purpose.holder());
        }
        Ok(holders)
    }

    /// The certificate that goes with the key, in PEM.
    pub fn certificate(&self) -> Result<String> {
        signing_certificate(&self.directory)?.context("ca.crt and ca.key are not of the same authority")
    }

    /// Makes the authority that comes next, which is trusted from now on but signs nothing. Begun again, it goes on.
    pub fn announce_next(&self) -> Result<()> {
        let (next, trusted) = (self.directory.join("ca-next.key"), trusted(&self.directory));
        let key = match read_if_there(&next)? {
            Some(key) => KeyPair::from_pem(&key)?,
            None => new_key()?,
        };
        write_private(&next, key.serialize_pem().as_bytes())?;
        let before = read(&trusted)?;
        match find(&before, &key) {
            Some(_) => Ok(()),
            None => write_public(&trusted, &format!("{before}{}", certificate_of(&key)?)),
        }
    }

    /// The announced authority signs from now on. The one before is still trusted.
    pub fn promote_next(self) -> Result<Authority> {
        let directory = self.directory.clone();
        fs::rename(directory.join("ca-next.key"), directory.join("ca.key")).context("no authority was announced")?;
        // The lock goes before it is taken again.
        drop(self);
        Authority::existing(&directory)
    }

    /// Trusts nobody any more but the authority that signs.
    pub fn retire(&self) -> Result<()> {
        let path = trusted(&self.directory);
        if self.directory.join("ca-next.key").exists() || certificates(&read(&path)?).len() < 2 {
            bail!("there is no authority to retire");
        }
        write_public(&path, &self.certificate()?)
    }
}

/// The certificate of the authority whose key is here.
pub fn signing_certificate(directory: &Path) -> Result<Option<String>> {
    let Some(key) = read_if_there(&directory.join("ca.key"))? else { return Ok(None) };
    let trusted = read(&trusted(directory))?;
    Ok(find(&trusted, &KeyPair::from_pem(&key)?).map(str::to_owned))
}

/// Of these certificates, the one of this key.
fn find<'a>(pem: &'a str, key: &KeyPair) -> Option<&'a str> {
    let pin = Pin::of_key(&key.subject_public_key_info());
    certificates(pem).into_iter().find(|certificate| Pin::parse(certificate) == Some(pin))
}

/// Writes a key and its certificate. The key first: a certificate without its key would be taken for complete.
pub fn put(to: &Path, purpose: &Purpose, key: &KeyPair, certificate: &str) -> Result<()> {
    let file = purpose.file();
    write_private(&to.join(format!("{file}.key")), key.serialize_pem().as_bytes())?;
    write_public(&to.join(format!("{file}.crt")), certificate)
}

/// The lines of revoked certificates that a directory has.
pub fn revoked(directory: &Path) -> Result<String> {
    Ok(read_if_there(&directory.join("revoked"))?.unwrap_or_default())
}

/// What there are certificates for in a directory, in the order of their names.
pub fn purposes(directory: &Path) -> Result<Vec<Purpose>> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".crt")?.to_owned()))
        .collect();
    names.sort();
    let purpose = |name: &String| {
        Some(match name.as_str() {
            "gateway" => Purpose::Clients(names_in(&read(&directory.join("gateway.crt")).ok()?)?),
            "gateway-peer" => Purpose::Peer("gateway".parse().ok()?),
            "authority" => Purpose::Authority,
            name => Purpose::Peer(name.parse().ok()?),
        })
    };
    Ok(names.iter().filter_map(purpose).collect())
}

/// The names and addresses that a certificate, in PEM, is for.
pub fn names_in(pem: &str) -> Option<Vec<String>> {
    let der = keys::first_certificate(pem)?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    let names = &certificate.subject_alternative_name().ok()??.value.general_names;
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    };
    Some(names.iter().filter_map(text).collect())
}

/// When a certificate, in PEM, begins and ends, in seconds since 1970.
pub fn validity(pem: &str) -> Option<(i64, i64)> {
    let der = keys::first_certificate(pem)?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    Some((certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp()))
}

/// The certificates of a PEM text, one by one.
pub fn certificates(pem: &str) -> Vec<&str> {
    pem.split_inclusive("-----END CERTIFICATE-----\n").filter(|part| part.contains("BEGIN CERTIFICATE")).collect()
}

pub fn new_key() -> Result<KeyPair> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

fn certificate_of(key: &KeyPair) -> Result<String> {
    let mut params = authority_params();
    lasting(&mut params, AUTHORITY_LIFE);
    Ok(params.self_signed(key)?.pem())
}

/// Successive authorities differ by their keys, not by name: who verifies tries each.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Locus cluster CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From yesterday, so that a clock that is a little behind does not matter.
pub fn lasting(params: &mut CertificateParams, life: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now().saturating_sub(DAY);
    params.not_after = epoch + now() + life;
}
