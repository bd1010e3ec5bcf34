use super::*;
use crate::allocation::endpoints::{Endpoints, by_service};
use crate::allocation::pools::check;
use fastrak_admission::snapshot::Availability;
use fastrak_api::address_pool::{AddressPool, Pool};
use fastrak_api::assignment::{Assignable as _, Assignment};
use fastrak_api::balancer::Protocol;
use fastrak_api::frontend::{Conflict, FrontendAssignment};
use proptest::prelude::*;
use serde_json::json;

mod frontends;
mod local;
mod pools;
mod sharing;

/// A cluster that a test changes and plans for.
#[derive(Default)]
struct Cluster {
    services: BTreeMap<Key, AddressService>,
    leases: BTreeMap<IpAddr, AddressLease>,
    pending: BTreeMap<IpAddr, String>,
    occupied: BTreeSet<IpAddr>,
    frontends: BTreeMap<Frontend, FrontendLease>,
    host_ports: BTreeMap<Key, HostPorts>,
    endpoints: BTreeMap<Key, Endpoints>,
    reserved: ReservedPorts,
    pools: Vec<(String, AddressPool)>,
    nodes: BTreeMap<NodeName, NodeInfo>,
    speakers: BTreeMap<NodeName, Agent>,
    namespaces: BTreeMap<String, Labels>,
    seconds: i64,
}

fn node(name: &str) -> NodeName {
    NodeName::parse(name).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn key(name: &str) -> Key {
    ("shop".to_owned(), name.to_owned())
}

impl AddressService {
    fn publish(&mut self, addresses: &[IpAddr]) {
        (self.published, self.in_status) = (addresses.to_vec(), addresses.to_vec());
    }

    /// Removes the record of who wrote the addresses.
    fn lose_record(&mut self) {
        (self.published, self.is_foreign) = (vec![], true);
    }
}

impl Cluster {
    /// Nodes a, b and c with Ready speakers, and the pool `lan` of four addresses.
    fn new() -> Self {
        let mut this = Self { seconds: 1_000_000, ..Self::default() };
        for name in ["a", "b", "c"] {
            let info = NodeInfo { availability: Availability::Open, ..NodeInfo::default() };
            this.nodes.insert(node(name), info);
            this.speakers.insert(node(name), Agent::Ready);
        }
        this.pool("lan", &json!({"addresses": ["192.0.2.16/30"]}));
        this
    }

    fn pool(&mut self, name: &str, spec: &serde_json::Value) {
        self.pools.retain(|(known, _)| known != name);
        let pool = json!({"metadata": {"name": name}, "spec": spec});
        self.pools.push((name.to_owned(), serde_json::from_value(pool).unwrap()));
    }

    fn service(&mut self, name: &str) -> &mut AddressService {
        let service = AddressService {
            key: key(name),
            uid: format!("uid-{name}"),
            version: 1,
            created: None,
            decided: Some(Mode::AddressPool),
            is_foreign: false,
            ports: vec![(Protocol::Tcp, 80)],
            is_local: false,
            families: vec![true],
            needs_all_families: false,
            requested: Ok(vec![]),
            shared: None,
            published: vec![],
            in_status: vec![],
        };
        self.services.entry(key(name)).or_insert(service)
    }

    fn lease(&mut self, at: &str, service: &str, nodes: (&str, Option<&str>), state: State) {
        let lease = AddressLease {
            assignment: Assignment {
                address: address(at),
                holder: node(nodes.0),
                standby: nodes.1.map(node),
                state,
                uid: "lease".to_owned(),
                version: 1,
            },
            owner: Owner { key: key(service), uid: format!("uid-{service}") },
            acquired: Some(self.now()),
            conflict: (state == State::Refused).then(|| "02:00:00:00:00:99".to_owned()),
        };
        self.leases.insert(address(at), lease);
    }

    fn frontend(&mut self, at: &str, service: &str, on: &str, state: State) {
        let frontend = Frontend::of_name(at).unwrap();
        let lease = FrontendLease {
            assignment: FrontendAssignment {
                frontend,
                node: node(on),
                state,
                conflict: (state == State::Refused).then_some(Conflict::Listening),
                uid: "lease".to_owned(),
                version: 1,
            },
            owner: Owner { key: key(service), uid: format!("uid-{service}") },
            acquired: Some(self.now()),
        };
        self.frontends.insert(frontend, lease);
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.seconds).unwrap()
    }

    fn down(&mut self, name: &str) {
        self.speakers.insert(node(name), Agent::Down { pod: None });
    }

    fn remove(&mut self, name: &str) {
        self.nodes.remove(&node(name));
        self.speakers.remove(&node(name));
    }

    fn plan(&self) -> Plan {
        let read = |(name, pool): &(String, AddressPool)| (name.clone(), Pool::read(pool));
        let pools = check(&self.pools.iter().map(read).collect(), &self.nodes, &[]);
        let endpoints = by_service(&self.endpoints);
        plan(View { endpoints: Some(&endpoints), ..self.view(&pools) })
    }

    /// Runs ready pods of a Service on these nodes only.
    fn pods(&mut self, service: &str, nodes: &[&str]) {
        let nodes = nodes.iter().map(|name| node(name)).collect();
        self.endpoints.insert(key(service), Endpoints { service: key(service), nodes });
    }

    fn view<'a>(&'a self, pools: &'a Checked) -> View<'a> {
        View {
            services: &self.services,
            leases: &self.leases,
            pending: &self.pending,
            occupied: &self.occupied,
            frontends: &self.frontends,
            host_ports: Some(&self.host_ports),
            endpoints: None,
            reserved: &self.reserved,
            pools,
            nodes: &self.nodes,
            speakers: &self.speakers,
            namespaces: &self.namespaces,
            now: self.now(),
        }
    }

    fn steps(&self) -> Vec<String> {
        self.plan().steps.iter().map(describe).collect()
    }

    fn problems(&self) -> Vec<String> {
        self.plan().problems.iter().map(|(_, problem)| problem.to_string()).collect()
    }

    /// Carries out a step as the API server and the speakers would.
    fn carry_out(&mut self, step: Step) {
        match step {
            Step::Propose { address, owner, nodes } => {
                let (holder, standby) = (nodes.holder.as_str(), nodes.standby.as_ref());
                let standby = standby.map(NodeName::as_str);
                let (at, name) = (address.to_string(), owner.key.1);
                self.lease(&at, &name, (holder, standby), State::Accepted);
            }
            Step::Assign { lease, nodes, is_proposal } => {
                let now = self.now();
                let lease = self.leases.get_mut(&lease.address()).unwrap();
                assert!(is_proposal || lease.assignment.holder == nodes.holder);
                (lease.assignment.holder, lease.assignment.standby) = (nodes.holder, nodes.standby);
                if is_proposal {
                    (lease.assignment.state, lease.acquired) = (State::Accepted, Some(now));
                }
            }
            Step::Transfer { lease, owner } => {
                self.leases.get_mut(&lease.address()).unwrap().owner = owner;
            }
            Step::Release { lease, .. } => drop(self.leases.remove(&lease.address())),
            Step::ProposeFrontend { frontend, node, owner, .. } => {
                self.frontend(&frontend.lease_name(), &owner.key.1, node.as_str(), State::Accepted);
            }
            Step::ReleaseFrontend { lease } => drop(self.frontends.remove(&lease.frontend())),
            Step::Publish { service, addresses } => {
                self.services.get_mut(&service.key).unwrap().publish(&addresses);
            }
        }
    }

    /// Carries out plans until nothing is left to do. Returns the number of plans.
    fn converge(&mut self) -> usize {
        for round in 0.. {
            let steps = self.plan().steps;
            if steps.is_empty() {
                return round;
            }
            assert!(round < 10, "the plans do not end: {steps:?}");
            steps.into_iter().for_each(|step| self.carry_out(step));
        }
        unreachable!()
    }
}

fn describe(step: &Step) -> String {
    let nodes = |nodes: &Nodes| {
        let standby = nodes.standby.as_ref().map_or("-", |standby| standby.as_str());
        format!("{}/{standby}", nodes.holder)
    };
    match step {
        Step::Propose { address, owner, nodes: of } => {
            format!("propose {address} for {} to {}", owner.key.1, nodes(of))
        }
        Step::Assign { lease, nodes: of, is_proposal } => {
            let is_again = *is_proposal && of.holder == lease.assignment.holder;
            let again = if is_again { " again" } else { "" };
            format!("assign {} to {}{again}", lease.address(), nodes(of))
        }
        Step::Transfer { lease, owner } => format!("pass {} to {}", lease.address(), owner.key.1),
        Step::Release { lease, .. } => format!("release {}", lease.address()),
        Step::ProposeFrontend { frontend, node, owner, state } => {
            format!("propose {frontend} for {} to {node} as {state}", owner.key.1)
        }
        Step::ReleaseFrontend { lease } => format!("release {}", lease.frontend()),
        Step::Publish { service, addresses } => {
            format!("publish {addresses:?} of {}", service.key.1)
        }
    }
}
