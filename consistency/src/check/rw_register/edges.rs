//! The dependencies that registers reveal.

use super::{Step, local, versions::Versions};
use crate::{
    check::graph::{Builder, Edge, Graph},
    history::{History, Outcome},
};

type Registers = History<Vec<Step>>;

pub fn graph(history: &Registers, versions: &Versions) -> Graph {
    let mut builder = Builder::new(history.operations.len());
    let mut reads: Vec<(u32, u32)> = Vec::new();
    for operation in history.committed() {
        reads
            .extend(local::reads(operation).map(|(key, value)| (versions.version(key, value), operation.index as u32)));
    }
    reads.sort_unstable();
    reads.dedup();
    let mut rest = reads.as_slice();
    for version in 0..versions.list.len() as u32 {
        let count = rest.partition_point(|(of, _)| *of == version);
        let (readers, others) = rest.split_at(count);
        rest = others;
        let key = versions.list[version as usize].0;
        if !versions.is_broken[key as usize] {
            of_version(versions, version, readers, &mut builder);
        }
    }
    builder.add_process_order(history);
    let happened = history.operations.iter().filter(|operation| operation.outcome != Outcome::Aborted);
    let intervals: Vec<(u32, u64, u64)> =
        happened.map(|operation| (operation.index as u32, operation.begin, operation.end)).collect();
    builder.add_real_time(&intervals);
    builder.build()
}

/// From the writer of a version to its readers, and from both to the writers of the versions after it.
fn of_version(versions: &Versions, version: u32, readers: &[(u32, u32)], builder: &mut Builder) {
    let key = versions.list[version as usize].0;
    let readers: Vec<u32> = readers.iter().map(|(_, reader)| *reader).collect();
    let after = versions.order.arcs(version).iter().map(|arc| arc.target);
    let mut next: Vec<u32> =
        after.filter(|later| versions.is_there(*later)).map(|later| versions.writers[later as usize]).collect();
    next.sort_unstable();
    next.dedup();
    if versions.is_there(version) {
        let writer = versions.writers[version as usize];
        readers.iter().for_each(|reader| builder.add(writer, *reader, Edge::WriteRead, key));
        next.iter().for_each(|later| builder.add(writer, *later, Edge::WriteWrite, key));
    }
    builder.add_all_pairs(&readers, &next, Edge::ReadWrite, key);
}
