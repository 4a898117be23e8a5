use super::convert::{WitPortError, port_error};
use crate::bindings::capabilities::tocsin::capability::authorized_apps as wit;
use crate::state::InstanceState;
use tocsin_domain::authorized_app::AuthorizedApp;
use tocsin_domain::ports::authorized_apps::AuthorizedApps;

impl wit::Host for InstanceState {
    fn find_app(&mut self, name: String) -> Result<Option<wit::AuthorizedApp>, WitPortError> {
        let app = self.services.store.find_app(&name).map_err(port_error)?;
        Ok(app.map(
            |AuthorizedApp {
                 name,
                 allowed_regions,
                 allowed_health_authorities,
                 bypass_verification,
                 bypass_revision_token,
                 validated: _,
             }| wit::AuthorizedApp {
                validated: self.validators.validates(&name),
                name,
                allowed_regions,
                allowed_health_authorities: allowed_health_authorities.into_iter().map(|id| id.0).collect(),
                bypass_verification,
                bypass_revision_token,
            },
        ))
    }
}
