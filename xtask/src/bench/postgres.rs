//! PostgreSQL from the machine's own packages: a primary, and two synchronous standbys when asked for. fsync is on
//! everywhere. As root the servers run as the user `postgres`, which PostgreSQL insists on.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{System, pgbench::output};

pub struct Cluster {
    servers: Vec<Server>,
}

struct Server {
    directory: PathBuf,
    port: u16,
}

impl Cluster {
    pub fn start(directory: &Path, with_standbys: bool) -> Result<Cluster> {
        let base = directory.join("postgres");
        fs::create_dir_all(&base)?;
        if is_root() {
            output(Command::new("chown").arg("postgres").arg(&base))?;
            output(Command::new("chmod").arg("755").arg(directory))?;
        }
        let primary = Server { directory: base.join("primary"), port: free_port()? };
        let data = primary.directory.display().to_string();
        output(as_postgres("initdb")?.args([
            "--auth=trust",
            "--username=postgres",
            "--locale=C",
            "-E",
            "UTF8",
            &data,
        ]))?;
        let settings = "fsync = on\nsynchronous_commit = on\nshared_buffers = 256MB\nmax_connections = 200\n\
                        wal_level = replica\nmax_wal_senders = 10\nlisten_addresses = '127.0.0.1'\n";
        fs::write(
            primary.directory.join("postgresql.auto.conf"),
            format!("{settings}port = {}\nunix_socket_directories = '{data}'\n", primary.port),
        )?;
        let mut cluster = Cluster { servers: vec![primary] };
        cluster.servers[0].start()?;
        if with_standbys {
            for name in ["standby1", "standby2"] {
                let standby = cluster.servers[0].clone_standby(&base.join(name), name)?;
                cluster.servers.push(standby);
            }
            cluster.query(0, "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")?;
            cluster.query(0, "SELECT pg_reload_conf()")?;
        }
        Ok(cluster)
    }

    fn query(&self, server: usize, text: &str) -> Result<String> {
        let url = self.servers[server].url();
        output(Command::new(program("psql")?).args(["--no-psqlrc", "-At", &url, "-c", text]))
    }
}

impl System for Cluster {
    fn name(&self) -> &'static str {
        if self.servers.len() > 1 { "PostgreSQL, sync standbys" } else { "PostgreSQL, single" }
    }

    fn url(&self) -> String {
        self.servers[0].url()
    }

    fn cpu_seconds(&self) -> f64 {
        self.servers.iter().filter_map(Server::postmaster).map(super::locus::cpu_seconds_of_family).sum()
    }

    fn fsyncs(&self) -> Option<u64> {
        let counts = (0..self.servers.len())
            .map(|server| self.query(server, "SELECT wal_sync FROM pg_stat_wal").ok()?.trim().parse::<u64>().ok());
        counts.sum()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in &self.servers {
            let data = server.directory.display().to_string();
            if let Ok(mut command) = as_postgres("pg_ctl") {
                let _ = command.args(["-D", &data, "-m", "immediate", "stop"]).stdout(Stdio::null()).status();
            }
        }
    }
}

impl Server {
    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn start(&self) -> Result<()> {
        let data = self.directory.display().to_string();
        let log = self.directory.join("server.log").display().to_string();
        output(as_postgres("pg_ctl")?.args(["-D", &data, "-l", &log, "-w", "start"]).stdin(Stdio::null())).map(drop)
    }

    fn clone_standby(&self, directory: &Path, name: &str) -> Result<Server> {
        let standby = Server { directory: directory.to_owned(), port: free_port()? };
        let data = directory.display().to_string();
        let source = format!("host=127.0.0.1 port={} user=postgres application_name={name}", self.port);
        output(as_postgres("pg_basebackup")?.args(["-D", &data, "-R", "-d", &source, "-c", "fast"]))?;
        let path = directory.join("postgresql.auto.conf");
        let mut settings = fs::read_to_string(&path)?;
        settings.push_str(&format!("port = {}\nunix_socket_directories = '{data}'\n", standby.port));
        fs::write(&path, settings)?;
        standby.start()?;
        Ok(standby)
    }

    fn postmaster(&self) -> Option<u32> {
        fs::read_to_string(self.directory.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
    }
}

/// A program of the newest PostgreSQL on the machine.
pub fn program(name: &str) -> Result<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .context("PostgreSQL is missing: apt-get install postgresql")?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin").join(name)))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    match found.pop() {
        Some(path) => Ok(path),
        None => bail!("{name} is missing: apt-get install postgresql"),
    }
}

fn as_postgres(name: &str) -> Result<Command> {
    let program = program(name)?;
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/tmp");
    Ok(command)
}

fn is_root() -> bool {
    fs::metadata("/proc/self").map(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0).unwrap_or(false)
}

/// A port that is free now; nothing else on the machine is likely to take it in the next second.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
