//! Tests of the addresses of nodes: the modes node-ip and auto.

use super::*;
use fastrak_api::names::kubernetes;

const ADDRESSES: [(&str, &str); 3] = [("a", "192.0.2.1"), ("b", "192.0.2.2"), ("c", "192.0.2.3")];

impl Cluster {
    /// The nodes have addresses, and there is no pool.
    pub(super) fn of_nodes() -> Self {
        let mut this = Self { reserved: ReservedPorts::parse("22").unwrap(), ..Self::new() };
        this.pools.clear();
        for (name, at) in ADDRESSES {
            let info = this.nodes.get_mut(&node(name)).unwrap();
            (info.is_ready, info.addresses) = (true, vec![address(at)]);
            info.internal_addresses = info.addresses.clone();
        }
        this
    }

    pub(super) fn on_nodes(&mut self, name: &str, ports: &[u16]) -> &mut AddressService {
        let service = self.service(name);
        service.decided = Some(Mode::NodeIp);
        service.ports = ports.iter().map(|port| (Protocol::Tcp, *port)).collect();
        service
    }

    pub(super) fn published(&self, name: &str) -> Vec<String> {
        self.services[&key(name)].published.iter().map(ToString::to_string).collect()
    }

    fn info(&mut self, name: &str) -> &mut NodeInfo {
        self.nodes.get_mut(&node(name)).unwrap()
    }

    fn host_port(&mut self, pod: &str, on: &str) {
        let ports = HostPorts { node: node(on), ports: vec![(Protocol::Tcp, 80)] };
        self.host_ports.insert(("ingress".to_owned(), pod.to_owned()), ports);
    }
}

#[test]
fn a_service_gets_the_addresses_of_all_nodes_that_accept_its_ports() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80]);
    let expected = [
        "propose 192.0.2.1:80/TCP for web to a as proposed",
        "propose 192.0.2.2:80/TCP for web to b as proposed",
        "propose 192.0.2.3:80/TCP for web to c as proposed",
    ];
    assert_eq!(cluster.steps(), expected);
    cluster.converge();
    assert_eq!(cluster.published("web"), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    assert_eq!(cluster.problems(), [""; 0]);
}

#[test]
fn an_address_that_several_nodes_report_is_given_to_no_service() {
    let mut cluster = Cluster::of_nodes();
    cluster.info("b").internal_addresses = vec![address("192.0.2.1")];
    cluster.on_nodes("web", &[80]);
    cluster.converge();
    assert_eq!(cluster.published("web"), ["192.0.2.3"]);
    assert_eq!(cluster.problems(), [""; 0]);
    cluster.on_nodes("dns", &[53]).requested = Ok(vec![address("192.0.2.1")]);
    cluster.converge();
    assert_eq!(cluster.published("dns"), [""; 0]);
    let expected = "address 192.0.2.1 is the InternalIP of several nodes";
    assert!(cluster.problems()[0].contains(expected), "{:?}", cluster.problems());
}

#[test]
fn an_address_is_published_once_its_node_has_accepted_all_ports() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80, 443]);
    cluster.converge();
    cluster.frontend("192.0.2.1.tcp.443", "web", "a", State::Proposed);
    cluster.frontend("192.0.2.2.tcp.443", "web", "b", State::Refused);
    assert_eq!(cluster.steps(), ["publish [192.0.2.3] of web"]);
    let expected = "the Service does not get the addresses of all nodes: 443/TCP on b: a process \
                    listens on it; free the port to add them";
    assert_eq!(cluster.problems(), [expected]);
    // The speaker finds the port free later.
    cluster.frontend("192.0.2.1.tcp.443", "web", "a", State::Accepted);
    cluster.frontend("192.0.2.2.tcp.443", "web", "b", State::Accepted);
    cluster.converge();
    assert_eq!(cluster.published("web").len(), 3);
}

#[test]
fn of_two_services_with_one_port_the_older_one_gets_it() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80]).created = Some(Timestamp::from_second(1).unwrap());
    cluster.on_nodes("api", &[80]).created = Some(Timestamp::from_second(2).unwrap());
    cluster.converge();
    assert_eq!((cluster.published("web").len(), cluster.published("api").len()), (3, 0));
    let expected = "no node can serve all ports of the Service on its own address: 80/TCP on a, b, \
                    c: Service shop/web has it; free the port, or change spec.ports";
    assert_eq!(cluster.problems(), [expected]);
    cluster.services.remove(&key("web"));
    cluster.converge();
    assert_eq!(cluster.published("api").len(), 3);
    assert!(cluster.frontends.values().all(|lease| lease.owner.key == key("api")));
}

#[test]
fn the_second_service_gets_the_remaining_nodes() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80]).requested = Ok(vec![address("192.0.2.1")]);
    cluster.converge();
    cluster.on_nodes("api", &[80]);
    cluster.converge();
    assert_eq!(cluster.published("web"), ["192.0.2.1"]);
    assert_eq!(cluster.published("api"), ["192.0.2.2", "192.0.2.3"]);
}

#[test]
fn reserved_ports_and_host_ports_are_not_given() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("ssh", &[22]);
    cluster.on_nodes("web", &[80]);
    cluster.host_port("nginx", "b");
    cluster.converge();
    assert_eq!(cluster.published("ssh"), [""; 0]);
    assert_eq!(cluster.published("web"), ["192.0.2.1", "192.0.2.3"]);
    let problems = cluster.problems();
    assert!(problems[0].contains("22/TCP on a, b, c: it is reserved"), "{problems:?}");
    assert!(problems[1].contains("80/TCP on b: pod ingress/nginx has it as hostPort"));
    // A pod that comes later takes its node from the Service.
    cluster.host_port("other", "a");
    cluster.converge();
    assert_eq!(cluster.published("web"), ["192.0.2.3"]);
}

#[test]
fn nodes_that_are_not_ready_are_left_out_unless_all_are() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80]);
    cluster.converge();
    cluster.info("a").is_ready = false;
    cluster.converge();
    assert_eq!(cluster.published("web"), ["192.0.2.2", "192.0.2.3"]);
    for name in ["b", "c"] {
        cluster.info(name).is_ready = false;
    }
    assert_eq!(cluster.steps(), [""; 0]);
    for name in ["a", "b", "c"] {
        cluster.info(name).is_ready = true;
    }
    cluster.converge();
    assert_eq!(cluster.published("web").len(), 3);
}

#[test]
fn excluded_nodes_are_left_out_and_removed_nodes_release_their_frontends() {
    let mut cluster = Cluster::of_nodes();
    let excluded = (kubernetes::EXCLUDE_BALANCERS.to_owned(), String::new());
    cluster.info("a").labels = [excluded].into();
    cluster.on_nodes("web", &[80]);
    cluster.converge();
    assert_eq!(cluster.published("web"), ["192.0.2.2", "192.0.2.3"]);
    cluster.nodes.remove(&node("b"));
    cluster.converge();
    assert_eq!(cluster.published("web"), ["192.0.2.3"]);
    assert_eq!(cluster.frontends.len(), 1);
}

#[test]
fn a_frontend_leaves_the_status_before_it_is_released() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80]);
    cluster.converge();
    cluster.service("web").decided = None;
    assert_eq!(cluster.steps(), ["publish [] of web"]);
    cluster.converge();
    assert!(cluster.frontends.is_empty());
    // A port that the Service no longer has is not forwarded.
    cluster.on_nodes("web", &[80, 443]);
    cluster.converge();
    cluster.on_nodes("web", &[443]);
    let releases =
        ["release 192.0.2.1:80/TCP", "release 192.0.2.2:80/TCP", "release 192.0.2.3:80/TCP"];
    assert_eq!(cluster.steps(), releases);
}

#[test]
fn a_published_address_whose_lease_is_lost_keeps_working() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80]);
    cluster.converge();
    cluster.frontends.remove(&Frontend::of_name("192.0.2.1.tcp.80").unwrap());
    assert_eq!(cluster.steps(), ["propose 192.0.2.1:80/TCP for web to a as accepted"]);
    cluster.converge();
    assert_eq!(cluster.published("web").len(), 3);
}

#[test]
fn a_node_without_a_speaker_and_one_that_does_not_respond_are_named() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80]).requested = Ok(vec![address("192.0.2.1")]);
    cluster.down("a");
    assert!(cluster.problems()[0].contains("80/TCP on a: no speaker is Ready"));
    cluster.frontend("192.0.2.1.tcp.80", "web", "a", State::Proposed);
    assert_eq!(cluster.problems(), [""; 0]);
    cluster.seconds += 11;
    assert!(cluster.problems()[0].contains("the speaker does not respond"));
}

#[test]
fn a_request_for_another_address_is_refused_with_the_reason() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80]).requested = Ok(vec![address("192.0.2.77")]);
    let expected = "the requested address 192.0.2.77 is no InternalIP of a node; request another \
                    address";
    assert_eq!((cluster.steps(), cluster.problems()), (vec![], vec![expected.to_owned()]));
    cluster.on_nodes("web", &[80]).families = vec![false];
    cluster.service("web").requested = Ok(vec![]);
    assert!(cluster.problems()[0].starts_with("no node has an address of the IP families"));
}

#[test]
fn a_port_that_a_service_gives_up_goes_to_one_that_waits_for_it() {
    for gives_up in [
        |service: &mut AddressService| service.ports.retain(|port| port.1 != 443),
        |service: &mut AddressService| service.decided = Some(Mode::AddressPool),
        |service: &mut AddressService| service.requested = Ok(vec![address("192.0.2.3")]),
    ] {
        let mut cluster = Cluster::of_nodes();
        cluster.on_nodes("old", &[80, 443]).created = Some(Timestamp::from_second(1).unwrap());
        cluster.converge();
        cluster.on_nodes("new", &[443]).created = Some(Timestamp::from_second(2).unwrap());
        cluster.converge();
        assert_eq!(cluster.published("new"), [""; 0]);
        gives_up(cluster.service("old"));
        cluster.converge();
        let published = cluster.published("new");
        assert_eq!(published[..2], ["192.0.2.1", "192.0.2.2"], "{published:?}");
    }
}

#[test]
fn a_port_that_a_service_without_a_ready_pod_gives_up_is_released() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("old", &[80, 443]).is_local = true;
    cluster.pods("old", &["a", "b", "c"]);
    cluster.converge();
    cluster.pods("old", &[]);
    cluster.on_nodes("old", &[80]);
    cluster.on_nodes("new", &[443]);
    cluster.converge();
    assert_eq!((cluster.published("old").len(), cluster.published("new").len()), (3, 3));
}

#[test]
fn a_service_that_still_forwards_a_port_is_named_to_one_that_waits_for_it() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("old", &[443]).is_local = true;
    cluster.pods("old", &["a"]);
    cluster.converge();
    cluster.pods("old", &[]);
    cluster.service("old").requested = Ok(vec![address("192.0.2.2")]);
    cluster.on_nodes("new", &[80]).requested = Ok(vec![address("192.0.2.1")]);
    cluster.converge();
    cluster.on_nodes("new", &[80, 443]);
    cluster.converge();
    assert_eq!(
        (cluster.published("old"), cluster.published("new")),
        (vec!["192.0.2.1".into()], vec![])
    );
    assert!(cluster.problems()[0].contains("Service shop/old has it"), "{:?}", cluster.problems());
}

#[test]
fn of_two_services_that_want_the_port_of_the_other_the_older_one_gets_it() {
    let mut cluster = Cluster::of_nodes();
    for (seconds, name, port) in [(1, "old", 80), (2, "new", 443)] {
        cluster.on_nodes(name, &[port]).created = Some(Timestamp::from_second(seconds).unwrap());
    }
    cluster.converge();
    for name in ["old", "new"] {
        cluster.on_nodes(name, &[80, 443]);
    }
    cluster.converge();
    assert_eq!((cluster.published("old").len(), cluster.published("new").len()), (3, 0));
    assert!(cluster.problems()[0].contains("Service shop/old has it"));
}

#[test]
fn a_port_that_a_service_forwards_without_a_lease_is_taken() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("old", &[443]).is_local = true;
    cluster.pods("old", &["a"]);
    cluster.converge();
    cluster.pods("old", &[]);
    cluster.on_nodes("old", &[443, 80]);
    cluster.on_nodes("new", &[80]);
    cluster.converge();
    assert_eq!(cluster.published("old"), ["192.0.2.1"]);
    assert_eq!(cluster.published("new"), ["192.0.2.2", "192.0.2.3"]);
}

#[test]
fn auto_asks_the_pools_if_no_node_can_serve_all_ports() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80, 443]).decided = Some(Mode::Auto);
    for (name, at) in ADDRESSES {
        cluster.frontend(&format!("{at}.tcp.80"), "web", name, State::Accepted);
        cluster.frontend(&format!("{at}.tcp.443"), "web", name, State::Refused);
    }
    assert!(cluster.problems()[0].contains("a process listens on it"));
    cluster.pool("lan", &json!({"addresses": ["192.0.2.16"]}));
    cluster.converge();
    assert_eq!((cluster.published("web"), cluster.frontends.len()), (vec!["192.0.2.16".into()], 0));
}

#[test]
fn services_can_exchange_their_nodes() {
    for is_local in [false, true] {
        let mut cluster = Cluster::of_nodes();
        for (name, at) in [("x", "192.0.2.1"), ("y", "192.0.2.2")] {
            cluster.on_nodes(name, &[443]).requested = Ok(vec![address(at)]);
            cluster.service(name).is_local = is_local;
            cluster.pods(name, &["a", "b"]);
        }
        cluster.converge();
        cluster.service("x").requested = Ok(vec![address("192.0.2.2")]);
        cluster.service("y").requested = Ok(vec![address("192.0.2.1")]);
        cluster.converge();
        assert_eq!(cluster.published("x"), ["192.0.2.2"]);
        assert_eq!(cluster.published("y"), ["192.0.2.1"]);
    }
}

#[test]
fn a_service_that_adds_a_port_keeps_its_addresses() {
    // The speakers are being updated.
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80]);
    cluster.converge();
    ADDRESSES.iter().for_each(|(name, _)| cluster.down(name));
    cluster.on_nodes("web", &[80, 443]);
    assert_eq!(cluster.steps()[0], "propose 192.0.2.1:443/TCP for web to a as accepted");
    cluster.converge();
    assert_eq!(cluster.published("web").len(), 3);

    // Another Service had the port until now, and is deleted or gives it up.
    for is_deleted in [true, false] {
        let mut cluster = Cluster::of_nodes();
        cluster.on_nodes("web", &[80]);
        cluster.on_nodes("old", &[443]);
        cluster.converge();
        cluster.on_nodes("old", &[444]);
        if is_deleted {
            cluster.services.remove(&key("old"));
        }
        cluster.on_nodes("web", &[80, 443]);
        let steps = cluster.steps();
        assert!(steps.iter().all(|step| !step.starts_with("publish")), "{steps:?}");
        let is_released = steps.contains(&"release 192.0.2.1:443/TCP".to_owned());
        assert_eq!(is_released, is_deleted, "the other one has no other port yet: {steps:?}");
        cluster.converge();
        assert_eq!((cluster.published("web").len(), cluster.problems()), (3, vec![]));
    }
}

#[test]
fn nothing_changes_before_the_host_ports_are_known() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80]);
    cluster.converge();
    cluster.info("a").is_ready = false;
    let pools = BTreeMap::new();
    let plan = plan(View { host_ports: None, ..cluster.view(&pools) });
    assert_eq!(plan, Plan::default());
}

#[test]
fn a_service_that_removes_the_record_of_its_addresses_gets_no_other_ports_with_them() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80]);
    cluster.converge();
    for ports in [&[80, 22][..], &[22], &(1..200).collect::<Vec<_>>()] {
        cluster.on_nodes("web", ports).lose_record();
        // The Leases stay as long as the write fails: they show that the addresses are fastrak's.
        assert_eq!(cluster.steps(), ["publish [] of web"]);
        assert_eq!(cluster.problems().len(), 1);
    }
    cluster.service("web").publish(&[]);
    cluster.service("web").is_foreign = false;
    cluster.converge();
    assert!(cluster.frontends.is_empty());
}

#[test]
fn a_service_of_very_many_ports_gets_no_addresses_of_nodes() {
    let mut cluster = Cluster::of_nodes();
    let ports: Vec<u16> = (1000..1101).collect();
    cluster.on_nodes("web", &ports[1..]);
    assert_eq!(cluster.steps().len(), 300);
    cluster.on_nodes("web", &ports);
    let expected = "a Service with more than 100 ports gets no addresses of nodes; divide it, or set \
                    annotation fastrak.io/balancer: address-pool";
    assert_eq!((cluster.steps(), cluster.problems()), (vec![], vec![expected.to_owned()]));
}

#[test]
fn an_address_that_two_nodes_claim_is_given_to_no_service() {
    let mut cluster = Cluster::of_nodes();
    cluster.info("a").internal_addresses = vec![address("192.0.2.3"), address("169.254.1.1")];
    cluster.on_nodes("web", &[80]);
    assert_eq!(cluster.steps(), ["propose 192.0.2.2:80/TCP for web to b as proposed"]);
}

#[test]
fn auto_waits_for_the_speaker_of_a_pool_that_starts() {
    let mut cluster = Cluster::of_nodes();
    let selector = json!({"matchLabels": {"rack": "1"}});
    cluster.pool("lan", &json!({"addresses": ["192.0.2.16"], "nodeSelector": selector}));
    cluster.info("a").labels.insert("rack".to_owned(), "1".to_owned());
    cluster.speakers.insert(node("a"), Agent::Starting);
    cluster.on_nodes("web", &[80]).decided = Some(Mode::Auto);
    assert_eq!(cluster.steps(), [""; 0]);
    cluster.down("a");
    cluster.converge();
    assert_eq!(cluster.published("web"), ["192.0.2.2", "192.0.2.3"]);
}

#[test]
fn auto_prefers_a_pool_and_keeps_what_it_has() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("web", &[80]).decided = Some(Mode::Auto);
    cluster.converge();
    assert_eq!(cluster.published("web").len(), 3, "there is no pool");
    cluster.pool("lan", &json!({"addresses": ["192.0.2.16"]}));
    assert_eq!(cluster.converge(), 0, "what it has is kept");
    cluster.on_nodes("api", &[81]).decided = Some(Mode::Auto);
    cluster.on_nodes("dns", &[82]).decided = Some(Mode::Auto);
    cluster.converge();
    assert_eq!(cluster.published("api"), ["192.0.2.16"]);
    assert_eq!(cluster.published("dns").len(), 3, "the pool is exhausted");
    // A pool that comes before a node has accepted a port is preferred.
    cluster.on_nodes("new", &[83]).decided = Some(Mode::Auto);
    cluster.frontend("192.0.2.1.tcp.83", "new", "a", State::Proposed);
    cluster.pool("more", &json!({"addresses": ["192.0.2.17"]}));
    cluster.converge();
    assert_eq!(cluster.published("new"), ["192.0.2.17"]);
    assert!(cluster.frontends.values().all(|lease| lease.owner.key != key("new")));
    cluster.pools.clear();
    assert_eq!(cluster.converge(), 0, "the address is kept without the pool");
    cluster.service("dns").decided = Some(Mode::AddressPool);
    cluster.converge();
    assert!(cluster.frontends.values().all(|lease| lease.owner.key == key("web")));
}

#[test]
fn auto_that_gets_nothing_says_why_for_nodes_and_for_pools() {
    let mut cluster = Cluster::of_nodes();
    cluster.on_nodes("ssh", &[22]).decided = Some(Mode::Auto);
    assert_eq!(cluster.problems().len(), 1);
    cluster.pool("lan", &json!({"addresses": ["192.0.2.16"], "autoAssign": false}));
    let problems = cluster.problems();
    assert!(problems[0].contains("22/TCP") && problems[1].contains("no AddressPool"));
}

proptest! {
    #[test]
    fn no_frontend_is_published_by_two_services(
        services in proptest::collection::vec(
            (0..6u8, proptest::sample::subsequence(vec![22, 80, 443, 53], 1..3), 0..3usize), 1..12,
        ),
        ready in any::<[bool; 3]>(),
    ) {
        let mut cluster = Cluster::of_nodes();
        cluster.pool("lan", &json!({"addresses": ["192.0.2.16/31"]}));
        for (number, ports, mode) in services {
            let mode = [None, Some(Mode::NodeIp), Some(Mode::Auto)][mode];
            cluster.on_nodes(&format!("s{number}"), &ports).decided = mode;
            for ((name, _), is_ready) in ADDRESSES.iter().zip(ready) {
                cluster.info(name).is_ready = is_ready;
            }
            cluster.converge();
            let mut published = BTreeSet::new();
            for service in cluster.services.values() {
                for address in &service.published {
                    for port in &service.ports {
                        prop_assert!(published.insert((*address, *port)), "{} {:?}", address, port);
                    }
                }
            }
        }
    }
}
