use super::*;
use json_patch::jsonptr::PointerBuf;
use proptest::prelude::*;
use serde_json::{Value, json};

const FIELDS: [Field; 5] = [
    Field::Annotation("example.com/a"),
    Field::Annotation("ti~lde/sl~1ash"),
    Field::Label("example.com/a"),
    Field::Label("plain"),
    Field::ClassName,
];

fn received(object: &Value) -> Received<'_> {
    Received::deserialize(object).unwrap()
}

fn applied(object: &Value, edits: &[Edit]) -> Value {
    let mut copy = object.clone();
    json_patch::patch(&mut copy, &received(object).patch(edits).unwrap()).unwrap();
    copy
}

/// The object without the fields that an edit may name, and without what is left empty by that.
fn rest(mut object: Value) -> Value {
    for field in FIELDS {
        let tokens: Vec<_> = field.path().into_iter().flatten().collect();
        let (key, parents) = tokens.split_last().unwrap();
        let parent = PointerBuf::from_tokens(parents.iter().copied());
        if let Some(Value::Object(map)) = object.pointer_mut(parent.as_str()) {
            map.remove(*key);
        }
    }
    for parent in ["/metadata/annotations", "/metadata/labels", "/metadata", "/spec"] {
        let empty = object.pointer(parent).is_some_and(|v| v.is_null() || *v == json!({}));
        let (above, name) = parent.rsplit_once('/').unwrap();
        if let (true, Some(Value::Object(map))) = (empty, object.pointer_mut(above)) {
            map.remove(name);
        }
    }
    object
}

fn value_of(object: &Value, field: Field) -> Option<String> {
    let at = object.pointer(&field.pointer())?;
    at.as_str().map(str::to_owned)
}

fn maps() -> impl Strategy<Value = Option<Value>> {
    let keys = prop_oneof![
        Just("example.com/a"),
        Just("ti~lde/sl~1ash"),
        Just("plain"),
        Just("other.io/x"),
    ];
    let map =
        proptest::collection::btree_map(keys.prop_map(str::to_owned), "[a-z\"\\\\é]{0,3}", 0..4);
    prop_oneof![Just(None), Just(Some(Value::Null)), map.prop_map(|map| Some(json!(map)))]
}

prop_compose! {
    fn objects()(
        annotations in maps(),
        labels in maps(),
        class in proptest::option::of(proptest::option::of("[a-z]{0,2}")),
        has_metadata: bool,
        has_spec: bool,
    ) -> Value {
        let mut object = json!({"kind": "Thing", "unknown": [1, {"deep": null}]});
        if has_metadata {
            object["metadata"] = json!({"name": "x", "finalizers": ["a"]});
            if let Some(map) = annotations { object["metadata"]["annotations"] = map; }
            if let Some(map) = labels { object["metadata"]["labels"] = map; }
        }
        if has_spec {
            object["spec"] = json!({"novel": {"a": 1.5}});
            if let Some(class) = class { object["spec"]["storageClassName"] = json!(class); }
        }
        object
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = (0..FIELDS.len(), proptest::option::of("[a-z/~\"]{0,3}"))
        .prop_map(|(at, value)| Edit { field: FIELDS[at], value: value.map(SmolStr::from) });
    proptest::collection::vec(edit, 0..6)
}

#[test]
fn missing_parents_are_made_once_and_nothing_is_replaced() {
    let edits = [
        Edit::set(Field::Annotation("example.com/a"), "1"),
        Edit::set(Field::Annotation("b/~"), "2"),
        Edit::set(Field::Label("example.com/a"), "3"),
    ];
    let object = json!({"metadata": {"name": "x", "labels": {"own": "y"}}});
    let operations = received(&object).patch(&edits).unwrap();
    let shown = serde_json::to_value(&operations).unwrap();
    assert_eq!(
        shown,
        json!([
            {"op": "add", "path": "/metadata/annotations", "value": {}},
            {"op": "add", "path": "/metadata/annotations/b~1~0", "value": "2"},
            {"op": "add", "path": "/metadata/annotations/example.com~1a", "value": "1"},
            {"op": "add", "path": "/metadata/labels/example.com~1a", "value": "3"},
        ])
    );
}

#[test]
fn an_overwritten_or_removed_value_is_tested_first() {
    let object = json!({"metadata": {"annotations": {"example.com/a": "old", "b": "gone"}}});
    let edits = [
        Edit::set(Field::Annotation("example.com/a"), "new"),
        Edit::remove(Field::Annotation("b")),
        Edit::remove(Field::Annotation("never")),
    ];
    let shown = serde_json::to_value(received(&object).patch(&edits).unwrap()).unwrap();
    assert_eq!(
        shown,
        json!([
            {"op": "test", "path": "/metadata/annotations/b", "value": "gone"},
            {"op": "remove", "path": "/metadata/annotations/b"},
            {"op": "test", "path": "/metadata/annotations/example.com~1a", "value": "old"},
            {"op": "replace", "path": "/metadata/annotations/example.com~1a", "value": "new"},
        ])
    );
}

proptest! {
    #[test]
    fn a_patch_applies_to_any_object_and_changes_nothing_else(object in objects(), edits in edits()) {
        let after = applied(&object, &edits);
        prop_assert_eq!(rest(after), rest(object));
    }

    #[test]
    fn every_edit_is_there_afterwards(object in objects(), edits in edits()) {
        let after = applied(&object, &edits);
        for field in FIELDS {
            let wanted = edits.iter().rev().find(|edit| edit.field == field);
            let expected = wanted.map_or_else(|| value_of(&object, field), |edit| edit.value.clone().map(String::from));
            prop_assert_eq!(value_of(&after, field), expected);
        }
    }

    #[test]
    fn a_second_patch_is_empty(object in objects(), edits in edits()) {
        let after = applied(&object, &edits);
        prop_assert_eq!(received(&after).patch(&edits).unwrap(), vec![]);
    }
}
