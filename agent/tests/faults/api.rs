//! The API server of the simulated cluster. Each call is counted, and succeeds, fails, succeeds
//! without a response, or comes after a concurrent change. `cluster.rs` implements the calls.

use crate::agent::{With, Witness};
use crate::cluster::{CLUSTER, Cluster, NAMESPACE_CREATED, NODE};
use crate::faults::Verb;
use crate::machine::{FaultyMachine, Moved};
use fastrak_agent::cluster::NamespaceView;
use fastrak_agent::cluster::{Answer, Changed, ClaimState, ClaimStatus, ClusterError};
use fastrak_agent::snapshot::growth::Growth;
use fastrak_agent::snapshot::volume::Volume;
use fastrak_api::claim::Claim;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::node::NodeName;
use fastrak_api::volume::VolumeId;
use futures::FutureExt;
use k8s_openapi::api::core::v1::PersistentVolume;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

/// The API server. Clones are the same server.
#[derive(Clone)]
pub(crate) struct Api {
    machine: FaultyMachine,
    lent: Arc<Mutex<Lent>>,
}

/// The cluster and the witness, while the agent works.
#[derive(Default)]
struct Lent {
    cluster: Cluster,
    witness: Witness,
}

impl Lent {
    /// Carries out a call; with `is_late`, after another client has changed all objects.
    fn serve<T>(&mut self, verb: Verb, is_late: bool, act: impl FnOnce(&mut Self) -> T) -> T {
        if is_late {
            self.cluster.meddle();
        }
        if is_late && verb == Verb::Delete {
            self.cluster.keep_all();
        }
        act(self)
    }
}

impl Api {
    /// Creates a server whose calls share the faults of `machine`.
    pub(crate) fn new(machine: &FaultyMachine) -> Self {
        Self { machine: machine.clone(), lent: Arc::default() }
    }

    /// Serves the cluster while the agent does `work`, which must not wait.
    pub(crate) fn serve<T>(&self, with: With<'_>, work: impl Future<Output = T>) -> T {
        let (cluster, witness) = with;
        let swap = |cluster: &mut Cluster, witness: &mut Witness| {
            let mut lent = self.lent();
            std::mem::swap(&mut lent.cluster, cluster);
            std::mem::swap(&mut lent.witness, witness);
        };
        swap(cluster, witness);
        let done = work.now_or_never().expect("no step waits for anything");
        swap(cluster, witness);
        done
    }

    fn call<'a, T: Send + 'a>(
        &'a self,
        verb: Verb,
        error: fn(kube::Error) -> ClusterError,
        act: impl FnOnce(&mut Lent) -> T + Send + 'a,
    ) -> Answer<'a, T> {
        Box::pin(async move {
            let answer = self.machine.ask(verb, |is_late| self.lent().serve(verb, is_late, act));
            answer.map_err(|errno| error(kube::Error::Service(errno.into())))
        })
    }

    fn lent(&self) -> MutexGuard<'_, Lent> {
        self.lent.lock().expect("no test thread panics with it")
    }

    /// Checks that a published volume would survive a power cut right now.
    fn witness_durable(&self, pool: &str, id: &VolumeId, witness: &mut Witness) {
        let mut state = self.machine.state();
        let place = PathBuf::from("/").join(pool);
        if let Err(problem) = state.durable_volume(&place, id, 0o777) {
            witness.problems.push(format!("{id} is published, and on the disk {problem}"));
        }
        state.moved.push(Moved::Given(id.clone()));
    }
}

/// Returns the ID of a volume of fastrak.
fn id(volume: &Volume) -> VolumeId {
    volume.id().expect("the agent changes none but its own")
}

impl fastrak_agent::cluster::Cluster for Api {
    fn create<'a>(&'a self, volume: &'a PersistentVolume) -> Answer<'a, bool> {
        self.call(Verb::Create, ClusterError::Create, move |Lent { cluster, witness }| {
            let volume = Volume::read(volume);
            let (id, pool) = (id(&volume), volume.pool_label.clone().unwrap_or_default());
            let created = cluster.create(&id, volume);
            if created {
                self.witness_durable(&pool, &id, witness);
            }
            created
        })
    }

    fn volume<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Volume>> {
        self.call(Verb::ReadVolume, ClusterError::ReadVolume, move |lent| lent.cluster.named(name))
    }

    fn object<'a>(&'a self, name: &'a str) -> Answer<'a, Option<PersistentVolume>> {
        self.call(Verb::ReadObject, ClusterError::ReadVolume, move |lent| lent.cluster.left(name))
    }

    fn each_volume<'a>(&'a self, each: &'a mut (dyn FnMut(&Volume) + Send)) -> Answer<'a, ()> {
        self.call(Verb::ListVolumes, ClusterError::ListVolumes, move |lent| {
            lent.cluster.volumes.values().for_each(each);
        })
    }

    fn claim<'a>(&'a self, claim: &'a ClaimRef) -> Answer<'a, ClaimState> {
        self.call(Verb::ReadClaim, ClusterError::ReadClaim, move |lent| lent.cluster.claim(claim))
    }

    fn owner<'a>(&'a self, claim: &'a ClaimRef) -> Answer<'a, Option<(Claim, Growth)>> {
        self.call(Verb::ReadOwner, ClusterError::ReadClaim, move |lent| lent.cluster.owner(claim))
    }

    fn delete<'a>(&'a self, volume: &'a Volume) -> Answer<'a, Changed> {
        self.call(Verb::Delete, ClusterError::Delete, move |lent| {
            lent.cluster.delete(&id(volume), volume)
        })
    }

    fn finalize<'a>(&'a self, volume: &'a Volume) -> Answer<'a, Changed> {
        self.call(Verb::Finalize, ClusterError::Finalize, move |lent| {
            lent.cluster.finalize(&id(volume), volume)
        })
    }

    fn id(&self) -> Answer<'_, Option<String>> {
        self.call(Verb::ReadNamespace, ClusterError::ReadNamespace, |_| Some(CLUSTER.to_owned()))
    }

    fn namespace<'a>(&'a self, name: &'a str) -> Answer<'a, Option<NamespaceView>> {
        self.call(Verb::ReadNamespace, ClusterError::ReadNamespace, move |_| {
            let created = Some(NAMESPACE_CREATED);
            Some(NamespaceView { uid: format!("uid-of-{name}"), created, inherits: false })
        })
    }

    fn nodes_with_hostname<'a>(&'a self, _: &'a str) -> Answer<'a, Vec<String>> {
        self.call(Verb::ListNodes, ClusterError::ListNodes, |_| vec![NODE.to_owned()])
    }

    fn consume<'a>(&'a self, _: &'a NodeName, _: &'a str, _: &'a str) -> Answer<'a, ()> {
        self.call(Verb::SetCondition, ClusterError::Confirmation, |_| ())
    }

    fn repoint<'a>(&'a self, volume: &'a Volume, claim: &'a Claim) -> Answer<'a, Changed> {
        self.call(Verb::Repoint, ClusterError::Repoint, move |lent| {
            let claim = ClaimRef {
                namespace: claim.namespace.clone(),
                name: claim.name.clone(),
                uid: claim.uid.clone(),
            };
            lent.cluster.repoint(&id(volume), volume, claim)
        })
    }

    fn resize<'a>(&'a self, volume: &'a Volume, size: &'a str) -> Answer<'a, Changed> {
        self.call(Verb::Resize, ClusterError::Resize, move |lent| {
            lent.cluster.resize(&id(volume), volume, size)
        })
    }

    fn claim_status<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Option<ClaimStatus>> {
        self.call(Verb::ReadStatus, ClusterError::ReadClaim, move |lent| {
            lent.cluster.claim_status(claim)
        })
    }

    fn write_status<'a>(&'a self, claim: &'a Claim, patch: &'a Value) -> Answer<'a, bool> {
        self.call(Verb::WriteStatus, ClusterError::Status, move |lent| {
            lent.cluster.write_status(claim, patch)
        })
    }

    fn set_condition<'a>(&'a self, _: &'a NodeName, _: &'a Value) -> Answer<'a, ()> {
        self.call(Verb::SetCondition, ClusterError::Condition, move |_| ())
    }
}
