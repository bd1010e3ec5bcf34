//! What can go wrong at a call, and at which calls.
//!
//! It makes nothing go wrong by itself: `machine.rs` does, when it is told to.

use crate::disk::Cut;
use rustix::io::Errno;
use std::io::Write as _;

/// A call that can go wrong: of the kernel, as `fastrak_store::host::calls` has them, or of the API
/// server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Open,
    Create,
    Make,
    Permit,
    Tag,
    Limit,
    Examine,
    List,
    Rename,
    Remove,
    Read,
    Write,
    Lock,
    Sync,
    Mounts,
    Random,
    Api(Verb),
}

/// What is asked of the API server, as `fastrak_agent::cluster::Cluster` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    Create,
    ReadVolume,
    ReadObject,
    ListVolumes,
    ReadClaim,
    ReadOwner,
    Delete,
    Finalize,
    ReadNamespace,
    ListNodes,
    Repoint,
    Resize,
    ReadStatus,
    WriteStatus,
    SetCondition,
}

/// One way in which a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails with this error and does nothing, or half of it where that is possible.
    Once(Errno),
    /// The same, and so does every later call until the cause is removed.
    Lasting(Errno),
    /// It is done, and fails all the same.
    Late(Errno),
    /// Somebody else changes all objects just before it.
    Meddled,
    /// The process is killed before it.
    KillBefore,
    /// The process is killed after it.
    KillAfter,
    /// The power fails before it.
    CutBefore(Cut),
    /// The power fails after it.
    CutAfter(Cut),
}

/// Random parts of what was not synced are lost so many times at each call.
const CUTS: u64 = 4;

/// All errors that are tried.
const ERRORS: [Errno; 6] =
    [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::MFILE, Errno::INTR];

/// Tells how much was tried, also where a test that passes is not to say anything.
pub(crate) fn tell(text: &str) {
    let mut stderr = std::io::stderr();
    stderr.write_all(format!("{text}\n").as_bytes()).expect("stderr can be written to");
}

impl Fault {
    /// All faults that are tried at a call.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::KillBefore, Self::KillAfter];
        for cut in [Cut::Nothing, Cut::Everything].into_iter().chain((1..=CUTS).map(Cut::Some)) {
            all.extend([Self::CutBefore(cut), Self::CutAfter(cut)]);
        }
        all.extend(ERRORS.map(Self::Once));
        // A call that is interrupted is made again: no kernel interrupts it for ever.
        let lasting = ERRORS.into_iter().filter(|error| *error != Errno::INTR);
        all.extend(lasting.map(Self::Lasting));
        all.extend([Self::Late(Errno::IO), Self::Meddled]);
        all
    }

    /// Returns whether a call can go wrong in this way.
    pub(crate) fn fits(self, call: Call) -> bool {
        match self {
            Self::Once(errno) | Self::Lasting(errno) => fails_with(call, errno),
            Self::Late(_) => {
                matches!(call, Call::Sync | Call::Api(_) | Call::Rename | Call::Remove)
            }
            Self::Meddled => matches!(call, Call::Api(verb) if verb.is_conditional()),
            // At a call that changes nothing it is the same as at the last one that did.
            Self::CutBefore(Cut::Some(_)) | Self::CutAfter(Cut::Some(_)) => {
                changes(call) || matches!(call, Call::Sync | Call::Api(_))
            }
            Self::KillBefore | Self::KillAfter | Self::CutBefore(_) | Self::CutAfter(_) => true,
        }
    }

    /// Returns whether the process is no more after it.
    pub(crate) fn is_deadly(self) -> bool {
        match self {
            Self::KillBefore | Self::KillAfter | Self::CutBefore(_) | Self::CutAfter(_) => true,
            Self::Once(_) | Self::Lasting(_) | Self::Late(_) | Self::Meddled => false,
        }
    }

    /// How the power failed, if it did.
    pub(crate) fn cut(self) -> Option<Cut> {
        match self {
            Self::CutBefore(cut) | Self::CutAfter(cut) => Some(cut),
            _ => None,
        }
    }
}

impl Verb {
    /// Returns whether it is refused where the object has changed since it was read.
    fn is_conditional(self) -> bool {
        matches!(
            self,
            Self::Delete | Self::Finalize | Self::Repoint | Self::Resize | Self::WriteStatus
        )
    }
}

/// Which calls can give which errors: the manual's pages of each, and where those are silent what
/// filesystems that copy on write are known to do (no space or quota left for a removal).
pub(crate) fn fails_with(call: Call, errno: Errno) -> bool {
    let opens =
        matches!(call, Call::Open | Call::Create | Call::List | Call::Mounts | Call::Random);
    match errno {
        Errno::IO => true,
        Errno::NOSPC | Errno::DQUOT | Errno::ROFS => changes(call) || call == Call::Sync,
        Errno::MFILE => opens,
        Errno::INTR => opens || matches!(call, Call::Read | Call::Write | Call::Sync),
        _ => false,
    }
}

/// Returns whether a call changes something on the disk.
fn changes(call: Call) -> bool {
    matches!(
        call,
        Call::Create
            | Call::Make
            | Call::Permit
            | Call::Tag
            | Call::Limit
            | Call::Rename
            | Call::Remove
            | Call::Write
    )
}
