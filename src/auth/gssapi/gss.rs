//! The Kerberos of Unix systems, through its GSSAPI library: the one file that calls it.
//!
//! Types around the foreign functions own what the library allocates, and release it when they are dropped. One thread at a time
//! uses them. Nothing here changes the environment of the process.

#![allow(unsafe_code)] // What this file is for; each block has its reason.

use std::collections::hash_map::DefaultHasher;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::hash::{Hash, Hasher};
use std::time::Duration;
use std::{ptr, slice};

use gssapi_sys as sys;
use zeroize::Zeroizing;

use super::cache_locks::{CacheLock, CacheLocks};
use super::failure::{Cause, cause};
use super::names::Service;
use super::{Context, Failure, Progress, Tried};
use crate::credential::GssapiCredential;

/// Where the credentials come from, for messages. `cache_variable` is the value of `KRB5CCNAME`.
pub(super) fn credentials(credential: &GssapiCredential, cache_variable: Option<&str>) -> String {
    match (&credential.password, &credential.credential_cache, &credential.client_keytab) {
        (Some(_), _, _) => "the password".to_owned(),
        (None, Some(cache), None) => format!("the ticket cache {cache}"),
        (None, Some(cache), Some(keytab)) => format!("the keytab {keytab} and the ticket cache {cache}"),
        (None, None, Some(keytab)) => format!("the keytab {keytab}"),
        (None, None, None) => match cache_variable {
            Some(cache) => format!("the ticket cache {cache} (KRB5CCNAME)"),
            None => SYSTEM_CACHE.to_owned(),
        },
    }
}

/// Gets a ticket for the service and makes the first token.
pub(super) fn open(
    credential: &GssapiCredential,
    service: &Service,
    tried: &mut Tried,
) -> Result<(Box<dyn Context>, Progress), Failure> {
    match attempt(credential, service, tried) {
        // Another login may be renewing the tickets of the cache, and the library empties the cache first.
        Err(Failure { cause: Cause::NoTicket, of_user: false, .. }) if credential.password.is_none() => {
            attempt(credential, service, tried)
        }
        outcome => outcome,
    }
}

fn attempt(
    credential: &GssapiCredential,
    service: &Service,
    tried: &mut Tried,
) -> Result<(Box<dyn Context>, Progress), Failure> {
    let user = Name::import(&credential.username, &USER_NAME)?;
    let credentials = {
        let _lock = lock_cache(credential);
        if tried.credentials == SYSTEM_CACHE
            && let Some(cache) = system_cache()
        {
            tried.credentials = format!("the ticket cache {cache} (the system's)");
        }
        let credentials = Credentials::acquire(credential, &user)?;
        if let Some(principal) = credentials.principal() {
            tried.user = principal;
        }
        credentials
    };
    let target = match service {
        Service::HostBased(name) => Name::import(name, &HOST_BASED_SERVICE)?,
        Service::Principal(name) => Name::import(name, &KERBEROS_PRINCIPAL)?,
    };
    let target = target.of_kerberos();
    target.note(tried);
    let mut context = GssContext { handle: ptr::null_mut(), credentials, target };
    let first = context.advance(None)?;
    Ok((Box::new(context), first))
}

/// The lock of the cache of these credentials. What is asked of the KDC meanwhile is about the user alone, not about any service.
fn lock_cache(credential: &GssapiCredential) -> Option<CacheLock> {
    let cache = match (&credential.password, &credential.credential_cache, &credential.client_keytab) {
        (Some(_), _, _) => return None, // They get a cache of their own.
        (None, None, Some(keytab)) => Some(memory_cache(keytab, &credential.username)),
        (None, cache, _) => cache.clone(),
    };
    Some(CacheLocks::of_this_process().wait(&cache, LONGEST_WAIT))
}

/// The name of the system's cache.
#[cfg(not(target_os = "macos"))]
fn system_cache() -> Option<String> {
    let (mut minor, mut name) = (0, ptr::null());
    // SAFETY: null asks for the system's cache and leaves it the one of this thread; the library sets the name to a text of its own
    // with a zero at its end, which stays until this thread asks again.
    let major = unsafe { gss_krb5_ccache_name(&mut minor, ptr::null(), &mut name) };
    if is_error(major) || name.is_null() {
        return None;
    }
    // SAFETY: see above; it is copied at once.
    Some(unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
}

#[cfg(target_os = "macos")]
fn system_cache() -> Option<String> {
    None // On macOS ticket caches have no such name.
}

/// A context that is being established, or is.
struct GssContext {
    handle: sys::gss_ctx_id_t,
    credentials: Credentials,
    target: Name,
}

// SAFETY: the library's handles belong to no thread; they may be used from any, one at a time, and `&mut self` sees to that.
unsafe impl Send for GssContext {}

impl GssContext {
    fn advance(&mut self, token: Option<&[u8]>) -> Result<Progress, Failure> {
        let (mut minor, mut flags) = (0, 0);
        let mut input = token.map(borrowed);
        let input = input.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        let mut output = Buffer::empty();
        let mut mechanism = KERBEROS.descriptor();
        // SAFETY: every pointer is null where the library takes null, or to a value that outlives the call; credentials and
        // target are live handles; the input is only read. The library sets the handle, which this value then owns.
        let major = unsafe {
            sys::gss_init_sec_context(
                &mut minor,
                self.credentials.0,
                &mut self.handle,
                self.target.0,
                &mut mechanism,
                FLAGS,
                0,
                ptr::null_mut(),
                input,
                ptr::null_mut(),
                &mut output.0,
                &mut flags,
                ptr::null_mut(),
            )
        };
        let call = if token.is_none() { "no ticket for the service" } else { "the server's token was not accepted" };
        ok(call, major, minor, false)?;
        let token = output.bytes().to_vec();
        Ok(match major & sys::GSS_S_CONTINUE_NEEDED {
            0 => Progress::Established { token, mutual: flags & sys::GSS_C_MUTUAL_FLAG != 0 },
            _ => Progress::Continue(token),
        })
    }
}

impl Context for GssContext {
    fn step(&mut self, token: &[u8]) -> Result<Progress, Failure> {
        self.advance(Some(token))
    }

    fn unwrap(&mut self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut minor = 0;
        let mut input = borrowed(message);
        let mut output = Buffer::empty();
        // SAFETY: the handle is that of a context (the library refuses one that is not established), the input is only read, and
        // the output is given back when dropped.
        let major = unsafe {
            sys::gss_unwrap(&mut minor, self.handle, &mut input, &mut output.0, ptr::null_mut(), ptr::null_mut())
        };
        ok("the server's message is not signed as it must be", major, minor, false)?;
        Ok(Zeroizing::new(output.bytes().to_vec()))
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut minor = 0;
        let mut input = borrowed(message);
        let mut output = Buffer::empty();
        // SAFETY: as for gss_unwrap. Zero: no encryption, and the usual quality of protection.
        let major = unsafe { sys::gss_wrap(&mut minor, self.handle, 0, 0, &mut input, ptr::null_mut(), &mut output.0) };
        ok("our message could not be signed", major, minor, false)?;
        Ok(output.bytes().to_vec())
    }
}

impl Drop for GssContext {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the handle is null or that of a context that only this value holds; no token is wanted.
        unsafe { sys::gss_delete_sec_context(&mut minor, &mut self.handle, ptr::null_mut()) };
    }
}

/// The user's credentials.
struct Credentials(sys::gss_cred_id_t);

impl Credentials {
    fn acquire(credential: &GssapiCredential, user: &Name) -> Result<Credentials, Failure> {
        match (&credential.password, &credential.credential_cache, &credential.client_keytab) {
            (Some(password), _, _) => Credentials::with_password(user, password.expose().as_bytes()),
            (None, None, None) => Credentials::of_system(user),
            (None, cache, keytab) => {
                let cache = match (cache, keytab) {
                    (None, Some(keytab)) => Some(memory_cache(keytab, &credential.username)),
                    (cache, _) => cache.clone(),
                };
                Credentials::from_store(user, cache, keytab.clone())
            }
        }
    }

    /// Tickets got with a password stay in a cache in memory, which the library removes with the credentials.
    fn with_password(user: &Name, password: &[u8]) -> Result<Credentials, Failure> {
        let (mut minor, mut credentials) = (0, Credentials(ptr::null_mut()));
        let mut password = borrowed(password);
        let mut mechanism = KERBEROS.descriptor();
        let mut mechanisms = set_of(&mut mechanism);
        // SAFETY: all pointers are to values that outlive the call, or null where the library takes null; what they lead to is
        // only read. The library sets the handle, which the value then owns.
        let major = unsafe {
            gss_acquire_cred_with_password(
                &mut minor,
                user.0,
                &mut password,
                LONG,
                &mut mechanisms,
                INITIATE,
                &mut credentials.0,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        ok("no ticket for the user", major, minor, true)?;
        Ok(credentials)
    }

    /// From where the system keeps them: a cache, or a keytab that fills it.
    fn of_system(user: &Name) -> Result<Credentials, Failure> {
        let (mut minor, mut credentials) = (0, Credentials(ptr::null_mut()));
        let mut mechanism = KERBEROS.descriptor();
        let mut mechanisms = set_of(&mut mechanism);
        // SAFETY: as for gss_acquire_cred_with_password.
        let major = unsafe {
            sys::gss_acquire_cred(
                &mut minor,
                user.0,
                LONG,
                &mut mechanisms,
                INITIATE,
                &mut credentials.0,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        ok("no ticket for the user", major, minor, true)?;
        Ok(credentials)
    }

    #[cfg(target_os = "macos")]
    fn from_store(user: &Name, _: Option<String>, _: Option<String>) -> Result<Credentials, Failure> {
        Credentials::of_system(user) // The options have refused a store.
    }

    #[cfg(not(target_os = "macos"))]
    fn from_store(user: &Name, cache: Option<String>, keytab: Option<String>) -> Result<Credentials, Failure> {
        let mut values = Vec::new();
        for (key, value) in [(c"ccache", cache), (c"client_keytab", keytab)] {
            let Some(value) = value else { continue };
            let value = CString::new(value).map_err(|_| Failure {
                call: "no ticket for the user",
                major: "the name of the ticket cache or keytab has a NUL in it".to_owned(),
                minor: String::new(),
                cause: Cause::Other,
                of_user: true,
            })?;
            values.push((key, value));
        }
        let mut elements: Vec<KeyValue> =
            values.iter().map(|(key, value)| KeyValue { key: key.as_ptr(), value: value.as_ptr() }).collect();
        let count = u32::try_from(elements.len()).unwrap_or_default();
        let store = KeyValueSet { count, elements: elements.as_mut_ptr() };
        let (mut minor, mut credentials) = (0, Credentials(ptr::null_mut()));
        let mut mechanism = KERBEROS.descriptor();
        let mut mechanisms = set_of(&mut mechanism);
        // SAFETY: as for gss_acquire_cred_with_password; the store and the texts it leads to outlive the call as well.
        let major = unsafe {
            gss_acquire_cred_from(
                &mut minor,
                user.0,
                LONG,
                &mut mechanisms,
                INITIATE,
                &store,
                &mut credentials.0,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        ok("no ticket for the user", major, minor, true)?;
        Ok(credentials)
    }

    /// Whose they are, with the realm.
    fn principal(&self) -> Option<String> {
        let (mut minor, mut name) = (0, Name(ptr::null_mut()));
        // SAFETY: the handle is live; the library sets the name, which the value then owns; the rest is not asked for.
        let major = unsafe {
            sys::gss_inquire_cred(&mut minor, self.0, &mut name.0, ptr::null_mut(), ptr::null_mut(), ptr::null_mut())
        };
        if is_error(major) {
            return None;
        }
        name.text()
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the handle is null or one that only this value holds.
        unsafe { sys::gss_release_cred(&mut minor, &mut self.0) };
    }
}

/// A name that the library has read.
struct Name(sys::gss_name_t);

impl Name {
    fn import(text: &str, kind: &Oid) -> Result<Name, Failure> {
        let (mut minor, mut name) = (0, Name(ptr::null_mut()));
        let mut text = borrowed(text.as_bytes());
        let mut kind = kind.descriptor();
        // SAFETY: text and kind outlive the call and are only read (the library copies both). It sets the name, which the value
        // then owns.
        let major = unsafe { sys::gss_import_name(&mut minor, &mut text, &mut kind, &mut name.0) };
        ok("Kerberos does not accept the name", major, minor, true)?;
        Ok(name)
    }

    /// The principal of this name. If the library does not know it yet, the name is unchanged.
    fn of_kerberos(self) -> Name {
        let (mut minor, mut principal) = (0, Name(ptr::null_mut()));
        let mut mechanism = KERBEROS.descriptor();
        // SAFETY: the name is live, the mechanism outlives the call; the library sets a new name, which the value then owns.
        let major = unsafe { sys::gss_canonicalize_name(&mut minor, self.0, &mut mechanism, &mut principal.0) };
        if is_error(major) { self } else { principal }
    }

    /// The form for messages: `user@REALM`.
    fn text(&self) -> Option<String> {
        let (mut minor, mut text) = (0, Buffer::empty());
        // SAFETY: the name is live; the library sets the text, which is given back when dropped.
        let major = unsafe { sys::gss_display_name(&mut minor, self.0, &mut text.0, ptr::null_mut()) };
        (!is_error(major)).then(|| text.text())
    }

    /// What errors say of this service: the library may have made its host canonical, and know its realm.
    fn note(&self, tried: &mut Tried) {
        let Some(text) = self.text() else { return };
        match text.rsplit_once('@') {
            Some((service, "")) => tried.service = service.to_owned(),
            Some((service, realm)) if service.contains('/') => {
                tried.realm = Some(realm.to_owned());
                tried.service = text;
            }
            _ => {} // Not a principal: the library has not changed the name.
        }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the handle is null or one that only this value holds.
        unsafe { sys::gss_release_name(&mut minor, &mut self.0) };
    }
}

/// Bytes that the library hands out.
struct Buffer(sys::gss_buffer_desc);

impl Buffer {
    fn empty() -> Buffer {
        Buffer(sys::gss_buffer_desc { length: 0, value: ptr::null_mut() })
    }

    fn bytes(&self) -> &[u8] {
        if self.0.value.is_null() {
            return &[];
        }
        // SAFETY: the library set both, so there are that many bytes, and they stay as they are until they are given back.
        unsafe { slice::from_raw_parts(self.0.value.cast(), self.0.length) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: it is empty, or the library made it, and it is given back once.
        unsafe { sys::gss_release_buffer(&mut minor, &mut self.0) };
    }
}

/// Bytes of ours for the library to read. It takes a mutable pointer and does not write through it.
fn borrowed(bytes: &[u8]) -> sys::gss_buffer_desc {
    sys::gss_buffer_desc { length: bytes.len(), value: bytes.as_ptr().cast_mut().cast() }
}

/// An object identifier, as its DER has it without the head.
struct Oid(&'static [u8]);

impl Oid {
    fn descriptor(&self) -> sys::gss_OID_desc {
        let length = u32::try_from(self.0.len()).unwrap_or_default();
        sys::gss_OID_desc { length, elements: self.0.as_ptr().cast_mut().cast::<c_void>() }
    }
}

/// A set with one identifier. The bindings declare `elements` as a list of pointers; gssapi.h has a list of descriptors, and that
/// is what the library reads, hence the cast.
fn set_of(one: &mut sys::gss_OID_desc) -> sys::gss_OID_set_desc {
    sys::gss_OID_set_desc { count: 1, elements: ptr::from_mut(one).cast() }
}

/// The failure that a call's status reports, if any.
fn ok(call: &'static str, major: u32, minor: u32, of_user: bool) -> Result<(), Failure> {
    if !is_error(major) {
        return Ok(());
    }
    Err(Failure {
        call,
        major: status(major, GSS_CODE),
        minor: if minor == 0 { String::new() } else { status(minor, MECHANISM_CODE) },
        cause: cause(major, minor, of_user),
        of_user,
    })
}

/// The upper half of a major status holds errors, the lower half additional information.
fn is_error(major: u32) -> bool {
    major & 0xffff_0000 != 0
}

/// The library's text for a status; it keeps the details for the thread that had the failure.
fn status(code: u32, kind: c_int) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut more = 0;
    for _ in 0..MAX_STATUS_TEXTS {
        let (mut minor, mut text) = (0, Buffer::empty());
        let mut mechanism = KERBEROS.descriptor();
        // SAFETY: all pointers are to values that outlive the call; the text is given back when dropped.
        let major = unsafe { sys::gss_display_status(&mut minor, code, kind, &mut mechanism, &mut more, &mut text.0) };
        if is_error(major) {
            break;
        }
        texts.push(text.text());
        if more == 0 {
            break;
        }
    }
    if texts.is_empty() { format!("status {code:#x}") } else { texts.join("; ") }
}

/// A cache in memory for what a keytab gives: one for each keytab and user, which lasts as long as the process, so that each
/// login does not ask the KDC anew.
fn memory_cache(keytab: &str, user: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (keytab, user).hash(&mut hasher);
    format!("MEMORY:mongo-blocking-{:016x}", hasher.finish())
}

/// `gss_key_value_element_desc` of gssapi_ext.h.
#[repr(C)]
struct KeyValue {
    key: *const c_char,
    value: *const c_char,
}

/// `gss_key_value_set_desc` of gssapi_ext.h.
#[repr(C)]
struct KeyValueSet {
    count: sys::OM_uint32,
    elements: *mut KeyValue,
}

// Declared in gssapi_ext.h, which the bindings leave out; defined in the library that they link.
// SAFETY: the signatures are those of gssapi_ext.h (MIT Kerberos since 1.9 and 1.11, Heimdal 8).
unsafe extern "C" {
    fn gss_acquire_cred_with_password(
        minor: *mut sys::OM_uint32,
        desired_name: sys::gss_name_t,
        password: sys::gss_buffer_t,
        time_req: sys::OM_uint32,
        desired_mechs: sys::gss_OID_set,
        cred_usage: sys::gss_cred_usage_t,
        output_cred: *mut sys::gss_cred_id_t,
        actual_mechs: *mut sys::gss_OID_set,
        time_rec: *mut sys::OM_uint32,
    ) -> sys::OM_uint32;

    // Of gssapi_krb5.h.
    #[cfg(not(target_os = "macos"))]
    fn gss_krb5_ccache_name(
        minor: *mut sys::OM_uint32,
        name: *const c_char,
        out_name: *mut *const c_char,
    ) -> sys::OM_uint32;

    #[cfg(not(target_os = "macos"))]
    fn gss_acquire_cred_from(
        minor: *mut sys::OM_uint32,
        desired_name: sys::gss_name_t,
        time_req: sys::OM_uint32,
        desired_mechs: sys::gss_OID_set,
        cred_usage: sys::gss_cred_usage_t,
        cred_store: *const KeyValueSet,
        output_cred: *mut sys::gss_cred_id_t,
        actual_mechs: *mut sys::gss_OID_set,
        time_rec: *mut sys::OM_uint32,
    ) -> sys::OM_uint32;
}

/// The credentials where none are named.
const SYSTEM_CACHE: &str = "the system's ticket cache";

/// Half of what a login may take by default.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Mutual authentication is required; integrity is what signing the choice of layer needs.
const FLAGS: u32 = sys::GSS_C_MUTUAL_FLAG | sys::GSS_C_INTEG_FLAG;
const INITIATE: sys::gss_cred_usage_t = sys::GSS_C_INITIATE.cast_signed();
const GSS_CODE: c_int = sys::GSS_C_GSS_CODE.cast_signed();
const MECHANISM_CODE: c_int = sys::GSS_C_MECH_CODE.cast_signed();
/// As long a life as there may be.
const LONG: sys::OM_uint32 = sys::OM_uint32::MAX;
/// A status has one text, rarely two.
const MAX_STATUS_TEXTS: usize = 8;

/// The Kerberos mechanism, 1.2.840.113554.1.2.2 (RFC 4121).
const KERBEROS: Oid = Oid(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02");
/// 1.2.840.113554.1.2.2.1 (RFC 1964, section 2.1.1).
const KERBEROS_PRINCIPAL: Oid = Oid(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01");
/// 1.2.840.113554.1.2.1.1 (RFC 2743, section 4.2).
const USER_NAME: Oid = Oid(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x01");
/// 1.2.840.113554.1.2.1.4 (RFC 2743, section 4.1).
const HOST_BASED_SERVICE: Oid = Oid(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04");
