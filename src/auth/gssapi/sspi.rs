//! Kerberos on Windows, through SSPI: the one file that calls it there.
//!
//! CI runs it under Wine against a KDC of MIT, as far as Wine's SSPI goes: up to the established context. Wine 8 does not unwrap
//! the server's offer of security layers, so the two messages after it are tested with functions of the test's own. Under
//! `--cfg mongo_blocking_sspi_check` it is type-checked on Linux. It has never run on Windows itself.

#![allow(unsafe_code)] // What this file is for; each block has its reason.
#![cfg_attr(not(windows), allow(dead_code))] // Elsewhere it is only type-checked.

use std::ffi::c_void;
use std::{io, ptr, slice};

use windows_sys::Win32::Foundation as status;
use windows_sys::Win32::Security::Authentication::Identity as identity;
use windows_sys::Win32::Security::Credentials::SecHandle;
use windows_sys::Win32::System::Rpc::{SEC_WINNT_AUTH_IDENTITY_UNICODE, SEC_WINNT_AUTH_IDENTITY_W};
use windows_sys::core::{HRESULT, PCWSTR};
use windows_sys::w;
use zeroize::Zeroizing;

use super::failure::Cause;
use super::names::Service;
use super::{Context, Failure, Progress, Tried};
use crate::credential::GssapiCredential;
use crate::secret::Secret;

/// Where the credentials come from, in words.
pub(super) fn credentials(credential: &GssapiCredential, _cache_variable: Option<&str>) -> String {
    match credential.password {
        Some(_) => "the password".to_owned(),
        None => "the account of this Windows session".to_owned(),
    }
}

/// Gets a ticket for the service and makes the first token.
pub(super) fn open(
    credential: &GssapiCredential,
    _service: &Service,
    tried: &mut Tried,
) -> Result<(Box<dyn Context>, Progress), Failure> {
    let longest_token = longest_token(&SYSTEM)?;
    let credentials = Credentials::acquire(&SYSTEM, &credential.username, credential.password.as_ref())?;
    // SSPI never makes a host's name canonical, so the name as it is written serves for every kind of service.
    let target = wide(&tried.service);
    let mut context = SspiContext { functions: &SYSTEM, handle: None, credentials, target, longest_token };
    let first = context.advance(None)?;
    Ok((Box::new(context), first))
}

/// A context that is being established, or is.
struct SspiContext {
    functions: &'static Functions,
    handle: Option<SecHandle>,
    credentials: Credentials,
    /// The service's principal, UTF-16 with a zero at its end.
    target: Zeroizing<Vec<u16>>,
    /// The size of the buffer for a token of ours.
    longest_token: usize,
}

impl SspiContext {
    fn advance(&mut self, token: Option<&[u8]>) -> Result<Progress, Failure> {
        let mut token = token.map(<[u8]>::to_vec);
        let mut input = token.as_mut().map(|token| [buffer(identity::SECBUFFER_TOKEN, token)]);
        let input = input.as_mut().map(|buffers| list(buffers));
        // A buffer of our own: Wine's SSPI allocates none, and Windows fills either.
        let mut room = vec![0; self.longest_token];
        let mut output = [buffer(identity::SECBUFFER_TOKEN, &mut room)];
        let mut outputs = list(&mut output);
        let mut handle = self.handle.unwrap_or_default();
        let mut attributes = 0;
        // SAFETY: every pointer is null where SSPI takes null, or to a value that outlives the call; the target ends with a zero.
        // SSPI sets the handle, which this value then owns, and fills the output's buffer up to the length that it is told.
        let code = unsafe {
            (self.functions.initialize)(
                &self.credentials.0,
                self.handle.as_ref().map_or(ptr::null(), ptr::from_ref),
                self.target.as_ptr(),
                FLAGS,
                0,
                identity::SECURITY_NATIVE_DREP,
                input.as_ref().map_or(ptr::null(), ptr::from_ref),
                0,
                &mut handle,
                &mut outputs,
                &mut attributes,
                ptr::null_mut(),
            )
        };
        let call = if input.is_none() { "no ticket for the service" } else { "the server's token was not accepted" };
        ok(call, code)?;
        self.handle = Some(handle);
        let [output] = &output;
        // SAFETY: `room` is still there, and SSPI has shortened the buffer to what it has filled.
        let token = unsafe { bytes(output) }.to_vec();
        match code {
            status::SEC_E_OK => {
                Ok(Progress::Established { token, mutual: attributes & identity::ISC_RET_MUTUAL_AUTH != 0 })
            }
            status::SEC_I_CONTINUE_NEEDED => Ok(Progress::Continue(token)),
            // The other successes are of packages that want CompleteAuthToken, which Kerberos does not.
            other => Err(failure(call, other)),
        }
    }

    fn established(&self, call: &'static str) -> Result<&SecHandle, Failure> {
        self.handle.as_ref().ok_or_else(|| failure(call, status::SEC_E_INVALID_HANDLE))
    }
}

impl Context for SspiContext {
    fn step(&mut self, token: &[u8]) -> Result<Progress, Failure> {
        self.advance(Some(token))
    }

    fn unwrap(&mut self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let call = "the server's message is not signed as it must be";
        let handle = self.established(call)?;
        let mut message = message.to_vec();
        let mut buffers = [buffer(identity::SECBUFFER_STREAM, &mut message), empty(identity::SECBUFFER_DATA)];
        let buffers_list = list(&mut buffers);
        let mut protection = 0;
        // SAFETY: the handle is that of a context of ours; the buffers and the message that they lead to outlive the call and are
        // written by no other code meanwhile.
        let code = unsafe { (self.functions.decrypt)(handle, &buffers_list, 0, &mut protection) };
        ok(call, code)?;
        let [_, data] = &buffers;
        // SAFETY: on success SSPI points the data buffer into the message, which is still there and is not written any more.
        let data = unsafe { bytes(data) };
        Ok(Zeroizing::new(data.to_vec()))
    }

    fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let call = "our message could not be signed";
        let handle = self.established(call)?;
        let mut sizes = identity::SecPkgContext_Sizes::default();
        // SAFETY: the attribute asks for this very struct, which outlives the call.
        let code =
            unsafe { (self.functions.query)(handle, identity::SECPKG_ATTR_SIZES, ptr::from_mut(&mut sizes).cast()) };
        ok(call, code)?;
        let (mut trailer, mut data) = (room(sizes.cbSecurityTrailer), message.to_vec());
        let mut padding = room(sizes.cbBlockSize);
        let mut buffers = [
            buffer(identity::SECBUFFER_TOKEN, &mut trailer),
            buffer(identity::SECBUFFER_DATA, &mut data),
            buffer(identity::SECBUFFER_PADDING, &mut padding),
        ];
        let buffers_list = list(&mut buffers);
        // SAFETY: as for DecryptMessage; each buffer is as long as it says, and SSPI shortens what it does not fill.
        let code = unsafe { (self.functions.encrypt)(handle, identity::SECQOP_WRAP_NO_ENCRYPT, &buffers_list, 0) };
        ok(call, code)?;
        let mut signed = Vec::new();
        for part in &buffers {
            // SAFETY: the three vectors are still there and are not written any more.
            signed.extend_from_slice(unsafe { bytes(part) });
        }
        Ok(signed)
    }
}

impl Drop for SspiContext {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            // SAFETY: the handle is that of a context that only this value holds.
            unsafe { (self.functions.delete)(&handle) };
        }
    }
}

/// The user's credentials.
struct Credentials(SecHandle, &'static Functions);

impl Credentials {
    /// With a password those of that user; without one those of the Windows session, whatever the user's name is.
    fn acquire(functions: &'static Functions, user: &str, password: Option<&Secret>) -> Result<Credentials, Failure> {
        let (name, realm) = user.rsplit_once('@').unwrap_or((user, ""));
        let mut account = password.map(|password| (wide(name), wide(realm), wide(password.expose())));
        let account = account.as_mut().map(|(name, realm, password)| SEC_WINNT_AUTH_IDENTITY_W {
            User: name.as_mut_ptr(),
            UserLength: length(name),
            Domain: realm.as_mut_ptr(),
            DomainLength: length(realm),
            Password: password.as_mut_ptr(),
            PasswordLength: length(password),
            Flags: SEC_WINNT_AUTH_IDENTITY_UNICODE,
        });
        let (mut handle, mut expires) = (SecHandle::default(), 0);
        // SAFETY: every pointer is null where SSPI takes null, or to a value that outlives the call; the account's texts are as
        // long as they say and are only read. SSPI sets the handle, which the value then owns.
        let code = unsafe {
            (functions.acquire)(
                ptr::null(),
                KERBEROS,
                identity::SECPKG_CRED_OUTBOUND,
                ptr::null(),
                account.as_ref().map_or(ptr::null(), |account| ptr::from_ref(account).cast()),
                None,
                ptr::null(),
                &mut handle,
                &mut expires,
            )
        };
        ok("no credentials for the user", code).map_err(|failure| Failure { of_user: true, ..failure })?;
        Ok(Credentials(handle, functions))
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        // SAFETY: the handle is one that only this value holds.
        unsafe { (self.1.free)(&self.0) };
    }
}

/// The size of a buffer that holds every token of the Kerberos package.
fn longest_token(functions: &Functions) -> Result<usize, Failure> {
    let mut package = ptr::null_mut();
    // SAFETY: the name ends with a zero; SSPI sets the pointer, or fails.
    let code = unsafe { (functions.package)(KERBEROS, &mut package) };
    ok("this Windows has no Kerberos", code)?;
    if package.is_null() {
        return Err(failure("this Windows has no Kerberos", status::SEC_E_SECPKG_NOT_FOUND));
    }
    // SAFETY: SSPI has allocated it for us, and it is given back once, after its one field has been read.
    let longest = unsafe {
        let longest = (*package).cbMaxToken;
        (functions.free_buffer)(package.cast());
        longest
    };
    Ok(usize::try_from(longest.clamp(SHORTEST_MAXIMUM, MAX_ROOM)).unwrap_or_default())
}

/// The functions of SSPI that a login takes. A test has some of its own.
struct Functions {
    package: unsafe extern "system" fn(*const u16, *mut *mut identity::SecPkgInfoW) -> HRESULT,
    free_buffer: unsafe extern "system" fn(*mut c_void) -> HRESULT,
    acquire: unsafe extern "system" fn(
        *const u16,
        *const u16,
        identity::SECPKG_CRED,
        *const c_void,
        *const c_void,
        identity::SEC_GET_KEY_FN,
        *const c_void,
        *mut SecHandle,
        *mut i64,
    ) -> HRESULT,
    free: unsafe extern "system" fn(*const SecHandle) -> HRESULT,
    initialize: unsafe extern "system" fn(
        *const SecHandle,
        *const SecHandle,
        *const u16,
        identity::ISC_REQ_FLAGS,
        u32,
        u32,
        *const identity::SecBufferDesc,
        u32,
        *mut SecHandle,
        *mut identity::SecBufferDesc,
        *mut u32,
        *mut i64,
    ) -> HRESULT,
    delete: unsafe extern "system" fn(*const SecHandle) -> HRESULT,
    query: unsafe extern "system" fn(*const SecHandle, identity::SECPKG_ATTR, *mut c_void) -> HRESULT,
    decrypt: unsafe extern "system" fn(*const SecHandle, *const identity::SecBufferDesc, u32, *mut u32) -> HRESULT,
    encrypt: unsafe extern "system" fn(*const SecHandle, u32, *const identity::SecBufferDesc, u32) -> HRESULT,
}

/// The system's own.
static SYSTEM: Functions = Functions {
    package: identity::QuerySecurityPackageInfoW,
    free_buffer: identity::FreeContextBuffer,
    acquire: identity::AcquireCredentialsHandleW,
    free: identity::FreeCredentialsHandle,
    initialize: identity::InitializeSecurityContextW,
    delete: identity::DeleteSecurityContext,
    query: identity::QueryContextAttributesW,
    decrypt: identity::DecryptMessage,
    encrypt: identity::EncryptMessage,
};

/// The bytes of a buffer.
///
/// # Safety
/// It must be empty, or lead to that many bytes, which no code writes while the slice lives.
unsafe fn bytes(buffer: &identity::SecBuffer) -> &[u8] {
    if buffer.pvBuffer.is_null() {
        return &[];
    }
    // SAFETY: what the caller has promised.
    unsafe { slice::from_raw_parts(buffer.pvBuffer.cast(), usize::try_from(buffer.cbBuffer).unwrap_or_default()) }
}

fn buffer(kind: u32, bytes: &mut [u8]) -> identity::SecBuffer {
    // A message of the server is bounded far below 4 GiB before it comes here; a longer one would be told too short.
    let length = u32::try_from(bytes.len()).unwrap_or_default();
    identity::SecBuffer { cbBuffer: length, BufferType: kind, pvBuffer: bytes.as_mut_ptr().cast() }
}

fn empty(kind: u32) -> identity::SecBuffer {
    identity::SecBuffer { cbBuffer: 0, BufferType: kind, pvBuffer: ptr::null_mut() }
}

fn list(buffers: &mut [identity::SecBuffer]) -> identity::SecBufferDesc {
    let count = u32::try_from(buffers.len()).unwrap_or_default();
    identity::SecBufferDesc { ulVersion: identity::SECBUFFER_VERSION, cBuffers: count, pBuffers: buffers.as_mut_ptr() }
}

/// Room for what SSPI says it needs, within reason.
fn room(bytes: u32) -> Vec<u8> {
    vec![0; usize::try_from(bytes.min(MAX_ROOM)).unwrap_or_default()]
}

/// UTF-16 with a zero at its end.
fn wide(text: &str) -> Zeroizing<Vec<u16>> {
    // Room from the start: a vector that grows leaves a copy behind, and this may be a password.
    let mut units = Zeroizing::new(Vec::with_capacity(text.len() + 1));
    units.extend(text.encode_utf16().chain([0]));
    units
}

/// Without the zero.
fn length(wide: &[u16]) -> u32 {
    u32::try_from(wide.len().saturating_sub(1)).unwrap_or_default()
}

fn ok(call: &'static str, code: HRESULT) -> Result<(), Failure> {
    if code < 0 { Err(failure(call, code)) } else { Ok(()) }
}

fn failure(call: &'static str, code: HRESULT) -> Failure {
    let cause = cause(code);
    Failure {
        call,
        major: io::Error::from_raw_os_error(code).to_string(),
        minor: match name(code) {
            Some(name) => format!("{name}, {code:#010x}"),
            None => format!("SSPI {code:#010x}"),
        },
        cause,
        of_user: cause == Cause::UserOrPassword,
    }
}

fn cause(code: HRESULT) -> Cause {
    match code {
        status::SEC_E_NO_CREDENTIALS | status::SEC_E_UNKNOWN_CREDENTIALS => Cause::NoTicket,
        // Windows does not say which of the two; Wine says no more than that it failed.
        status::SEC_E_LOGON_DENIED | status::STATUS_UNSUCCESSFUL => Cause::UserOrPassword,
        status::SEC_E_TARGET_UNKNOWN => Cause::UnknownService,
        status::SEC_E_NO_AUTHENTICATING_AUTHORITY => Cause::KdcUnreachable,
        status::SEC_E_TIME_SKEW => Cause::ClockSkew,
        status::SEC_E_CONTEXT_EXPIRED => Cause::TicketExpired,
        status::SEC_E_WRONG_PRINCIPAL
        | status::SEC_E_INVALID_TOKEN
        | status::SEC_E_MESSAGE_ALTERED
        | status::SEC_E_OUT_OF_SEQUENCE
        | status::SEC_E_DECRYPT_FAILURE => Cause::BadToken,
        _ => Cause::Other,
    }
}

/// The name of a code: its text is in the user's language, and may be missing.
fn name(code: HRESULT) -> Option<&'static str> {
    Some(match code {
        status::SEC_E_NO_CREDENTIALS => "SEC_E_NO_CREDENTIALS",
        status::SEC_E_UNKNOWN_CREDENTIALS => "SEC_E_UNKNOWN_CREDENTIALS",
        status::SEC_E_LOGON_DENIED => "SEC_E_LOGON_DENIED",
        status::SEC_E_TARGET_UNKNOWN => "SEC_E_TARGET_UNKNOWN",
        status::SEC_E_NO_AUTHENTICATING_AUTHORITY => "SEC_E_NO_AUTHENTICATING_AUTHORITY",
        status::SEC_E_TIME_SKEW => "SEC_E_TIME_SKEW",
        status::SEC_E_CONTEXT_EXPIRED => "SEC_E_CONTEXT_EXPIRED",
        status::SEC_E_WRONG_PRINCIPAL => "SEC_E_WRONG_PRINCIPAL",
        status::SEC_E_INVALID_TOKEN => "SEC_E_INVALID_TOKEN",
        status::SEC_E_INVALID_HANDLE => "SEC_E_INVALID_HANDLE",
        status::SEC_E_INCOMPLETE_MESSAGE => "SEC_E_INCOMPLETE_MESSAGE",
        status::SEC_E_MESSAGE_ALTERED => "SEC_E_MESSAGE_ALTERED",
        status::SEC_E_OUT_OF_SEQUENCE => "SEC_E_OUT_OF_SEQUENCE",
        status::SEC_E_DECRYPT_FAILURE => "SEC_E_DECRYPT_FAILURE",
        status::SEC_E_INTERNAL_ERROR => "SEC_E_INTERNAL_ERROR",
        status::SEC_E_SECPKG_NOT_FOUND => "SEC_E_SECPKG_NOT_FOUND",
        status::SEC_E_UNSUPPORTED_FUNCTION => "SEC_E_UNSUPPORTED_FUNCTION",
        status::STATUS_UNSUCCESSFUL => "STATUS_UNSUCCESSFUL",
        _ => return None,
    })
}

const KERBEROS: PCWSTR = w!("Kerberos");

/// Mutual authentication is required; integrity is what signing the choice of layer needs.
const FLAGS: identity::ISC_REQ_FLAGS = identity::ISC_REQ_MUTUAL_AUTH | identity::ISC_REQ_INTEGRITY;

/// A trailer or a block is some dozens of bytes; a token holds at most 65,535 (MaxTokenSize).
const MAX_ROOM: u32 = 64 * 1024;
/// What the oldest Windows has for the longest token.
const SHORTEST_MAXIMUM: u32 = 12_000;

#[cfg(all(test, windows))]
mod tests;
