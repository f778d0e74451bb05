//! One process of the cluster: started, killed, paused, and noticed when it ends by itself.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// How long a process may take to stop by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

pub struct Process {
    pub name: String,
    /// Program and arguments.
    command: Vec<String>,
    environment: Vec<(String, String)>,
    pub log: PathBuf,
    child: Option<Child>,
    /// It was asked to stop: its end surprises nobody.
    leaving: bool,
}

impl Process {
    pub fn new(name: String, command: Vec<String>, environment: Vec<(String, String)>, log: PathBuf) -> Process {
        Process { name, command, environment, log, child: None, leaving: false }
    }

    /// Starts it if it does not run. Its standard input is a pipe from this process: however the harness ends, the process
    /// ends with it.
    pub fn start(&mut self) -> Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot write {}", self.log.display()))?;
        let (program, arguments) = self.command.split_first().context("no command")?;
        let mut command = Command::new(program);
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).process_group(0).kill_on_drop(true);
        self.leaving = false;
        self.child = Some(command.spawn().with_context(|| format!("cannot start {}", self.name))?);
        Ok(())
    }

    pub fn is_up(&self) -> bool {
        self.child.is_some()
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref()?.id()
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let pid = child.id();
        child.kill().await.with_context(|| format!("cannot kill {}", self.name))?;
        pid.into_iter().for_each(forget_clock);
        Ok(())
    }

    /// Asks it to stop, and kills it when it does not in time.
    pub async fn stop(&mut self) -> Result<()> {
        self.leaving = true;
        self.signal(Signal::TERM);
        let Some(child) = &mut self.child else { return Ok(()) };
        let pid = child.id();
        match timeout(STOP_PATIENCE, child.wait()).await {
            Ok(status) => {
                status?;
                self.child = None;
                pid.into_iter().for_each(forget_clock);
                Ok(())
            }
            Err(_) => {
                tracing::warn!(name = self.name, "does not stop in time and is killed");
                self.kill().await
            }
        }
    }

    /// Stands still until [`Process::resume`].
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It is our child and has not been waited for: the id is still its own.
            let _ = kill_process(pid, signal);
        }
    }

    /// How it ended, when it has ended by itself since it was started; says so once.
    pub fn ended(&mut self) -> Option<String> {
        let child = self.child.as_mut()?;
        let pid = child.id();
        let status = child.try_wait().ok()??;
        self.child = None;
        pid.into_iter().for_each(forget_clock);
        if self.leaving {
            return None;
        }
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with code {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        };
        Some(format!("{} {how}: {}", self.name, last_line(&self.log)))
    }
}

/// What a process said last, without its beginning.
fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim().to_owned()
}

/// libfaketime leaves shared memory behind when its process is killed.
fn forget_clock(pid: u32) {
    for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
        // Mostly it is not there.
        let _ = fs::remove_file(Path::new("/dev/shm").join(name));
    }
}
