//! TLS handshakes: hellos that are none, certificates that are none, keys that do not belong to them.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use base::Rng;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, Error, RootCertStore, SignatureAlgorithm, SignatureScheme, StreamOwned,
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
    sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};

use super::{SSL_REQUEST, besiege, damaged, guarded, noise, part, reach, stands};
use crate::{common::startup, sign_in::run, tls};

/// AuthenticationOk.
const ADMITTED: [u8; 9] = *b"R\0\0\0\x08\0\0\0\0";
/// More than a handshake message may have.
const HANDSHAKE_BYTES_MAX: usize = 0xffff;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_can_be_anything() {
    let (secure, owner) = guarded().await;
    let forge = Forge::new(secure.server.addr, &secure.secrets().join("ca.crt"));
    run(&owner, "CREATE ROLE keyed LOGIN").await;
    run(&owner, &format!("ALTER ROLE keyed ADD KEY '{}'", forge.pem)).await;
    besiege("TLS handshakes and client certificates", move |rng| forge.attempt(rng)).await;
    stands(&secure, &owner).await;
}

/// What certificates are forged from.
#[derive(Clone)]
struct Forge {
    addr: SocketAddr,
    roots: Arc<RootCertStore>,
    /// The certificate of the role's key, also in PEM; and what of it the role has been given.
    good: CertificateDer<'static>,
    pem: String,
    public_key: Vec<u8>,
    key: Arc<dyn SigningKey>,
    other_key: Arc<dyn SigningKey>,
}

/// Who signs the handshake.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hand {
    Own,
    Other,
    /// Its own, but a bit of the signature is wrong.
    Slipped(u64),
}

impl Forge {
    fn new(addr: SocketAddr, authority: &Path) -> Forge {
        let signing = |pair: &rcgen::KeyPair| {
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pair.serialize_der()));
            any_supported_type(&key).expect("a key")
        };
        let (pair, other) = (rcgen::KeyPair::generate().expect("a key"), rcgen::KeyPair::generate().expect("a key"));
        let certificate = rcgen::CertificateParams::default().self_signed(&pair).expect("a certificate");
        Forge {
            addr,
            roots: Arc::new(tls::roots(authority)),
            good: certificate.der().clone(),
            pem: certificate.pem(),
            public_key: rcgen::PublicKeyData::subject_public_key_info(&pair),
            key: signing(&pair),
            other_key: signing(&other),
        }
    }

    fn attempt(&self, rng: &mut Rng) {
        let mut stream = reach(self.addr);
        stream.write_all(&startup(SSL_REQUEST, b"")).expect("the server listens");
        let mut answer = [0];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"S");
        if rng.chance(1, 4) {
            let said = stream.write_all(&self.hello(rng));
            return part(stream, said);
        }
        let (chain, hand) = match rng.below(32) {
            0 => (vec![self.good.clone()], Hand::Own),
            _ => (self.chain(rng), self.hand(rng)),
        };
        let belongs = chain[0].windows(self.public_key.len()).any(|window| window == self.public_key);
        let right = chain == [self.good.clone()] && hand == Hand::Own;
        let admitted = self.shake_hands(stream, rng, chain, hand);
        assert!(!admitted || belongs && hand == Hand::Own, "who does not hold the key is let in");
        assert!(admitted || !right, "who holds the key is not let in");
    }

    /// What comes instead of a hello, or after one.
    fn hello(&self, rng: &mut Rng) -> Vec<u8> {
        let mut client = self.client(rng, vec![self.good.clone()], Hand::Own);
        let mut hello = Vec::new();
        client.write_tls(&mut hello).expect("into memory");
        match rng.below(5) {
            0 | 1 => damaged(rng, hello),
            2 => noise(rng, 600),
            3 => records(rng),
            _ => [hello, records(rng)].concat(),
        }
    }

    fn chain(&self, rng: &mut Rng) -> Vec<CertificateDer<'static>> {
        let good = || self.good.to_vec();
        let chain = match rng.below(8) {
            0 => vec![good()],
            1 | 2 => vec![damaged(rng, good())],
            3 | 4 => vec![flipped(rng, good())],
            5 => (0..rng.between(1, 5)).map(|_| noise(rng, 2000)).collect(),
            6 => vec![good(); rng.between(2, 400) as usize],
            _ => vec![vec![0x30; HANDSHAKE_BYTES_MAX - 2000 + rng.below(4000) as usize]],
        };
        chain.into_iter().map(CertificateDer::from).collect()
    }

    fn hand(&self, rng: &mut Rng) -> Hand {
        match rng.below(4) {
            0 => Hand::Other,
            1 => Hand::Slipped(rng.next_u64()),
            _ => Hand::Own,
        }
    }

    /// Whether the server lets in whoever shows this chain as the role.
    fn shake_hands(&self, stream: TcpStream, rng: &mut Rng, chain: Vec<CertificateDer<'static>>, hand: Hand) -> bool {
        let mut tls = StreamOwned::new(self.client(rng, chain, hand), stream);
        let mut answer = [0; ADMITTED.len()];
        let mut talk = || -> io::Result<()> {
            tls.write_all(&startup(3 << 16, b"user\0keyed\0database\0locus\0\0"))?;
            tls.flush()?;
            tls.read_exact(&mut answer)
        };
        let said = talk();
        part(tls.sock, said);
        answer == ADMITTED
    }

    fn client(&self, rng: &mut Rng, chain: Vec<CertificateDer<'static>>, hand: Hand) -> ClientConnection {
        let key: Arc<dyn SigningKey> = match hand {
            Hand::Own => self.key.clone(),
            Hand::Other => self.other_key.clone(),
            Hand::Slipped(bit) => Arc::new(Slipping { key: self.key.clone(), bit }),
        };
        let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key));
        let version = if rng.chance(1, 2) { &TLS12 } else { &TLS13 };
        let config = ClientConfig::builder_with_protocol_versions(&[version])
            .with_root_certificates(self.roots.clone())
            .with_client_cert_resolver(Arc::new(shown));
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        ClientConnection::new(Arc::new(config), name).expect("a client")
    }
}

/// Records of the TLS record layer, whose types, versions and lengths may be right, with anything in them.
fn records(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..rng.between(1, 4) {
        let content = noise(rng, 400);
        let kind = if rng.chance(3, 4) { rng.between(20, 24) as u8 } else { rng.next_u64() as u8 };
        let length = if rng.chance(3, 4) { content.len() as u16 } else { rng.next_u64() as u16 };
        bytes.extend([kind, 3, rng.below(5) as u8]);
        bytes.extend(length.to_be_bytes());
        bytes.extend(content);
    }
    bytes
}

/// A few bits turned round.
fn flipped(rng: &mut Rng, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..rng.between(1, 3) {
        let at = rng.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << rng.below(8);
    }
    bytes
}

/// Signs as its key does, but for one bit.
#[derive(Debug)]
struct Slipping {
    key: Arc<dyn SigningKey>,
    bit: u64,
}

impl SigningKey for Slipping {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(SlippingSigner { signer: self.key.choose_scheme(offered)?, bit: self.bit }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

#[derive(Debug)]
struct SlippingSigner {
    signer: Box<dyn Signer>,
    bit: u64,
}

impl Signer for SlippingSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut signature = self.signer.sign(message)?;
        let at = (self.bit >> 3) as usize % signature.len();
        signature[at] ^= 1 << (self.bit & 7);
        Ok(signature)
    }

    fn scheme(&self) -> SignatureScheme {
        self.signer.scheme()
    }
}
