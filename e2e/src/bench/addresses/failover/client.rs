//! A client outside of the cluster that opens a new TCP connection at fixed intervals.

use anyhow::{Context, Result};
use fastrak_testkit::lan::Network;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a connection may take. The kernel repeats a SYN after a second, so each connection is one
/// SYN: a connection is lost if its SYN or the answer to it is.
const CONNECT: Duration = Duration::from_millis(900);
/// How long the client waits for an answer that should come.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running client. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Connections {
    ended: UnboundedReceiver<Connection>,
    stop: oneshot::Sender<()>,
}

/// An attempt to open a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    /// When it was started.
    pub(super) started: Instant,
    /// When it was answered, if it was.
    pub(super) answered: Option<Instant>,
}

impl Connections {
    /// Starts to open connections to `address`, one in each `interval`.
    pub(super) fn open(network: Network, address: SocketAddr, interval: Duration) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("start a client")?;
        let (report, ended) = unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        // If it cannot enter the network, the channel is closed.
        network.spawn(move || {
            runtime.block_on(open_all(address, interval, report, stopped));
            Ok(())
        });
        Ok(Self { ended, stop })
    }

    /// Waits for the first answer to a connection that was started after `start`. Returns its time.
    pub(super) async fn first_answer(&mut self, start: Instant) -> Result<Instant> {
        let first = async {
            let mut answered = None;
            while answered.is_none() {
                let connection = self.ended.recv().await?;
                answered = connection.answered.filter(|_| connection.started > start);
            }
            answered
        };
        let first = timeout(TIMEOUT, first).await.context("no connection is answered")?;
        first.context("the client has stopped")
    }

    /// Stops the client. Returns the connections that have not been read.
    pub(super) async fn finish(self) -> Vec<Connection> {
        let Self { mut ended, stop } = self;
        drop(stop);
        let mut all = Vec::new();
        while let Some(connection) = ended.recv().await {
            all.push(connection);
        }
        all
    }
}

async fn open_all(
    address: SocketAddr,
    interval: Duration,
    report: UnboundedSender<Connection>,
    mut stopped: oneshot::Receiver<()>,
) {
    let (mut ticks, mut open) = (tokio::time::interval(interval), JoinSet::new());
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let report = report.clone();
                open.spawn(async move {
                    // The receiver is gone if the client was dropped.
                    let _unread = report.send(connect(address).await);
                });
            }
            Some(_) = open.join_next() => {}
            _ = &mut stopped => break,
        }
    }
    while open.join_next().await.is_some() {}
}

async fn connect(address: SocketAddr) -> Connection {
    let started = Instant::now();
    let connected = timeout(CONNECT, TcpStream::connect(address)).await;
    let answered = matches!(connected, Ok(Ok(_))).then(Instant::now);
    Connection { started, answered }
}
