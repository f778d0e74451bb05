//! `list-append` below SQL: the same history, straight on `txn::Txn`. Many times faster, so it gets many more seeds.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base::{BoxFuture, Rng, Runtime, Span};
use bytes::Bytes;
use parking_lot::Mutex;
use txn::{LockMode, ScanRequest, TxnClient, WaitPolicy};

use super::{
    Gateway, Gateways, Workload, client,
    list_append::{KEYS, State, draw, parse},
};
use crate::{
    check::{self, Anomaly},
    history::{Outcome, Step},
};

#[derive(Default)]
pub struct KvAppend {
    state: Arc<Mutex<State>>,
}

/// Table 200 of a catalog that does not exist.
const PREFIX: &[u8] = &[0x10, 0, 0, 0, 200];

fn key(of: u64) -> Bytes {
    let mut key = PREFIX.to_vec();
    base::keycode::put_u64(&mut key, of);
    key.into()
}

impl Workload for KvAppend {
    fn setup(&self, gateways: Gateways) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(async move {
            for at in [3, 9] {
                split(&gateways, key(at)).await?;
            }
            Ok(())
        })
    }

    fn split(&self, gateways: Gateways, mut rng: Rng) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let _ = split(&gateways, key(rng.below(KEYS))).await;
        })
    }

    fn operate(&self, gateways: Gateways, process: u32, mut rng: Rng) -> BoxFuture<'static, ()> {
        let state = self.state.clone();
        Box::pin(async move {
            let steps = draw(&mut state.lock(), process, &mut rng);
            let index = state.lock().history.begin(process, gateways.now(), steps.clone());
            let (work, locking) = (steps.clone(), rng.chance(1, 2));
            let attempt = gateways
                .run(process, &mut rng, judge, move |gateway| Box::pin(transact(gateway.client, work, locking)))
                .await;
            state.lock().history.end(index, gateways.now(), attempt.outcome, attempt.value.unwrap_or(steps));
        })
    }

    fn finish(&self, gateways: Gateways) -> BoxFuture<'static, Result<Vec<Anomaly>, String>> {
        let state = self.state.clone();
        Box::pin(async move {
            let lists = read_all(&gateways).await?;
            Ok(check::list_append::check(&state.lock().history, &lists))
        })
    }

    fn counts(&self) -> (u64, u64, u64) {
        client::counts(&self.state.lock().history)
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
    }
}

/// All lists by a scan over all ranges.
async fn read_all(gateways: &Gateways) -> Result<BTreeMap<u64, Vec<u64>>, String> {
    let mut rng = Rng::new(0);
    for _ in 0..100 {
        let scan = |gateway: Gateway| -> BoxFuture<'static, txn::Result<_>> {
            Box::pin(async move {
                let mut txn = gateway.client.begin();
                let mut request = ScanRequest { span: Span::prefix(PREFIX), ..ScanRequest::default() };
                let mut rows = Vec::new();
                loop {
                    let page = txn.scan(&request).await?;
                    rows.extend(page.rows);
                    match page.resume {
                        Some(rest) => request.span = rest,
                        None => break,
                    }
                }
                txn.commit().await?;
                Ok(rows)
            })
        };
        if let Some(rows) = gateways.run(0, &mut rng, judge, scan).await.value {
            let mut lists: BTreeMap<u64, Vec<u64>> = (0..KEYS).map(|key| (key, Vec::new())).collect();
            for (key, list) in rows {
                let of = base::keycode::take_u64(&mut &key[PREFIX.len()..]).map_err(|_| "a foreign key".to_owned())?;
                lists.insert(of, parse(&String::from_utf8_lossy(&list)));
            }
            return Ok(lists);
        }
        gateways.clock.sleep(Duration::from_millis(200)).await;
    }
    Err("the cluster did not recover: the final scan was never answered".to_owned())
}
