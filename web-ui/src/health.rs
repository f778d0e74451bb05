//! How the cluster is, in one sentence, and what somebody should do about it.

use crate::{
    format::plural,
    rows::{Row, Rows},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// `good`, `warn` or `bad`: the names of the icons.
    pub kind: &'static str,
    pub word: &'static str,
    pub sentence: String,
    pub concerns: Vec<Concern>,
}

/// Something that needs attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    pub kind: &'static str,
    pub text: String,
    /// The page that shows it.
    pub place: &'static str,
    pub remedy: &'static str,
}

/// From `locus.nodes` and `locus.ranges`.
pub fn health(nodes: &Rows, ranges: &Rows) -> Health {
    let dead: Vec<&str> = nodes
        .iter()
        .filter(|node| node.flag("is_live") == Some(false))
        .filter_map(|node| node.get("node_id"))
        .collect();
    let live = nodes.len() - dead.len();
    let on_dead = |range: &Row<'_>| range.list("replicas").iter().filter(|node| dead.contains(node)).count();
    let lacks_quorum = |range: &Row<'_>| {
        let replicas = range.list("replicas").len();
        replicas > 0 && (replicas - on_dead(range)) * 2 <= replicas
    };
    let lost = ranges.iter().filter(lacks_quorum).count();
    let thin = ranges.iter().filter(|range| on_dead(range) > 0).count() - lost;
    let without_leader = ranges.iter().filter(|range| range.get("leader").is_none() && !lacks_quorum(range)).count();
    let mut concerns = Vec::new();
    let mut add = |kind, text: String, place, remedy| concerns.push(Concern { kind, text, place, remedy });
    if lost > 0 {
        add(
            "bad",
            format!("{} cannot be written or read: too few replicas are up", plural(lost, "range")),
            "ranges",
            "See the ranges",
        );
    }
    for node in &dead {
        add("bad", format!("Node {node} does not answer"), "nodes", "See the nodes");
    }
    if thin > 0 {
        let verb = if thin == 1 { "has a replica" } else { "have replicas" };
        add("warn", format!("{} {verb} on a node that is down", plural(thin, "range")), "ranges", "See the ranges");
    }
    if without_leader > 0 {
        add(
            "warn",
            format!("{} without a leader at the moment", plural(without_leader, "range")),
            "ranges",
            "See the ranges",
        );
    }
    let (kind, word) = match () {
        () if lost > 0 => ("bad", "Data out of reach"),
        () if !dead.is_empty() => ("warn", "Degraded"),
        () if without_leader > 0 => ("warn", "Unsettled"),
        () => ("good", "Healthy"),
    };
    let nodes_said = if dead.is_empty() {
        format!("{} up", plural(live, "node"))
    } else {
        format!("{live} of {} up", plural(nodes.len(), "node"))
    };
    let ranges_said = match ranges.len() - lost {
        available if available == ranges.len() => format!("all {} available", plural(ranges.len(), "range")),
        available => format!("{available} of {} available", plural(ranges.len(), "range")),
    };
    Health { kind, word, sentence: format!("{nodes_said}, {ranges_said}."), concerns }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(columns: &[&str], rows: &[&[&str]]) -> Rows {
        let row = |row: &&[&str]| row.iter().map(|value| (*value != "-").then(|| (*value).to_owned())).collect();
        Rows {
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            rows: rows.iter().map(row).collect(),
            truncated: false,
        }
    }

    fn with(live: [&str; 3], ranges: &[&[&str]]) -> Health {
        let nodes: Vec<[&str; 2]> = ["1", "2", "3"].into_iter().zip(live).map(|(id, live)| [id, live]).collect();
        let nodes: Vec<&[&str]> = nodes.iter().map(|node| &node[..]).collect();
        health(&rows(&["node_id", "is_live"], &nodes), &rows(&["range_id", "leader", "replicas"], ranges))
    }

    #[test]
    fn all_is_well() {
        let health = with(["t", "t", "t"], &[&["1", "1", "{1,2,3}"], &["2", "3", "{1,2,3}"]]);
        assert_eq!((health.word, health.sentence.as_str()), ("Healthy", "3 nodes up, all 2 ranges available."));
        assert!(health.concerns.is_empty());
    }

    #[test]
    fn one_node_is_down() {
        let health = with(["t", "f", "t"], &[&["1", "1", "{1,2,3}"], &["2", "-", "{1,3}"]]);
        assert_eq!((health.kind, health.word), ("warn", "Degraded"));
        assert_eq!(health.sentence, "2 of 3 nodes up, all 2 ranges available.");
        let texts: Vec<&str> = health.concerns.iter().map(|concern| concern.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "Node 2 does not answer",
                "1 range has a replica on a node that is down",
                "1 range without a leader at the moment"
            ]
        );
    }

    #[test]
    fn the_quorum_is_lost() {
        let health = with(["t", "f", "f"], &[&["1", "-", "{1,2,3}"], &["2", "1", "{1}"]]);
        assert_eq!(
            (health.word, health.sentence.as_str()),
            ("Data out of reach", "1 of 3 nodes up, 1 of 2 ranges available.")
        );
        assert_eq!(health.concerns[0].text, "1 range cannot be written or read: too few replicas are up");
    }
}
