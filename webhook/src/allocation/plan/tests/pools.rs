//! Tests of the addresses of pools: the mode address-pool.

use super::*;

#[test]
fn services_get_free_addresses_on_the_nodes_with_the_fewest() {
    let mut cluster = Cluster::new();
    cluster.service("web");
    cluster.service("dns");
    cluster.lease("192.0.2.16", "old", ("a", Some("b")), State::Accepted);
    cluster.service("old").publish(&[address("192.0.2.16")]);
    let expected = ["propose 192.0.2.17 for dns to b/c", "propose 192.0.2.18 for web to c/a"];
    assert_eq!(cluster.steps(), expected);
}

#[test]
fn an_address_is_published_once_its_node_has_accepted_it() {
    let mut cluster = Cluster::new();
    cluster.service("web");
    cluster.lease("192.0.2.16", "web", ("a", Some("b")), State::Proposed);
    assert_eq!(cluster.steps(), [""; 0]);
    cluster.lease("192.0.2.16", "web", ("a", Some("b")), State::Accepted);
    assert_eq!(cluster.steps(), ["publish [192.0.2.16] of web"]);
    cluster.service("web").publish(&[address("192.0.2.16")]);
    assert_eq!(cluster.steps(), [""; 0]);
}

#[test]
fn an_address_that_is_being_proposed_is_not_proposed_again() {
    let mut cluster = Cluster::new();
    cluster.service("web");
    cluster.service("web2");
    cluster.pending.insert(address("192.0.2.16"), "uid-web".to_owned());
    assert_eq!(cluster.steps(), ["propose 192.0.2.17 for web2 to a/b"]);
}

#[test]
fn a_service_that_lost_its_lease_gets_the_address_of_its_status_again() {
    let mut cluster = Cluster::new();
    cluster.service("web").publish(&[address("192.0.2.18")]);
    assert_eq!(cluster.steps(), ["propose 192.0.2.18 for web to a/b"], "and its status stays");
}

#[test]
fn an_address_in_use_is_reported_and_replaced_and_released_after_the_quarantine() {
    let mut cluster = Cluster::new();
    cluster.service("web");
    cluster.lease("192.0.2.16", "web", ("a", Some("b")), State::Refused);
    assert_eq!(cluster.steps(), ["propose 192.0.2.17 for web to b/c"]);
    let expected = "a device with MAC address 02:00:00:00:00:99 uses address 192.0.2.16; the Service gets \
                    another address; remove 192.0.2.16 from its AddressPool";
    assert_eq!(cluster.problems(), [expected]);
    cluster.converge();
    cluster.seconds += 599;
    assert_eq!(cluster.steps(), [""; 0]);
    cluster.seconds += 1;
    assert_eq!(cluster.steps(), ["release 192.0.2.16"]);
}

#[test]
fn a_requested_address_in_use_is_not_replaced() {
    let mut cluster = Cluster::new();
    cluster.service("web").requested = Ok(vec![address("192.0.2.19")]);
    assert_eq!(cluster.steps(), ["propose 192.0.2.19 for web to a/b"]);
    cluster.lease("192.0.2.19", "web", ("a", Some("b")), State::Refused);
    assert_eq!(cluster.steps(), [""; 0]);
    assert!(cluster.problems()[0].contains("request another address, or remove the device"));
}

#[test]
fn requests_that_cannot_be_met_say_why() {
    let mut cluster = Cluster::new();
    cluster.lease("192.0.2.16", "other", ("a", Some("b")), State::Accepted);
    cluster.service("other").publish(&[address("192.0.2.16")]);
    for (requested, expected) in [
        (Err("web".to_owned()), "the requested address \"web\" is not an IP address"),
        (Ok(vec![address("192.0.2.16")]), "the requested address 192.0.2.16 belongs to another"),
        (Ok(vec![address("192.0.2.99")]), "192.0.2.99 is in no AddressPool for namespace shop"),
    ] {
        cluster.service("web").requested = requested;
        let problems = cluster.problems();
        assert!(problems.len() == 1 && problems[0].contains(expected), "{problems:?}");
        assert_eq!(cluster.steps(), [""; 0]);
    }
}

#[test]
fn without_a_pool_an_address_or_a_speaker_the_reason_is_named() {
    let mut cluster = Cluster::new();
    for name in ["a", "b", "c", "d", "e"] {
        cluster.service(name);
    }
    let expected =
        "all IPv4 addresses of AddressPool lan are assigned; add addresses, or delete a Service";
    assert_eq!(cluster.problems(), [expected]);
    cluster.pool("lan", &json!({"addresses": ["192.0.2.16/30"], "autoAssign": false}));
    let none = "no AddressPool assigns IPv4 addresses automatically to namespace shop; create one, \
                or see spec.autoAssign and spec.namespaceSelector";
    assert_eq!(cluster.problems(), [none; 5]);
    cluster.pool("lan", &json!({"addresses": ["192.0.2.16/24"]}));
    assert!(cluster.problems()[0].contains("AddressPool lan cannot be used: spec.addresses"));
    let mut cluster = Cluster::new();
    cluster.service("web");
    ["a", "b", "c"].into_iter().for_each(|name| cluster.down(name));
    assert!(cluster.problems()[0].contains("no node can answer for addresses of AddressPool lan"));
}

#[test]
fn selectors_choose_the_pool_of_a_namespace_and_the_nodes_of_a_pool() {
    let mut cluster = Cluster::new();
    cluster.pool(
        "lan",
        &json!({
            "addresses": ["192.0.2.16"], "namespaceSelector": {"matchLabels": {"team": "db"}},
        }),
    );
    cluster.pool(
        "web",
        &json!({
            "addresses": ["192.0.2.40"], "nodeSelector": {"matchLabels": {"edge": "yes"}},
        }),
    );
    let labels = |key: &str, value: &str| Labels::from([(key.to_owned(), value.to_owned())]);
    cluster.nodes.get_mut(&node("c")).unwrap().labels = labels("edge", "yes");
    cluster.service("web");
    assert_eq!(cluster.steps(), ["propose 192.0.2.40 for web to c/-"]);
    cluster.namespaces.insert("shop".to_owned(), labels("team", "db"));
    assert_eq!(cluster.steps(), ["propose 192.0.2.16 for web to a/b"]);
    let excluded = labels(fastrak_api::names::kubernetes::EXCLUDE_BALANCERS, "");
    cluster.nodes.get_mut(&node("a")).unwrap().labels = excluded.clone();
    assert_eq!(cluster.steps(), ["propose 192.0.2.16 for web to b/c"]);
    for name in ["b", "c"] {
        cluster.nodes.get_mut(&node(name)).unwrap().labels = excluded.clone();
    }
    assert_eq!(cluster.steps(), ["propose 192.0.2.16 for web to a/b"], "there is no other");
}

#[test]
fn a_clock_that_jumps_back_delays_no_step() {
    let mut cluster = Cluster::new();
    cluster.service("web");
    cluster.lease("192.0.2.16", "web", ("a", Some("b")), State::Proposed);
    cluster.seconds -= 60;
    assert_eq!(cluster.steps(), [""; 0], "clocks of nodes differ");
    cluster.seconds -= 1;
    assert_eq!(cluster.steps(), ["assign 192.0.2.16 to b/c"]);
    cluster.lease("192.0.2.16", "web", ("b", Some("c")), State::Proposed);
    assert_eq!(cluster.steps(), [""; 0], "the new time is by the new clock");
}

#[test]
fn a_service_of_two_families_gets_an_address_of_each() {
    let mut cluster = Cluster::new();
    cluster.service("web").families = vec![false, true];
    assert_eq!(cluster.steps(), ["propose 192.0.2.16 for web to a/b"]);
    assert_eq!(cluster.problems(), [""; 0], "one is enough");
    cluster.service("web").needs_all_families = true;
    assert!(cluster.problems()[0].contains("no AddressPool assigns IPv6 addresses"));
    cluster.pool("lan6", &json!({"addresses": ["2001:db8::/120"]}));
    cluster.converge();
    let expected = [address("2001:db8::"), address("192.0.2.16")];
    assert_eq!(cluster.service("web").published, expected);
}

#[test]
fn an_address_is_released_after_it_has_left_the_status() {
    let mut cluster = Cluster::new();
    cluster.lease("192.0.2.16", "web", ("a", Some("b")), State::Accepted);
    cluster.service("web").publish(&[address("192.0.2.16")]);
    cluster.service("web").decided = None;
    assert_eq!(cluster.steps(), ["publish [] of web"]);
    cluster.service("web").publish(&[]);
    assert_eq!(cluster.steps(), ["release 192.0.2.16"]);
    cluster.services.clear();
    assert_eq!(cluster.steps(), ["release 192.0.2.16"], "its Service is deleted");
}

#[test]
fn a_new_request_replaces_the_address() {
    let mut cluster = Cluster::new();
    cluster.service("web");
    cluster.converge();
    cluster.service("web").requested = Ok(vec![address("192.0.2.19")]);
    cluster.converge();
    assert_eq!(cluster.service("web").published, [address("192.0.2.19")]);
    assert_eq!(cluster.leases.keys().collect::<Vec<_>>(), [&address("192.0.2.19")]);
    // A request that cannot be read changes nothing.
    cluster.service("web").requested = Err("x".to_owned());
    assert_eq!(cluster.steps(), [""; 0]);
}

#[test]
fn nodes_whose_speaker_is_down_are_replaced() {
    let mut cluster = Cluster::new();
    cluster.lease("192.0.2.16", "web", ("a", Some("b")), State::Accepted);
    cluster.service("web").publish(&[address("192.0.2.16")]);
    cluster.down("a");
    assert_eq!(cluster.steps(), [""; 0], "the standby takes over");
    cluster.down("b");
    assert_eq!(cluster.steps(), ["assign 192.0.2.16 to c/-"]);
    cluster.speakers.insert(node("a"), Agent::Ready);
    assert_eq!(cluster.steps(), ["assign 192.0.2.16 to a/c"], "only the standby is replaced");
    cluster.speakers.insert(node("b"), Agent::Starting);
    assert_eq!(cluster.steps(), [""; 0], "its pod restarts");
}

#[test]
fn an_address_without_a_standby_gets_one_when_a_node_joins() {
    let mut cluster = Cluster::new();
    cluster.speakers.retain(|name, _| *name == node("a"));
    cluster.service("web");
    cluster.converge();
    assert_eq!(cluster.leases[&address("192.0.2.16")].assignment.standby, None);
    cluster.speakers.insert(node("b"), Agent::Ready);
    assert_eq!(cluster.steps(), ["assign 192.0.2.16 to a/b"]);
}

#[test]
fn a_proposal_that_is_not_accepted_in_time_goes_to_another_node() {
    let mut cluster = Cluster::new();
    cluster.service("web");
    cluster.lease("192.0.2.16", "web", ("a", Some("b")), State::Proposed);
    cluster.seconds += 10;
    assert_eq!(cluster.steps(), ["assign 192.0.2.16 to b/c"]);
    let expected = "the speaker of node a has not accepted address 192.0.2.16 within 10s; see \
                    the log of its pod";
    assert_eq!(cluster.problems(), [expected]);
}

#[test]
fn a_request_of_one_family_leaves_the_other_to_the_pools() {
    let mut cluster = Cluster::new();
    cluster.pool("lan6", &json!({"addresses": ["2001:db8::/120"]}));
    cluster.service("web").families = vec![true, false];
    cluster.service("web").requested = Ok(vec![address("192.0.2.19")]);
    cluster.converge();
    let expected = [address("192.0.2.19"), address("2001:db8::")];
    assert_eq!(cluster.service("web").published, expected);
}

#[test]
fn a_service_that_loses_the_record_of_its_address_keeps_it_by_its_lease() {
    let mut cluster = Cluster::new();
    cluster.service("web");
    cluster.converge();
    cluster.service("web").lose_record();
    assert_eq!(cluster.steps(), [""; 0]);
    cluster.service("web").decided = None;
    assert_eq!(cluster.steps(), ["publish [] of web"]);
    // The Lease of another Service shows nothing.
    cluster.leases.clear();
    cluster.lease("192.0.2.16", "other", ("a", None), State::Accepted);
    assert_eq!(cluster.steps(), [""; 0]);
}

#[test]
fn nodes_of_a_pool_that_cannot_be_used_any_more_still_match_its_selector() {
    let mut cluster = Cluster::new();
    for name in ["b", "c"] {
        let labels = &mut cluster.nodes.get_mut(&node(name)).unwrap().labels;
        labels.insert("rack".to_owned(), "1".to_owned());
    }
    let selector = json!({"matchLabels": {"rack": "1"}});
    cluster.pool("lan", &json!({"addresses": ["192.0.2.16/30"], "nodeSelector": selector}));
    cluster.service("web");
    cluster.converge();
    assert_eq!(cluster.leases[&address("192.0.2.16")].assignment.holder, node("b"));
    // A node joins with an address of the pool, so the pool cannot be used.
    let info = NodeInfo { addresses: vec![address("192.0.2.19")], ..NodeInfo::default() };
    cluster.nodes.insert(node("d"), info);
    cluster.remove("b");
    assert_eq!(cluster.steps(), ["assign 192.0.2.16 to c/-"]);
}

#[test]
fn a_service_waits_for_a_speaker_that_starts() {
    let mut cluster = Cluster::new();
    cluster.service("web");
    ["b", "c"].into_iter().for_each(|name| cluster.down(name));
    cluster.speakers.insert(node("a"), Agent::Starting);
    assert_eq!((cluster.steps(), cluster.problems()), (vec![], vec![]));
    cluster.down("a");
    assert!(cluster.problems()[0].contains("no node can answer"));
}

#[test]
fn a_station_that_answers_for_every_address_stops_the_choice() {
    let mut cluster = Cluster::new();
    cluster.service("web");
    for last in 16..19 {
        cluster.lease(&format!("192.0.2.{last}"), "web", ("a", Some("b")), State::Refused);
    }
    assert_eq!(cluster.steps(), [""; 0]);
    assert!(cluster.problems().iter().any(|text| text.contains("look for a proxy of ARP")));
}

#[test]
fn a_published_address_is_kept_when_a_new_holder_refuses_it() {
    let mut cluster = Cluster::new();
    cluster.lease("192.0.2.16", "web", ("c", None), State::Refused);
    cluster.service("web").publish(&[address("192.0.2.16")]);
    cluster.lease("192.0.2.16", "web", ("c", Some("b")), State::Refused);
    assert_eq!(cluster.steps(), [""; 0]);
    assert!(!cluster.plan().problems[0].1.is_blocking(), "the Service has the address");
    cluster.seconds += 60;
    assert_eq!(cluster.steps(), ["assign 192.0.2.16 to a/b"]);
    ["a", "b"].into_iter().for_each(|name| cluster.down(name));
    assert_eq!(cluster.steps(), ["assign 192.0.2.16 to c/- again"], "no other node can answer");
    cluster.down("c");
    assert_eq!(cluster.steps(), [""; 0]);
}

#[test]
fn a_node_that_is_removed_from_the_cluster_loses_its_addresses() {
    let mut cluster = Cluster::new();
    cluster.service("web").publish(&[address("192.0.2.16")]);
    cluster.lease("192.0.2.16", "web", ("a", Some("b")), State::Accepted);
    cluster.down("a");
    assert_eq!(cluster.steps(), [""; 0], "the standby takes over if the node does not answer");
    cluster.remove("a");
    assert_eq!(cluster.steps(), ["assign 192.0.2.16 to b/c"]);
    cluster.converge();
    cluster.remove("c");
    assert_eq!(cluster.steps(), [""; 0], "there is no other standby");
}

#[test]
fn a_service_waits_for_the_address_of_one_that_is_gone() {
    for requested in [vec![], vec![address("192.0.2.16")]] {
        let mut cluster = Cluster::new();
        cluster.pool("lan", &json!({"addresses": ["192.0.2.16"]}));
        cluster.service("old");
        cluster.converge();
        cluster.services.remove(&key("old"));
        cluster.service("new").requested = Ok(requested.clone());
        cluster.service("other");
        assert_eq!(cluster.steps(), ["release 192.0.2.16"]);
        let problems = cluster.problems();
        assert!(problems.len() == 1 && problems[0].starts_with("all IPv4"), "{problems:?}");
        cluster.converge();
        assert_eq!(cluster.service("new").published, [address("192.0.2.16")]);
    }
}

#[test]
fn of_two_addresses_of_a_family_the_published_one_is_kept() {
    let mut cluster = Cluster::new();
    cluster.lease("192.0.2.16", "web", ("a", Some("b")), State::Accepted);
    cluster.lease("192.0.2.17", "web", ("a", Some("b")), State::Accepted);
    cluster.service("web").publish(&[address("192.0.2.17")]);
    let Plan { steps, .. } = cluster.plan();
    assert!(matches!(&steps[..], [Step::Release { is_duplicate: true, .. }]), "{steps:?}");
    assert_eq!(cluster.steps(), ["release 192.0.2.16"]);
}

#[test]
fn a_published_address_without_a_lease_is_reserved_for_its_service() {
    let mut cluster = Cluster::new();
    cluster.service("a").requested = Ok(vec![address("192.0.2.16")]);
    cluster.service("web").publish(&[address("192.0.2.16")]);
    assert_eq!(cluster.steps(), ["propose 192.0.2.16 for web to a/b"]);
    ["a", "b", "c"].into_iter().for_each(|name| cluster.down(name));
    assert_eq!(cluster.steps(), [""; 0], "its status stays until a speaker is Ready");
}

#[test]
fn a_lease_that_cannot_be_read_is_not_in_the_way() {
    let mut cluster = Cluster::new();
    cluster.service("web");
    cluster.occupied.insert(address("192.0.2.16"));
    assert_eq!(cluster.steps(), ["propose 192.0.2.17 for web to a/b"]);
}

#[test]
fn a_pool_whose_nodes_have_no_speaker_is_skipped() {
    let mut cluster = Cluster::new();
    cluster.pool(
        "first",
        &json!({
            "addresses": ["192.0.2.40"], "nodeSelector": {"matchLabels": {"rack": "1"}},
        }),
    );
    cluster.service("web");
    assert_eq!(cluster.steps(), ["propose 192.0.2.16 for web to a/b"]);
}

#[test]
fn an_address_stays_when_its_pool_shrinks() {
    let mut cluster = Cluster::new();
    cluster.service("web");
    cluster.converge();
    cluster.pool("lan", &json!({"addresses": ["192.0.2.40"]}));
    assert_eq!(cluster.steps(), [""; 0]);
}

proptest! {
    /// However Services, speakers and Leases change, the plans end, and then each address has one
    /// Service and each Service that can have an address has one.
    #[test]
    fn plans_end_with_each_address_at_one_service(
        services in prop::collection::vec((0_u8..6, any::<bool>(), 0_u8..5), 0..6),
        leases in prop::collection::vec((16_u8..20, 0_u8..6, 0_u8..3, 0_u8..3, 0_u8..2), 0..4),
        down in 0_u8..3,
    ) {
        let mut cluster = Cluster::new();
        for (number, wants, requested) in services {
            let service = cluster.service(&format!("s{number}"));
            service.decided = wants.then_some(Mode::AddressPool);
            let text = format!("192.0.2.{}", 15 + requested);
            service.requested = Ok(if requested == 0 { vec![] } else { vec![address(&text)] });
        }
        let name = |number: u8| ["a", "b", "c"][usize::from(number)];
        for (last, service, holder, standby, state) in leases {
            let state = [State::Proposed, State::Accepted][usize::from(state)];
            let nodes = (name(holder), Some(name(standby)));
            cluster.lease(&format!("192.0.2.{last}"), &format!("s{service}"), nodes, state);
        }
        cluster.down(name(down));
        // The speakers accept what is proposed.
        for _ in 0..3 {
            cluster.converge();
            let down = node(name(down));
            for lease in cluster.leases.values_mut() {
                lease.assignment.state = State::Accepted;
                let Assignment { holder, standby, .. } = &mut lease.assignment;
                if let Some(standby) = standby.as_mut().filter(|_| *holder == down) {
                    std::mem::swap(holder, standby);
                }
            }
        }
        cluster.converge();
        let mut seen = std::collections::BTreeSet::new();
        let problems: std::collections::BTreeSet<_> =
            cluster.plan().problems.into_iter().map(|(key, _)| key).collect();
        for service in cluster.services.values() {
            for at in &service.published {
                prop_assert!(seen.insert(*at), "{at} is published twice");
                prop_assert_eq!(&cluster.leases[at].owner.uid, &service.uid);
            }
            let is_served = !service.published.is_empty() || problems.contains(&service.key);
            prop_assert_eq!(is_served, service.needs_address(), "{:?}", service.key);
        }
        for lease in cluster.leases.values() {
            prop_assert_ne!(&lease.assignment.holder, &node(name(down)), "{:?}", lease);
        }
    }
}
