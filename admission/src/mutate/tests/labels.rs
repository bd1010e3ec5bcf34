//! Tests of the label by which an agent finds a claim.

use super::*;

#[test]
fn a_label_that_a_tenant_wrote_is_corrected_or_removed() {
    let forged = with_labels(&claim_of(Some("waits")), &[(NODE, "b")]);
    let changed = after(&forged, &create(&forged, &two_nodes()));
    assert_eq!(pin_of(&changed), (None, None, None));

    let pinned = annotated(&forged, &[(NODE, "a")]);
    let changed = after(&pinned, &create(&pinned, &two_nodes()));
    assert_eq!(pin_of(&changed), (Some("a"), Some("user"), Some("a")));

    let old = changed;
    let new = with_labels(&old, &[(NODE, "b")]);
    let changed = after(&new, &update(&old, &new, &two_nodes()));
    assert_eq!(label(&changed, NODE), Some("a"));
}
