//! Who waits for whom: a graph of sessions laid out in columns, those that hold everybody up on the left.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// Names of the vertices with their places: column, then row.
    pub places: BTreeMap<String, (usize, usize)>,
    /// Waiter, holder.
    pub edges: Vec<(String, String)>,
    /// Vertices that wait for each other in a circle.
    pub circle: BTreeSet<String>,
}

impl Graph {
    pub fn new(waits: impl IntoIterator<Item = (String, String)>) -> Graph {
        let mut edges: Vec<(String, String)> = waits.into_iter().filter(|(waiter, holder)| waiter != holder).collect();
        edges.sort();
        edges.dedup();
        let mut distance: BTreeMap<String, usize> = BTreeMap::new();
        for (waiter, holder) in &edges {
            distance.insert(waiter.clone(), 0);
            distance.insert(holder.clone(), 0);
        }
        let waiters = edges.iter().map(|(waiter, _)| waiter);
        let circle: BTreeSet<String> = waiters.filter(|name| reaches(&edges, name, name)).cloned().collect();
        // The longest way to somebody who does not wait. Ways within circles have no end and do not count.
        for _ in 0..distance.len() {
            for (waiter, holder) in &edges {
                let in_circle = circle.contains(waiter) && circle.contains(holder);
                if !in_circle && distance[waiter] <= distance[holder] {
                    distance.insert(waiter.clone(), distance[holder] + 1);
                }
            }
        }
        let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
        let places = distance.into_iter().map(|(name, column)| {
            let row = rows.entry(column).or_default();
            *row += 1;
            (name, (column, *row - 1))
        });
        Graph { places: places.collect(), edges, circle }
    }

    pub fn columns(&self) -> usize {
        self.places.values().map(|(column, _)| column + 1).max().unwrap_or(0)
    }

    pub fn rows(&self) -> usize {
        self.places.values().map(|(_, row)| row + 1).max().unwrap_or(0)
    }
}

/// Whether one waits, by however many steps, for the other.
fn reaches(edges: &[(String, String)], from: &str, to: &str) -> bool {
    let (mut seen, mut todo) = (BTreeSet::new(), vec![from]);
    while let Some(name) = todo.pop() {
        for (_, holder) in edges.iter().filter(|(waiter, _)| waiter == name) {
            if holder == to {
                return true;
            }
            if seen.insert(holder.as_str()) {
                todo.push(holder);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(waits: &[(&str, &str)]) -> Graph {
        Graph::new(waits.iter().map(|(waiter, holder)| ((*waiter).to_owned(), (*holder).to_owned())))
    }

    #[test]
    fn a_chain_is_in_columns() {
        let graph = graph(&[("c", "b"), ("b", "a"), ("d", "a"), ("c", "b")]);
        let column = |name: &str| graph.places[name].0;
        assert_eq!(["a", "b", "d", "c"].map(column), [0, 1, 1, 2]);
        assert_eq!((graph.edges.len(), graph.columns(), graph.rows()), (3, 3, 2));
        assert!(graph.circle.is_empty());
    }

    #[test]
    fn circles_are_found_and_drawn() {
        let graph = graph(&[("a", "b"), ("b", "a"), ("c", "a")]);
        assert_eq!(graph.circle.iter().collect::<Vec<_>>(), ["a", "b"]);
        let places: BTreeSet<_> = graph.places.values().collect();
        assert_eq!(places.len(), 3, "no two in one place");
        assert!(graph.columns() <= 4);
    }

    #[test]
    fn nobody_waits() {
        assert_eq!(graph(&[("a", "a")]), Graph::default());
    }
}
