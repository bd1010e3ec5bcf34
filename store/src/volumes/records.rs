//! The records beside a volume's data: `volume.json` names the original claim and the size,
//! `owner.json` the current owner.

pub(crate) mod identity;
pub(crate) mod owner;
