//! What a process and the authority say to each other: one question and one answer, each a JSON text up to the end of its
//! direction, in TLS.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How long the whole of it may take.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Longer texts are refused.
const BYTES_MAX: u64 = 64 << 10;

#[derive(Serialize, Deserialize)]
pub struct Question {
    /// Who asks: `node-4`, `gateway`.
    pub holder: String,
    /// Of who has no certificate yet.
    pub token: Option<Proof>,
    /// A signing request (PKCS #10, PEM) for the certificate among processes.
    pub peer: Option<String>,
    /// For the certificate that a gateway shows to clients.
    pub clients: Option<ClientsRequest>,
}

#[derive(Serialize, Deserialize)]
pub struct Proof {
    pub id: String,
    pub secret: String,
}

#[derive(Serialize, Deserialize)]
pub struct ClientsRequest {
    /// By which names and addresses clients come.
    pub names: Vec<String>,
    pub request: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Granted(Grant),
    Refused(String),
}

#[derive(Serialize, Deserialize)]
pub struct Grant {
    /// Certificates of the authorities to trust, PEM.
    pub authorities: String,
    /// Certificates that no longer count, a line each.
    pub revoked: String,
    /// The certificate that was shown is to be replaced.
    pub renew: bool,
    pub peer: Option<String>,
    pub clients: Option<String>,
    /// The cluster's key, in base64: for a gateway that joins.
    pub cluster_key: Option<String>,
}

pub async fn send(stream: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> Result<()> {
    stream.write_all(&serde_json::to_vec(message)?).await?;
    stream.shutdown().await?;
    Ok(())
}

pub async fn receive<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> Result<T> {
    let mut text = Vec::new();
    stream.take(BYTES_MAX + 1).read_to_end(&mut text).await?;
    if text.len() as u64 > BYTES_MAX {
        bail!("the message is longer than {BYTES_MAX} bytes");
    }
    serde_json::from_slice(&text).context("not a message that we know")
}
