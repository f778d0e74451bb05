//! One request on its way to whoever leads its range.

use std::{future::poll_fn, task::Poll, time::Duration};

use base::{BoxFuture, Monotonic, NodeId, RangeId, Runtime};
use futures::FutureExt;

use super::{CallError, Inner};
use crate::{
    error::{Error, Result},
    message::{RequestBody, ResponseBody},
};

/// Pauses between attempts: exponential, with jitter.
#[derive(Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(4);
    const LAST: Duration = Duration::from_millis(128);

    pub fn next(&mut self, runtime: &dyn Runtime) -> Duration {
        let full = Self::LAST.min(Self::FIRST * (1 << self.attempts.min(8)));
        self.attempts += 1;
        // Half of it for sure, the rest at random, so that those who failed together do not return together.
        let permille = (runtime.random_u64() % 500) as u32;
        full / 2 + full * permille / 1000
    }
}

/// Sends a request to the presumed leader and follows the hints; asks another replica as well when one stays silent, without
/// giving the first up (a request that waits for a lock is silent, too).
pub struct Chase<'a> {
    router: &'a Inner,
    range: RangeId,
    replicas: Vec<NodeId>,
    body: RequestBody,
    deadline: Monotonic,
    in_flight: Vec<Flight<'a>>,
    /// The replica that is tried when there is no hint: an index into `replicas`.
    turn: usize,
    /// Hints followed without a pause in between.
    redirects: usize,
    backoff: Backoff,
    maybe_applied: bool,
    reason: String,
}

struct Flight<'a> {
    node: NodeId,
    sent_at: Monotonic,
    answer: BoxFuture<'a, std::result::Result<ResponseBody, CallError>>,
}

/// What to do next.
enum Next {
    /// Send to this node now.
    Send(NodeId),
    /// Send to the next replica in turn after a pause.
    Pause(Duration),
}

enum Woken {
    Answer(NodeId, std::result::Result<ResponseBody, CallError>),
    Timer,
}

impl<'a> Chase<'a> {
    pub fn new(
        router: &'a Inner,
        range: RangeId,
        replicas: &[NodeId],
        body: RequestBody,
        deadline: Monotonic,
    ) -> Chase<'a> {
        Chase {
            router,
            range,
            replicas: replicas.to_vec(),
            body,
            deadline,
            in_flight: Vec::new(),
            turn: 0,
            redirects: 0,
            backoff: Backoff::default(),
            maybe_applied: false,
            reason: "no answer".into(),
        }
    }

    pub async fn run(mut self) -> Result<ResponseBody> {
        let leader = self.router.cache.lock().leader(self.range);
        let mut next = match leader.or_else(|| self.replicas.first().copied()) {
            Some(node) => Next::Send(node),
            None => return Err(Error::Refused("the range has no replicas".into())),
        };
        loop {
            let wait = match next {
                Next::Send(node) => {
                    self.send(node);
                    self.router.options.hedge_after
                }
                Next::Pause(pause) => pause,
            };
            let left = self.deadline.since(self.router.runtime.now());
            if left.is_zero() {
                return Err(self.give_up());
            }
            next = match self.wait(wait.min(left)).await {
                Woken::Answer(node, answer) => match self.judge(node, answer) {
                    Ok(next) => next,
                    Err(verdict) => return *verdict,
                },
                Woken::Timer => match self.next_in_turn() {
                    Some(node) => Next::Send(node),
                    None => Next::Pause(self.router.options.hedge_after),
                },
            };
        }
    }

    fn send(&mut self, node: NodeId) {
        let now = self.router.runtime.now();
        let timeout = self.deadline.since(now);
        // With no time left nothing is sent; `run` gives up right after.
        if !timeout.is_zero() && !self.is_in_flight(node) {
            let answer = self.router.client.call(node, self.body.clone(), timeout);
            self.in_flight.push(Flight { node, sent_at: now, answer });
            self.turn = self.replicas.iter().position(|replica| *replica == node).map_or(self.turn, |at| at + 1);
        }
    }

    /// Whether the node has the request, as far as one can believe: a network may have swallowed it. So after a while it is
    /// sent once more, but the first copy is not given up: it may wait in a queue and must not lose its place.
    fn is_in_flight(&self, node: NodeId) -> bool {
        let (now, believed) = (self.router.runtime.now(), self.router.options.resend_after);
        self.in_flight.iter().any(|flight| flight.node == node && now.since(flight.sent_at) < believed)
    }

    /// The next answer, or the end of the pause. The timer is made only when there is something to wait for.
    async fn wait(&mut self, pause: Duration) -> Woken {
        let mut timer: Option<BoxFuture<'static, ()>> = None;
        let (in_flight, runtime) = (&mut self.in_flight, &self.router.runtime);
        poll_fn(|cx| {
            for i in 0..in_flight.len() {
                if let Poll::Ready(answer) = in_flight[i].answer.poll_unpin(cx) {
                    return Poll::Ready(Woken::Answer(in_flight.remove(i).node, answer));
                }
            }
            timer.get_or_insert_with(|| runtime.sleep(pause)).poll_unpin(cx).map(|()| Woken::Timer)
        })
        .await
    }

    /// What follows from an answer: the next step, or the end of the chase.
    fn judge(
        &mut self,
        node: NodeId,
        answer: std::result::Result<ResponseBody, CallError>,
    ) -> std::result::Result<Next, Box<Result<ResponseBody>>> {
        let ended = |result| Err(Box::new(result));
        match answer {
            Ok(ResponseBody::NotLeader { hint, maybe_applied }) => {
                self.maybe_applied |= maybe_applied;
                self.reason = format!("{node} does not lead {}", self.range);
                self.router.cache.lock().set_leader(self.range, hint);
                Ok(self.follow(hint.filter(|hint| *hint != node && self.replicas.contains(hint))))
            }
            Ok(ResponseBody::Timeout { maybe_applied }) => {
                self.maybe_applied |= maybe_applied;
                self.reason = format!("{node} could not finish in time");
                Ok(self.follow(None))
            }
            Ok(ResponseBody::Overloaded(what)) if !self.is_ambiguous() => ended(Err(Error::Overloaded(what))),
            Ok(ResponseBody::Overloaded(what)) => {
                self.reason = format!("{node} is overloaded: {what}");
                Ok(self.follow(None))
            }
            Ok(ResponseBody::Refused(what)) => ended(Err(Error::Refused(what))),
            Ok(body) => {
                if !matches!(body, ResponseBody::RangeChanged(_)) {
                    self.router.cache.lock().set_leader(self.range, Some(node));
                }
                ended(Ok(body))
            }
            Err(error) => {
                self.maybe_applied |= matches!(error, CallError::Lost(_));
                let mut cache = self.router.cache.lock();
                if cache.leader(self.range) == Some(node) {
                    cache.set_leader(self.range, None);
                }
                drop(cache);
                self.reason = format!("{node}: {error}");
                Ok(self.follow(None))
            }
        }
    }

    /// Whether an earlier attempt may have been executed, or may still be.
    fn is_ambiguous(&self) -> bool {
        self.maybe_applied || !self.in_flight.is_empty()
    }

    /// Goes where the hint says; or on to the next replica, after a pause when all had their turn.
    fn follow(&mut self, hint: Option<NodeId>) -> Next {
        self.redirects += 1;
        let round = self.redirects > self.replicas.len();
        let node = match hint.filter(|hint| !self.is_in_flight(*hint)) {
            Some(hint) => Some(hint),
            // The one that is hinted at has the request already: give it time.
            None if hint.is_some() => return Next::Pause(self.router.options.hedge_after),
            None => self.next_in_turn(),
        };
        match node {
            Some(node) if !round => Next::Send(node),
            _ => {
                self.redirects = 0;
                Next::Pause(self.backoff.next(&*self.router.runtime))
            }
        }
    }

    /// The next replica that does not have the request; the one that is presumed to lead comes first.
    fn next_in_turn(&mut self) -> Option<NodeId> {
        let leader = self.router.cache.lock().leader(self.range);
        if let Some(leader) = leader.filter(|leader| self.redirects == 0 && !self.is_in_flight(*leader)) {
            return Some(leader);
        }
        for _ in 0..self.replicas.len() {
            let node = self.replicas[self.turn % self.replicas.len()];
            self.turn += 1;
            if !self.is_in_flight(node) {
                return Some(node);
            }
        }
        None
    }

    fn give_up(&self) -> Error {
        Error::Unavailable { reason: self.reason.clone(), maybe_applied: self.is_ambiguous() }
    }
}
