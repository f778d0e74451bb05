//! Who has a certificate, and what stands in it.

use anyhow::Result;
use base::NodeId;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyUsagePurpose};
use storage::shell::{GATEWAY_NAME, node_name};

use super::authority::named;

/// The name in the certificate of the authority's own server (`locus cert serve`).
pub const AUTHORITY_NAME: &str = "authority.locus.internal";
/// Names below this one are for processes; no client's connection goes there.
const INTERNAL: &str = ".locus.internal";

/// Who has a certificate among the processes of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Node(NodeId),
    /// Gateways, all by the same name, and tools that ask nodes.
    Gateway,
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

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Holder::Node(node) => write!(f, "node-{}", node.0),
            Holder::Gateway => f.write_str("gateway"),
        }
    }
}

/// What a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To speak to the other processes of the cluster.
    Peer(Holder),
    /// A gateway's face to clients, by these names and addresses.
    Clients(Vec<String>),
    /// The authority's own server.
    Authority,
}

impl Purpose {
    /// The name of its files, without `.crt` and `.key`.
    pub fn file(&self) -> String {
        match self {
            Purpose::Peer(holder @ Holder::Node(_)) => holder.to_string(),
            Purpose::Peer(Holder::Gateway) => "gateway-peer".to_owned(),
            Purpose::Clients(_) => "gateway".to_owned(),
            Purpose::Authority => "authority".to_owned(),
        }
    }

    /// Whom it belongs to, as `locus cert ls` and `revoke` call it.
    pub fn holder(&self) -> String {
        match self {
            Purpose::Peer(holder) => holder.to_string(),
            Purpose::Clients(_) => "gateway (for clients)".to_owned(),
            Purpose::Authority => "authority".to_owned(),
        }
    }

    /// What stands in the certificate. Fails when a name cannot be in one.
    pub fn params(&self) -> Result<CertificateParams> {
        let (common, names) = match self {
            Purpose::Peer(Holder::Node(node)) => (node_name(*node), vec![node_name(*node)]),
            Purpose::Peer(Holder::Gateway) => (GATEWAY_NAME.to_owned(), vec![GATEWAY_NAME.to_owned()]),
            Purpose::Clients(names) => ("Locus gateway".to_owned(), names.clone()),
            Purpose::Authority => (AUTHORITY_NAME.to_owned(), vec![AUTHORITY_NAME.to_owned()]),
        };
        let internal = |name: &String| name.to_ascii_lowercase().trim_end_matches('.').ends_with(INTERNAL);
        if matches!(self, Purpose::Clients(names) if names.iter().any(internal)) {
            anyhow::bail!("names that end in {INTERNAL} are for the cluster's own processes");
        }
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = named(&common);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match self {
            Purpose::Peer(Holder::Node(_)) => {
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
            }
            Purpose::Peer(Holder::Gateway) => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Purpose::Clients(_) | Purpose::Authority => vec![ExtendedKeyUsagePurpose::ServerAuth],
        };
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }
}
