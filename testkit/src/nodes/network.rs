//! The addresses of a cluster and the interfaces that carry them.
//!
//! ```text
//! machine ── veth, a /30 free on the machine ── cluster ── bridge 10.214.0.0/24 ── node, node, …
//!                                             API server                          pods 10.244.N.0/24
//! ```
//! Only the /30 exists on the machine. All other addresses are in namespaces and cannot conflict.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};

use super::sandbox::{Compartment, Sandbox};
use crate::process::Invocation;

/// A host on the nodes' network, and the first address that neither it nor a node has.
const OUTSIDER: Ipv4Addr = Ipv4Addr::new(10, 214, 0, 200);

/// The interface of the API server's network to which all nodes are connected.
pub const BRIDGE: &str = "nodes";

/// Free addresses of the nodes' network, for Services.
pub const FREE_ADDRESSES: &str = "10.214.0.208/28";

/// The address range of all pods.
pub(crate) const POD_CIDR: &str = "10.244.0.0/16";
/// The address of the bridge, the default gateway of the nodes.
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 214, 0, 1);
/// Enables forwarding in a namespace.
const FORWARD: [&str; 3] = ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"];

/// The addresses by which a cluster and the machine reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Uplink {
    third: u8,
}

impl Uplink {
    /// Returns the first address pair that is not in `taken`, the output of `ip address` and
    /// `ip route`.
    pub(crate) fn choose(taken: &str) -> Option<Self> {
        let free = |third: &u8| !taken.contains(&format!("10.213.{third}."));
        (0..=u8::MAX).find(free).map(|third| Self { third })
    }

    /// Returns the machine's address.
    pub(crate) fn machine(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.third, 1)
    }

    /// Returns the API server's address.
    pub(crate) fn cluster(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.third, 2)
    }
}

/// Returns the address of the node with this number.
pub(crate) fn node_address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 214, 0, 10 + number)
}

/// Returns the pod range of the node with this number.
pub(crate) fn pod_range(number: u8) -> String {
    format!("10.244.{number}.0/24")
}

/// Returns the name of the machine's end of the link.
pub(crate) fn machine_end(id: &str) -> String {
    // An interface name has at most 15 characters.
    format!("ft-{id}")
}

/// Connects a cluster to the machine. No other cluster may do so at the same time, because the
/// addresses look free until they are set.
pub(crate) async fn connect(sandbox: &Sandbox, id: &str) -> Result<Uplink> {
    let addresses = words("ip -4 -oneline address").run().await?.stdout;
    let routes = words("ip -4 route show table all").run().await?.stdout;
    let uplink = Uplink::choose(&(addresses + &routes)).context("no address range is free")?;
    let (end, first) = (machine_end(id), sandbox.pid());
    run_all(&[
        format!("ip link add {end} type veth peer name uplink netns {first}"),
        format!("ip address add {}/30 dev {end}", uplink.machine()),
        format!("ip link set {end} up"),
    ])
    .await?;
    let inside = [
        "ip link set lo up".to_owned(),
        format!("ip address add {}/30 dev uplink", uplink.cluster()),
        "ip link set uplink up".to_owned(),
        // By default a bridge takes the lowest MAC address of its ports, so a new port would change it, and
        // nodes would not reach the API server until they notice.
        "ip link add nodes address 02:00:0a:d6:00:01 type bridge".to_owned(),
        format!("ip address add {ROUTER}/24 dev nodes"),
        "ip link set nodes up".to_owned(),
        // A Service's address needs a route before it is replaced by a pod's. Packets to unknown
        // addresses end on this bridge and do not reach the machine.
        "ip route add default dev nodes".to_owned(),
    ];
    // Frames between nodes would pass the rules of this namespace's kube-proxy, which would answer for
    // a node that is gone.
    let bridged = ["sh", "-c", "echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables || true"];
    for line in &inside {
        sandbox.network_run(&split(line)).await?;
    }
    sandbox.network_run(&bridged).await?;
    sandbox.network_run(&FORWARD).await?;
    Ok(uplink)
}

/// Connects a node to its cluster.
pub(crate) async fn connect_node(
    sandbox: &Sandbox,
    compartment: &Compartment,
    number: u8,
) -> Result<()> {
    let (address, pods) = (node_address(number), pod_range(number));
    // `ip` looks up process ids in its own namespace, so it runs on the machine.
    let pid = compartment.pid();
    let outside = [
        format!("ip link add node{number} type veth peer name eth0 netns {pid}"),
        format!("ip link set node{number} master nodes up"),
        format!("ip route add {pods} via {address}"),
    ];
    let inside = [
        "ip link set lo up".to_owned(),
        format!("ip address add {address}/24 dev eth0"),
        "ip link set eth0 up".to_owned(),
        format!("ip route add default via {ROUTER}"),
    ];
    for line in &outside[..2] {
        sandbox.network_run(&split(line)).await?;
    }
    for line in &inside {
        compartment.network_run(&split(line)).await?;
    }
    sandbox.network_run(&split(&outside[2])).await?;
    compartment.network_run(&FORWARD).await.map(drop)
}

/// Connects a host that is no node. It reaches the addresses of the nodes' network only.
pub(crate) async fn connect_outsider(sandbox: &Sandbox, compartment: &Compartment) -> Result<()> {
    let pid = compartment.pid();
    let outside = [
        format!("ip link add outsider type veth peer name eth0 netns {pid}"),
        "ip link set outsider master nodes up".to_owned(),
    ];
    let inside = [
        "ip link set lo up".to_owned(),
        format!("ip address add {OUTSIDER}/24 dev eth0"),
        "ip link set eth0 up".to_owned(),
    ];
    for line in &outside {
        sandbox.network_run(&split(line)).await?;
    }
    for line in &inside {
        compartment.network_run(&split(line)).await?;
    }
    Ok(())
}

async fn run_all(lines: &[String]) -> Result<()> {
    for line in lines {
        words(line).run().await?;
    }
    Ok(())
}

fn words(line: &str) -> Invocation {
    let words = split(line);
    Invocation::new(words.first().copied().unwrap_or_default()).args(words.iter().skip(1))
}

fn split(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

#[cfg(test)]
mod tests {
    use super::Uplink;

    #[test]
    fn addresses_in_use_are_not_chosen() {
        let taken = "2: eth0 inet 10.213.0.7/16\n10.213.1.0/30 dev x\n";
        let uplink = Uplink::choose(taken).expect("one is free");
        assert_eq!(uplink.machine().to_string(), "10.213.2.1");
        assert_eq!(uplink.cluster().to_string(), "10.213.2.2");
    }

    #[test]
    fn the_error_says_that_all_addresses_are_in_use() {
        let taken: String = (0..=255).map(|third| format!("10.213.{third}.0/30 ")).collect();
        assert_eq!(Uplink::choose(&taken), None);
    }
}
