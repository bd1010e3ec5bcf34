use super::*;
use crate::host::removal::{self, Budget};
use crate::host::{Dir, Kernel};
use crate::pools::{ClusterView, PoolConfig};
use crate::volumes::trash::discard::TrashMetadata;
use fastrak_api::capacity::{CapacityLimits, Reserve};
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::node::NodeName;
use fastrak_testkit::fixtures;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

const UID: &str = "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";

struct Scene {
    directory: tempfile::TempDir,
    store: Store,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = store_of(directory.path());
        Self { directory, store }
    }

    /// Returns the same pool in a new process.
    fn restarted(self) -> Self {
        let Self { directory, store } = self;
        drop(store);
        let store = store_of(directory.path());
        Self { directory, store }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn volume(&self) -> PathBuf {
        self.at(UID)
    }
}

/// Returns limits that do not depend on the free space of the test machine.
fn limits() -> CapacityLimits {
    CapacityLimits { reserve: Reserve::Percent(0), ..CapacityLimits::default() }
}

fn store_of(path: &Path) -> Store {
    let config = PoolConfig {
        name: PoolName::default(),
        path: path.to_owned(),
        require_mount: false,
        limits: limits(),
    };
    let node = NodeName::parse("node-a").unwrap();
    let pools = Pools::new(Arc::new(Kernel), node, vec![config]);
    pools.set_cluster_view(cluster_view());
    Store::new(Arc::new(pools))
}

fn cluster_view() -> ClusterView {
    ClusterView { cluster: "cluster-a".to_owned(), ..ClusterView::default() }
}

fn id() -> VolumeId {
    VolumeId::parse(UID).unwrap()
}

fn spec() -> VolumeSpec {
    VolumeSpec {
        identity: Identity { bytes: 1, ..fixtures::identity(id()) },
        pools: vec![PoolName::default()],
        policy: PoolPolicy::default(),
        mode: Mode(0o2770),
        quota: Quota::Preferred,
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_created_volume_is_complete() {
    let scene = Scene::new();
    let (made, _) = scene.store.ensure(&spec()).unwrap();
    assert_eq!(made.path, scene.volume().join("data"));
    assert_eq!((mode(&scene.volume()), mode(&made.path)), (0o700, 0o2770));
    assert_eq!(fs::read_dir(&made.path).unwrap().count(), 0);
    assert_eq!(mode(&scene.volume().join("volume.json")), 0o600);
    assert_eq!(fs::read_dir(scene.at(".staging")).unwrap().count(), 0);
    let identity = Box::new(spec().identity);
    assert_eq!(scene.store.find(&id()).unwrap(), Location::InPool(PoolName::default(), identity));
}

#[test]
fn a_repeated_creation_keeps_the_data() {
    let scene = Scene::new();
    let (made, _) = scene.store.ensure(&spec()).unwrap();
    fs::write(made.path.join("file"), "kept").unwrap();
    assert_eq!(scene.store.ensure(&spec()).unwrap(), (made.clone(), false));
    assert_eq!(fs::read_to_string(made.path.join("file")).unwrap(), "kept");
}

#[test]
fn a_half_created_volume_is_created_again() {
    let scene = Scene::new();
    fs::create_dir_all(scene.at(".staging").join(UID).join("data")).unwrap();
    fs::write(scene.at(".staging").join(UID).join("data/old"), "of someone else").unwrap();
    fs::write(scene.at(".fastrak-pool"), "").unwrap();
    let (made, _) = scene.store.ensure(&spec()).unwrap();
    assert_eq!(fs::read_dir(&made.path).unwrap().count(), 0);
}

#[test]
fn an_occupied_path_is_never_overwritten() {
    let takers: [fn(&Path); 4] = [
        |path| fs::create_dir(path).unwrap(),
        |path| fs::write(path, "").unwrap(),
        |path| symlink("/", path).unwrap(),
        |path| {
            fs::create_dir(path).unwrap();
            let text = serde_json::to_string(&spec().identity)
                .unwrap()
                .replace(UID, &UID.replace('a', "b"));
            fs::write(path.join("volume.json"), text).unwrap();
        },
    ];
    for take in takers {
        let scene = Scene::new();
        scene.store.pools().open(&PoolName::default()).unwrap();
        take(&scene.volume());
        let error = scene.store.ensure(&spec()).unwrap_err();
        assert!(matches!(error, VolumeError::Occupied { .. }), "{error:?}");
        let error = scene
            .store
            .discard(&PoolName::default(), &id(), &TrashMetadata::default())
            .unwrap_err();
        assert!(matches!(error, VolumeError::Occupied { .. }), "{error:?}");
        let found = scene.store.find(&id()).unwrap();
        assert!(matches!(found, Location::Unverified(..)), "{found:?}");
        assert!(fs::symlink_metadata(scene.volume()).is_ok());
    }
}

#[test]
fn a_volume_can_be_trashed_twice() {
    let scene = Scene::new();
    let pool = PoolName::default();
    for round in 1..=2 {
        let (made, _) = scene.store.ensure(&spec()).unwrap();
        fs::write(made.path.join("file"), "").unwrap();
        assert!(scene.store.discard(&pool, &id(), &TrashMetadata::default()).unwrap());
        assert!(!scene.store.discard(&pool, &id(), &TrashMetadata::default()).unwrap());
        assert_eq!(scene.store.find(&id()).unwrap(), Location::Trashed);
        assert_eq!(fs::read_dir(scene.at(".trash")).unwrap().count(), round);
    }
    let states = scene.store.empty_trash(100, &BTreeSet::new());
    assert_eq!((states[0].entries, states[0].more), (1, true));
    let states = scene.store.empty_trash(100, &BTreeSet::new());
    assert_eq!((states[0].entries, states[0].more), (0, false));
    assert_eq!(scene.store.find(&id()).unwrap(), Location::Absent);
}

#[test]
fn skipped_trash_stays_and_the_rest_is_removed() {
    let scene = Scene::new();
    scene.store.ensure(&spec()).unwrap();
    scene.store.discard(&PoolName::default(), &id(), &TrashMetadata::default()).unwrap();
    let skipped = BTreeSet::from([layout::trash_name(&id(), 1)]);
    let states = scene.store.empty_trash(100, &skipped);
    assert_eq!((states[0].entries, states[0].more), (1, false));
}

#[test]
fn keeping_a_volume_is_recorded_on_the_disk() {
    let scene = Scene::new();
    scene.store.ensure(&spec()).unwrap();
    for _ in 0..2 {
        scene.store.keep(&PoolName::default(), &id()).unwrap();
        let Location::InPool(_, identity) = scene.store.find(&id()).unwrap() else {
            panic!("the volume is gone");
        };
        assert_eq!(identity.reclaim_policy, ReclaimPolicy::Retain);
    }
}

#[test]
fn the_location_of_a_volume_in_an_unusable_pool_is_unknown() {
    let scene = Scene::new();
    scene.store.ensure(&spec()).unwrap();
    fs::rename(scene.at(".fastrak-pool"), scene.at("away")).unwrap();
    let found = scene.store.find(&id()).unwrap();
    assert!(matches!(found, Location::Unknown(_)), "{found:?}");
    assert!(matches!(scene.store.ensure(&spec()), Err(VolumeError::Pool(_))));
}

#[test]
fn a_survey_lists_volumes_by_id() {
    let scene = Scene::new();
    scene.store.ensure(&spec()).unwrap();
    fs::create_dir(scene.at("somebody's")).unwrap();
    let (corrected, unlimited) = (0, 0);
    let (pool, volumes) = (PoolName::default(), [id()].into());
    let content = survey::Content { pool, volumes, corrected, unlimited };
    assert_eq!(scene.store.survey(), [content]);
}

#[test]
fn a_volume_in_two_pools_is_unverified_and_stays_in_both() {
    let scene = Scene::new();
    let far = PoolName::parse("far").unwrap();
    fs::create_dir_all(scene.at("near")).unwrap();
    fs::create_dir_all(scene.at("far")).unwrap();
    let config = |name: &PoolName, path: &str| PoolConfig {
        name: name.clone(),
        path: scene.at(path),
        require_mount: false,
        limits: limits(),
    };
    let store = |configs| {
        let node = NodeName::parse("node-a").unwrap();
        let pools = Pools::new(Arc::new(Kernel), node, configs);
        pools.set_cluster_view(cluster_view());
        Store::new(Arc::new(pools))
    };
    let (near, far) = (config(&PoolName::default(), "near"), config(&far, "far"));
    store(vec![near.clone()]).ensure(&spec()).unwrap();
    store(vec![far.clone()])
        .ensure(&VolumeSpec { pools: vec![far.name.clone()], ..spec() })
        .unwrap();
    let found = store(vec![near, far]).find(&id()).unwrap();
    assert!(matches!(found, Location::Unverified(..)), "{found:?}");
}

#[test]
fn a_survey_clears_the_staging_directory() {
    let scene = Scene::new();
    assert_eq!(scene.store.survey().len(), 1);
    fs::create_dir_all(scene.at(".staging/left/data")).unwrap();
    assert_eq!(scene.store.survey().len(), 1);
    assert_eq!(fs::read_dir(scene.at(".staging")).unwrap().count(), 0);
}

#[test]
fn a_kill_between_two_steps_of_a_creation_is_completed_by_the_next_attempt() {
    // The states in which a kill can leave the disk, each reached by undoing the later steps.
    let cuts: [fn(&Scene); 4] = [
        |scene| {
            let staging = Dir::open_at(&Kernel, &scene.at(".staging")).unwrap();
            removal::remove(&staging, OsStr::new(UID), removal::SubvolumeRecords::NotNeeded)
                .unwrap();
        },
        |scene| fs::remove_file(scene.at(".staging").join(UID).join("volume.json")).unwrap(),
        |scene| {
            fs::rename(
                scene.at(".staging").join(UID).join("volume.json"),
                scene.at(".staging").join(UID).join("volume.json.new"),
            )
            .unwrap()
        },
        |scene| fs::remove_dir(scene.at(".staging").join(UID).join("data")).unwrap(),
    ];
    for cut in cuts {
        let scene = Scene::new();
        scene.store.ensure(&spec()).unwrap();
        fs::rename(scene.volume(), scene.at(".staging").join(UID)).unwrap();
        cut(&scene);
        let scene = scene.restarted();
        assert_eq!(scene.store.find(&id()).unwrap(), Location::Absent);
        let (made, _) = scene.store.ensure(&spec()).unwrap();
        assert_eq!(mode(&made.path), 0o2770);
    }
}

#[test]
fn a_removal_continues_and_its_volume_is_trashed_until_it_is_gone() {
    let scene = Scene::new();
    scene.store.ensure(&spec()).unwrap();
    for number in 0..20 {
        fs::write(scene.volume().join("data").join(number.to_string()), "").unwrap();
    }
    scene.store.discard(&PoolName::default(), &id(), &TrashMetadata::default()).unwrap();
    let none = BTreeSet::new();
    let first = scene.store.empty_trash(10, &none);
    assert!(first[0].more && first[0].removed > 0, "{first:?}");
    assert_eq!(scene.store.find(&id()).unwrap(), Location::Trashed);
    // A new process does not know the earlier removal.
    let scene = scene.restarted();
    let rest = scene.store.empty_trash(Budget::UNLIMITED, &none);
    assert!(!rest[0].more && rest[0].entries == 0, "{rest:?}");
    assert_eq!(first[0].removed + rest[0].removed, 20 + 3);
    assert_eq!(scene.store.find(&id()).unwrap(), Location::Absent);
}

#[test]
fn a_volume_that_is_still_written_does_not_block_other_removals() {
    let scene = Scene::new();
    scene.store.ensure(&spec()).unwrap();
    let endless = scene.at(".trash/endless");
    let others = ["a", "z"].map(|name| scene.at(".trash").join(name));
    others.iter().for_each(|other| fs::create_dir_all(other.join("folder")).unwrap());
    let none = BTreeSet::new();
    let mut steps = 0;
    while others.iter().any(|other| other.exists()) {
        // More than one step removes.
        for number in 0..3 {
            fs::create_dir_all(endless.join(format!("{steps}-{number}/a"))).unwrap();
        }
        assert!(scene.store.empty_trash(2, &none)[0].more);
        steps += 1;
        assert!(steps < 5_000, "the others are never removed");
    }
    assert!(endless.exists());
}

/// Creates a volume in a namespace and deletes it at `now`.
fn trashed(scene: &Scene, number: u32, namespace: &str, now: i64) -> VolumeId {
    let mut spec = spec();
    let volume = VolumeId::parse(&format!("00000000-0000-4000-8000-{number:012}")).unwrap();
    spec.identity.volume = volume.clone();
    spec.identity.namespace = namespace.to_owned();
    spec.identity.trash_seconds = Some(7 * 24 * 3600);
    scene.store.ensure(&spec).unwrap();
    scene
        .store
        .discard(&PoolName::default(), &volume, &TrashMetadata { now, ..TrashMetadata::default() })
        .unwrap();
    volume
}

#[test]
fn a_claim_evicts_by_the_latest_review_and_never_a_restored_volume() {
    let scene = Scene::new();
    let pool = PoolName::default();
    let minute = |minute: i64| 1_800_000_000 + 60 * minute;
    let [own, other] = [("own", 1), ("other", 2)]
        .map(|(namespace, number)| trashed(&scene, number, namespace, minute(0)));
    let evict = |bytes, now| {
        let lost = scene.store.evict_trash(&pool, (bytes, "own"), now).unwrap();
        lost.into_iter().map(|lost| lost.id).collect::<Vec<_>>()
    };
    assert_eq!(evict(1, minute(9)), [], "both are young");
    scene.store.review_trash(100, minute(11));
    assert_eq!(evict(3, minute(11)), [], "both are too small");
    // Restored and deleted again: it is young, although the latest review found it old.
    let owner =
        ClaimRef { namespace: "own".into(), name: "data".into(), uid: Some(own.to_string()) };
    scene.store.restore(&pool, &own, &owner).unwrap();
    scene
        .store
        .discard(&pool, &own, &TrashMetadata { now: minute(11), ..TrashMetadata::default() })
        .unwrap();
    assert_eq!(evict(1, minute(12)), []);
    scene.store.review_trash(100, minute(12));
    assert_eq!(evict(1, minute(12)), [other]);
    scene.store.review_trash(100, minute(22));
    assert_eq!(evict(1, minute(22)), [own]);
}

#[test]
fn the_trash_is_listed_once_for_many_steps_and_later_volumes_are_removed_too() {
    let scene = Scene::new();
    let trash = scene.at(".trash");
    let put = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            fs::create_dir_all(trash.join(format!("00000000-0000-4000-8000-{number:012}.1")))
                .unwrap();
        }
    };
    scene.store.ensure(&spec()).unwrap();
    put(0..10);
    let step = || scene.store.empty_trash(Budget::UNLIMITED, &BTreeSet::new()).remove(0);
    let first = step();
    assert_eq!((first.entries, first.more), (9, true));
    put(10..30);
    assert_eq!(step().entries, 8, "it was read again");
    let steps = (0..100).map(|_| step()).take_while(|state| state.more).count();
    assert_eq!(fs::read_dir(&trash).unwrap().count(), 0, "after {steps} steps");
}
