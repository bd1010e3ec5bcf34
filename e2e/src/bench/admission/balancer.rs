//! A proxy like a Service: one address in front of the replicas. Each connection goes to one ready
//! replica and stays there. A replica is added and removed by its readiness, with the delay of
//! probes and kube-proxy. Nothing is retried, and a connection to a stopped replica fails.

use anyhow::{Context, Result, ensure};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const LOOK: Duration = Duration::from_millis(100);
const ANSWER: Duration = Duration::from_millis(500);
/// The delay from a probe's result until connections are sent elsewhere.
const SPREAD: Duration = Duration::from_millis(500);

/// A replica as the balancer sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backend {
    /// The address of its review port.
    pub(crate) address: SocketAddr,
    /// The address of its admin port.
    pub(crate) admin: SocketAddr,
}

/// A balancer that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Balancer {
    address: SocketAddr,
    members: Arc<Vec<Member>>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Member {
    backend: Backend,
    is_in: AtomicBool,
}

impl Balancer {
    /// Starts a balancer at this port. No replica is added yet.
    pub(crate) async fn start(port: u16, backends: &[Backend]) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address).await.context("listen as a balancer")?;
        let member =
            |backend: &Backend| Member { backend: *backend, is_in: AtomicBool::new(false) };
        let members: Arc<Vec<_>> = Arc::new(backends.iter().map(member).collect());
        let mut tasks = JoinSet::new();
        for at in 0..members.len() {
            tasks.spawn(watch(Arc::clone(&members), at));
        }
        tasks.spawn(accept(listener, Arc::clone(&members)));
        Ok(Self { address, members, _tasks: tasks })
    }

    /// Returns the address.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Fails while a replica is not added.
    pub(crate) fn all_in(&self) -> Result<()> {
        let out = self.members.iter().filter(|member| !member.is_in.load(Ordering::Relaxed));
        let out: Vec<_> = out.map(|member| member.backend.address).collect();
        ensure!(out.is_empty(), "out: {out:?}");
        Ok(())
    }
}

async fn watch(members: Arc<Vec<Member>>, at: usize) {
    let Some(Member { backend, is_in }) = members.get(at) else { return };
    loop {
        let ready = is_ready(backend.admin).await;
        if ready != is_in.load(Ordering::Relaxed) {
            tokio::time::sleep(SPREAD).await;
            is_in.store(ready, Ordering::Relaxed);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn is_ready(admin: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(admin).await?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    matches!(tokio::time::timeout(ANSWER, ask).await, Ok(Ok(true)))
}

async fn accept(listener: TcpListener, members: Arc<Vec<Member>>) {
    let (turn, mut open) = (AtomicUsize::new(0), JoinSet::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let chosen = choose(&members, turn.fetch_add(1, Ordering::Relaxed));
                if let Some(backend) = chosen {
                    open.spawn(carry(stream, backend.address));
                }
            }
            // Finished connections are removed.
            Some(_) = open.join_next() => {}
        }
    }
}

fn choose(members: &[Member], turn: usize) -> Option<Backend> {
    let within = members.iter().filter(|member| member.is_in.load(Ordering::Relaxed));
    let within: Vec<_> = within.map(|member| member.backend).collect();
    (!within.is_empty()).then(|| within[turn % within.len()])
}

async fn carry(mut peer: TcpStream, address: SocketAddr) {
    let carried = async {
        let mut backend = TcpStream::connect(address).await?;
        peer.set_nodelay(true)?;
        backend.set_nodelay(true)?;
        copy_bidirectional(&mut peer, &mut backend).await
    };
    // The client notices and counts a lost connection.
    drop(carried.await);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::free_port;
    use fastrak_testkit::eventually;
    use tokio::sync::watch;

    const SOON: Duration = Duration::from_secs(20);
    const READY: &str = "HTTP/1.1 200 OK\r\n\r\n";
    const NOT_READY: &str = "HTTP/1.1 503 Service Unavailable\r\n\r\n";

    /// Answers every connection with the current text.
    async fn speaker(text: watch::Receiver<&'static str>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let text = *text.borrow();
                drop(speak(stream, text).await);
            }
        }));
        address
    }

    async fn speak(mut stream: TcpStream, text: &str) -> Result<()> {
        stream.read_buf(&mut Vec::new()).await?;
        Ok(stream.write_all(text.as_bytes()).await?)
    }

    async fn asked(address: SocketAddr) -> Result<String> {
        let mut answer = String::new();
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"who").await?;
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn connections_go_to_those_that_are_ready() -> Result<()> {
        let (first, second) = (watch::channel(READY).0, watch::channel(NOT_READY).0);
        let (mut backends, admins) = (Vec::new(), [("one", &first), ("two", &second)]);
        for (name, readiness) in admins {
            let address = speaker(watch::channel(name).1).await;
            backends.push(Backend { address, admin: speaker(readiness.subscribe()).await });
        }
        let balancer = Balancer::start(free_port()?, &backends).await?;
        let address = balancer.address();
        // Connections alternate: of two ready replicas each would answer only once.
        let is_alone = async |name: &str| {
            asked(address).await.is_ok_and(|who| who == name)
                && asked(address).await.is_ok_and(|who| who == name)
        };
        eventually(SOON, "the first is in", async || is_alone("one").await).await?;
        assert!(balancer.all_in().is_err());

        second.send_replace(READY);
        eventually(SOON, "both are in", async || balancer.all_in()).await?;
        assert_ne!(asked(address).await?, asked(address).await?);

        first.send_replace(NOT_READY);
        eventually(SOON, "the second is alone", async || is_alone("two").await).await
    }
}
