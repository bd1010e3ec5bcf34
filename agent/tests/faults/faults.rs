//! The faults and the calls at which they can occur. `machine.rs` injects them.

use crate::disk::Cut;
use rustix::io::Errno;
use std::io::Write as _;

/// A call that can fail: of the kernel (`fastrak_store::host::calls`) or of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Open,
    Create,
    Mkdir,
    Chmod,
    SetXattr,
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

/// A request to the API server (`fastrak_agent::cluster::Cluster`).
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

/// A fault at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call fails with this error and does nothing, or half of its work if that is possible.
    Once(Errno),
    /// The call and every later one fail until the cause is removed.
    Lasting(Errno),
    /// The call does its work and fails.
    Late(Errno),
    /// Another client changes all objects just before the call.
    Meddled,
    /// The process is killed before the call.
    KillBefore,
    /// The process is killed after the call.
    KillAfter,
    /// The power fails before the call.
    CutBefore(Cut),
    /// The power fails after the call.
    CutAfter(Cut),
}

/// The number of random power cuts at each call.
const CUTS: u64 = 4;

/// All injected errors.
const ERRORS: [Errno; 6] =
    [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::MFILE, Errno::INTR];

/// Prints a summary, also if the test passes.
pub(crate) fn print_summary(text: &str) {
    let mut stderr = std::io::stderr();
    stderr.write_all(format!("{text}\n").as_bytes()).expect("stderr can be written to");
}

impl Fault {
    /// Returns all faults for a call.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::KillBefore, Self::KillAfter];
        for cut in [Cut::Nothing, Cut::Everything].into_iter().chain((1..=CUTS).map(Cut::Some)) {
            all.extend([Self::CutBefore(cut), Self::CutAfter(cut)]);
        }
        all.extend(ERRORS.map(Self::Once));
        // An interrupted call is repeated: no kernel interrupts it for ever.
        let lasting = ERRORS.into_iter().filter(|error| *error != Errno::INTR);
        all.extend(lasting.map(Self::Lasting));
        all.extend([Self::Late(Errno::IO), Self::Meddled]);
        all
    }

    /// Returns whether this fault can occur at a call.
    pub(crate) fn fits(self, call: Call) -> bool {
        match self {
            Self::Once(errno) | Self::Lasting(errno) => fails_with(call, errno),
            Self::Late(_) => {
                matches!(call, Call::Sync | Call::Api(_) | Call::Rename | Call::Remove)
            }
            Self::Meddled => matches!(call, Call::Api(verb) if verb.is_conditional()),
            // At a call without changes the effect is that of the previous change.
            Self::CutBefore(Cut::Some(_)) | Self::CutAfter(Cut::Some(_)) => {
                changes(call) || matches!(call, Call::Sync | Call::Api(_))
            }
            Self::KillBefore | Self::KillAfter | Self::CutBefore(_) | Self::CutAfter(_) => true,
        }
    }

    /// Returns whether it ends the process.
    pub(crate) fn is_deadly(self) -> bool {
        match self {
            Self::KillBefore | Self::KillAfter | Self::CutBefore(_) | Self::CutAfter(_) => true,
            Self::Once(_) | Self::Lasting(_) | Self::Late(_) | Self::Meddled => false,
        }
    }

    /// Returns the power cut, if it is one.
    pub(crate) fn cut(self) -> Option<Cut> {
        match self {
            Self::CutBefore(cut) | Self::CutAfter(cut) => Some(cut),
            _ => None,
        }
    }
}

impl Verb {
    /// Returns whether the request fails if the object has changed since it was read.
    fn is_conditional(self) -> bool {
        matches!(
            self,
            Self::Delete | Self::Finalize | Self::Repoint | Self::Resize | Self::WriteStatus
        )
    }
}

/// Returns whether a call can return an error, by the manual pages, and otherwise by what
/// copy-on-write filesystems do (no space or quota left for a removal).
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
            | Call::Mkdir
            | Call::Chmod
            | Call::SetXattr
            | Call::Limit
            | Call::Rename
            | Call::Remove
            | Call::Write
    )
}
