//! The marker: a file that names the pool, the node and the cluster of a directory. It
//! distinguishes the disk of a pool from the empty directory below its mount point and from the
//! disk of another cluster.
//!
//! Pure. `check.rs` reads and writes the disk.

use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use serde::{Deserialize, Serialize};

use super::error::Problem;

/// The file name of the marker.
pub(crate) const MARKER: &str = ".fastrak-pool";

/// The format of [`Marker`] that this version reads and writes.
pub(crate) const MARKER_FORMAT: u32 = 1;

/// The content of the marker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Marker {
    /// The format of the record.
    pub format: u32,
    /// The ID of the pool: a random UUID.
    pub id: String,
    /// The name of the pool.
    pub pool: String,
    /// The node of the pool.
    pub node: String,
    /// The cluster of the pool: the UID of its namespace `kube-system`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

/// The state of the marker file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MarkerState {
    /// The file does not exist.
    Absent,
    /// The file is empty: an administrator wants a pool here, even if the directory contains other
    /// files.
    Consent,
    /// The file is a marker.
    Marker(Marker),
    /// The file cannot be parsed, or has another format.
    Unreadable(String),
}

/// What is known of a pool apart from its disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    /// The name of the pool.
    pub(crate) pool: &'a PoolName,
    /// This node.
    pub(crate) node: &'a NodeName,
    /// The pool's ID at an earlier check by this process.
    pub(crate) id: Option<&'a str>,
    /// The cluster of this node.
    pub(crate) cluster: &'a str,
    /// Whether this cluster has PersistentVolumes in the pool.
    pub(crate) has_volumes: bool,
    /// Whether an administrator allows this cluster to adopt the pool.
    pub(crate) adopt: bool,
}

/// What to do with the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the pool with this ID.
    Accept(String),
    /// It becomes the pool: the caller writes a marker.
    Initialize,
    /// This cluster adopts the pool: the caller writes this marker.
    Adopt(Marker),
}

impl MarkerState {
    /// Parses the content of the marker file.
    pub(crate) fn read(content: Option<&[u8]>) -> Self {
        let Some(content) = content else { return Self::Absent };
        if content.is_empty() {
            return Self::Consent;
        }
        match serde_json::from_slice::<Marker>(content) {
            Ok(marker) if marker.format == MARKER_FORMAT => Self::Marker(marker),
            Ok(marker) => Self::Unreadable(format!("its format is {}", marker.format)),
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }
}

/// Decides whether a directory with this marker and these other entries is the expected pool.
pub(crate) fn decide(
    found: &MarkerState,
    others: &[String],
    expected: &Expected<'_>,
) -> Result<Verdict, Problem> {
    match found {
        MarkerState::Marker(marker) => accept(marker, others, expected),
        MarkerState::Consent => Ok(Verdict::Initialize),
        MarkerState::Unreadable(why) => Err(Problem::MarkerUnreadable { why: why.clone() }),
        // A disk that is not mounted looks like a first start, unless the pool is known.
        MarkerState::Absent if expected.id.is_some() || expected.has_volumes => {
            Err(Problem::MarkerLost)
        }
        MarkerState::Absent => match others.first() {
            Some(name) => Err(Problem::NotEmpty { name: name.clone() }),
            None => Ok(Verdict::Initialize),
        },
    }
}

fn accept(marker: &Marker, others: &[String], expected: &Expected<'_>) -> Result<Verdict, Problem> {
    if marker.pool != expected.pool.as_str() {
        return Err(Problem::OtherPool { pool: marker.pool.clone() });
    }
    if marker.node != expected.node.as_str() {
        return Err(Problem::OtherNode { node: marker.node.clone() });
    }
    if expected.id.is_some_and(|id| id != marker.id) {
        return Err(Problem::OtherDisk);
    }
    if marker.cluster.as_deref() == Some(expected.cluster) {
        return Ok(Verdict::Accept(marker.id.clone()));
    }
    // Versions before the cluster was recorded wrote markers without one.
    let is_unclaimed = marker.cluster.is_none() && (expected.has_volumes || others.is_empty());
    if expected.adopt || is_unclaimed {
        let cluster = Some(expected.cluster.to_owned());
        return Ok(Verdict::Adopt(Marker { cluster, ..marker.clone() }));
    }
    Err(Problem::OtherCluster {
        cluster: marker.cluster.clone(),
        pool: marker.pool.clone(),
        node: marker.node.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: &str = "cluster-a";

    fn marker_of(cluster: Option<&str>, pool: &str, node: &str, id: &str) -> Marker {
        let (id, pool, node) = (id.to_owned(), pool.to_owned(), node.to_owned());
        Marker { format: MARKER_FORMAT, id, pool, node, cluster: cluster.map(str::to_owned) }
    }

    fn marker(pool: &str, node: &str, id: &str) -> MarkerState {
        MarkerState::Marker(marker_of(Some(HERE), pool, node, id))
    }

    #[derive(Clone, Copy, Default)]
    struct Known<'a> {
        id: Option<&'a str>,
        has_volumes: bool,
        adopt: bool,
    }

    fn judged(found: &MarkerState, others: &[&str], known: Known<'_>) -> Result<Verdict, Problem> {
        let (pool, node) = (PoolName::default(), NodeName::parse("node-a").unwrap());
        let others: Vec<_> = others.iter().map(|&name| name.to_owned()).collect();
        let Known { id, has_volumes, adopt } = known;
        let expected = Expected { pool: &pool, node: &node, id, cluster: HERE, has_volumes, adopt };
        decide(found, &others, &expected)
    }

    impl PartialEq for Problem {
        fn eq(&self, other: &Self) -> bool {
            self.to_string() == other.to_string()
        }
    }

    const NEW: Known<'_> = Known { id: None, has_volumes: false, adopt: false };
    const IN_USE: Known<'_> = Known { id: None, has_volumes: true, adopt: false };
    const SEEN: Known<'_> = Known { id: Some("1"), has_volumes: false, adopt: false };

    #[test]
    fn a_first_start_requires_an_empty_directory() {
        assert_eq!(judged(&MarkerState::Absent, &[], NEW), Ok(Verdict::Initialize));
        let taken = Problem::NotEmpty { name: "home".to_owned() };
        assert_eq!(judged(&MarkerState::Absent, &["home"], NEW), Err(taken));
    }

    #[test]
    fn an_empty_directory_of_a_used_pool_is_an_unmounted_disk() {
        assert_eq!(judged(&MarkerState::Absent, &[], IN_USE), Err(Problem::MarkerLost));
        assert_eq!(judged(&MarkerState::Absent, &[], SEEN), Err(Problem::MarkerLost));
    }

    #[test]
    fn an_empty_marker_initializes_a_pool_with_other_contents() {
        let known = Known { has_volumes: true, ..SEEN };
        assert_eq!(judged(&MarkerState::Consent, &["home"], known), Ok(Verdict::Initialize));
    }

    #[test]
    fn a_marker_must_match_the_pool_the_node_and_the_earlier_id() {
        let accept = Ok(Verdict::Accept("1".to_owned()));
        assert_eq!(judged(&marker("default", "node-a", "1"), &["x"], IN_USE), accept);
        let both = Known { has_volumes: true, ..SEEN };
        assert_eq!(judged(&marker("default", "node-a", "1"), &[], both), accept);
        let pool = Problem::OtherPool { pool: "fast".to_owned() };
        assert_eq!(judged(&marker("fast", "node-a", "1"), &[], NEW), Err(pool));
        let node = Problem::OtherNode { node: "node-b".to_owned() };
        assert_eq!(judged(&marker("default", "node-b", "1"), &[], NEW), Err(node));
        assert_eq!(judged(&marker("default", "node-a", "2"), &[], SEEN), Err(Problem::OtherDisk));
    }

    #[test]
    fn a_pool_of_another_cluster_is_refused_until_an_administrator_adopts_it() {
        let theirs = marker_of(Some("cluster-b"), "default", "node-a", "1");
        let found = MarkerState::Marker(theirs.clone());
        // The cluster's own objects are no proof: many may write PersistentVolumes.
        for known in [NEW, IN_USE, SEEN] {
            for others in [&[][..], &["volume"]] {
                let refused = judged(&found, others, known);
                assert!(matches!(refused, Err(Problem::OtherCluster { .. })), "{refused:?}");
            }
        }
        let ours = Marker { cluster: Some(HERE.to_owned()), ..theirs };
        let adopted = judged(&found, &["volume"], Known { adopt: true, ..NEW });
        assert_eq!(adopted, Ok(Verdict::Adopt(ours)));
        // The confirmation is for the cluster, not for another node's or pool's disk.
        let far = MarkerState::Marker(marker_of(Some("cluster-b"), "default", "node-b", "1"));
        let refused = judged(&far, &[], Known { adopt: true, ..NEW });
        assert!(matches!(refused, Err(Problem::OtherNode { .. })), "{refused:?}");
    }

    #[test]
    fn a_marker_without_a_cluster_is_adopted_if_the_pool_is_empty_or_in_use() {
        let old = marker_of(None, "default", "node-a", "1");
        let ours = Ok(Verdict::Adopt(marker_of(Some(HERE), "default", "node-a", "1")));
        let found = MarkerState::Marker(old);
        assert_eq!(judged(&found, &[], NEW), ours);
        assert_eq!(judged(&found, &["volume"], IN_USE), ours);
        assert_eq!(judged(&found, &["volume"], Known { adopt: true, ..NEW }), ours);
        let refused = judged(&found, &["volume"], NEW);
        assert!(matches!(refused, Err(Problem::OtherCluster { cluster: None, .. })), "{refused:?}");
    }

    #[test]
    fn an_unreadable_marker_is_never_overwritten() {
        for text in ["{}", "\0", r#"{"format":2,"id":"1","pool":"default","node":"node-a"}"#] {
            let found = MarkerState::read(Some(text.as_bytes()));
            let verdict = judged(&found, &[], Known { adopt: true, ..NEW });
            assert!(
                matches!(verdict, Err(Problem::MarkerUnreadable { .. })),
                "{text}: {verdict:?}"
            );
        }
        assert_eq!(MarkerState::read(None), MarkerState::Absent);
        assert_eq!(MarkerState::read(Some(b"")), MarkerState::Consent);
    }

    proptest! {
        #[test]
        fn random_bytes_are_never_a_marker(bytes: Vec<u8>) {
            prop_assert!(!matches!(MarkerState::read(Some(&bytes)), MarkerState::Marker(_)));
        }
    }
}
