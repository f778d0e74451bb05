//! The leaders of some ranges over one engine in memory. A proposal is applied at once, so latches are not needed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base::{Monotonic, RangeId, Span, Timestamp};
use bytes::Bytes;
use storage::{
    Descriptor, Engine, Error, Evaluate, EvaluateContext, EvaluateFactory, Outcome, Result, Token,
    engine::memory::MemoryEngine,
};
use txn::{
    Command, Pushdown, RowSink, Verdict,
    server::{Options, evaluate_factory},
};

pub struct Ranges {
    pub engine: MemoryEngine,
    pub now: Monotonic,
    factory: EvaluateFactory,
    ranges: Vec<Range>,
    next_token: Token,
}

struct Range {
    span: Span,
    evaluator: Box<dyn Evaluate>,
    /// Requests that wait, by token: who asked, and what.
    parked: BTreeMap<Token, (String, Bytes)>,
}

/// What became of a request.
#[derive(Debug)]
pub enum Answer {
    Reply { reply: Bytes, replicated: bool },
    Parked,
    RangeChanged,
}

impl Ranges {
    pub fn new(options: Options) -> Ranges {
        let factory = evaluate_factory(Arc::new(TestPushdown), options);
        let mut evaluator = factory();
        let now = Monotonic(0) + Duration::from_secs(1000);
        evaluator.lead(Timestamp(1), now);
        let ranges = vec![Range { span: Span::all(), evaluator, parked: BTreeMap::new() }];
        Ranges { engine: MemoryEngine::new(), now, factory, ranges, next_token: 1 }
    }

    /// Sends a command to the range of its first key.
    pub fn send(&mut self, who: &str, command: &Command) -> Result<Answer> {
        let bytes = command.encode();
        let accesses = self.ranges[0].evaluator.access(&bytes)?;
        let key = match (command, accesses.first()) {
            (Command::Unlock { keys, .. }, _) => keys.first().cloned().unwrap_or_default(),
            (_, access) => access.map(|access| access.span.start.clone()).unwrap_or_default(),
        };
        let at = self.ranges.iter().position(|range| range.span.contains(&key)).unwrap();
        if !accesses.iter().all(|access| self.ranges[at].span.covers(&access.span)) {
            return Ok(Answer::RangeChanged);
        }
        let token = self.next_token;
        self.next_token += 1;
        self.evaluate(at, token, who, bytes)
    }

    fn evaluate(&mut self, at: usize, token: Token, who: &str, command: Bytes) -> Result<Answer> {
        let range = &mut self.ranges[at];
        let descriptor = Descriptor { id: RangeId(2), epoch: 1, span: range.span.clone(), replicas: Vec::new() };
        let context = EvaluateContext { now: self.now, descriptor: &descriptor };
        match range.evaluator.evaluate(token, &command, context, &self.engine)? {
            Outcome::Reply(reply) => Ok(Answer::Reply { reply, replicated: false }),
            Outcome::Propose { batch, reply } => {
                self.engine.write(&batch)?;
                range.evaluator.finished(token, true);
                Ok(Answer::Reply { reply, replicated: true })
            }
            Outcome::Blocked => {
                range.parked.insert(token, (who.to_string(), command));
                Ok(Answer::Parked)
            }
        }
    }

    /// Evaluates again who was woken, until nobody is; tells what became of each.
    pub fn settle(&mut self) -> Vec<(String, Command, Result<Answer>)> {
        let mut answered = Vec::new();
        for at in 0..self.ranges.len() {
            loop {
                let woken = self.ranges[at].evaluator.take_woken();
                if woken.is_empty() {
                    break;
                }
                for token in woken {
                    let Some((who, bytes)) = self.ranges[at].parked.remove(&token) else { continue };
                    let command = Command::decode(&bytes).unwrap();
                    let accesses = self.ranges[at].evaluator.access(&bytes).unwrap();
                    let answer = match accesses.iter().all(|access| self.ranges[at].span.covers(&access.span)) {
                        true => self.evaluate(at, token, &who, bytes),
                        false => Ok(Answer::RangeChanged),
                    };
                    if !matches!(answer, Ok(Answer::Parked)) {
                        answered.push((who, command, answer));
                    }
                }
            }
        }
        answered
    }

    pub fn tick(&mut self, duration: Duration) {
        self.now = self.now + duration;
        for range in &mut self.ranges {
            range.evaluator.tick(self.now);
        }
    }

    pub fn split(&mut self, key: &Bytes) {
        let at = self.ranges.iter().position(|range| range.span.contains(key)).unwrap();
        let evaluator = self.ranges[at].evaluator.split(key);
        let span = Span::new(key.clone(), std::mem::replace(&mut self.ranges[at].span.end, key.clone()));
        self.ranges.insert(at + 1, Range { span, evaluator, parked: BTreeMap::new() });
    }

    /// New leaders everywhere: all volatile state is gone, and so is who waited.
    pub fn lead(&mut self, low_water: Timestamp) {
        for range in &mut self.ranges {
            range.evaluator = (self.factory)();
            range.evaluator.lead(low_water, self.now);
            range.parked.clear();
        }
    }

    /// The clients of these requests are gone.
    pub fn cancel(&mut self, who: &str) {
        for range in &mut self.ranges {
            let gone: Vec<Token> =
                range.parked.iter().filter(|(_, (asker, _))| asker == who).map(|(token, _)| *token).collect();
            for token in gone {
                range.parked.remove(&token);
                range.evaluator.cancel(token);
            }
        }
    }
}

/// Programs: `has/x` keeps rows whose value contains x; `count` swallows rows and tells how many; `length` replaces values
/// by their length.
struct TestPushdown;

impl Pushdown for TestPushdown {
    fn compile(&self, program: &[u8]) -> std::result::Result<Box<dyn RowSink>, String> {
        let program = String::from_utf8(program.to_vec()).map_err(|_| "not a program".to_string())?;
        let known = program == "count" || program == "length" || program.starts_with("has/");
        known.then(|| Box::new(TestSink { program, count: 0 }) as Box<dyn RowSink>).ok_or("unknown program".into())
    }
}

struct TestSink {
    program: String,
    count: u64,
}

impl RowSink for TestSink {
    fn row(&mut self, _key: &[u8], value: &[u8]) -> std::result::Result<Verdict, String> {
        self.count += 1;
        Ok(match self.program.strip_prefix("has/") {
            Some(part) if String::from_utf8_lossy(value).contains(part) => Verdict::Keep,
            None if self.program == "length" => Verdict::Replace(value.len().to_string().into()),
            _ => Verdict::Drop,
        })
    }

    fn finish(&mut self) -> std::result::Result<Option<Bytes>, String> {
        Ok((self.program == "count").then(|| self.count.to_string().into()))
    }
}

/// For `?` in scripts.
pub fn refused(error: Error) -> Box<dyn std::error::Error> {
    error.to_string().into()
}
