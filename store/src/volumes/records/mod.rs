//! The records of a volume, beside its data: `volume.json` says for whom it was made and how large it
//! is, `owner.json` who has it now.

pub mod identity;
pub mod owner;
