//! The webhook against a real API server, as its own ServiceAccount with the rights that the
//! manifests grant: one behaviour a file. One binary, so that what all of them share is built once.

mod answers_offline;
mod caller;
mod client_certificates;
mod decides_services;
mod default_class_both_ways;
mod defaults_claims;
mod drains;
mod dry_run;
mod floods;
mod hostile_handshakes;
mod hostile_input;
mod http;
mod impostor;
mod lives_through_outages;
mod lives_through_wrong_clocks;
mod loses_races;
mod mends_its_certificates;
mod mends_services;
mod mends_what_it_missed;
mod namespaces_have_defaults;
mod one_replica_mends;
mod pins_claims;
mod probe_causes;
mod probes_itself;
mod publishes_its_certificate;
mod renders_policies;
mod restarts;
mod rig;
mod rotates_without_a_gap;
mod runs_as_a_program;
mod server;
mod serves_a_mounted_certificate;
mod sheds;
mod two_defaults_are_reported;
mod watches_its_registration;
