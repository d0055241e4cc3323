/*
 * Test equipment, never shipped: what Wine 8 lacks for programs of Rust.
 *
 * Rust's standard library loads bcryptprimitives.dll for random bytes (ProcessPrng), and Wine has had that library since version 9
 * only. This one takes them from RtlGenRandom, which is what ProcessPrng stands on in Windows, too.
 */
#include <windows.h>

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
