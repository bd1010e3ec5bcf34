use super::*;
use crate::host::reap::{self, Budget};
use crate::host::{Dir, Kernel};
use crate::pools::{PoolConfig, Seen};
use crate::volumes::records::owner::Owner;
use crate::volumes::trash::discard::Parting;
use fastrak_api::capacity::{Reserve, Terms};
use fastrak_api::node::NodeName;
use fastrak_api::volume::IDENTITY_FORMAT;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

const UID: &str = "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";

struct Scene {
    folder: tempfile::TempDir,
    store: Store,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store_of(folder.path());
        Self { folder, store }
    }

    /// The same pool in the hands of the next process.
    fn restarted(self) -> Self {
        let Self { folder, store } = self;
        drop(store);
        let store = store_of(folder.path());
        Self { folder, store }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn volume(&self) -> PathBuf {
        self.at(UID)
    }
}

/// However full the machine is that runs the tests.
fn terms() -> Terms {
    Terms { reserve: Reserve::Percent(0), ..Terms::default() }
}

fn store_of(path: &Path) -> Store {
    let config = PoolConfig {
        name: PoolName::default(),
        path: path.to_owned(),
        require_mount: false,
        terms: terms(),
    };
    let node = NodeName::parse("node-a").unwrap();
    let pools = Pools::new(Arc::new(Kernel), node, vec![config]);
    pools.set_seen(seen());
    Store::new(Arc::new(pools))
}

fn seen() -> Seen {
    Seen { cluster: "cluster-a".to_owned(), ..Seen::default() }
}

fn id() -> VolumeId {
    VolumeId::parse(UID).unwrap()
}

fn order() -> Order {
    Order {
        identity: Identity {
            format: IDENTITY_FORMAT,
            volume: id(),
            namespace: "shop".to_owned(),
            claim: "data".to_owned(),
            class: "local-storage".to_owned(),
            node: "node-a".to_owned(),
            reclaim_policy: ReclaimPolicy::Delete,
            bytes: 1,
            limit: None,
            trash_seconds: None,
            bytes_per_inode: None,
            claim_created: None,
        },
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
fn a_volume_is_whole_where_it_has_its_name() {
    let scene = Scene::new();
    let (made, _) = scene.store.ensure(&order()).unwrap();
    assert_eq!(made.path, scene.volume().join("data"));
    assert_eq!((mode(&scene.volume()), mode(&made.path)), (0o700, 0o2770));
    assert_eq!(fs::read_dir(&made.path).unwrap().count(), 0);
    assert_eq!(mode(&scene.volume().join("volume.json")), 0o600);
    assert_eq!(fs::read_dir(scene.at(".staging")).unwrap().count(), 0);
    let identity = Box::new(order().identity);
    assert_eq!(scene.store.find(&id()).unwrap(), Whereabouts::Here(PoolName::default(), identity));
}

#[test]
fn a_volume_that_is_made_again_keeps_its_data() {
    let scene = Scene::new();
    let (made, _) = scene.store.ensure(&order()).unwrap();
    fs::write(made.path.join("file"), "kept").unwrap();
    assert_eq!(scene.store.ensure(&order()).unwrap(), (made.clone(), false));
    assert_eq!(fs::read_to_string(made.path.join("file")).unwrap(), "kept");
}

#[test]
fn what_an_earlier_try_left_half_done_is_made_anew() {
    let scene = Scene::new();
    fs::create_dir_all(scene.at(".staging").join(UID).join("data")).unwrap();
    fs::write(scene.at(".staging").join(UID).join("data/old"), "of someone else").unwrap();
    fs::write(scene.at(".fastrak-pool"), "").unwrap();
    let (made, _) = scene.store.ensure(&order()).unwrap();
    assert_eq!(fs::read_dir(&made.path).unwrap().count(), 0);
}

#[test]
fn a_place_that_is_taken_is_never_overwritten() {
    let takers: [fn(&Path); 4] = [
        |path| fs::create_dir(path).unwrap(),
        |path| fs::write(path, "").unwrap(),
        |path| symlink("/", path).unwrap(),
        |path| {
            fs::create_dir(path).unwrap();
            let text = serde_json::to_string(&order().identity)
                .unwrap()
                .replace(UID, &UID.replace('a', "b"));
            fs::write(path.join("volume.json"), text).unwrap();
        },
    ];
    for take in takers {
        let scene = Scene::new();
        scene.store.pools().open(&PoolName::default()).unwrap();
        take(&scene.volume());
        let error = scene.store.ensure(&order()).unwrap_err();
        assert!(matches!(error, VolumeError::Taken { .. }), "{error:?}");
        let error =
            scene.store.discard(&PoolName::default(), &id(), &Parting::default()).unwrap_err();
        assert!(matches!(error, VolumeError::Taken { .. }), "{error:?}");
        let found = scene.store.find(&id()).unwrap();
        assert!(matches!(found, Whereabouts::Doubtful(..)), "{found:?}");
        assert!(fs::symlink_metadata(scene.volume()).is_ok());
    }
}

#[test]
fn a_volume_goes_into_the_trash_whole_and_can_be_taken_there_twice() {
    let scene = Scene::new();
    let pool = PoolName::default();
    for round in 1..=2 {
        let (made, _) = scene.store.ensure(&order()).unwrap();
        fs::write(made.path.join("file"), "").unwrap();
        assert!(scene.store.discard(&pool, &id(), &Parting::default()).unwrap());
        assert!(!scene.store.discard(&pool, &id(), &Parting::default()).unwrap());
        assert_eq!(scene.store.find(&id()).unwrap(), Whereabouts::Trashed);
        assert_eq!(fs::read_dir(scene.at(".trash")).unwrap().count(), round);
    }
    let states = scene.store.empty_trash(100, &BTreeSet::new());
    assert_eq!((states[0].entries, states[0].more), (1, true));
    let states = scene.store.empty_trash(100, &BTreeSet::new());
    assert_eq!((states[0].entries, states[0].more), (0, false));
    assert_eq!(scene.store.find(&id()).unwrap(), Whereabouts::Nowhere);
}

#[test]
fn trash_that_is_skipped_stays_and_the_rest_goes() {
    let scene = Scene::new();
    scene.store.ensure(&order()).unwrap();
    scene.store.discard(&PoolName::default(), &id(), &Parting::default()).unwrap();
    let skipped = BTreeSet::from([layout::trash_name(&id(), 1)]);
    let states = scene.store.empty_trash(100, &skipped);
    assert_eq!((states[0].entries, states[0].more), (1, false));
}

#[test]
fn a_volume_that_is_to_be_kept_says_so_on_the_disk() {
    let scene = Scene::new();
    scene.store.ensure(&order()).unwrap();
    for _ in 0..2 {
        scene.store.keep(&PoolName::default(), &id()).unwrap();
        let Whereabouts::Here(_, identity) = scene.store.find(&id()).unwrap() else {
            panic!("it is gone");
        };
        assert_eq!(identity.reclaim_policy, ReclaimPolicy::Retain);
    }
}

#[test]
fn with_its_pool_away_nothing_is_known_of_a_volume() {
    let scene = Scene::new();
    scene.store.ensure(&order()).unwrap();
    fs::rename(scene.at(".fastrak-pool"), scene.at("away")).unwrap();
    let found = scene.store.find(&id()).unwrap();
    assert!(matches!(found, Whereabouts::Unknown(_)), "{found:?}");
    assert!(matches!(scene.store.ensure(&order()), Err(VolumeError::Pool(_))));
}

#[test]
fn what_is_in_a_pool_is_listed_by_identity() {
    let scene = Scene::new();
    scene.store.ensure(&order()).unwrap();
    fs::create_dir(scene.at("somebody's")).unwrap();
    let (corrected, unlimited) = (0, 0);
    let (pool, volumes) = (PoolName::default(), [id()].into());
    let content = survey::Content { pool, volumes, corrected, unlimited };
    assert_eq!(scene.store.survey(), [content]);
}

#[test]
fn a_volume_that_is_in_two_pools_is_doubtful_and_stays_in_both() {
    let scene = Scene::new();
    let far = PoolName::parse("far").unwrap();
    fs::create_dir_all(scene.at("near")).unwrap();
    fs::create_dir_all(scene.at("far")).unwrap();
    let config = |name: &PoolName, path: &str| PoolConfig {
        name: name.clone(),
        path: scene.at(path),
        require_mount: false,
        terms: terms(),
    };
    let store = |configs| {
        let node = NodeName::parse("node-a").unwrap();
        let pools = Pools::new(Arc::new(Kernel), node, configs);
        pools.set_seen(seen());
        Store::new(Arc::new(pools))
    };
    let (near, far) = (config(&PoolName::default(), "near"), config(&far, "far"));
    store(vec![near.clone()]).ensure(&order()).unwrap();
    store(vec![far.clone()]).ensure(&Order { pools: vec![far.name.clone()], ..order() }).unwrap();
    let found = store(vec![near, far]).find(&id()).unwrap();
    assert!(matches!(found, Whereabouts::Doubtful(..)), "{found:?}");
}

#[test]
fn staging_is_cleared() {
    let scene = Scene::new();
    assert_eq!(scene.store.survey().len(), 1);
    fs::create_dir_all(scene.at(".staging/left/data")).unwrap();
    assert_eq!(scene.store.survey().len(), 1);
    assert_eq!(fs::read_dir(scene.at(".staging")).unwrap().count(), 0);
}

#[test]
fn a_kill_between_any_two_steps_of_making_leaves_what_the_next_try_finishes() {
    // The states in which a kill can leave the disk, each reached by undoing the later steps.
    let cuts: [fn(&Scene); 4] = [
        |scene| {
            let staging = Dir::open_at(&Kernel, &scene.at(".staging")).unwrap();
            reap::remove(&staging, OsStr::new(UID), reap::Notes::Needless).unwrap();
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
        scene.store.ensure(&order()).unwrap();
        fs::rename(scene.volume(), scene.at(".staging").join(UID)).unwrap();
        cut(&scene);
        let scene = scene.restarted();
        assert_eq!(scene.store.find(&id()).unwrap(), Whereabouts::Nowhere);
        let (made, _) = scene.store.ensure(&order()).unwrap();
        assert_eq!(mode(&made.path), 0o2770);
    }
}

#[test]
fn a_removal_goes_on_where_it_was_and_its_volume_counts_as_trashed_until_it_is_gone() {
    let scene = Scene::new();
    scene.store.ensure(&order()).unwrap();
    for number in 0..20 {
        fs::write(scene.volume().join("data").join(number.to_string()), "").unwrap();
    }
    scene.store.discard(&PoolName::default(), &id(), &Parting::default()).unwrap();
    let none = BTreeSet::new();
    let first = scene.store.empty_trash(10, &none);
    assert!(first[0].more && first[0].removed > 0, "{first:?}");
    assert_eq!(scene.store.find(&id()).unwrap(), Whereabouts::Trashed);
    // The next process knows nothing of the last one's removal.
    let scene = scene.restarted();
    let rest = scene.store.empty_trash(Budget::UNLIMITED, &none);
    assert!(!rest[0].more && rest[0].entries == 0, "{rest:?}");
    assert_eq!(first[0].removed + rest[0].removed, 20 + 3);
    assert_eq!(scene.store.find(&id()).unwrap(), Whereabouts::Nowhere);
}

#[test]
fn whoever_goes_on_filling_a_volume_does_not_hold_up_the_removal_of_others() {
    let scene = Scene::new();
    scene.store.ensure(&order()).unwrap();
    let endless = scene.at(".trash/endless");
    let others = ["a", "z"].map(|name| scene.at(".trash").join(name));
    others.iter().for_each(|other| fs::create_dir_all(other.join("folder")).unwrap());
    let none = BTreeSet::new();
    let mut steps = 0;
    while others.iter().any(|other| other.exists()) {
        // More than a step removes.
        for number in 0..3 {
            fs::create_dir_all(endless.join(format!("{steps}-{number}/a"))).unwrap();
        }
        assert!(scene.store.empty_trash(2, &none)[0].more);
        steps += 1;
        assert!(steps < 5_000, "the others are never removed");
    }
    assert!(endless.exists());
}

/// Makes a volume of a namespace's, and puts it into the trash at `now`.
fn trashed(scene: &Scene, number: u32, namespace: &str, now: i64) -> VolumeId {
    let mut order = order();
    let volume = VolumeId::parse(&format!("00000000-0000-4000-8000-{number:012}")).unwrap();
    order.identity.volume = volume.clone();
    order.identity.namespace = namespace.to_owned();
    order.identity.trash_seconds = Some(7 * 24 * 3600);
    scene.store.ensure(&order).unwrap();
    scene
        .store
        .discard(&PoolName::default(), &volume, &Parting { now, ..Parting::default() })
        .unwrap();
    volume
}

#[test]
fn a_claim_evicts_by_the_last_look_and_nothing_that_was_undeleted_since() {
    let scene = Scene::new();
    let pool = PoolName::default();
    let minute = |minute: i64| 1_800_000_000 + 60 * minute;
    let [own, other] = [("own", 1), ("other", 2)]
        .map(|(namespace, number)| trashed(&scene, number, namespace, minute(0)));
    let give_way = |bytes, now| {
        let lost = scene.store.give_way(&pool, (bytes, "own"), now).unwrap();
        lost.into_iter().map(|lost| lost.id).collect::<Vec<_>>()
    };
    assert_eq!(give_way(1, minute(9)), [], "both are young");
    scene.store.sort_trash(100, minute(11));
    assert_eq!(give_way(3, minute(11)), [], "both are too small");
    // Undeleted and deleted again: it is young once more, whatever the last look has found.
    let owner = Owner { namespace: "own".into(), claim: "data".into(), uid: own.to_string() };
    scene.store.bring_back(&pool, &own, &owner).unwrap();
    scene.store.discard(&pool, &own, &Parting { now: minute(11), ..Parting::default() }).unwrap();
    assert_eq!(give_way(1, minute(12)), []);
    scene.store.sort_trash(100, minute(12));
    assert_eq!(give_way(1, minute(12)), [other]);
    scene.store.sort_trash(100, minute(22));
    assert_eq!(give_way(1, minute(22)), [own]);
}

#[test]
fn the_trash_is_read_once_for_many_steps_and_what_comes_meanwhile_goes_too() {
    let scene = Scene::new();
    let trash = scene.at(".trash");
    let put = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            fs::create_dir_all(trash.join(format!("00000000-0000-4000-8000-{number:012}.1")))
                .unwrap();
        }
    };
    scene.store.ensure(&order()).unwrap();
    put(0..10);
    let step = || scene.store.empty_trash(Budget::UNLIMITED, &BTreeSet::new()).remove(0);
    let first = step();
    assert_eq!((first.entries, first.more), (9, true));
    put(10..30);
    assert_eq!(step().entries, 8, "it was read again");
    let steps = (0..100).map(|_| step()).take_while(|state| state.more).count();
    assert_eq!(fs::read_dir(&trash).unwrap().count(), 0, "after {steps} steps");
}
