use crate::Host;
use crate::bindings::tocsin::capability::authorized_apps as wit;
use crate::convert::port_error;
use tocsin_domain::authorized_app::AuthorizedApp;
use tocsin_domain::health_authority::HealthAuthorityId;
use tocsin_domain::ports::PortError;
use tocsin_domain::ports::authorized_apps::AuthorizedApps;

impl AuthorizedApps for Host {
    fn find_app(&self, name: &str) -> Result<Option<AuthorizedApp>, PortError> {
        let Some(app) = wit::find_app(name).map_err(port_error)? else {
            return Ok(None);
        };
        let wit::AuthorizedApp {
            name,
            allowed_regions,
            allowed_health_authorities,
            bypass_verification,
            bypass_revision_token,
            validated,
        } = app;
        Ok(Some(AuthorizedApp {
            name,
            allowed_regions,
            allowed_health_authorities: allowed_health_authorities.into_iter().map(HealthAuthorityId).collect(),
            bypass_verification,
            bypass_revision_token,
            validated,
        }))
    }
}
