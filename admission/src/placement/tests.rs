use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn nodes(count: usize) -> BTreeMap<NodeName, NodeInfo> {
    let good = NodeInfo { availability: Availability::Open, ..NodeInfo::default() };
    (0..count).map(|n| (NodeName::parse(&format!("node-{n}")).unwrap(), good.clone())).collect()
}

fn key(text: &str) -> Key {
    Key { text: text.to_owned(), shared: false }
}

fn claim(name: &str) -> Claim {
    Claim { namespace: "shop".to_owned(), name: name.to_owned(), ..Claim::default() }
}

#[test]
fn claims_of_one_replica_share_their_key() {
    for (name, text, shared) in [
        ("data-web-0", "replica/shop/web-0", true),
        ("log-web-0", "replica/shop/web-0", true),
        ("data-my-web-12", "replica/shop/web-12", true),
        ("log-my-web-12", "replica/shop/web-12", true),
        ("data", "claim/shop/data", false),
        ("web-0", "claim/shop/web-0", false),
        ("data-web-x0", "claim/shop/data-web-x0", false),
        ("data-web-", "claim/shop/data-web-", false),
        ("-web-0", "claim/shop/-web-0", false),
    ] {
        assert_eq!(Key::of(&claim(name), "r"), Key { text: text.to_owned(), shared }, "{name}");
    }
}

#[test]
fn claims_of_one_pod_share_its_uid() {
    let owned = Claim { owner_pod: Some("uid-1".to_owned()), ..claim("pod-data-0") };
    assert_eq!(Key::of(&owned, "r"), Key { text: "pod/uid-1".to_owned(), shared: true });
}

#[test]
fn generated_names_differ_by_request() {
    let nameless = Claim { generate_name: "scratch-".to_owned(), ..claim("") };
    assert_ne!(Key::of(&nameless, "r1"), Key::of(&nameless, "r2"));
}

#[test]
fn without_a_node_there_is_no_choice() {
    assert_eq!(choose(&key("a"), nodes(0).iter()), None);
}

#[test]
fn a_node_that_not_all_pods_tolerate_is_the_last_resort_and_one_that_takes_none_is_no_choice() {
    let mut nodes = nodes(3);
    for (name, node) in &mut nodes {
        if name.as_str() != "node-1" {
            node.availability = Availability::Tainted;
        }
    }
    for n in 0..50 {
        assert_eq!(choose(&key(&n.to_string()), nodes.iter()).unwrap().as_str(), "node-1");
    }
    for node in nodes.values_mut() {
        node.availability = Availability::Tainted;
    }
    assert!(choose(&key("a"), nodes.iter()).is_some());
    for node in nodes.values_mut() {
        node.availability = Availability::Unavailable;
    }
    assert_eq!(choose(&key("a"), nodes.iter()), None);
}

#[test]
fn claims_are_spread_evenly() {
    let nodes = nodes(5);
    let mut counts = BTreeMap::<_, u32>::new();
    for n in 0..5000 {
        *counts.entry(choose(&key(&n.to_string()), nodes.iter()).unwrap()).or_default() += 1;
    }
    // Five standard deviations of a fair draw: 1000 ± 5 × 28.
    assert!(
        counts.len() == 5 && counts.values().all(|count| (860..=1140).contains(count)),
        "{counts:?}"
    );
}

proptest! {
    #[test]
    fn when_a_node_goes_only_its_own_keys_move(text in "[a-z]{1,8}", count in 2usize..8, gone in 0usize..8) {
        let mut nodes = nodes(count);
        let before = choose(&key(&text), nodes.iter()).unwrap().clone();
        let gone = NodeName::parse(&format!("node-{}", gone % count)).unwrap();
        nodes.remove(&gone);
        let after = choose(&key(&text), nodes.iter()).unwrap();
        prop_assert!(before == gone || before == *after);
    }
}
