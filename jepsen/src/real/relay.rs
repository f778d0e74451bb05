//! Bad weather between processes: relays that hold messages up, send them twice, and let them overtake each other.
//!
//! Below TCP none of this can be seen (and this kernel has no `netem`), so a relay works on what TCP carries: frames that
//! begin with their length in four bytes (`storage::shell::frame`). It knows no more about them, except that the first frame
//! of each side introduces it and always passes first.

use std::{
    collections::BinaryHeap,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use base::Rng;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};

use super::{
    inside::Inside,
    places::{Member, Places},
};

/// How bad it is. Chances are per thousand frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    pub delay_min: Duration,
    pub delay_max: Duration,
    pub duplicated: u64,
    /// Frames that later ones may overtake.
    pub reordered: u64,
}

/// Longer frames than storage ever sends are a sign of another protocol.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// Frames on their way in one direction; the sender is held back when there are more.
const IN_FLIGHT_MAX: usize = 10_000;

/// The weather, and what it has done so far.
#[derive(Default)]
pub struct Sky {
    weather: Mutex<Weather>,
    pub frames: AtomicU64,
    pub duplicated: AtomicU64,
    pub reordered: AtomicU64,
}

impl Sky {
    pub fn set(&self, weather: Weather) {
        *self.weather.lock() = weather;
    }
}

/// All relays of a cluster; dropping them closes every connection.
pub struct Relays {
    pub sky: Arc<Sky>,
    tasks: Vec<AbortHandle>,
    /// The thread in the switch's namespace.
    _inside: Inside,
}

impl Relays {
    /// One for each pair of members that connect.
    pub async fn start(places: &Places, seed: u64) -> Result<Relays> {
        let namespaces = places.namespaces.as_ref().context("relays need namespaces")?;
        let inside = Inside::enter(namespaces.path("switch"))?;
        let sky = Arc::new(Sky::default());
        let mut tasks = Vec::new();
        let mut rng = Rng::new(seed);
        for (from, to) in places.links() {
            let relay = Relay { at: places.seen_from(from, to), to: places.listens_at(to), sky: sky.clone() };
            let seed = rng.below(u64::MAX);
            let bound = inside.spawn(async move { TcpListener::bind(relay.at).await.map(|bound| (relay, bound)) });
            let (relay, listener) = bound.await?.with_context(|| relay_name(from, to))?;
            tasks.push(inside.spawn(relay.run(listener, Rng::new(seed))).abort_handle());
        }
        Ok(Relays { sky, tasks, _inside: inside })
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

fn relay_name(from: Member, to: Member) -> String {
    format!("relay from {from} to {to}")
}

struct Relay {
    at: SocketAddr,
    to: SocketAddr,
    sky: Arc<Sky>,
}

impl Relay {
    async fn run(self, listener: TcpListener, mut rng: Rng) {
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((client, _)) => {
                    let (at, to, sky, rng) = (self.at, self.to, self.sky.clone(), rng.split());
                    connections.spawn(async move {
                        if let Err(error) = carry(client, at, to, &sky, rng).await {
                            tracing::debug!(%at, %to, %error, "relayed connection ended");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(at = %self.at, %error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Carries one connection until one of its sides closes.
async fn carry(client: TcpStream, at: SocketAddr, to: SocketAddr, sky: &Sky, mut rng: Rng) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    // Packets to the node come from the relay's own address: packet filters know by it who speaks.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(at.ip(), 0))?;
    let server = socket.connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Either end closes both.
    tokio::select! {
        ended = direction(from_client, to_server, sky, rng.split()) => ended,
        ended = direction(from_server, to_client, sky, rng.split()) => ended,
    }
}

async fn direction(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, sky: &Sky, rng: Rng) -> io::Result<()> {
    let mut line = Line { waiting: BinaryHeap::new(), last: Instant::now(), number: 0, rng };
    let (sender, mut frames) = tokio::sync::mpsc::channel(64);
    let read = async move {
        loop {
            let frame = read_frame(&mut from).await?;
            if sender.send(frame).await.is_err() {
                return Ok::<(), io::Error>(());
            }
        }
    };
    let write = async move {
        loop {
            let next = line.waiting.peek().map(|waiting| waiting.at);
            tokio::select! {
                frame = frames.recv(), if line.waiting.len() < IN_FLIGHT_MAX => match frame {
                    Some(frame) => line.take_in(frame, sky),
                    None => return Ok::<(), io::Error>(()),
                },
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    let due = line.due(Instant::now());
                    to.write_all(&due).await?;
                }
            }
        }
    };
    tokio::select! {
        ended = read => ended,
        ended = write => ended,
    }
}

/// A frame with its length; the content is not looked at.
async fn read_frame(from: &mut OwnedReadHalf) -> io::Result<Bytes> {
    let length = from.read_u32().await?;
    if length as usize > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    let mut frame = vec![0; 4 + length as usize];
    frame[..4].copy_from_slice(&length.to_be_bytes());
    from.read_exact(&mut frame[4..]).await?;
    Ok(frame.into())
}

/// Frames on their way in one direction, by the time of their arrival.
struct Line {
    waiting: BinaryHeap<Waiting>,
    /// When the last frame that keeps the order arrives.
    last: Instant,
    /// Frames taken in so far.
    number: u64,
    rng: Rng,
}

impl Line {
    fn take_in(&mut self, frame: Bytes, sky: &Sky) {
        let weather = *sky.weather.lock();
        sky.frames.fetch_add(1, Ordering::Relaxed);
        let first = self.number == 0;
        if !first && self.rng.chance(weather.duplicated, 1000) {
            sky.duplicated.fetch_add(1, Ordering::Relaxed);
            self.schedule(frame.clone(), weather, sky, first);
        }
        self.schedule(frame, weather, sky, first);
    }

    fn schedule(&mut self, frame: Bytes, weather: Weather, sky: &Sky, first: bool) {
        let (low, high) = (weather.delay_min.as_micros() as u64, weather.delay_max.as_micros() as u64);
        let mut at = Instant::now() + Duration::from_micros(self.rng.between(low, high.max(low)));
        if !first && self.rng.chance(weather.reordered, 1000) {
            sky.reordered.fetch_add(1, Ordering::Relaxed);
            at = at.max(self.last) + Duration::from_micros(self.rng.between(1, 4 * high.max(1000)));
        } else {
            at = at.max(self.last);
            self.last = at;
        }
        self.number += 1;
        self.waiting.push(Waiting { at, number: self.number, frame });
    }

    /// What has arrived, in order.
    fn due(&mut self, now: Instant) -> Vec<u8> {
        let mut due = Vec::new();
        while self.waiting.peek().is_some_and(|waiting| waiting.at <= now) {
            due.extend(self.waiting.pop().into_iter().flat_map(|waiting| waiting.frame));
        }
        due
    }
}

struct Waiting {
    at: Instant,
    number: u64,
    frame: Bytes,
}

/// The earliest is the greatest: the heap hands out the greatest first.
impl Ord for Waiting {
    fn cmp(&self, other: &Waiting) -> std::cmp::Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Waiting) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Waiting) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

#[cfg(test)]
#[path = "relay_test.rs"]
mod tests;
