//! What can be set, and where it comes from: flags, then `LOCUS_*` (both by clap), then the file, then the defaults below.

use std::{collections::BTreeMap, env, fs, net::SocketAddr, path::Path, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use base::NodeId;
use clap::Args;
use serde::Deserialize;

use crate::planted::PlantedFault;

pub const DEFAULT_SQL_ADDR: &str = "127.0.0.1:7432";
pub const DEFAULT_WEB_ADDR: &str = "127.0.0.1:7480";
pub const DEFAULT_URL: &str = "postgresql://locus@127.0.0.1:7432/locus";
pub const DEFAULT_CLUSTER: &str = "locus";

/// The configuration file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    pub log: Option<String>,
    pub cluster: Option<String>,
    pub data: Option<PathBuf>,
    pub sql_addr: Option<SocketAddr>,
    /// Of a node; and of a gateway where its own part does not say.
    pub secrets: Option<PathBuf>,
    pub insecure: Option<bool>,
    /// Of nodes and gateways that fetch their certificates: where the authority answers, and a token to join with.
    pub authority: Option<String>,
    pub join: Option<String>,
    /// The nodes of the cluster: `nodes = { 1 = "10.0.0.1:7501", … }`.
    pub nodes: BTreeMap<String, String>,
    pub node: NodeSettings,
    pub gateway: GatewaySettings,
    pub web_addr: Option<SocketAddr>,
    /// The gateway that `locus web` relays to.
    pub web_gateway: Option<String>,
    pub web: crate::web::WebSettings,
}

/// How much a node takes for itself.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct NodeSettings {
    /// Memory for blocks of stored data, in bytes
    #[arg(long, env = "LOCUS_BLOCK_CACHE_BYTES", value_name = "BYTES")]
    pub block_cache_bytes: Option<usize>,
    /// Memory of one table of new data, in bytes; when full it is written out
    #[arg(long, env = "LOCUS_WRITE_BUFFER_BYTES", value_name = "BYTES")]
    pub write_buffer_bytes: Option<usize>,
    /// A range that is greater than this is split, in bytes; the same on all nodes
    #[arg(long, env = "LOCUS_SPLIT_BYTES", value_name = "BYTES")]
    pub split_bytes: Option<u64>,
    /// Log entries kept in memory, in bytes
    #[arg(long, env = "LOCUS_LOG_BYTES_MAX", value_name = "BYTES")]
    pub log_bytes_max: Option<u64>,
    /// Given for all tiers at once: see [`File::plant`].
    #[arg(skip)]
    #[serde(skip)]
    pub planted_fault: Option<PlantedFault>,
}

/// How much a gateway takes for itself and its clients.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GatewaySettings {
    /// Sessions at the same time
    #[arg(long, env = "LOCUS_CONNECTIONS_MAX", value_name = "COUNT")]
    pub connections_max: Option<usize>,
    /// Greatest message of a client, in bytes
    #[arg(long, env = "LOCUS_MESSAGE_BYTES_MAX", value_name = "BYTES")]
    pub message_bytes_max: Option<usize>,
    /// Memory of one statement, in bytes
    #[arg(long, env = "LOCUS_STATEMENT_MEMORY_BYTES_MAX", value_name = "BYTES")]
    pub statement_memory_bytes_max: Option<usize>,
    /// How long one operation may wait for the cluster before its statement fails, in seconds
    #[arg(long, env = "LOCUS_OPERATION_TIMEOUT_SECONDS", value_name = "SECONDS")]
    pub operation_timeout_seconds: Option<u64>,
    /// How long old versions of rows are kept, in seconds; the same on all gateways
    #[arg(long, env = "LOCUS_RETENTION_SECONDS", value_name = "SECONDS")]
    pub retention_seconds: Option<u64>,
    /// Given for all tiers at once: see [`File::plant`].
    #[arg(skip)]
    #[serde(skip)]
    pub planted_fault: Option<PlantedFault>,
    /// Directory of the cluster's key and the gateway's certificate, made on first use; the same content on all gateways
    #[arg(long, env = "LOCUS_SECRETS", value_name = "DIR")]
    pub secrets: Option<PathBuf>,
    /// Trust every client on this machine to be who it says it is, and encrypt nothing: for benchmarks
    #[arg(long, env = "LOCUS_INSECURE", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub insecure: Option<bool>,
}

impl File {
    pub fn load(path: Option<&Path>) -> Result<File> {
        let Some(path) = path else { return Ok(File::default()) };
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Gives every tier the same bug.
    pub fn plant(&mut self, fault: Option<PlantedFault>) {
        self.node.planted_fault = fault;
        self.gateway.planted_fault = fault;
    }

    pub fn gateway_settings(&self) -> GatewaySettings {
        let mut settings = self.gateway.clone();
        settings.secrets = settings.secrets.or_else(|| self.secrets.clone());
        settings.insecure = settings.insecure.or(self.insecure);
        settings
    }

    pub fn nodes(&self) -> Result<BTreeMap<NodeId, String>> {
        let entries = self.nodes.iter().map(|(id, address)| node_entry(id, address));
        entries.collect::<Result<_>>().context("in the configuration file's `nodes`")
    }
}

/// Takes each setting from the first side that has it.
macro_rules! first_of {
    ($flags:expr, $file:expr, $kind:ident { $($field:ident),* $(,)? }) => {
        $kind { $($field: $flags.$field.clone().or_else(|| $file.$field.clone())),* }
    };
}

impl NodeSettings {
    pub fn over(&self, file: &NodeSettings) -> NodeSettings {
        first_of!(
            self,
            file,
            NodeSettings { block_cache_bytes, write_buffer_bytes, split_bytes, log_bytes_max, planted_fault }
        )
    }

    pub fn apply(&self, options: &mut storage::shell::NodeOptions) {
        set(&mut options.rocks.block_cache_bytes, self.block_cache_bytes);
        set(&mut options.rocks.write_buffer_bytes, self.write_buffer_bytes);
        set(&mut options.store.split_bytes, self.split_bytes);
        set(&mut options.store.log_bytes_max, self.log_bytes_max);
        set(&mut options.store.faults, self.planted_fault.map(PlantedFault::in_storage));
    }

    /// Of the leader side of transactions.
    pub fn leaders(&self) -> txn::server::Options {
        let mut options = txn::server::Options::default();
        set(&mut options.faults, self.planted_fault.map(PlantedFault::on_leaders));
        options
    }
}

impl GatewaySettings {
    pub fn over(&self, file: &GatewaySettings) -> GatewaySettings {
        first_of!(
            self,
            file,
            GatewaySettings {
                connections_max,
                message_bytes_max,
                statement_memory_bytes_max,
                operation_timeout_seconds,
                retention_seconds,
                planted_fault,
                secrets,
                insecure,
            }
        )
    }

    pub fn is_insecure(&self) -> bool {
        self.insecure.unwrap_or(false)
    }

    pub fn gateway(&self) -> ::gateway::Options {
        let mut options = ::gateway::Options::default();
        set(&mut options.connections_max, self.connections_max);
        set(&mut options.message_bytes_max, self.message_bytes_max);
        options
    }

    pub fn database(&self) -> sql::session::Options {
        let mut options = sql::session::Options::default();
        set(&mut options.statement_memory_bytes_max, self.statement_memory_bytes_max);
        set(&mut options.retention, self.retention_seconds.map(Duration::from_secs));
        options
    }

    pub fn transactions(&self) -> txn::Options {
        let mut options = txn::Options::default();
        set(&mut options.operation_timeout, self.operation_timeout_seconds.map(Duration::from_secs));
        set(&mut options.faults, self.planted_fault.map(PlantedFault::in_coordinators));
        options
    }
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

/// The value of `--nodes` and `--peers`: `1=host:port,2=host:port`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeList(pub BTreeMap<NodeId, String>);

impl std::str::FromStr for NodeList {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<NodeList> {
        let mut nodes = BTreeMap::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (id, address) = entry.split_once('=').context("expected ID=HOST:PORT, separated by commas")?;
            let (id, address) = node_entry(id, address)?;
            if nodes.insert(id, address).is_some() {
                bail!("node {} is listed twice", id.0);
            }
        }
        Ok(NodeList(nodes))
    }
}

impl std::fmt::Display for NodeList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, (id, address)) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{}={address}", id.0)?;
        }
        Ok(())
    }
}

fn node_entry(id: &str, address: &str) -> Result<(NodeId, String)> {
    let number: u64 = id.trim().parse().with_context(|| format!("\"{id}\" is not a node id"))?;
    if number == 0 || !address.contains(':') {
        bail!("expected a node id from 1 on and HOST:PORT, not \"{id}={address}\"");
    }
    Ok((NodeId(number), address.trim().to_owned()))
}

/// Where data is kept when nobody says otherwise.
pub fn default_data(kind: &str) -> PathBuf {
    let base = env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".local/share")))
        .unwrap_or_else(|| PathBuf::from("."));
    base.join("locus").join(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_before_the_file() {
        let file: File = toml::from_str("[gateway]\nconnections-max = 5\nmessage-bytes-max = 7\n").unwrap();
        let flags = GatewaySettings { connections_max: Some(9), ..GatewaySettings::default() };
        let options = flags.over(&file.gateway).gateway();
        assert_eq!((options.connections_max, options.message_bytes_max), (9, 7));
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(toml::from_str::<File>("[gateway]\nconections-max = 5\n").is_err());
    }

    #[test]
    fn lists_of_nodes() {
        let list: NodeList = "1=a:1, 2=b:2".parse().unwrap();
        assert_eq!(list.to_string(), "1=a:1,2=b:2");
        for bad in ["1", "x=a:1", "0=a:1", "1=a", "1=a:1,1=b:2"] {
            assert!(bad.parse::<NodeList>().is_err(), "{bad}");
        }
    }
}
