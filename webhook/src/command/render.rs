//! `render`: prints the rules as policies.

use super::{CommandError, Defaults, Exit, output};
use fastrak_admission::policies::{Form, RenderArgs, policies, yaml};

/// Prints the policies.
pub(super) fn render(args: &RenderArgs, defaults: &Defaults) -> Result<Exit, CommandError> {
    if defaults.settings.dry_run {
        return Err(CommandError::PoliciesInDryRun);
    }
    if defaults.settings.addresses {
        return Err(CommandError::PoliciesWithAddresses);
    }
    let objects = match args.form {
        Form::MutatingAdmissionPolicy => {
            policies(&args.classes, defaults.settings, &defaults.namespace)
        }
    };
    let objects = objects.map_err(|source| CommandError::Render { source })?;
    let text = yaml(&objects).map_err(|source| CommandError::WriteYaml { source })?;
    output::result(&text).map(|()| Exit::Admitted)
}
