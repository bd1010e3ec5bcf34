//! Tests of addresses that several Services share.

use super::*;

const SHARED: &str = "192.0.2.16";

impl Cluster {
    /// Adds a Service with a key. Services are created one after the other.
    fn sharing(&mut self, name: &str, port: u16) -> &mut AddressService {
        let created = Timestamp::from_second(i64::try_from(self.services.len()).unwrap()).unwrap();
        let service = self.service(name);
        (service.shared, service.created) = (Some("front".to_owned()), Some(created));
        service.ports = vec![(Protocol::Tcp, port)];
        service
    }

    fn address_of(&self, name: &str) -> String {
        let published = &self.services[&key(name)].published;
        published.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    fn addresses(&mut self, names: &[&str]) -> Vec<String> {
        self.converge();
        names.iter().map(|name| self.address_of(name)).collect()
    }
}

#[test]
fn services_with_one_key_and_other_ports_share_an_address() {
    let mut cluster = Cluster::new();
    cluster.sharing("web", 80);
    cluster.sharing("tls", 443);
    assert_eq!(cluster.steps(), ["propose 192.0.2.16 for web to a/b"], "the second waits for it");
    assert_eq!(cluster.addresses(&["web", "tls"]), [SHARED, SHARED]);
    cluster.sharing("udp", 443).ports = vec![(Protocol::Udp, 443)];
    assert_eq!(cluster.addresses(&["web", "tls", "udp"]), [SHARED; 3]);
    assert_eq!((cluster.leases.len(), cluster.problems()), (1, vec![]));
}

#[test]
fn services_that_differ_get_addresses_of_their_own() {
    for change in [
        |service: &mut AddressService| service.shared = None,
        |service: &mut AddressService| service.shared = Some("other".to_owned()),
        |service: &mut AddressService| service.is_local = true,
        |service: &mut AddressService| service.ports = vec![(Protocol::Tcp, 80)],
        |service: &mut AddressService| service.requested = Ok(vec![address("192.0.2.19")]),
    ] {
        let mut cluster = Cluster::new();
        cluster.sharing("web", 80);
        change(cluster.sharing("other", 81));
        let addresses = cluster.addresses(&["web", "other"]);
        assert!(addresses[0] == SHARED && !["", SHARED].contains(&&*addresses[1]), "{addresses:?}");
    }
}

#[test]
fn a_service_that_shares_an_address_and_loses_the_record_of_it_is_still_checked() {
    let mut cluster = Cluster::new();
    cluster.sharing("web", 80);
    cluster.sharing("tls", 443);
    cluster.converge();
    let service = cluster.sharing("tls", 80);
    service.lose_record();
    let steps = cluster.steps();
    assert!(
        steps.iter().any(|step| step.starts_with("publish") && step.ends_with("of tls")),
        "{steps:?}"
    );
}

#[test]
fn a_service_of_another_namespace_does_not_share() {
    let mut cluster = Cluster::new();
    cluster.sharing("web", 80);
    let mut other = cluster.sharing("other", 81).clone();
    cluster.services.remove(&other.key);
    other.key.0 = "garden".to_owned();
    cluster.services.insert(other.key.clone(), other.clone());
    assert_eq!(cluster.steps().len(), 2, "each gets its own");
    cluster.lease(SHARED, "web", ("a", Some("b")), State::Accepted);
    let expected = ["publish [192.0.2.16] of web", "propose 192.0.2.17 for other to b/c"];
    assert_eq!(cluster.steps(), expected);
}

#[test]
fn a_service_that_shares_keeps_its_address_when_another_one_of_the_same_age_comes() {
    let mut cluster = Cluster::new();
    cluster.sharing("web", 80);
    cluster.sharing("tls", 443);
    cluster.converge();
    let created = cluster.services[&key("tls")].created;
    cluster.sharing("clash", 443).created = created;
    assert_eq!(cluster.addresses(&["web", "tls", "clash"]), [SHARED, SHARED, "192.0.2.17"]);
}

#[test]
fn a_refused_lease_does_not_part_services_that_share_its_address() {
    let mut cluster = Cluster::new();
    cluster.sharing("web", 80);
    cluster.sharing("tls", 443);
    cluster.converge();
    cluster.lease(SHARED, "web", ("a", Some("b")), State::Refused);
    assert_eq!(cluster.steps(), [""; 0]);
}

#[test]
fn all_services_that_share_an_address_learn_what_is_wrong_with_it() {
    for (state, reason) in
        [(State::Refused, "AddressInUse"), (State::Proposed, "AddressUnreachable")]
    {
        let mut cluster = Cluster::new();
        cluster.sharing("web", 80);
        cluster.sharing("tls", 443);
        cluster.converge();
        cluster.lease(SHARED, "web", ("a", Some("b")), state);
        cluster.seconds += 10;
        let problems = cluster.plan().problems;
        let seen =
            problems.iter().map(|(key, problem)| (key.1.as_str(), problem.reason().as_str()));
        assert_eq!(Vec::from_iter(seen), [("web", reason), ("tls", reason)], "{problems:?}");
    }
}

#[test]
fn services_that_share_get_their_address_back_when_its_lease_is_lost() {
    for (first, second) in [("web", "tls"), ("tls", "web")] {
        let mut cluster = Cluster::new();
        cluster.sharing(first, 80);
        cluster.sharing(second, 443);
        cluster.converge();
        cluster.leases.clear();
        assert_eq!(cluster.steps(), [format!("propose 192.0.2.16 for {first} to a/b")]);
        assert_eq!(cluster.addresses(&[first, second]), [SHARED, SHARED]);
    }
}

#[test]
fn a_service_with_an_address_joins_no_other_one() {
    let mut cluster = Cluster::new();
    cluster.sharing("web", 80);
    cluster.converge();
    cluster.sharing("own", 81).publish(&[address("192.0.2.18")]);
    assert_eq!(cluster.steps(), ["propose 192.0.2.18 for own to b/c"]);
    let mut cluster = Cluster::of_nodes();
    for (name, port) in [("web", 80), ("tls", 443)] {
        cluster.sharing(name, port).decided = Some(Mode::Auto);
    }
    cluster.converge();
    let on_nodes = cluster.published("tls");
    cluster.pool("lan", &json!({"addresses": ["192.0.2.16/30"]}));
    cluster.sharing("alt", 8080);
    assert_eq!(cluster.addresses(&["alt"]), [SHARED]);
    assert_eq!((on_nodes.len(), cluster.published("tls")), (3, on_nodes));
}

#[test]
fn new_services_that_request_one_address_share_it_without_a_problem() {
    for mode in [Mode::AddressPool, Mode::Auto] {
        let mut cluster = Cluster::new();
        for (name, port) in [("web", 80), ("tls", 443)] {
            let service = cluster.sharing(name, port);
            (service.requested, service.decided) = (Ok(vec![address(SHARED)]), Some(mode));
        }
        assert_eq!(cluster.problems(), [""; 0]);
        assert_eq!(cluster.addresses(&["web", "tls"]), [SHARED, SHARED]);
    }
}

#[test]
fn services_that_no_longer_fit_the_first_one_move_together() {
    let mut cluster = Cluster::new();
    for (name, port) in [("web", 80), ("tls", 443), ("alt", 8080)] {
        cluster.sharing(name, port);
    }
    cluster.converge();
    cluster.services.get_mut(&key("web")).unwrap().shared = None;
    let moved = [SHARED, "192.0.2.17", "192.0.2.17"];
    assert_eq!(cluster.addresses(&["web", "tls", "alt"]), moved);
}

#[test]
fn an_address_is_released_only_once_no_service_of_the_namespace_shows_it() {
    let mut cluster = Cluster::new();
    cluster.sharing("web", 80);
    cluster.sharing("tls", 443);
    cluster.converge();
    cluster.services.remove(&key("web"));
    cluster.services.get_mut(&key("tls")).unwrap().decided = None;
    assert_eq!(cluster.steps(), ["publish [] of tls"]);
    cluster.services.get_mut(&key("tls")).unwrap().publish(&[]);
    assert_eq!(cluster.steps(), ["release 192.0.2.16"]);
}

proptest! {
    /// However Services with keys change, the plans end, and then an address has one Service or those
    /// that share it, each with an address or a problem.
    #[test]
    fn plans_end_with_each_address_at_services_that_share_it(
        before in prop::collection::vec(shape(), 0..5), after in prop::collection::vec(shape(), 0..5),
        is_lost in any::<bool>(),
    ) {
        let mut cluster = Cluster::new();
        for shapes in [before, after] {
            let numbers: BTreeSet<_> = shapes.iter().map(|(number, ..)| *number).collect();
            cluster.services.retain(|(_, name), _| numbers.iter().any(|of| *name == format!("s{of}")));
            for (number, port, shared, is_local, requested) in shapes {
                let service = cluster.service(&format!("s{number}"));
                service.ports = vec![(Protocol::Tcp, port)];
                service.shared = [None, Some("one"), Some("two")][shared].map(str::to_owned);
                service.is_local = is_local;
                let text = format!("192.0.2.{}", 15 + requested);
                service.requested = Ok(if requested == 0 { vec![] } else { vec![address(&text)] });
            }
            cluster.converge();
            if is_lost {
                cluster.leases.clear();
                cluster.converge();
            }
        }
        let problems: BTreeSet<_> =
            cluster.plan().problems.into_iter().map(|(key, _)| key).collect();
        for service in cluster.services.values() {
            let is_served = !service.published.is_empty() || problems.contains(&service.key);
            prop_assert!(is_served, "{:?} has neither", service.key);
            for at in &service.published {
                let owner = &cluster.leases[at].owner.key;
                let is_own = *owner == service.key;
                prop_assert!(is_own || cluster.services[owner].shares_with(service), "{at}");
            }
        }
    }
}

/// A Service: its number, port, key, policy and request.
fn shape() -> impl Strategy<Value = (u8, u16, usize, bool, u8)> {
    (0_u8..4, 80_u16..83, 0_usize..3, prop::bool::weighted(0.2), 0_u8..3)
}

#[test]
fn a_requested_address_can_be_shared() {
    let mut cluster = Cluster::new();
    cluster.sharing("web", 80);
    cluster.converge();
    cluster.sharing("tls", 443).requested = Ok(vec![address(SHARED)]);
    assert_eq!(cluster.addresses(&["tls"]), [SHARED]);
    cluster.sharing("too", 443).requested = Ok(vec![address(SHARED)]);
    assert!(cluster.problems()[0].contains("belongs to another Service"));
}

#[test]
fn the_address_stays_until_the_last_service_is_gone() {
    let mut cluster = Cluster::new();
    for (name, port) in [("web", 80), ("tls", 443), ("alt", 8080)] {
        cluster.sharing(name, port);
    }
    cluster.converge();
    cluster.services.remove(&key("web"));
    assert_eq!(cluster.steps(), ["pass 192.0.2.16 to tls"]);
    assert_eq!(cluster.addresses(&["tls", "alt"]), [SHARED, SHARED]);
    cluster.services.get_mut(&key("tls")).unwrap().decided = None;
    assert_eq!(cluster.addresses(&["tls", "alt"]), ["", SHARED]);
    cluster.services.remove(&key("alt"));
    assert_eq!(cluster.steps(), ["release 192.0.2.16"]);
}

#[test]
fn a_service_whose_ports_or_key_no_longer_fit_moves() {
    for change in [
        |service: &mut AddressService| service.ports = vec![(Protocol::Tcp, 80)],
        |service: &mut AddressService| service.shared = None,
    ] {
        let mut cluster = Cluster::new();
        cluster.sharing("web", 80);
        cluster.sharing("tls", 443);
        cluster.converge();
        change(cluster.services.get_mut(&key("tls")).unwrap());
        assert_eq!(cluster.addresses(&["web", "tls"]), [SHARED, "192.0.2.17"]);
    }
}
