//! No review fails while replicas restart one after the other. The clients reuse kept connections
//! without a check, as the API server does.

use crate::drains::answer;
use crate::server::{Connection, LIMITS, Server, Setup, ca, connect, request};
use anyhow::{Context as _, Result, ensure};
use fastrak_certs::CertificateAuthority;
use fastrak_testkit::eventually;
use rustls::ClientConfig;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

const CLIENTS: usize = 8;
const ROUNDS: usize = 3;
/// The number of reviews sent while the endpoint of a stopping replica is still listed.
const LAG: usize = 100;
const DRAIN: Duration = Duration::from_millis(1500);
const SOON: Duration = Duration::from_secs(30);

/// The addresses between which new connections are distributed.
type Endpoints = Arc<Mutex<VecDeque<SocketAddr>>>;

/// The connection pool of a client like the API server.
struct Pool {
    address: SocketAddr,
    config: Arc<ClientConfig>,
    idle: Mutex<VecDeque<Connection>>,
    answered: AtomicUsize,
    made: AtomicUsize,
}

/// Forwards connections like a Service.
async fn balance(listener: TcpListener, endpoints: Endpoints) {
    while let Ok((mut client, _)) = listener.accept().await {
        let next = {
            let mut endpoints = endpoints.lock().unwrap_or_else(PoisonError::into_inner);
            endpoints.rotate_left(1);
            endpoints[0]
        };
        tokio::spawn(async move {
            if let Ok(mut server) = TcpStream::connect(next).await {
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            }
        });
    }
}

impl Pool {
    async fn ask(&self) -> Result<()> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let mut connection = match kept {
            Some(connection) => connection,
            None => {
                self.made.fetch_add(1, Ordering::Relaxed);
                connect(self.address, Arc::clone(&self.config)).await.context("a new connection")?
            }
        };
        connection.write_all(&request("POST /claims?timeout=2s")).await?;
        let text = answer(&mut connection).await?;
        ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
        self.answered.fetch_add(1, Ordering::Relaxed);
        if !text.to_ascii_lowercase().contains("connection: close") {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push_back(connection);
        }
        Ok(())
    }

    async fn ask_until(&self, end: &AtomicBool) -> Result<()> {
        while !end.load(Ordering::Relaxed) {
            self.ask().await?;
        }
        Ok(())
    }
}

async fn replica(ca: CertificateAuthority, endpoints: &Endpoints) -> Result<Server> {
    let server = Server::of(&Setup { limits: LIMITS, drain: DRAIN, ca, ..Setup::new()? }).await?;
    endpoints.lock().unwrap_or_else(PoisonError::into_inner).push_back(server.address);
    Ok(server)
}

/// Stops a replica like a rollout: its endpoint is removed a while after the signal.
async fn retire(server: Server, endpoints: &Endpoints, pool: &Pool) -> Result<()> {
    server.shutdown.request();
    let before = pool.answered.load(Ordering::Relaxed);
    eventually(SOON, "reviews are sent meanwhile", || async {
        pool.answered.load(Ordering::Relaxed) > before + LAG
    })
    .await?;
    let gone = |address: &SocketAddr| *address != server.address;
    endpoints.lock().unwrap_or_else(PoisonError::into_inner).retain(gone);
    server.task.await.context("the replica failed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_review_fails_during_repeated_restarts() -> Result<()> {
    let (signing, endpoints) = (ca("shared")?, Endpoints::default());
    let again = || CertificateAuthority::load(signing.cert_pem(), signing.key_pem());
    let mut replicas = VecDeque::from([
        replica(again()?, &endpoints).await?,
        replica(again()?, &endpoints).await?,
    ]);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let pool = Arc::new(Pool {
        address: listener.local_addr()?,
        config: Arc::new(replicas[0].client()?),
        idle: Mutex::default(),
        answered: AtomicUsize::new(0),
        made: AtomicUsize::new(0),
    });
    tokio::spawn(balance(listener, Arc::clone(&endpoints)));
    let end = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (pool, end) = (Arc::clone(&pool), Arc::clone(&end));
            tokio::spawn(async move { pool.ask_until(&end).await })
        })
        .collect();
    for _ in 0..2 * ROUNDS {
        replicas.push_back(replica(again()?, &endpoints).await?);
        let oldest = replicas.pop_front().context("there are replicas")?;
        retire(oldest, &endpoints, &pool).await?;
    }
    end.store(true, Ordering::Relaxed);
    for client in clients {
        client.await?.context("a review failed")?;
    }
    let (answered, made) =
        (pool.answered.load(Ordering::Relaxed), pool.made.load(Ordering::Relaxed));
    println!("{answered} reviews over {made} connections, none failed");
    ensure!(answered > 500, "only {answered} reviews were asked");
    // A restart closes its connections. All others are reused.
    ensure!((CLIENTS + ROUNDS..answered / 5).contains(&made), "{made} of {answered} were new");
    Ok(())
}
