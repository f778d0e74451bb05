use super::*;

fn plan(nodes: u64, gateways: u64) -> Plan {
    let mut plan = Plan {
        cluster: "demo-test".into(),
        sample_loaded: false,
        insecure: false,
        owner_password: None,
        supervisor: None,
        processes: Vec::new(),
    };
    plan.shape(Path::new("/data"), Some(nodes), Some(gateways)).unwrap();
    plan
}

#[test]
fn every_process_has_a_port_of_its_own_and_keeps_it() {
    let mut plan = plan(3, 2);
    plan.choose_ports(Path::new("/data"), Some("127.0.0.1:0".parse().unwrap()), None).unwrap();
    let ports: Vec<u16> = plan.processes.iter().map(|process| process.addr.port()).collect();
    let mut distinct = ports.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 6);
    assert!(!distinct.contains(&0));
    plan.shape(Path::new("/data"), None, None).unwrap();
    plan.choose_ports(Path::new("/data"), None, None).unwrap();
    assert_eq!(ports, plan.processes.iter().map(|process| process.addr.port()).collect::<Vec<_>>());
}

#[test]
fn commands_name_the_whole_cluster() {
    let mut plan = plan(2, 1);
    plan.choose_ports(Path::new("/data"), Some("127.0.0.1:0".parse().unwrap()), None).unwrap();
    let (one, two) = (plan.processes[0].addr, plan.processes[1].addr);
    let expected = format!(
        "node --id 2 --listen {two} --peers 1={one},2={two} --data /data/node-2 --secrets /data/secrets --cluster demo-test"
    );
    assert_eq!(plan.processes[1].command[1..].join(" "), expected);
    let gateway =
        format!("gateway --sql-addr {} --nodes 1={one},2={two} --secrets /data/secrets", plan.processes[2].addr);
    assert_eq!(plan.processes[2].command[1..].join(" "), gateway + " --cluster demo-test");
    let (page, gateway) = (plan.processes[3].addr, plan.processes[2].addr);
    let expected = format!("web --listen {page} --gateway {gateway} --web-gateway-ca /data/secrets/ca.crt");
    assert_eq!(plan.processes[3].command[1..].join(" "), expected);
}

#[test]
fn urls_carry_the_password_where_one_is_asked_for() {
    let mut plan = plan(1, 1);
    plan.choose_ports(Path::new("/data"), Some("127.0.0.1:0".parse().unwrap()), None).unwrap();
    let addr = plan.processes[1].addr;
    plan.owner_password = Some("secret".into());
    assert_eq!(plan.sql_urls(), [format!("postgresql://locus:secret@{addr}/locus")]);
    plan.insecure = true;
    assert_eq!(plan.sql_urls(), [format!("postgresql://locus@{addr}/locus")]);
}

#[test]
fn the_number_of_nodes_of_existing_data_is_fixed() {
    let mut plan = plan(3, 1);
    assert!(plan.shape(Path::new("/data"), Some(5), None).is_err());
    plan.shape(Path::new("/data"), Some(3), Some(2)).unwrap();
    assert_eq!(plan.processes.len(), 6);
    plan.shape(Path::new("/data"), None, Some(1)).unwrap();
    assert_eq!(plan.processes.len(), 5);
}

#[test]
fn a_port_that_was_taken_meanwhile_is_replaced() {
    let mut plan = plan(1, 1);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    plan.processes[0].addr = taken.local_addr().unwrap();
    plan.choose_ports(Path::new("/data"), Some("127.0.0.1:0".parse().unwrap()), None).unwrap();
    assert_ne!(plan.processes[0].addr, taken.local_addr().unwrap());
}

#[test]
fn an_explicit_port_that_is_taken_is_an_error() {
    let mut plan = plan(1, 1);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(plan.choose_ports(Path::new("/data"), Some(taken.local_addr().unwrap()), None).is_err());
}
