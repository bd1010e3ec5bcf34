//! Hosts on one Ethernet segment, each in a separate network namespace.
//!
//! ```text
//! namespace of the switch: bridge `lan` ── eth0 of host 1, eth0 of host 2, …
//! ```
//! Nothing of it exists outside these namespaces, and the kernel removes it with its processes.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::fd::AsFd as _;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::nodes::sandbox::{hold, network_run};
use crate::process::{Invocation, Process};

/// The port of the discard protocol (RFC 863).
const DISCARD: u16 = 9;
/// How long a client waits for a connection, or for a response.
const TIMEOUT: Duration = Duration::from_secs(1);

/// An Ethernet segment.
#[derive(Debug)]
pub struct Lan {
    switch: Process,
    logs: tempfile::TempDir,
}

/// A host on a segment. Dropping it unplugs it.
#[derive(Debug)]
pub struct Host {
    namespace: Process,
    number: u8,
}

/// The network of a host.
#[derive(Debug)]
pub struct Network(File);

impl Lan {
    /// Creates a segment without hosts.
    pub async fn create() -> Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "network namespaces require root");
        let logs = tempfile::tempdir().context("create the directory of the segment's logs")?;
        let switch = namespace("switch", logs.path()).await?;
        for line in ["ip link add lan type bridge", "ip link set lan up"] {
            run(&switch, line).await?;
        }
        Ok(Self { switch, logs })
    }

    /// Adds the host with this number: `192.0.2.<number>/24` and `2001:db8::<number>/64`.
    pub async fn host(&self, number: u8) -> Result<Host> {
        let name = format!("host{number}");
        let namespace = namespace(&name, self.logs.path()).await?;
        let pid = namespace.pid();
        run(&self.switch, &format!("ip link add {name} type veth peer name eth0 netns {pid}"))
            .await?;
        run(&self.switch, &format!("ip link set {name} master lan up")).await?;
        for line in [
            "ip link set lo up".to_owned(),
            format!("ip address add 192.0.2.{number}/24 dev eth0"),
            format!("ip address add 2001:db8::{number}/64 dev eth0 nodad"),
            "ip link set eth0 up".to_owned(),
        ] {
            run(&namespace, &line).await?;
        }
        Ok(Host { namespace, number })
    }

    /// Takes the cable of a host out, or puts it in again.
    pub async fn plug(&self, host: &Host, is_plugged: bool) -> Result<()> {
        let state = if is_plugged { "up" } else { "down" };
        run(&self.switch, &format!("ip link set host{} {state}", host.number)).await.map(drop)
    }
}

impl Host {
    /// Runs a command in the host's network and returns its output.
    pub async fn run(&self, line: &str) -> Result<String> {
        run(&self.namespace, line).await
    }

    /// Returns the host's network.
    pub fn network(&self) -> Result<Network> {
        Network::of(self.namespace.pid())
    }

    /// Returns the command that starts another command in the host's network.
    #[must_use]
    pub fn prefix(&self) -> [String; 3] {
        let network = format!("--net=/proc/{}/ns/net", self.namespace.pid());
        ["nsenter".to_owned(), network, "--".to_owned()]
    }

    /// Returns the index and the MAC address of the host's interface.
    pub async fn interface(&self) -> Result<(u32, [u8; 6])> {
        // `2: eth0@if3: <…> … link/ether 02:… brd ff:ff:ff:ff:ff:ff …`
        let shown = self.run("ip -oneline link show dev eth0").await?;
        let (index, _) = shown.split_once(':').context("an interface begins with its index")?;
        let (_, rest) =
            shown.split_once("link/ether ").context("an interface has a MAC address")?;
        let text = rest.split(' ').next().unwrap_or_default();
        let octets: Result<Vec<u8>, _> =
            text.split(':').map(|octet| u8::from_str_radix(octet, 16)).collect();
        let mac = octets.ok().and_then(|octets| octets.try_into().ok());
        Ok((index.parse()?, mac.with_context(|| format!("{text} is no MAC address"))?))
    }

    /// Sends a datagram to `address`, so that the host's kernel resolves it.
    pub async fn send_to(&self, address: IpAddr) -> Result<()> {
        let network = self.network()?;
        let send = move || network.run(move || send_to(address));
        tokio::task::spawn_blocking(send).await.context("send a datagram")?
    }

    /// Returns the MAC address by which the host reaches `address`, if its neighbour table has one.
    pub async fn neighbor(&self, address: IpAddr) -> Result<Option<String>> {
        let shown = self.run(&format!("ip neighbor show to {address} dev eth0")).await?;
        let after = shown.split_once("lladdr ").map(|(_, rest)| rest);
        Ok(after.and_then(|rest| rest.split(' ').next()).map(str::to_owned))
    }
}

impl Network {
    /// Returns the network of a process.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/ns/net");
        File::open(&path).map(Self).with_context(|| format!("open {path}"))
    }

    /// Gets a page by HTTP, and returns its body. It waits a second for the connection.
    pub async fn get(self, address: SocketAddr, path: &str) -> Result<String> {
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        let get = move || self.run(move || exchange(address, &request));
        let response = tokio::task::spawn_blocking(get).await.context("get a page")??;
        let (head, body) = response.split_once("\r\n\r\n").context("a response has a body")?;
        ensure!(head.contains(" 200 "), "{head}");
        Ok(body.to_owned())
    }

    /// Runs `work` in the network and returns its result. Sockets that it opens stay there.
    pub fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.spawn(work).join().map_err(|_| anyhow!("the thread in a host's network panicked"))?
    }

    /// Starts a thread in the network. A thread cannot leave a network again, so it is a separate one.
    pub fn spawn<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> JoinHandle<Result<T>> {
        std::thread::spawn(move || {
            move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
                .context("enter a host's network")?;
            work()
        })
    }
}

fn send_to(address: IpAddr) -> Result<()> {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).context("bind a socket")?;
    socket.send_to(&[], (address, DISCARD)).context("send a datagram").map(drop)
}

fn exchange(address: SocketAddr, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).context("connect")?;
    stream.set_read_timeout(Some(TIMEOUT)).context("set a timeout")?;
    stream.write_all(request.as_bytes()).context("send a request")?;
    let mut response = String::new();
    stream.read_to_string(&mut response).context("read a response")?;
    Ok(response)
}

/// Starts a process that holds a network namespace.
async fn namespace(name: &str, logs: &Path) -> Result<Process> {
    let unshare = Invocation::new("unshare").args(["--net", "--", "sleep", "infinity"]);
    hold(name, &unshare, logs).await
}

async fn run(namespace: &Process, line: &str) -> Result<String> {
    let words: Vec<_> = line.split(' ').collect();
    Ok(network_run(namespace.pid(), &words).await?.stdout)
}
