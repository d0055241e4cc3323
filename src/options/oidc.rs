//! Functions of the program that get tokens for MONGODB-OIDC, under the official driver's names. They block: what is an `async`
//! function there is an ordinary one here.

use std::error::Error as StdError;
use std::fmt;

use crate::credential::SharedOidcCallback;
pub use crate::credential::{
    IdpServerInfo, IdpServerInfoBuilder, IdpServerResponse, IdpServerResponseBuilder, OidcCallback,
    OidcCallbackContext as CallbackContext,
};

/// What gets tokens, or nothing.
///
/// ```
/// use mongo_blocking::options::oidc::{Callback, CallbackContext, IdpServerResponse};
/// use mongo_blocking::options::{AuthMechanism, Credential};
///
/// let callback = Callback::machine(|context: &CallbackContext| {
///     let token = ask_the_provider(context.timeout)?;
///     Ok(IdpServerResponse::new(token))
/// });
/// let credential = Credential::builder().mechanism(AuthMechanism::MongoDbOidc).oidc_callback(callback).build();
/// # fn ask_the_provider(_within: std::time::Duration) -> std::io::Result<String> { Ok("eyJ".to_owned()) }
/// ```
#[derive(Clone, Default)]
pub struct Callback(Option<(SharedOidcCallback, bool)>);

impl Callback {
    /// A function that gets tokens for a service; [`OidcCallback`] says when it is called.
    pub fn machine<F>(function: F) -> Self
    where
        F: Fn(&CallbackContext) -> Result<IdpServerResponse, Box<dyn StdError + Send + Sync>> + Send + Sync + 'static,
    {
        Callback(Some((SharedOidcCallback::new(function), false)))
    }

    /// A function that gets tokens for a human user, who may have to log in; [`OidcCallback`] says when it is called.
    pub fn human<F>(function: F) -> Self
    where
        F: Fn(&CallbackContext) -> Result<IdpServerResponse, Box<dyn StdError + Send + Sync>> + Send + Sync + 'static,
    {
        Callback(Some((SharedOidcCallback::new(function), true)))
    }

    /// The function, and whether it is for a human user.
    pub(super) fn shared(&self) -> Option<(SharedOidcCallback, bool)> {
        self.0.clone()
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some((_, true)) => "Callback::human(..)",
            Some((_, false)) => "Callback::machine(..)",
            None => "Callback(None)",
        })
    }
}
