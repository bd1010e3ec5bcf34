use super::*;
use fastrak_api::balancer::PartialService;
use fastrak_api::claim::PartialClaim;
use fastrak_api::object::{Mapping, Metadata};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// Returns whether the reader and `serde_json` agree on a text.
fn agrees<'de, T>(text: &'de [u8]) -> bool
where
    T: Deserialize<'de> + PartialEq + fmt::Debug,
{
    let read = read::<T>(text);
    if let Some(read) = &read {
        let shown = String::from_utf8_lossy(text);
        assert_eq!(serde_json::from_slice::<T>(text).ok().as_ref(), Some(read), "{shown}");
    }
    read.is_some()
}

fn claim() -> Value {
    json!({
        "metadata": {
            "name": "data", "namespace": "shop", "labels": {"a": "b", "é": "ü\n"},
            "annotations": {"note": "a \"quoted\" \\ text", "empty": ""},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "uid": "x", "controller": true}],
            "finalizers": ["kubernetes.io/pvc-protection"],
            "managedFields": [
                {"time": null, "fieldsV1": {"f:spec": {"f:storageClassName": {}, ".": {}}}},
                {"fieldsV1": {"f:spec": {"f:resources": {"f:requests": {".": {}}}}}},
            ],
        },
        "spec": {
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "storageClassName": "fast",
            "resources": {"requests": {"storage": "1Gi"}}, "selector": {"matchLabels": {}},
            "numbers": [0, -1, 1.5, 2e9, -0.25e-3, true, false, null, [[], {}]],
        },
        "status": {"phase": "Pending"},
    })
}

fn service() -> Value {
    json!({
        "metadata": {"name": "web", "deletionTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "type": "LoadBalancer", "clusterIP": "10.0.0.1", "externalIPs": [],
            "ports": [{"port": 80, "protocol": "TCP"}, {"port": -7, "nodePort": null}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}},
    })
}

#[test]
fn json_of_an_api_server_is_read_with_any_spaces() {
    for spaced in [|value: &Value| value.to_string(), |value: &Value| format!(" {value:#}\n")] {
        assert!(agrees::<Mapping<PartialClaim<'_>>>(spaced(&claim()).as_bytes()));
        assert!(agrees::<Mapping<PartialService<'_>>>(spaced(&service()).as_bytes()));
    }
}

#[test]
fn a_plain_text_is_borrowed_and_escapes_are_resolved() {
    let text = r#"{"name": "plain", "annotations": {"a\"b": "c\n\u00e9\ud83d\ude00", "d": "e"}}"#;
    assert!(agrees::<Metadata<'_>>(text.as_bytes()));
    let read = read::<Metadata<'_>>(text.as_bytes()).unwrap();
    assert_eq!(read.annotation("a\"b"), Some("c\né😀"));
    let name = read.name.unwrap();
    assert!(text.as_bytes().as_ptr_range().contains(&name.as_str().as_ptr()));
}

#[test]
fn invalid_json_is_not_read() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "{]",
        "[}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\" 1}",
        "{1:2}",
        "{a:1}",
        "{,}",
        "{} {}",
        "[1]]",
        "tru",
        "truex",
        "nul",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "0x1",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12\"",
        "\"a\tb\"",
        "\"a\nb\"",
        "\"\u{1}\"",
        "'a'",
        "\u{feff}{}",
        "{}\u{c}",
        "NaN",
        "[1;2]",
        "/**/1",
    ] {
        assert_eq!(read::<IgnoredAny>(text.as_bytes()), None, "{text:?}");
        assert!(serde_json::from_str::<IgnoredAny>(text).is_err(), "{text:?}");
    }
    assert_eq!(read::<IgnoredAny>(b"\"\xff\""), None);
}

#[test]
fn a_value_of_another_type_is_left_to_the_other_parser() {
    for text in [
        r#"{"name": 7}"#,
        r#"{"name": "a", "name": "b"}"#,
        r#"{"labels": {"a": null}}"#,
        r#"{"labels": []}"#,
        r#"{"finalizers": {}}"#,
        r#"{"finalizers": [1]}"#,
        r#"{"name": "\ud800"}"#,
        "[]",
        "7",
    ] {
        assert_eq!(read::<Metadata<'_>>(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn brackets_may_be_nested_as_deep_as_in_objects_and_no_deeper() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read::<IgnoredAny>(nested(64).as_bytes()).is_some());
    assert!(read::<IgnoredAny>(nested(66).as_bytes()).is_none());
    assert!(read::<IgnoredAny>("[{\"a\":".repeat(1_000_000).as_bytes()).is_none());
}

/// A change of one byte of a text.
fn changed(text: &str, at: Index, change: Change) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let at = at.index(bytes.len());
    match change {
        Change::Set(byte) => bytes[at] = byte,
        Change::Insert(byte) => bytes.insert(at, byte),
        Change::Remove => drop(bytes.remove(at)),
        Change::CutOff => bytes.truncate(at),
    }
    bytes
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Set(u8),
    Insert(u8),
    Remove,
    CutOff,
}

fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        proptest::sample::select(b"{}[]\",:\\ \n\0-+.eE019ntfu\xc3\xff".to_vec()),
        any::<u8>()
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        byte().prop_map(Change::Set),
        byte().prop_map(Change::Insert),
        Just(Change::Remove),
        Just(Change::CutOff),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        r#"([ -~]|["\\]|[\x00-\x1f]|\PC){0,20}"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("[a-z\"\\\\]{0,9}", inner, 0..5)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn one_changed_byte_is_read_as_serde_json_reads_it(
        at: Index, change in change(), spaced: bool) {
        let text = |value: Value| if spaced { format!("{value:#}") } else { value.to_string() };
        agrees::<Mapping<PartialClaim<'_>>>(&changed(&text(claim()), at, change));
        agrees::<Mapping<PartialService<'_>>>(&changed(&text(service()), at, change));
    }

    #[test]
    fn every_value_is_skipped(value in value(), spaced: bool) {
        let text = if spaced { format!("{value:#}") } else { value.to_string() };
        prop_assert!(agrees::<IgnoredAny>(text.as_bytes()), "{}", text);
    }

    #[test]
    fn any_row_of_tokens_is_skipped_only_if_it_is_json(
        text in r#"([\[\]{},:]|"[a-z]{0,9}"|"\\[un"x0-9]"|-?[0-9]{1,2}|[.eE+ ]|null|true){0,12}"#) {
        let passed = agrees::<IgnoredAny>(text.as_bytes());
        prop_assert_eq!(passed, serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
    }
}
