use super::*;
use crate::pool::PoolName;
use std::time::Duration;

fn class(parameters: &[(&str, &str)]) -> Class {
    let parameters = parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let object = StorageClass {
        metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
            name: Some("fast".to_owned()),
            ..Default::default()
        },
        provisioner: names::PROVISIONER.to_owned(),
        parameters: Some(parameters),
        ..StorageClass::default()
    };
    Class::read(&object)
}

#[test]
fn a_class_without_parameters_uses_the_default_pool_and_is_writable_by_all() {
    let params = class(&[]).params().unwrap();
    assert_eq!(params.pools, PoolChoice::These(vec![PoolName::default()]));
    assert_eq!(params.mode, Mode(0o777));
}

#[test]
fn parameters_are_read() {
    let params = class(&[("pool", "nvme"), ("mode", "0750")]).params().unwrap();
    assert_eq!((params.pools.to_string().as_str(), params.mode), ("nvme", Mode(0o750)));
    assert_eq!((params.quota, params.on_delete), (Quota::Preferred, OnDelete::Delete));
    let params = class(&[("quota", "required"), ("onDelete", "trash")]).params().unwrap();
    let week = Duration::from_secs(7 * 24 * 3600);
    assert_eq!((params.quota, params.on_delete), (Quota::Required, OnDelete::Trash(week)));
    for (text, seconds) in [("0s", 0), ("90s", 90), ("30m", 1800), ("12h", 43200), ("1d", 86400)] {
        let params = class(&[("onDelete", "trash"), ("trashTTL", text)]).params().unwrap();
        assert_eq!(params.on_delete, OnDelete::Trash(Duration::from_secs(seconds)), "{text}");
    }
}

#[test]
fn files_are_limited_by_the_size_unless_the_class_says_none() {
    let of = |text| class(&[("bytesPerInode", text)]).params().unwrap().bytes_per_inode;
    assert_eq!(class(&[]).params().unwrap().bytes_per_inode, BytesPerInode(Some(16384)));
    for (text, bytes) in [("16384", 16384), ("16Ki", 16384), ("1024", 1024), ("64Mi", 64 << 20)] {
        assert_eq!(of(text), BytesPerInode(Some(bytes)), "{text}");
    }
    assert_eq!(of("none"), BytesPerInode(None));
}

#[test]
fn a_class_may_name_several_pools_or_all() {
    let of = |pool, policy| class(&[("pool", pool), ("poolPolicy", policy)]).params().unwrap();
    let known = ["a", "b", "c"].map(|name| PoolName::parse(name).unwrap());
    let params = of("c, a,x", "spread");
    assert_eq!(params.pools.among(&known), [known[2].clone(), known[0].clone()]);
    assert_eq!(
        (params.pools.to_string().as_str(), params.pool_policy),
        ("c or a or x", PoolPolicy::Spread)
    );
    assert_eq!(of("*", "in-order").pools.among(&known), known);
    assert_eq!(of("*", "most-free").pool_policy, PoolPolicy::default());
    assert_eq!(of("x", "most-free").pools.among(&known), []);
}

#[test]
fn a_bad_parameter_is_named_with_what_to_write() {
    for (key, value, words) in [
        ("mdoe", "0750", "unknown parameter \"mdoe\"; known parameters: pool, poolPolicy, mode"),
        ("mode", "rwx", "write permissions in octal"),
        ("mode", "0888", "write permissions in octal"),
        ("mode", "", "write permissions in octal"),
        ("mode", "+755", "write permissions in octal"),
        ("mode", "17777", "write permissions in octal"),
        ("pool", "../etc", "a pool name has 1 to 63"),
        ("pool", "a,,b", "a pool name has 1 to 63"),
        ("pool", "a,*", "a pool name has 1 to 63"),
        ("poolPolicy", "random", "write one of: most-free, spread, in-order"),
        ("quota", "yes", "write one of: required, preferred, off"),
        ("bytesPerInode", "0", "write a size from 1Ki to 64Mi, such as 16Ki, or none"),
        ("bytesPerInode", "1023", "write a size from 1Ki to 64Mi"),
        ("bytesPerInode", "65Mi", "write a size from 1Ki to 64Mi"),
        ("bytesPerInode", "-16Ki", "write a size from 1Ki to 64Mi"),
        ("bytesPerInode", "", "write a size from 1Ki to 64Mi"),
        ("bytesPerInode", "None", "write a size from 1Ki to 64Mi"),
        ("onDelete", "Retain", "write one of: delete, trash"),
        ("trashTTL", "1d", "without onDelete: trash"),
        ("trashTTL", "1w", "write a duration such as 90s, 30m"),
        ("trashTTL", "+1d", "write a duration such as 90s, 30m"),
        ("trashTTL", "7", "write a duration such as 90s, 30m"),
        ("trashTTL", "d", "write a duration such as 90s, 30m"),
        ("trashTTL", "4000d", "write a duration such as 90s, 30m"),
        ("trashTTL", "99999999999999999999d", "write a duration such as 90s, 30m"),
    ] {
        let error = class(&[(key, value)]).params().unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("fast"), "{error}");
    }
}

#[test]
fn a_class_says_when_it_binds_and_what_it_keeps() {
    let read = class(&[]);
    assert_eq!((read.binding, read.reclaim), (Binding::Immediate, ReclaimPolicy::Delete));
    let object = StorageClass {
        volume_binding_mode: Some("WaitForFirstConsumer".to_owned()),
        reclaim_policy: Some("Retain".to_owned()),
        ..StorageClass::default()
    };
    let read = Class::read(&object);
    assert_eq!(read.binding, Binding::WaitForFirstConsumer);
    assert_eq!(read.reclaim, ReclaimPolicy::Retain);
}

#[test]
fn both_spellings_of_the_default_mark_count_and_only_true_is_a_mark() {
    for (key, value, expected) in [
        (kubernetes::DEFAULT_CLASS, "true", true),
        (kubernetes::DEFAULT_CLASS_BETA, "true", true),
        (kubernetes::DEFAULT_CLASS, "yes", false),
    ] {
        let mut object = StorageClass::default();
        object.metadata.annotations = Some([(key.to_owned(), value.to_owned())].into());
        assert_eq!(Class::read(&object).is_default, expected, "{key}={value}");
    }
}

#[test]
fn topologies_allow_any_term_whose_every_label_holds() {
    let zone = |z: &str| ("zone".to_owned(), vec![z.to_owned()]);
    let ssd = ("disk".to_owned(), vec!["ssd".to_owned(), "nvme".to_owned()]);
    let mut read = class(&[]);
    let labels = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>()
    };
    assert!(read.allows(&labels(&[])));
    read.topologies = vec![vec![zone("a"), ssd], vec![zone("b")]];
    assert!(read.allows(&labels(&[("zone", "a"), ("disk", "nvme")])));
    assert!(read.allows(&labels(&[("zone", "b")])));
    assert!(!read.allows(&labels(&[("zone", "a")])));
    assert!(!read.allows(&labels(&[])));
}
