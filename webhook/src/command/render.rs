//! `render`: the rules as objects of Kubernetes. What they say is not decided here.

use super::{CommandError, End, output};
use crate::config::Config;
use fastrak_admission::policies::{Form, RenderArgs, policies, yaml};

/// Prints the objects.
pub(super) fn render(args: &RenderArgs, config: &Config) -> Result<End, CommandError> {
    if config.services.dry_run {
        return Err(CommandError::PoliciesInDryRun);
    }
    let objects = match args.form {
        Form::MutatingAdmissionPolicy => {
            policies(&args.classes, config.services, &config.namespace)
        }
    };
    let objects = objects.map_err(|source| CommandError::Render { source })?;
    let text = yaml(&objects).map_err(|source| CommandError::WriteYaml { source })?;
    output::answer(&text).map(|()| End::Admitted)
}
