//! Tests of `externalTrafficPolicy: Local`: only nodes that run pods of the Service can serve it.

use super::*;

impl Cluster {
    fn local(&mut self, name: &str) -> &mut AddressService {
        let service = self.service(name);
        service.is_local = true;
        service
    }
}

#[test]
fn the_nodes_of_an_address_are_those_that_run_pods() {
    let mut cluster = Cluster::new();
    cluster.local("web");
    cluster.pods("web", &["b", "c"]);
    assert_eq!(cluster.steps(), ["propose 192.0.2.16 for web to b/c"]);
    cluster.pods("web", &["c"]);
    assert_eq!(cluster.steps(), ["propose 192.0.2.16 for web to c/a"]);
    cluster.pods("web", &[]);
    assert_eq!(
        cluster.steps(),
        ["propose 192.0.2.16 for web to a/b"],
        "the address is known early"
    );
    cluster.service("web").is_local = false;
    cluster.pods("web", &["c"]);
    assert_eq!(cluster.steps(), ["propose 192.0.2.16 for web to a/b"], "any node forwards");
}

#[test]
fn an_address_follows_the_pods() {
    let mut cluster = Cluster::new();
    cluster.local("web").publish(&[address("192.0.2.16")]);
    cluster.lease("192.0.2.16", "web", ("a", Some("b")), State::Accepted);
    for (pods, expected) in [
        (&[][..], None),
        (&["a", "b"], None),
        (&["a"], None),
        (&["a", "c"], Some("assign 192.0.2.16 to a/c")),
        (&["b"], Some("assign 192.0.2.16 to b/c")),
        (&["b", "c"], Some("assign 192.0.2.16 to b/c")),
    ] {
        cluster.pods("web", pods);
        assert_eq!(cluster.steps(), Vec::from_iter(expected), "{pods:?}");
        assert_eq!(cluster.problems(), [""; 0]);
    }
    assert!(cluster.converge() < 3, "the nodes are chosen once");
    assert_eq!(cluster.service("web").published, [address("192.0.2.16")]);
}

#[test]
fn a_proposed_address_moves_only_after_its_node_has_accepted_it() {
    let mut cluster = Cluster::new();
    cluster.local("web");
    cluster.pods("web", &["b"]);
    cluster.lease("192.0.2.16", "web", ("a", Some("b")), State::Proposed);
    assert_eq!(cluster.steps(), [""; 0]);
}

#[test]
fn an_address_stays_at_the_only_node_with_pods_while_its_speaker_does_not_accept_it() {
    for (state, seconds, text) in
        [(State::Proposed, 10, "has not accepted"), (State::Refused, 60, "it is tried again")]
    {
        let mut cluster = Cluster::new();
        cluster.local("web").publish(&[address("192.0.2.16")]);
        cluster.pods("web", &["b"]);
        cluster.lease("192.0.2.16", "web", ("b", Some("a")), state);
        cluster.seconds += seconds;
        let again = (state == State::Refused).then(|| "assign 192.0.2.16 to b/a again".to_owned());
        assert_eq!(cluster.steps(), Vec::from_iter(again), "{state}");
        assert!(cluster.problems()[0].contains(text), "{:?}", cluster.problems());
        assert!(cluster.converge() < 2, "it is proposed once");
        cluster.lease("192.0.2.16", "web", ("b", Some("a")), state);
        cluster.seconds += seconds;
        cluster.pods("web", &["b", "c"]);
        assert_eq!(cluster.steps(), ["assign 192.0.2.16 to c/a"], "c runs a pod too, {state}");
        cluster.pods("web", &["b"]);
        cluster.down("b");
        cluster.down("a");
        assert_eq!(cluster.steps(), ["assign 192.0.2.16 to c/-"], "b is down, {state}");
    }
}

#[test]
fn a_holder_without_pods_is_reported_if_no_other_node_can_answer() {
    let mut cluster = Cluster::new();
    cluster.local("web").publish(&[address("192.0.2.16")]);
    cluster.lease("192.0.2.16", "web", ("a", Some("b")), State::Accepted);
    cluster.pods("web", &["c"]);
    cluster.down("c");
    assert_eq!(cluster.steps(), [""; 0]);
    let problems = cluster.plan().problems;
    let [(_, problem)] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!(problem.reason().as_str(), "AddressUnreachable");
    assert!(problem.to_string().contains("node a answers for 192.0.2.16"), "{problem}");
    assert!(!problem.is_blocking());
}

#[test]
fn the_addresses_of_nodes_are_those_that_run_pods() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80]).is_local = true;
    cluster.pods("web", &["b", "c"]);
    cluster.converge();
    assert_eq!(cluster.published("web"), ["192.0.2.2", "192.0.2.3"]);
    cluster.pods("web", &["a"]);
    cluster.converge();
    assert_eq!(cluster.published("web"), ["192.0.2.1"]);
    assert_eq!(cluster.frontends.len(), 1, "the other nodes are free again");
    cluster.pods("web", &[]);
    assert_eq!((cluster.steps(), cluster.problems()), (vec![], vec![]), "a pod restarts");
}

#[test]
fn the_addresses_of_nodes_stay_until_the_node_of_the_moved_pod_has_accepted_the_ports() {
    let mut cluster = Cluster::of_nodes();
    cluster.pool("lan", &json!({"addresses": ["192.0.2.16/30"], "autoAssign": false}));
    let service = cluster.on_nodes("web", &[80]);
    (service.is_local, service.decided) = (true, Some(Mode::Auto));
    cluster.pods("web", &["a"]);
    cluster.converge();
    cluster.pool("lan", &json!({"addresses": ["192.0.2.16/30"]}));
    cluster.pods("web", &["b"]);
    assert_eq!(cluster.steps(), ["propose 192.0.2.2:80/TCP for web to b as proposed"]);
    cluster.frontend("192.0.2.2.tcp.80", "web", "b", State::Proposed);
    assert_eq!(cluster.steps(), [""; 0]);
    cluster.frontend("192.0.2.2.tcp.80", "web", "b", State::Accepted);
    assert_eq!(cluster.steps(), ["publish [192.0.2.2] of web"]);
    cluster.converge();
    assert_eq!(
        (cluster.published("web"), cluster.frontends.len()),
        (vec!["192.0.2.2".to_owned()], 1)
    );
}

#[test]
fn pods_on_nodes_that_cannot_serve_are_reported() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80]).is_local = true;
    cluster.pods("web", &["a"]);
    let label = fastrak_api::names::kubernetes::EXCLUDE_BALANCERS.to_owned();
    cluster.nodes.get_mut(&node("a")).unwrap().labels = [(label, String::new())].into();
    assert!(
        cluster.problems()[0].contains("no node that runs a ready pod of the Service can serve")
    );
}

#[test]
fn a_service_without_a_ready_pod_waits_and_is_reported_after_a_minute() {
    let mut cluster = Cluster::of_nodes();
    let created = cluster.now();
    let service = cluster.on_nodes("web", &[80]);
    (service.is_local, service.created) = (true, Some(created));
    cluster.seconds += 59;
    assert_eq!((cluster.steps(), cluster.problems()), (vec![], vec![]));
    cluster.seconds += 1;
    assert!(cluster.problems()[0].contains("no pod of the Service is ready"));
    assert_eq!(cluster.steps(), [""; 0]);
}

#[test]
fn nothing_changes_before_the_pods_are_known() {
    for mode in [Mode::AddressPool, Mode::NodeIp, Mode::Auto] {
        let mut cluster = Cluster::of_nodes();
        cluster.pool("lan", &json!({"addresses": ["192.0.2.16/30"]}));
        cluster.local("web").decided = Some(mode);
        cluster.local("old").publish(&[address("192.0.2.17")]);
        let pools = [("lan".to_owned(), Pool::read(&cluster.pools[0].1))].into();
        let pools = check(&pools, &cluster.nodes, &[]);
        let plan = plan(View { endpoints: None, ..cluster.view(&pools) });
        assert_eq!(plan, Plan::default(), "{mode}");
    }
}
