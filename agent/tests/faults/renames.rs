//! A pool on a filesystem that cannot rename without replacing, such as NFS.

use crate::machine::{FaultyMachine, Renames};
use crate::world::{Event, World, id};
use fastrak_api::capacity::CapacityLimits;
use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use fastrak_store::pools::{ClusterView, PoolConfig, Pools};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[test]
fn a_pool_without_safe_renames_is_refused_by_name_and_not_changed() {
    let machine = FaultyMachine::new(&["/near"]);
    machine.state().renames = Renames::Replacing;
    let config = PoolConfig {
        name: PoolName::parse("near").expect("a name"),
        path: PathBuf::from("/near"),
        require_mount: false,
        limits: CapacityLimits::default(),
    };
    let node = NodeName::parse("node-a").expect("a name");
    let pools = Pools::new(Arc::new(machine.clone()), node, vec![config]);
    pools.set_cluster_view(ClusterView {
        cluster: "cluster-a".to_owned(),
        ..ClusterView::default()
    });
    let problem = pools.changes()[0].problem.clone().expect("it is refused");
    assert!(
        problem.contains("pool near at /near") && problem.contains("RENAME_NOREPLACE"),
        "{problem}"
    );
    let state = machine.state();
    let root = state.disk.see(state.places[Path::new("/near")]);
    assert_eq!(root.node.entries().map(BTreeMap::len), Some(0), "{root:?}");
    drop(state);
    // Its disk is replaced by one that supports them.
    machine.state().renames = Renames::All;
    assert_eq!(pools.changes()[0].problem, None);
}

#[test]
fn claims_of_other_pools_are_served_meanwhile() {
    use Event::{Claim, Control, Restart, Round};
    let mut world = World::new();
    world.machine.state().renames = Renames::Replacing;
    for event in [Claim(1, "near"), Claim(2, "far"), Restart, Round, Control, Round] {
        world.happen(&event);
    }
    let is_made = |pool: &str, n| {
        let state = world.machine.state();
        let root = state.places[Path::new(pool)];
        state.disk.find(root, OsStr::new(id(n).as_str())).is_some()
    };
    assert!(!is_made("/near", 1) && is_made("/far", 2));
    world.machine.state().renames = Renames::All;
    world.recover();
    assert_eq!(world.problems(), Vec::<String>::new());
}
