/*
 * Test equipment, never shipped: what Wine 8 lacks, or does otherwise than Windows documents, for programs of this driver.
 *
 * 1. Rust's standard library loads bcryptprimitives.dll for random bytes (ProcessPrng), which Wine has only since version 9. This one
 *    takes them from RtlGenRandom.
 * 2. Wine's verdict on a chain of certificates for TLS (CertVerifyCertificateChainPolicy)
 *    - fails where nothing is known about revocation, although the caller asks to ignore that
 *      (CERT_CHAIN_POLICY_IGNORE_ALL_REV_UNKNOWN_FLAGS), so that every private authority would be refused;
 *    - passes a chain whose issuer is missing, which Windows refuses with CERT_E_CHAINING (before it looks at the name) unless the caller
 *      allows unknown authorities.
 *    Both are put right here, for the program that has loaded this library. With MONGO_BLOCKING_WINE_POLICY=wine it is left as it is.
 */
#include <windows.h>
#include <wincrypt.h>
#include <wininet.h>
#include <string.h>

/* RtlGenRandom, by the name under which advapi32.dll exports it. */
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length) {
    while (length > 0) {
        ULONG part = length > 0x10000000 ? 0x10000000 : (ULONG)length;
        if (!SystemFunction036(buffer, part)) {
            return FALSE;
        }
        buffer += part;
        length -= part;
    }
    return TRUE;
}

typedef BOOL(WINAPI *Policy)(LPCSTR, PCCERT_CHAIN_CONTEXT, PCERT_CHAIN_POLICY_PARA, PCERT_CHAIN_POLICY_STATUS);

static Policy policy_of_wine;

static BOOL WINAPI policy(LPCSTR kind, PCCERT_CHAIN_CONTEXT chain, PCERT_CHAIN_POLICY_PARA asked, PCERT_CHAIN_POLICY_STATUS status) {
    BOOL done = policy_of_wine(kind, chain, asked, status);
    if (!done || kind != CERT_CHAIN_POLICY_SSL || asked == NULL) {
        return done;
    }
    const DWORD unknown = CERT_CHAIN_POLICY_IGNORE_ALL_REV_UNKNOWN_FLAGS;
    if (status->dwError == (DWORD)CERT_E_REVOCATION_FAILURE && (asked->dwFlags & unknown) == unknown && asked->pvExtraPolicyPara) {
        /* A certificate that is revoked has another code, and does not come here. */
        HTTPSPolicyCallbackData https = *(HTTPSPolicyCallbackData *)asked->pvExtraPolicyPara;
        CERT_CHAIN_POLICY_PARA again = *asked;
        https.fdwChecks |= SECURITY_FLAG_IGNORE_REVOCATION;
        again.pvExtraPolicyPara = &https;
        done = policy_of_wine(kind, chain, &again, status);
    }
    if (done && (status->dwError == 0 || status->dwError == (DWORD)CERT_E_CN_NO_MATCH) && (chain->TrustStatus.dwErrorStatus & CERT_TRUST_IS_PARTIAL_CHAIN) &&
        !(asked->dwFlags & CERT_CHAIN_POLICY_ALLOW_UNKNOWN_CA_FLAG)) {
        status->dwError = (DWORD)CERT_E_CHAINING;
    }
    return done;
}

/* Puts our function in the place of crypt32's in the program's table of imports. */
static void replace_policy(BYTE *program) {
    IMAGE_NT_HEADERS *headers = (IMAGE_NT_HEADERS *)(program + ((IMAGE_DOS_HEADER *)program)->e_lfanew);
    IMAGE_DATA_DIRECTORY imports = headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT];
    if (imports.Size == 0) {
        return;
    }
    IMAGE_IMPORT_DESCRIPTOR *library = (IMAGE_IMPORT_DESCRIPTOR *)(program + imports.VirtualAddress);
    for (; library->Name != 0; library++) {
        if (library->OriginalFirstThunk == 0 || lstrcmpiA((char *)(program + library->Name), "crypt32.dll") != 0) {
            continue;
        }
        IMAGE_THUNK_DATA *name = (IMAGE_THUNK_DATA *)(program + library->OriginalFirstThunk);
        IMAGE_THUNK_DATA *function = (IMAGE_THUNK_DATA *)(program + library->FirstThunk);
        for (; name->u1.AddressOfData != 0; name++, function++) {
            DWORD before;
            if (IMAGE_SNAP_BY_ORDINAL(name->u1.Ordinal) ||
                strcmp((char *)((IMAGE_IMPORT_BY_NAME *)(program + name->u1.AddressOfData))->Name, "CertVerifyCertificateChainPolicy") != 0 ||
                !VirtualProtect(&function->u1.Function, sizeof function->u1.Function, PAGE_READWRITE, &before)) {
                continue;
            }
            policy_of_wine = (Policy)function->u1.Function;
            function->u1.Function = (ULONGLONG)policy;
            VirtualProtect(&function->u1.Function, sizeof function->u1.Function, before, &before);
        }
    }
}

BOOL WINAPI DllMain(HINSTANCE library, DWORD reason, LPVOID reserved) {
    char wanted[8];
    (void)library;
    (void)reserved;
    if (reason == DLL_PROCESS_ATTACH &&
        !(GetEnvironmentVariableA("MONGO_BLOCKING_WINE_POLICY", wanted, sizeof wanted) == 4 && strcmp(wanted, "wine") == 0)) {
        replace_policy((BYTE *)GetModuleHandleA(NULL));
    }
    return TRUE;
}
