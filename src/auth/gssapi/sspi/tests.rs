//! The two messages after the context is established, which Wine cannot show, with functions that do what Windows documents for
//! them: tokens of RFC 4121 that are signed and not encrypted. The messages were recorded with MIT Kerberos on both sides. And the
//! calls before those, where they fail.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// `01 00 00 00` (the layer "none", no maximum), signed by the acceptor; the data stands between header and checksum.
const OFFER: &str = "BQQF/wAMAAAAAAAAGkIXAQEAAABO47gWCiQPvnFNDws=";
/// The client's choice, as MIT's library signed it.
const CHOICE: &str = "BQQE/wAMAAAAAAAAFbrZSgEAAABhbm5AVEVTVC5MT0NBTDHqB5rqZWrrMS39vw==";

const HEADER: usize = 16;
const CHECKSUM: usize = 12;
/// What the functions of a test got to see. One test at a time.
static TURN: Mutex<()> = Mutex::new(());
static DELETED: AtomicU32 = AtomicU32::new(0);
static FREED: AtomicU32 = AtomicU32::new(0);
static FREED_BUFFERS: AtomicU32 = AtomicU32::new(0);

unsafe extern "system" fn package(_: *const u16, info: *mut *mut identity::SecPkgInfoW) -> HRESULT {
    let package = Box::new(identity::SecPkgInfoW { cbMaxToken: 1, ..Default::default() });
    // SAFETY: the caller gives a place for the pointer; `free_buffer` takes the box back.
    unsafe { *info = Box::into_raw(package) };
    status::SEC_E_OK
}

unsafe extern "system" fn free_buffer(buffer: *mut c_void) -> HRESULT {
    FREED_BUFFERS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: only what `package` gave comes back.
    drop(unsafe { Box::from_raw(buffer.cast::<identity::SecPkgInfoW>()) });
    status::SEC_E_OK
}

unsafe extern "system" fn acquire(
    _: *const u16,
    _: *const u16,
    _: identity::SECPKG_CRED,
    _: *const c_void,
    account: *const c_void,
    _: identity::SEC_GET_KEY_FN,
    _: *const c_void,
    _: *mut SecHandle,
    _: *mut i64,
) -> HRESULT {
    // Without an account: the session's.
    if account.is_null() { status::SEC_E_NO_CREDENTIALS } else { status::SEC_E_OK }
}

unsafe extern "system" fn free(_: *const SecHandle) -> HRESULT {
    FREED.fetch_add(1, Ordering::SeqCst);
    status::SEC_E_OK
}

/// The first call makes a token, the second takes one and is content.
unsafe extern "system" fn initialize(
    _: *const SecHandle,
    context: *const SecHandle,
    _: *const u16,
    flags: identity::ISC_REQ_FLAGS,
    _: u32,
    _: u32,
    input: *const identity::SecBufferDesc,
    _: u32,
    handle: *mut SecHandle,
    output: *mut identity::SecBufferDesc,
    attributes: *mut u32,
    _: *mut i64,
) -> HRESULT {
    assert_eq!(flags & identity::ISC_REQ_ALLOCATE_MEMORY, 0);
    // SAFETY: the caller's buffers are as it describes them.
    unsafe {
        let room = &mut *(*output).pBuffers;
        assert!(room.cbBuffer >= SHORTEST_MAXIMUM && room.BufferType == identity::SECBUFFER_TOKEN);
        *handle = SecHandle { dwLower: 1, dwUpper: 2 };
        if context.is_null() {
            assert!(input.is_null());
            ptr::copy_nonoverlapping(b"first".as_ptr(), room.pvBuffer.cast(), 5);
            room.cbBuffer = 5;
            return status::SEC_I_CONTINUE_NEEDED;
        }
        if bytes(&*(*input).pBuffers) != b"answer" {
            return status::SEC_E_INVALID_TOKEN;
        }
        room.cbBuffer = 0;
        *attributes = identity::ISC_RET_MUTUAL_AUTH;
    }
    status::SEC_E_OK
}

unsafe extern "system" fn delete(_: *const SecHandle) -> HRESULT {
    DELETED.fetch_add(1, Ordering::SeqCst);
    status::SEC_E_OK
}

unsafe extern "system" fn query(_: *const SecHandle, what: identity::SECPKG_ATTR, sizes: *mut c_void) -> HRESULT {
    assert_eq!(what, identity::SECPKG_ATTR_SIZES);
    let room = u32::try_from(HEADER + CHECKSUM).unwrap();
    let answer = identity::SecPkgContext_Sizes {
        cbMaxToken: SHORTEST_MAXIMUM,
        cbMaxSignature: room,
        cbBlockSize: 1,
        cbSecurityTrailer: room,
    };
    // SAFETY: the attribute asks for this very struct.
    unsafe { *sizes.cast() = answer };
    status::SEC_E_OK
}

/// A buffer of the kind STREAM is taken apart in place, and the buffer of the kind DATA is pointed to the data in it.
unsafe extern "system" fn decrypt(
    _: *const SecHandle,
    message: *const identity::SecBufferDesc,
    _: u32,
    protection: *mut u32,
) -> HRESULT {
    // SAFETY: the caller's buffers are as it describes them.
    unsafe {
        let buffers = slice::from_raw_parts_mut((*message).pBuffers, 2);
        let [stream, data] = buffers else { return status::SEC_E_INVALID_TOKEN };
        assert_eq!((stream.BufferType, data.BufferType), (identity::SECBUFFER_STREAM, identity::SECBUFFER_DATA));
        let token = bytes(stream);
        if token.len() < HEADER + CHECKSUM || !token.starts_with(&[5, 4]) {
            return status::SEC_E_INVALID_TOKEN;
        }
        if token.last() != Some(&0x0b) {
            return status::SEC_E_MESSAGE_ALTERED;
        }
        data.cbBuffer = u32::try_from(token.len() - HEADER - CHECKSUM).unwrap();
        data.pvBuffer = stream.pvBuffer.cast::<u8>().add(HEADER).cast();
        *protection = identity::SECQOP_WRAP_NO_ENCRYPT;
    }
    status::SEC_E_OK
}

/// The token goes before the data and holds header and checksum (the checksum rotated to the front), and there is no padding.
unsafe extern "system" fn encrypt(
    _: *const SecHandle,
    protection: u32,
    message: *const identity::SecBufferDesc,
    _: u32,
) -> HRESULT {
    assert_eq!(protection, identity::SECQOP_WRAP_NO_ENCRYPT);
    let choice = STANDARD.decode(CHOICE).unwrap();
    // SAFETY: the caller's buffers are as it describes them.
    unsafe {
        let buffers = slice::from_raw_parts_mut((*message).pBuffers, 3);
        let [token, data, padding] = buffers else { return status::SEC_E_INVALID_TOKEN };
        let kinds = [token.BufferType, data.BufferType, padding.BufferType];
        assert_eq!(kinds, [identity::SECBUFFER_TOKEN, identity::SECBUFFER_DATA, identity::SECBUFFER_PADDING]);
        let end = choice.len() - CHECKSUM;
        assert_eq!(bytes(data), &choice[HEADER..end]);
        let signed = [&choice[..HEADER], &choice[end..]].concat();
        assert!(token.cbBuffer as usize >= signed.len());
        ptr::copy_nonoverlapping(signed.as_ptr(), token.pvBuffer.cast(), signed.len());
        token.cbBuffer = u32::try_from(signed.len()).unwrap();
        padding.cbBuffer = 0;
    }
    status::SEC_E_OK
}

static FUNCTIONS: Functions =
    Functions { package, free_buffer, acquire, free, initialize, delete, query, decrypt, encrypt };

fn context() -> SspiContext {
    let longest_token = longest_token(&FUNCTIONS).unwrap();
    assert_eq!(longest_token, SHORTEST_MAXIMUM as usize);
    let credentials = Credentials::acquire(&FUNCTIONS, "ann@TEST.LOCAL", Some(&Secret::from("pencil"))).unwrap();
    SspiContext { functions: &FUNCTIONS, handle: None, credentials, target: wide("mongodb/localhost"), longest_token }
}

#[test]
fn a_login_with_recorded_messages() {
    let _turn = TURN.lock();
    let counts = || [&DELETED, &FREED, &FREED_BUFFERS].map(|count| count.load(Ordering::SeqCst));
    let before = counts();
    let mut context = context();
    assert!(matches!(context.advance(None).unwrap(), Progress::Continue(token) if token == b"first"));
    let established = context.step(b"answer").unwrap();
    assert!(matches!(established, Progress::Established { token, mutual: true } if token.is_empty()));
    let offer = STANDARD.decode(OFFER).unwrap();
    assert_eq!(context.unwrap(&offer).unwrap().as_slice(), [1, 0, 0, 0]);
    let signed = context.wrap(b"\x01\0\0\0ann@TEST.LOCAL").unwrap();
    let choice = STANDARD.decode(CHOICE).unwrap();
    let (rest, checksum) = choice.split_at(choice.len() - CHECKSUM);
    assert_eq!(signed, [&rest[..HEADER], checksum, &rest[HEADER..]].concat());
    drop(context);
    assert_eq!(counts(), before.map(|count| count + 1));
}

#[test]
fn messages_that_do_not_hold() {
    let _turn = TURN.lock();
    let mut context = context();
    let failure = context.unwrap(&[]).unwrap_err();
    assert!(failure.minor.contains("SEC_E_INVALID_HANDLE, 0x80090301"), "{failure:?}");
    context.advance(None).unwrap();
    let failure = context.step(b"another").unwrap_err();
    assert_eq!((failure.cause, failure.minor.as_str()), (Cause::BadToken, "SEC_E_INVALID_TOKEN, 0x80090308"));
    let mut changed = STANDARD.decode(OFFER).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    let failure = context.unwrap(&changed).unwrap_err();
    assert_eq!((failure.cause, failure.minor.as_str()), (Cause::BadToken, "SEC_E_MESSAGE_ALTERED, 0x8009030f"));
    for short in [&[][..], &[5, 4], b"something else that is long enough"] {
        assert_eq!(context.unwrap(short).unwrap_err().cause, Cause::BadToken);
    }
}

#[test]
fn credentials_that_are_missing_or_refused() {
    let _turn = TURN.lock();
    let failure = Credentials::acquire(&FUNCTIONS, "ann@TEST.LOCAL", None).map(drop).unwrap_err();
    assert!(failure.of_user && failure.cause == Cause::NoTicket, "{failure:?}");
    assert_eq!(failure.minor, "SEC_E_NO_CREDENTIALS, 0x8009030e");
    for code in [status::SEC_E_LOGON_DENIED, status::STATUS_UNSUCCESSFUL] {
        let failure = super::failure("no ticket for the service", code);
        assert!(failure.of_user && failure.cause == Cause::UserOrPassword, "{failure:?}");
    }
    assert_eq!(super::failure("a call", 0x8009_9999_u32.cast_signed()).minor, "SSPI 0x80099999");
}
