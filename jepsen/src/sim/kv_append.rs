//! `list-append` below SQL: the same history, straight on `txn::Txn`. Many times faster, so it gets many more seeds.

use std::{collections::BTreeMap, sync::atomic::AtomicU64, time::Duration};

use base::{BoxFuture, Rng, Runtime, Span};
use bytes::Bytes;
use txn::{LockMode, ScanRequest, TxnClient, WaitPolicy};

use super::gateways::{Gateway, Gateways};
use crate::{
    check::{self, Anomaly, Level},
    history::{Counts, Outcome, Step, Told},
    nemesis::Fault,
    workload::{
        Client, Failed, Failure, Workload,
        list_append::{KEYS, draw, parse},
        scenario::Recorder,
    },
};

pub struct KvAppend {
    gateways: Gateways,
    history: Recorder<Vec<Step>>,
    next_value: AtomicU64,
}

/// Table 200 of a catalog that does not exist.
const PREFIX: &[u8] = &[0x10, 0, 0, 0, 200];

fn key(of: u64) -> Bytes {
    let mut key = PREFIX.to_vec();
    base::keycode::put_u64(&mut key, of);
    key.into()
}

impl KvAppend {
    pub fn new(gateways: Gateways) -> KvAppend {
        KvAppend { gateways, history: Recorder::default(), next_value: AtomicU64::new(1) }
    }
}

impl Workload for KvAppend {
    fn setup<'a>(&'a self, _client: &'a mut Client) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            for at in [3, 9] {
                split(&self.gateways, key(at)).await?;
            }
            Ok(())
        })
    }

    /// Not by a statement.
    fn split(&self, _rng: &mut Rng) -> Option<String> {
        None
    }

    fn operate<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let steps = draw(&self.next_value, client);
            if client.number == 0 && client.rng.chance(1, 40) {
                let _ = split(&self.gateways, key(client.rng.below(KEYS))).await;
            }
            let index = self.history.begin(client, &steps);
            let (work, locking) = (steps.clone(), client.rng.chance(1, 2));
            let work = move |gateway: Gateway| -> BoxFuture<'static, txn::Result<_>> {
                Box::pin(transact(gateway.client, work, locking))
            };
            let attempt = self.gateways.run(client.number, &mut client.rng, judge, work).await;
            let failed = Failed { outcome: attempt.outcome, failure: Failure::Lost(String::new()) };
            self.history.end(client, index, steps, attempt.value.ok_or(failed));
        })
    }

    fn finish<'a>(&'a self, client: &'a mut Client) -> BoxFuture<'a, Result<Vec<Anomaly>, String>> {
        Box::pin(async move {
            let begin = client.now();
            let lists = read_all(&self.gateways).await?;
            let mut history = self.history.lock();
            history.read_at_the_end(begin, client.now(), lists);
            Ok(check::list_append::check(&history))
        })
    }

    fn promise(&self) -> Level {
        Level::StrictSerializable
    }

    fn bears(&self, _fault: Fault) -> bool {
        true
    }

    fn counts(&self) -> Counts {
        self.history.lock().counts()
    }

    fn told(&self, index: usize) -> Option<Told> {
        self.history.lock().told(index)
    }

    fn edn(&self) -> String {
        self.history.lock().to_edn()
    }
}

async fn split(gateways: &Gateways, at: Bytes) -> Result<(), String> {
    let work = move |gateway: Gateway| -> BoxFuture<'static, Result<(), storage::Error>> {
        Box::pin(async move {
            let deadline = gateway.client.runtime.now() + Duration::from_secs(10);
            gateway.client.cluster.split(&at, deadline).await
        })
    };
    let attempt = gateways.run(0, &mut Rng::new(0), |_| Outcome::Aborted, work).await;
    attempt.value.ok_or_else(|| "the split failed".to_owned())
}

fn judge(error: &txn::Error) -> Outcome {
    if matches!(error, txn::Error::Ambiguous(_)) { Outcome::Unknown } else { Outcome::Aborted }
}

async fn transact(client: TxnClient, steps: Vec<Step>, locking: bool) -> txn::Result<Vec<Step>> {
    let mut txn = client.begin();
    let mut answered = Vec::new();
    for step in steps {
        answered.push(run(&mut txn, step, locking).await?);
    }
    txn.commit().await?;
    Ok(answered)
}

/// Appends read the list first: under a lock, as UPDATE does, or by a plain read that the commit must protect.
async fn run(txn: &mut txn::Txn, step: Step, locking: bool) -> txn::Result<Step> {
    match step {
        Step::Append { key: of, value } => {
            let old = if locking {
                txn.lock(&[key(of)], LockMode::Update, WaitPolicy::Wait).await?.remove(0).value
            } else {
                txn.get(&[key(of)]).await?.remove(0)
            };
            let mut list = old.map(|old| old.to_vec()).unwrap_or_default();
            if !list.is_empty() {
                list.push(b',');
            }
            list.extend_from_slice(value.to_string().as_bytes());
            txn.put(key(of), list.into())?;
            Ok(Step::Append { key: of, value })
        }
        Step::Read { key: of, .. } => {
            let list = txn.get(&[key(of)]).await?.remove(0).unwrap_or_default();
            Ok(Step::Read { key: of, seen: Some(parse(&String::from_utf8_lossy(&list))) })
        }
        Step::Scan { from, to, .. } => {
            let span = Span { start: key(from), end: key(to) };
            let seen = scan(txn, span).await?.into_iter().collect();
            Ok(Step::Scan { from, to, seen: Some(seen) })
        }
    }
}

/// The lists of all keys in a span that have one.
async fn scan(txn: &mut txn::Txn, span: Span) -> txn::Result<BTreeMap<u64, Vec<u64>>> {
    let mut request = ScanRequest { span, ..ScanRequest::default() };
    let mut lists = BTreeMap::new();
    loop {
        let page = txn.scan(&request).await?;
        for (key, list) in page.rows {
            // Nobody else writes below the prefix, so that every key is one of ours.
            if let Ok(of) = base::keycode::take_u64(&mut &key[PREFIX.len()..]) {
                lists.insert(of, parse(&String::from_utf8_lossy(&list)));
            }
        }
        match page.resume {
            Some(rest) => request.span = rest,
            None => return Ok(lists),
        }
    }
}

/// All lists by a scan over all ranges.
async fn read_all(gateways: &Gateways) -> Result<BTreeMap<u64, Vec<u64>>, String> {
    let mut rng = Rng::new(0);
    for _ in 0..100 {
        let work = |gateway: Gateway| -> BoxFuture<'static, txn::Result<_>> {
            Box::pin(async move {
                let mut txn = gateway.client.begin();
                let lists = scan(&mut txn, Span::prefix(PREFIX)).await?;
                txn.commit().await?;
                Ok(lists)
            })
        };
        if let Some(found) = gateways.run(0, &mut rng, judge, work).await.value {
            let mut lists: BTreeMap<u64, Vec<u64>> = (0..KEYS).map(|key| (key, Vec::new())).collect();
            lists.extend(found);
            return Ok(lists);
        }
        gateways.clock.sleep(Duration::from_millis(200)).await;
    }
    Err("the cluster did not recover: the final scan was never answered".to_owned())
}
