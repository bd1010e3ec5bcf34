use super::*;
use crate::host::Kernel;
use marker::MARKER;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

fn config(path: &Path) -> PoolConfig {
    PoolConfig {
        name: PoolName::default(),
        path: path.to_owned(),
        require_mount: false,
        limits: CapacityLimits::default(),
    }
}

fn view() -> ClusterView {
    ClusterView { cluster: "cluster-a".to_owned(), ..ClusterView::default() }
}

fn in_use() -> ClusterView {
    ClusterView { in_use: BTreeSet::from(["default".to_owned()]), ..view() }
}

fn pools_of(node: &str, configs: Vec<PoolConfig>) -> Pools {
    let pools = Pools::new(Arc::new(Kernel), NodeName::parse(node).unwrap(), configs);
    pools.set_cluster_view(view());
    pools
}

fn pools(path: &Path) -> Pools {
    pools_of("node-a", vec![config(path)])
}

/// Returns the message that the user of a waiting claim sees.
fn refusal(pools: &Pools) -> String {
    Chain(&pools.open(&PoolName::default()).unwrap_err()).to_string()
}

#[test]
fn an_empty_directory_becomes_the_pool_and_stays_one() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(directory.path().join("lost+found")).unwrap();
    pools(directory.path()).open(&PoolName::default()).unwrap();
    let mode = fs::metadata(directory.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    let marker = fs::read_to_string(directory.path().join(MARKER)).unwrap();
    // Another process, with volumes in the cluster by now.
    let again = pools(directory.path());
    again.set_cluster_view(in_use());
    again.open(&PoolName::default()).unwrap();
    assert_eq!(fs::read_to_string(directory.path().join(MARKER)).unwrap(), marker);
}

#[test]
fn a_missing_directory_is_refused_until_it_exists() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pool");
    let pools = pools(&path);
    assert!(refusal(&pools).contains("create the directory"), "{}", refusal(&pools));
    fs::create_dir(&path).unwrap();
    pools.open(&PoolName::default()).unwrap();
}

#[test]
fn a_symbolic_link_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("real")).unwrap();
    symlink("real", directory.path().join("pool")).unwrap();
    let pools = pools(&directory.path().join("pool"));
    assert!(refusal(&pools).contains("symbolic link"), "{}", refusal(&pools));
    assert!(!directory.path().join("real").join(MARKER).exists());
}

#[test]
fn a_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("pool"), "").unwrap();
    let pools = pools(&directory.path().join("pool"));
    assert!(refusal(&pools).contains("not a directory"), "{}", refusal(&pools));
}

#[test]
fn a_directory_with_other_content_is_refused_without_an_empty_marker() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("home")).unwrap();
    let pools = pools(directory.path());
    assert!(refusal(&pools).contains("\"home\""), "{}", refusal(&pools));
    fs::write(directory.path().join(MARKER), "").unwrap();
    pools.open(&PoolName::default()).unwrap();
}

#[test]
fn a_killed_first_start_is_repeated() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(".fastrak-pool.new"), "{\"for").unwrap();
    pools(directory.path()).open(&PoolName::default()).unwrap();
    let mut names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [HOLDER, MARKER]);
}

#[test]
fn leftovers_of_a_killed_probe_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    for left in [vec![PROBE], vec![PROBED], vec![PROBE, PROBED]] {
        left.iter().for_each(|name| fs::create_dir(directory.path().join(name)).unwrap());
        pools(directory.path()).open(&PoolName::default()).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [HOLDER, MARKER], "{left:?}");
    }
}

#[test]
fn a_pool_in_memory_is_reported_as_volatile() {
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let changes = pools(memory.path()).changes();
    assert!(changes[0].problem.is_none() && changes[0].is_volatile, "{changes:?}");
    let (ext4, btrfs, xfs) = (0xEF53, 0x9123_683E, 0x5846_5342);
    for kind in [ext4, btrfs, xfs] {
        assert!(!Statfs { kind, ..Statfs::default() }.is_in_memory(), "{kind:x}");
    }
}

#[test]
fn a_pool_that_must_be_a_mount_is_refused_when_nothing_is_mounted() {
    let directory = tempfile::tempdir().unwrap();
    let required = PoolConfig { require_mount: true, ..config(directory.path()) };
    let pools = pools_of("node-a", vec![required]);
    assert!(refusal(&pools).contains("mount its disk"), "{}", refusal(&pools));
    assert!(!directory.path().join(MARKER).exists());
}

#[test]
fn an_empty_directory_is_refused_if_the_cluster_has_volumes() {
    let directory = tempfile::tempdir().unwrap();
    let pools = pools(directory.path());
    pools.set_cluster_view(in_use());
    assert!(refusal(&pools).contains("mount the pool's disk"), "{}", refusal(&pools));
    assert!(!directory.path().join(MARKER).exists());
}

#[test]
fn an_unmounted_pool_is_refused_until_it_is_mounted_again() {
    let directory = tempfile::tempdir().unwrap();
    let (path, away) = (directory.path().join("pool"), directory.path().join("away"));
    fs::create_dir(&path).unwrap();
    let pools = pools(&path);
    pools.open(&PoolName::default()).unwrap();
    fs::rename(&path, &away).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(refusal(&pools).contains("mount the pool's disk"), "{}", refusal(&pools));
    // Another disk in its place, with a marker of its own.
    drop(pools_elsewhere(&path));
    assert!(refusal(&pools).contains("another disk"), "{}", refusal(&pools));
    fs::remove_dir_all(&path).unwrap();
    fs::rename(&away, &path).unwrap();
    pools.open(&PoolName::default()).unwrap();
}

fn pools_elsewhere(path: &Path) -> Pools {
    let other = pools(path);
    other.open(&PoolName::default()).unwrap();
    other
}

#[test]
fn a_disk_of_another_node_or_pool_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    pools(directory.path()).open(&PoolName::default()).unwrap();
    let node = pools_of("node-b", vec![config(directory.path())]);
    assert!(refusal(&node).contains("belongs to node \"node-a\""), "{}", refusal(&node));
    let name = PoolName::parse("fast").unwrap();
    let renamed = PoolConfig { name: name.clone(), ..config(directory.path()) };
    let pool = pools_of("node-a", vec![renamed]);
    let error = Chain(&pool.open(&name).unwrap_err()).to_string();
    assert!(error.contains("pool \"default\""), "{error}");
}

#[test]
fn a_pool_may_lie_inside_another() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("disks/fast");
    fs::create_dir_all(&inner).unwrap();
    let fast = PoolConfig {
        name: PoolName::parse("fast").unwrap(),
        path: inner,
        require_mount: false,
        limits: CapacityLimits::default(),
    };
    let pools = pools_of("node-a", vec![config(directory.path()), fast]);
    assert!(pools.open_all().all(|pool| pool.is_ok()));
}

#[test]
fn an_unknown_pool_is_refused_with_the_list_of_pools() {
    let directory = tempfile::tempdir().unwrap();
    let error = pools(directory.path()).open(&PoolName::parse("fast").unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "this node has no pool fast; it has: default");
}

#[test]
fn a_change_is_reported_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pool");
    let pools = pools(&path);
    let changes = pools.changes();
    assert!(matches!(changes.as_slice(), [Change { problem: Some(_), .. }]), "{changes:?}");
    assert_eq!(pools.changes(), []);
    fs::create_dir(&path).unwrap();
    let changes = pools.changes();
    assert!(matches!(changes.as_slice(), [Change { problem: None, .. }]), "{changes:?}");
    assert_eq!(pools.changes(), []);
}

#[test]
fn no_pool_is_opened_before_the_cluster_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let pools = pools(directory.path());
    pools.set_cluster_view(ClusterView::default());
    assert!(refusal(&pools).contains("kube-system"), "{}", refusal(&pools));
    assert!(!directory.path().join(MARKER).exists());
}

#[test]
fn a_pool_of_another_cluster_is_refused_with_the_command_that_adopts_it() {
    let directory = tempfile::tempdir().unwrap();
    pools(directory.path()).open(&PoolName::default()).unwrap();
    let rebuilt = pools(directory.path());
    let other = ClusterView { cluster: "cluster-b".to_owned(), ..in_use() };
    rebuilt.set_cluster_view(other.clone());
    let marker = fs::read_to_string(directory.path().join(MARKER)).unwrap();
    let message = refusal(&rebuilt);
    assert!(
        message.contains("kubectl annotate node node-a fastrak.io/adopt-pool=default"),
        "{message}"
    );
    assert!(message.contains("cluster-a"), "{message}");
    assert_eq!(fs::read_to_string(directory.path().join(MARKER)).unwrap(), marker);
    // The refusal is a change, and so is the adoption, once.
    assert_eq!(rebuilt.changes().len(), 1);
    rebuilt.set_cluster_view(ClusterView { adopt: Some("default".to_owned()), ..other });
    let changes = rebuilt.changes();
    assert!(
        matches!(changes.as_slice(), [Change { problem: None, adopted: true, .. }]),
        "{changes:?}"
    );
    assert_eq!(rebuilt.changes(), []);
    drop(rebuilt);
    // From now on it is the new cluster's alone.
    assert!(refusal(&pools(directory.path())).contains("cluster-b"));
}

#[test]
fn a_pool_without_a_cluster_is_adopted_only_if_empty_or_in_use() {
    for (content, view, is_certain) in
        [(None, view(), true), (Some("volume"), in_use(), true), (Some("volume"), view(), false)]
    {
        let directory = tempfile::tempdir().unwrap();
        let old = r#"{"format":1,"id":"1","pool":"default","node":"node-a"}"#;
        fs::write(directory.path().join(MARKER), old).unwrap();
        fs::create_dir(directory.path().join(".trash")).unwrap();
        if let Some(name) = content {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let pools = pools(directory.path());
        pools.set_cluster_view(view);
        assert_eq!(pools.open(&PoolName::default()).is_ok(), is_certain, "{content:?}");
        let marker = fs::read_to_string(directory.path().join(MARKER)).unwrap();
        assert_eq!(marker.contains("cluster-a"), is_certain, "{marker}");
    }
    // A volume in the trash that can be restored is data.
    let directory = tempfile::tempdir().unwrap();
    let old = r#"{"format":1,"id":"1","pool":"default","node":"node-a"}"#;
    fs::write(directory.path().join(MARKER), old).unwrap();
    fs::create_dir_all(directory.path().join(".trash/volume")).unwrap();
    assert!(refusal(&pools(directory.path())).contains("adopt-pool"));
}

#[test]
fn a_pool_is_used_by_one_agent_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let first = pools(directory.path());
    first.open(&PoolName::default()).unwrap();
    let second = pools(directory.path());
    let message = refusal(&second);
    let holder = format!("process {}", std::process::id());
    assert!(message.contains("in use by another agent") && message.contains(&holder), "{message}");
    first.open(&PoolName::default()).unwrap();
    drop(first);
    second.open(&PoolName::default()).unwrap();
}
