//! `locus cert`: the cluster's certificates. Who joins with a [`token`], what the authority answers ([`server`]), how a process
//! gets and renews what it needs ([`client`]).

pub mod client;
pub mod list;
pub mod pem;
mod server;
pub mod token;
mod wire;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use tokio::net::TcpListener;

use self::{client::Member, server::Server, token::Token};
use crate::{
    process::StopSignal,
    secrets::{Authority, Holder, Purpose, State, fingerprint_of, now},
};

#[derive(Args)]
pub struct CertArgs {
    #[command(subcommand)]
    action: Action,
}

/// Where the authority's key is.
#[derive(Args)]
struct Place {
    /// Directory of the cluster's authority (ca.key)
    #[arg(long, env = "LOCUS_SECRETS", value_name = "DIR")]
    secrets: PathBuf,
}

impl Place {
    /// The authority there, made where there is none yet.
    fn home(&self) -> Result<Authority> {
        Authority::open(&self.secrets)?.context("the authority's key (ca.key) is elsewhere")
    }
}

#[derive(Subcommand)]
enum Action {
    /// Make a token with which one process can join the cluster, once
    Token {
        /// Who shall join: node-N or gateway
        holder: Holder,
        #[command(flatten)]
        place: Place,
        /// How long the token is good, in minutes
        #[arg(long, env = "LOCUS_TOKEN_MINUTES", value_name = "MINUTES", default_value_t = 60)]
        minutes: u64,
    },
    /// Answer those who join by token, and renew the certificates of those who have joined
    Serve {
        #[command(flatten)]
        place: Place,
        /// Where to listen
        #[arg(long, env = "LOCUS_LISTEN", value_name = "ADDR")]
        listen: SocketAddr,
    },
    /// Make a certificate and its key, to be brought to another machine
    Issue {
        /// Whose: node-N or gateway
        holder: Holder,
        #[command(flatten)]
        place: Place,
        /// Directory to put them into, together with the authority's certificate
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// How long the certificate lasts, in days; processes renew what has less than 30 left, where they can
        #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=3650))]
        days: u64,
    },
    /// List the certificates of a directory, and what its authority has issued
    Ls {
        /// Directory of certificates
        #[arg(long, env = "LOCUS_SECRETS", value_name = "DIR")]
        secrets: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Replace every certificate; running processes take the new ones without a restart
    Rotate {
        #[command(flatten)]
        place: Place,
        /// Replace the authority as well: the new one is trusted first, and signs when all processes know it
        #[arg(long)]
        authority: bool,
        /// How long to wait, with --authority, until all processes trust the new one, in seconds
        #[arg(long, env = "LOCUS_GRACE_SECONDS", value_name = "SECONDS", default_value_t = 15, requires = "authority")]
        grace_seconds: u64,
        /// Stop trusting the authority that was replaced
        #[arg(long, conflicts_with = "authority")]
        retire: bool,
        /// With --retire: though some have not taken their new certificate yet, and will be shut out
        #[arg(long, requires = "retire")]
        force: bool,
    },
    /// Refuse a holder's certificates from now on, and end its connections
    Revoke {
        /// Whose: node-N or gateway
        holder: Holder,
        #[command(flatten)]
        place: Place,
    },
}

impl CertArgs {
    /// Whether it does something and ends.
    pub fn is_tool(&self) -> bool {
        !matches!(self.action, Action::Serve { .. })
    }
}

pub async fn run(arguments: CertArgs, stop: StopSignal) -> Result<()> {
    match arguments.action {
        Action::Token { holder, place, minutes } => token(holder, place, minutes),
        Action::Serve { place, listen } => serve(place, listen, stop).await,
        Action::Issue { holder, place, out, days } => {
            let authority = place.home()?;
            authority.make(&out, &Purpose::Peer(holder), Duration::from_secs(days * 86_400))?;
            authority.publish(&out)?;
            println!("{}", out.display());
            Ok(())
        }
        Action::Ls { secrets, json } => list::run(&secrets, json),
        Action::Rotate { place, retire: true, force, .. } => retire(place, force),
        Action::Rotate { place, authority: true, grace_seconds, .. } => rotate_authority(place, grace_seconds).await,
        Action::Rotate { place, .. } => rotated(&Authority::existing(&place.secrets)?),
        Action::Revoke { holder, place } => {
            let count = Authority::existing(&place.secrets)?.ledger()?.revoke(&holder.to_string())?;
            println!("{count} certificates of {holder} are revoked; processes that run see it within seconds");
            Ok(())
        }
    }
}

fn token(holder: Holder, place: Place, minutes: u64) -> Result<()> {
    let authority = place.home()?;
    let fingerprint = fingerprint_of(&authority.certificate()?).context("ca.crt is no certificate")?;
    let token = Token::random(fingerprint);
    let ends = now().as_secs().saturating_add(minutes.saturating_mul(60));
    authority.ledger()?.add_token(token.id.clone(), &token.secret, &holder.to_string(), ends)?;
    println!("{token}");
    eprintln!(
        "Good once, for {minutes} minutes, for {holder}: --authority HOST:PORT (of locus cert serve), and --join or LOCUS_JOIN"
    );
    Ok(())
}

async fn serve(place: Place, listen: SocketAddr, stop: StopSignal) -> Result<()> {
    let server = Server::new(place.secrets)?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    // Programs wait for this line.
    println!("authority listens on {}", listener.local_addr()?);
    server.run(listener, stop).await;
    Ok(())
}

fn rotated(authority: &Authority) -> Result<()> {
    let holders = authority.rotate()?;
    println!("made anew: {}", holders.join(", "));
    println!("processes that run take them within seconds; those that get theirs from this authority ask every ten");
    Ok(())
}

async fn rotate_authority(place: Place, grace_seconds: u64) -> Result<()> {
    Authority::existing(&place.secrets)?.announce_next()?;
    println!("a new authority is trusted beside the old one; it signs in {grace_seconds} s");
    // The directory is not locked meanwhile: others renew, and take up whom to trust.
    tokio::time::sleep(Duration::from_secs(grace_seconds)).await;
    rotated(&Authority::existing(&place.secrets)?.promote_next()?)?;
    println!(
        "the old authority is still trusted: locus cert rotate --retire ends that, once clients have the new ca.crt"
    );
    Ok(())
}

fn retire(place: Place, force: bool) -> Result<()> {
    let authority = Authority::existing(&place.secrets)?;
    let late: Vec<String> = authority
        .ledger()?
        .issued
        .into_iter()
        .filter(|issued| issued.state == State::Outdated)
        .map(|issued| issued.holder)
        .collect();
    if !late.is_empty() && !force {
        bail!("these have not taken their new certificates yet: {} (--force shuts them out)", late.join(", "));
    }
    authority.retire()?;
    println!("one authority is trusted");
    Ok(())
}

/// How a process gets its certificates from an authority on another machine.
#[derive(Args, Clone, Debug, Default)]
pub struct Joining {
    /// Where the cluster's authority answers (locus cert serve), if its key is on another machine: certificates are fetched and renewed there
    #[arg(long, env = "LOCUS_AUTHORITY", value_name = "HOST:PORT")]
    authority: Option<String>,
    /// Token to join with, where there is no certificate yet (locus cert token)
    #[arg(long, env = "LOCUS_JOIN", value_name = "TOKEN", hide_env_values = true)]
    join: Option<Token>,
}

impl Joining {
    /// What is set, or what the file says.
    pub fn over(self, file: &crate::config::File) -> Result<Joining> {
        let from_file = || file.join.as_deref().map(str::parse).transpose().map_err(anyhow::Error::msg);
        let join = match self.join {
            Some(token) => Some(token),
            None => from_file().context("in the configuration file's `join`")?,
        };
        Ok(Joining { authority: self.authority.or_else(|| file.authority.clone()), join })
    }

    /// Fetches what is missing in the directory, and keeps it fresh while this process lives. Does nothing where no authority
    /// is named.
    pub async fn bring(
        &self,
        directory: Option<&std::path::Path>,
        holder: Holder,
        listens: Option<SocketAddr>,
    ) -> Result<()> {
        let Some(authority) = &self.authority else {
            return match self.join {
                Some(_) => bail!("where is the authority to join at? (--authority HOST:PORT)"),
                None => Ok(()),
            };
        };
        let directory = directory.context("where shall the certificates be kept? (--secrets DIR)")?;
        if directory.join("ca.key").exists() {
            bail!("the authority's key is in {}: nothing to fetch from {authority}", directory.display());
        }
        let addresses = listens.iter().map(SocketAddr::ip).collect();
        let member = Member { directory: directory.to_owned(), authority: authority.clone(), holder, addresses };
        member.join(self.join.as_ref()).await?;
        member.stay();
        Ok(())
    }
}
