use crate::{error::Result, plan::Plan};
pub(super) fn apply(plan: Plan) -> Result<Plan> {
    Ok(plan)
}
