use super::*;

#[test]
fn points_are_read_from_every_workload() {
    let edn = "{:index 0, :type :invoke, :process 3, :f :txn, :value [[:r 1 nil]], :time 10}\n\
               {:index 1, :type :invoke, :process 4, :f :cas, :value [1 [2 3]], :time 11}\n\
               {:index 2 :type :ok :process 3 :f :txn :value [[:r 1 [5]]] :time 20}\n\
               {:index 3, :type :info, :process 4, :f :cas, :value [1 [2 3]], :time 9223372036854775807}\n\
               {:index 4, :type :fail, :process 9, :f :cas, :value nil, :time 30}\n";
    let points = points(edn);
    let shown: Vec<(u64, u64, Ending)> =
        points.iter().map(|point| (point.begin_ns, point.end_ns, point.outcome)).collect();
    assert_eq!(shown, [(10, 20, Ending::Committed), (11, 11, Ending::Unknown)]);
}
