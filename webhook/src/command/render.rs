//! `render`: the rules as objects of Kubernetes. What they say is not decided here.

use super::{CommandError, Defaults, End, output};
use fastrak_admission::policies::{Form, RenderArgs, policies, yaml};

/// Prints the objects.
pub(super) fn render(args: &RenderArgs, defaults: &Defaults) -> Result<End, CommandError> {
    if defaults.settings.dry_run {
        return Err(CommandError::PoliciesInDryRun);
    }
    let objects = match args.form {
        Form::MutatingAdmissionPolicy => {
            policies(&args.classes, defaults.settings, &defaults.namespace)
        }
    };
    let text = yaml(&objects).map_err(|source| CommandError::WriteYaml { source })?;
    output::answer(&text).map(|()| End::Admitted)
}
